"""The transformer reads the whole note: chunks, pads, company and packing move nothing; what it learned comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from structlog.testing import capture_logs
from transformers import (
    BertConfig,
    BertModel,
    LongformerConfig,
    LongformerModel,
    ModernBertConfig,
    ModernBertModel,
    RobertaConfig,
    RobertaModel,
)

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import LabelledNotes
from chartcode.coders.batches import Documents
from chartcode.coders.encoders import EncoderParams, most_tokens, pretrained, write_encoder
from chartcode.coders.heads import make_head
from chartcode.coders.transformer import (
    SPREAD,
    ChunkedEncoder,
    TransformerCoder,
    TransformerParams,
    r_drop_loss,
    titles,
)
from chartcode.errors import ArtifactError, DataError, ParamsError
from chartcode.params import parse
from chartcode.tables.cleaning import clean_batch
from tests.coders.cases import labelled
from tests.coders.test_encoders import minilm

PARAMS = TransformerParams(
    encoder="tiny", revision=None, tiny_pieces=200, tiny_layers=1, tiny_hidden=32, pooling="label_attention",
    projection=16, chunk_tokens=16, max_tokens=96, label_init=False, r_drop=0.0, activation_checkpointing=False,
    seed=1, batch_size=8, batch_tokens=2000, lr=0.01, head_lr=0.01, warmup_ratio=0.1, weight_decay=0.01, epochs=3,
    patience=3, select_on="map", precision="fp32", compile=False, threads=1,
)  # fmt: skip
CODES = ("I10", "E119", "N189")
MASK = "___"  # guard: invented
WORDS = ["afebrile", "denies", "chest", "pain", "creatinine", "stable", "metformin", "naïve", "walked", MASK]


def notes(count: int, seed: int) -> LabelledNotes:
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < [0.5, 0.4, 0.3]).astype(np.int8)
    texts = []
    for row in labels:
        words = list(rng.choice(WORDS, rng.integers(5, 60)))
        words += ["hypertension"] * int(row[0]) + ["diabetes"] * int(row[1]) + ["CKD"] * int(row[2])
        rng.shuffle(words)
        texts.append("  \nBrief Hospital Course:\n" + " ".join(words) + "  \n\nDischarge Instructions:\nrest\n")
    cleaned = clean_batch(pa.array(texts))
    columns = {"source": pa.array(texts), **{name: cleaned.field(name) for name in ("text", "sections", "edits")}}
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, count, 17):
            yield batch.slice(start, 17).select(list(names))

    return labelled(read, labels, CODES)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    with writing(folder, "test") as writer:
        write_encoder(EncoderParams.model_validate(PARAMS.model_dump()), notes(80, 1).texts, writer)
    return folder


def fitted(folder: Path, encoder: Path, train: LabelledNotes, **change: Any) -> TransformerCoder:
    with writing(folder, "test") as writer:
        TransformerCoder.fit(PARAMS.model_copy(update=change), train, notes(20, 2), writer, encoder)
    return TransformerCoder.load(Artifact(folder))


@pytest.fixture(autouse=True)
def checkpoints_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> TransformerCoder:
    folder = tmp_path_factory.mktemp("coder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        patch.chdir(folder)
        return fitted(folder / "model", encoder, notes(160, 1), epochs=6)


def whole(cohort: LabelledNotes) -> pa.RecordBatch:
    return pa.Table.from_batches(cohort.read(["text", "sections", "edits"])).combine_chunks().to_batches()[0]


def test_it_learns_which_words_speak_for_which_code(coder: TransformerCoder) -> None:
    test = notes(60, 3)
    scores = coder.scores(test.read(coder.reads))
    truth = test.labels.toarray() > 0
    assert scores.dtype == np.float32
    assert scores[truth].mean() > scores[~truth].mean() + 0.2


def test_batches_company_and_order_do_not_move_a_score(coder: TransformerCoder) -> None:
    batch = whole(notes(40, 3))
    found = coder.scores([batch])
    one_by_one = coder.scores(batch.slice(i, 1) for i in range(40))
    np.testing.assert_allclose(one_by_one, found, atol=1e-5)
    turned = coder.scores([batch.take(pa.array(range(39, -1, -1)))])
    np.testing.assert_allclose(turned[::-1], found, atol=1e-5)
    coder.params = coder.params.model_copy(update={"batch_tokens": 100})
    np.testing.assert_allclose(coder.scores([batch]), found, atol=1e-5)
    coder.params = PARAMS


def test_fitting_twice_gives_the_same_bytes(tmp_path: Path, encoder: Path) -> None:
    for name in "ab":
        fitted(tmp_path / name, encoder, notes(60, 1), epochs=2)
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()


@pytest.mark.parametrize("pooling", ["cross_attention", "max", "mean"])
def test_every_pooling_learns_and_comes_back(tmp_path: Path, encoder: Path, pooling: str) -> None:
    coder = fitted(tmp_path / "model", encoder, notes(60, 1), pooling=pooling, epochs=2)
    losses = [entry["loss"] for entry in Artifact(tmp_path / "model").json("history.json")]
    assert losses[-1] < losses[0]
    test = notes(40, 3)
    scores = coder.scores(test.read(coder.reads))
    alone = coder.scores(whole(test).slice(i, 1) for i in range(40))
    np.testing.assert_allclose(alone, scores, atol=1e-5)


def test_label_order_permutes_scores(tmp_path: Path, encoder: Path) -> None:
    train, turned = notes(60, 1), [2, 0, 1]
    other = dataclasses.replace(train, labels=train.labels[:, turned], codes=[CODES[i] for i in turned])
    coder = fitted(tmp_path / "one", encoder, train, epochs=1)
    rows = list(notes(10, 3).read(coder.reads))
    state = coder.network.state_dict()
    again = TransformerCoder(PARAMS, list(other.codes), coder.network.encoder, encoder / "tokenizer.json")
    again.network.load_state_dict(
        {n: t[turned] if n.startswith("head.") and t.shape[0] == 3 else t for n, t in state.items()}
    )
    np.testing.assert_allclose(again.scores(rows), coder.scores(rows)[:, turned], atol=1e-6)


def test_evidence_stands_in_the_source_note_and_names_the_word(coder: TransformerCoder) -> None:
    test = notes(40, 4)
    found = coder.evidence(test.read(["text", "sections", "edits"]), [["I10"]] * 40)
    sources = [s for b in test.read(["source"]) for s in b.column("source").to_pylist()]
    named = []
    for source, (spans,), true in zip(sources, found, test.labels.toarray()[:, 0], strict=True):
        weights = [span.weight for span in spans]
        assert weights == sorted(weights, reverse=True)
        assert all(0 <= s.start < s.end <= len(source) and s.weight > 0 for s in spans)
        assert all(source[s.start : s.end].strip() == source[s.start : s.end] for s in spans)
        if true:
            place = source.index("hypertension")
            named.append(place <= spans[0].start < spans[0].end <= place + len("hypertension"))
    assert np.mean(named) > 0.9


def test_notes_that_are_too_long_are_counted_aloud_once(coder: TransformerCoder, encoder: Path) -> None:
    short = coder.params.model_copy(update={"max_tokens": 32})
    reader = TransformerCoder(short, list(CODES), coder.network.encoder, encoder / "tokenizer.json")
    batch = whole(notes(30, 1))
    lengths = [len(coder.reader.tokenizer.encode(t, add_special_tokens=False)) for t in batch["text"].to_pylist()]
    left_out = [length - 28 for length in lengths if length > 28]  # two chunks of 16, two special tokens in each
    with capture_logs() as said:
        reader.scores([batch])
        reader.scores([batch])
    (entry,) = [entry for entry in said if entry["event"] == "notes were longer than the coder reads"]
    assert (entry["log_level"], entry["cut"], entry["of"]) == ("warning", len(left_out), 30)
    assert entry["tokens_left_out"] == sum(left_out) > 0


def test_tiny_begins_with_vectors_of_its_pieces_and_another_encoder_with_its_own(encoder: Path) -> None:
    read = None
    for name in ("tiny", "data/external/other"):
        params = PARAMS.model_copy(update={"encoder": name})
        made = TransformerCoder(params, list(CODES), pretrained(Artifact(encoder)), encoder / "tokenizer.json")
        read = read or Documents.of(d.ids for b in notes(80, 1).read(made.reads) for d in made.documents(b))
        before = made.network.encoder.get_input_embeddings().weight.detach().clone()
        made.begin(read)
        after = made.network.encoder.get_input_embeddings().weight.detach()
        assert torch.equal(before, after) is (name != "tiny")
        if name == "tiny":
            seen = torch.from_numpy(np.unique(read.ids)).long()
            assert after[seen].square().mean(1).sqrt().median() == pytest.approx(SPREAD, rel=1e-3)


def test_the_head_learns_at_its_own_rate(coder: TransformerCoder) -> None:
    made = ChunkedEncoder(coder.network.encoder, coder.network.head, 16, 0.3)
    named = {id(parameter): name for name, parameter in made.named_parameters()}
    seen = {}
    for group in made.groups(0.1, 0.01):
        for parameter in group["params"]:
            seen[named[id(parameter)]] = (group["lr"], group["weight_decay"], parameter.ndim)
    assert seen.keys() == set(named.values())
    for name, (rate, decay, axes) in seen.items():
        assert rate == (0.3 if name.startswith("head.") else 0.1)
        assert decay == (0.01 if axes > 1 else 0.0)


def test_weights_of_another_shape_and_chunks_too_long_are_refused(tmp_path: Path, encoder: Path) -> None:
    fitted(tmp_path / "model", encoder, notes(30, 1), epochs=1)
    (tmp_path / "model/manifest.json").rename(tmp_path / "kept")
    with pytest.raises(ArtifactError, match="no manifest"):
        TransformerCoder.load(Artifact(tmp_path / "model"))
    described = (tmp_path / "model/coder.json").read_text()
    with writing(tmp_path / "other", "test") as writer:
        for name in ("model.safetensors", "config.json", "tokenizer.json", "history.json"):
            writer.path(name).write_bytes((tmp_path / "model" / name).read_bytes())
        writer.path("coder.json").write_text(described.replace('"projection": 16', '"projection": 8'))
    with pytest.raises(ArtifactError, match="another network"):
        TransformerCoder.load(Artifact(tmp_path / "other"))
    with pytest.raises(DataError, match="reads at most 512 tokens"):
        fitted(tmp_path / "long", encoder, notes(30, 1), chunk_tokens=600, max_tokens=2000)
    with pytest.raises(DataError, match="reads at most 512 tokens"):
        fitted(tmp_path / "long", encoder, notes(30, 1), chunk_tokens=None, max_tokens=2000)


SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 60}
ENCODERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: BertModel(BertConfig(**SIZE)),
    "roberta": lambda: RobertaModel(RobertaConfig(**SIZE, pad_token_id=1, max_position_embeddings=130)),
    "modernbert": lambda: ModernBertModel(ModernBertConfig(**SIZE, pad_token_id=0, local_attention=8)),
    "longformer": lambda: LongformerModel(
        LongformerConfig(**SIZE, attention_window=[8, 8], pad_token_id=1, max_position_embeddings=130)
    ),
}


def network(kind: str, chunk: int | None, pooling: str = "label_attention") -> ChunkedEncoder:
    torch.manual_seed(3)
    made = ENCODERS[kind]()
    made.pooler = None
    return ChunkedEncoder(made, make_head(pooling, 32, 5, 8, chunk or 64), chunk).train(False)


def padded(lengths: Sequence[int], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    drawn = torch.randint(2, 60, mask.shape, generator=generator)
    return torch.where(mask, drawn, fill), mask


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("chunk", [None, 8])
def test_a_note_alone_has_the_logits_it_has_in_company(kind: str, chunk: int | None) -> None:
    model, lengths = network(kind, chunk), [40, 3, 16, 8, 17]
    with torch.no_grad():
        ids, mask = padded(lengths, 0)
        together = model(ids, mask)
        torch.testing.assert_close(model(torch.where(mask, ids, 7), mask), together, atol=0, rtol=0)
        for row, length in enumerate(lengths):
            alone = model(ids[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ENCODERS)
def test_chunks_do_not_see_each_other_and_a_whole_note_does(kind: str) -> None:
    ids, mask = padded([24], 0)
    changed = ids.clone()
    changed[0, 20] = ids[0, 20] % 50 + 5
    for chunk, moved in ((8, [2]), (None, [0, 1, 2])):
        model = network(kind, chunk)
        with torch.no_grad():
            before, after = (model.encode(model.embed(each), mask)[0].unflatten(0, (3, 8)) for each in (ids, changed))
        assert [k for k in range(3) if not torch.allclose(before[k], after[k], atol=1e-6)] == moved


def test_longformer_looks_at_the_whole_note_from_its_first_token() -> None:
    """Tokens 60 places apart are out of each other's window of 8 in two layers, but for the global first token."""
    model, (ids, mask) = network("longformer", None), padded([64], 0)
    changed = ids.clone()
    changed[0, 63] = ids[0, 63] % 50 + 5
    with torch.no_grad():
        before, after = (model.encode(model.embed(each), mask)[0] for each in (ids, changed))
    assert not torch.allclose(before[0], after[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("chunk", [None, 8])
def test_packed_chunks_have_the_states_and_gradients_of_padded_ones(
    kind: str, chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU by the slow loop; `python -m benchmarks.gpu` holds the kernel to the same on a GPU."""
    model, (ids, mask) = network(kind, chunk), padded([40, 3, 16, 8, 17], 0)
    found = []
    for packs in (False, True):
        monkeypatch.setattr(ChunkedEncoder, "packs", lambda self, embedded, packs=packs: packs)
        model.zero_grad()
        logits = model(ids, mask)
        logits.square().sum().backward()
        found.append((logits.detach(), model.encoder.get_input_embeddings().weight.grad.clone()))
    for padded_one, packed_one in zip(*found, strict=True):
        torch.testing.assert_close(packed_one, padded_one, atol=1e-5, rtol=1e-4)


def test_checkpointing_changes_memory_and_no_gradient() -> None:
    model, (ids, mask) = network("bert", 8).train(), padded([20, 9], 0)
    found = []
    for on in (False, True):
        model.checkpointing(on)
        model.zero_grad()
        torch.manual_seed(5)
        model(ids, mask).sum().backward()
        found.append(model.encoder.get_input_embeddings().weight.grad.clone())
    torch.testing.assert_close(*found, atol=1e-6, rtol=0)


def test_roberta_counts_its_positions_from_behind_the_pad() -> None:
    assert most_tokens(ENCODERS["roberta"]()) == 128
    assert most_tokens(ENCODERS["bert"]()) == 512


class Coin(torch.nn.Module):
    """Logits that differ from call to call, as dropout makes them, but known."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 1.0], [2.0, -1.0]])


def test_r_drop_is_cross_entropy_plus_what_two_readings_disagree_on() -> None:
    ids, mask, targets = torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool), torch.tensor([[1.0, 0.0]])
    loss = r_drop_loss(Coin(), ids, mask, targets, 0.5)  # type: ignore[arg-type]
    p, q = torch.tensor([[0.0, 1.0], [2.0, -1.0]]).sigmoid().double().numpy()
    entropy = -(np.log([p[0], q[0]]).mean() + np.log([1 - p[1], 1 - q[1]]).mean()) / 2
    apart = [(a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))).mean() for a, b in ((p, q), (q, p))]
    assert loss.tolist() == pytest.approx([entropy + 0.5 * np.mean(apart)], abs=1e-6)


def test_attention_starts_at_the_words_of_a_codes_title(encoder: Path) -> None:
    assert titles(["I10", "0SRC0J9"]) == {0: "Essential (primary) hypertension"}
    coder = TransformerCoder(PARAMS, list(CODES), pretrained(Artifact(encoder)), encoder / "tokenizer.json")
    before = coder.network.head.queries.weight.detach().clone()
    coder.start_from({0: "hypertension"})
    after = coder.network.head.queries.weight.detach()
    assert torch.equal(after[1:], before[1:])
    assert after[0].norm() == pytest.approx(float(before.norm(dim=1).mean()), rel=1e-4)
    ((title, _),) = coder.reader.read(["hypertension"], [[]])
    ids = torch.from_numpy(title.ids).long()[None]
    with torch.no_grad():
        states = coder.network.encode(coder.network.embed(ids), ids >= 0)[0]
        query = torch.tanh(coder.network.head.projection.weight @ states.mean(0))
    torch.testing.assert_close(torch.cosine_similarity(query, after[0], dim=0), torch.tensor(1.0))


def test_titles_are_refused_where_a_head_has_no_queries() -> None:
    for pooling in ("cross_attention", "max", "mean"):
        with pytest.raises(ParamsError, match="label_init starts the queries of label_attention"):
            parse(TransformerParams, PARAMS.model_dump() | {"label_init": True, "pooling": pooling})


@pytest.mark.slow
def test_a_real_encoder_learns_with_label_init_r_drop_and_checkpointing(tmp_path: Path) -> None:
    (tmp_path / "minilm").symlink_to(minilm())
    params = PARAMS.model_copy(update={"encoder": "minilm"})
    with writing(tmp_path / "encoder", "test") as writer:
        write_encoder(params, list, writer)
    change = {"lr": 2e-4, "max_tokens": 64, "chunk_tokens": 32, "epochs": 3, "label_init": True, "r_drop": 0.5}
    train = notes(32, 1)
    coder = fitted(tmp_path / "model", tmp_path / "encoder", train, **change, activation_checkpointing=True)
    losses = [entry["loss"] for entry in Artifact(tmp_path / "model").json("history.json")]
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < losses[0] - 0.02
    batch = whole(notes(6, 3))
    alone = coder.scores(batch.slice(i, 1) for i in range(6))
    np.testing.assert_allclose(alone, coder.scores([batch]), atol=1e-5)
