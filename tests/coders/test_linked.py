"""linked and stacked on a small hospital: they code what notes name, beyond the labels too, and learn from train."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import MANIFEST, Artifact, writing
from chartcode.coders.base import Coder, cells, dense, gold_of, labelled_notes, listed, write_scores
from chartcode.coders.ensemble import EnsembleCoder, EnsembleParams, write_combined
from chartcode.coders.known import load_coder
from chartcode.coders.linked import LinkedCoder, LinkedParams
from chartcode.coders.linked_features import label_space, stored
from chartcode.coders.stacked import StackedCoder, StackedParams, out_of_fold, stored_scores
from chartcode.coders.tfidf import TfidfCoder, TfidfParams
from chartcode.errors import ArtifactError, DataError
from tests.evaluation.conftest import write_gold
from tests.linking.test_teach import hospital as written
from tests.linking.test_teach import run as link

TREES: dict[str, Any] = {"trees": 20, "leaves": 4, "min_leaf": 5, "learning_rate": 0.2, "l2": 1.0, "seed": 1}
SURFACES: dict[str, Any] = {"min_notes": 2, "max_terms": None, "min_z": 2.5, "min_p": 0.15, "terms_per_code": 20}
LINKED = LinkedParams(**SURFACES, **TREES, folds=3, fit_notes=None)
STACKED = StackedParams(**TREES, members=["tfidf"], candidates=2, fit_notes=None)
TFIDF = TfidfParams(
    ngram_range=(1, 1), min_df=2, max_features=None, sublinear_tf=True, C=1.0, class_weight="balanced", prune=0.0
)
LABELS, OTHERS = ["I10", "J189"], ["Z7901", "Z9999"]  # Z7901 is no label and no name: train teaches that drug
COUNT, SPLITS = 240, ["train"] * 140 + ["val"] * 50 + ["test"] * 50
FILLER = [
    "slept",
    "well",
    "walked",
    "talked",
    "ate",
    "rested",
    "home",
    "family",
    "visit",
    "stable",
    "plan",
    "ward",
    "nurse",
    "morning",
    "evening",
]


def notes(seed: int = 1) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Notes in which a disease is named where it is coded, and sometimes where it is taken back."""
    rng = np.random.default_rng(seed)
    truth = rng.random((COUNT, 4)) < [0.5, 0.3, 0.3, 0.02]
    texts = []
    for pneumonia, drug, *_ in np.stack([truth[:, 1], truth[:, 2], truth[:, 0]], axis=1).tolist():
        said = [" ".join(rng.choice(FILLER, 5)) for _ in range(3)]
        said.append(
            "Treated for pneumonia" if pneumonia else ("Denies pneumonia" if rng.random() < 0.4 else "Lungs clear")
        )
        said += ["Takes warfarin daily"] if drug else []
        texts.append(said)
    for said, high in zip(texts, truth[:, 0].tolist(), strict=True):
        said.append("HTN" if high else ("Mother with hypertension" if rng.random() < 0.4 else "Blood normal"))
        rng.shuffle(said)
    return ["Name:  ___ \n\n" + ".\n".join(said) + ".\n" for said in texts], truth  # guard: invented


def labelled(folder: Path, *splits: str) -> Any:
    silver, gold = Artifact(folder / "data/silver"), Artifact(folder / "data/gold")
    return labelled_notes(silver, gold_of(silver, gold), *splits)


def made(folder: Path, seed: int = 1) -> Path:
    """All that the stages before `linked` leave."""
    texts, truth = notes(seed)
    named = [[code for code, own in zip([*LABELS, *OTHERS], row, strict=True) if own] for row in truth.tolist()]
    written(folder, texts, named, SPLITS)
    silver = {name: Artifact(folder / "data/silver").table(f"{name}.parquet") for name in ("notes", "codes")}
    for name, kind in (("age", pa.int16()), ("sex", pa.string())):
        silver["notes"] = silver["notes"].append_column(name, pa.nulls(COUNT, kind))
    with writing(folder / "data/silver", "test") as writer:
        for name, table in silver.items():
            writer.parquet(f"{name}.parquet", table)
    write_gold(folder, truth[:, :2].astype(np.int8), np.array(SPLITS), LABELS, others=truth[:, 2:], other_codes=OTHERS)
    link(folder)
    return folder


def fit(folder: Path, to: str = "models/linked", **change: Any) -> LinkedCoder:
    params = LINKED.model_copy(update=change)
    with writing(folder / to, "test") as writer:
        LinkedCoder.fit(
            params,
            labelled(folder, "train"),
            labelled(folder, "val"),
            writer,
            folder / "out/linker",
            folder / "out/mentions",
        )
    return LinkedCoder.load(Artifact(folder / to))


def stack(folder: Path, to: str = "models/stacked", **change: Any) -> StackedCoder:
    with writing(folder / to, "test") as writer:
        StackedCoder.fit(
            STACKED.model_copy(update=change),
            labelled(folder, "train"),
            labelled(folder, "val"),
            writer,
            folder / "models",
            folder / "out/mentions",
        )
    return StackedCoder.load(Artifact(folder / to))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hospital with models and scores of linked, tfidf and stacked."""
    folder = made(tmp_path_factory.mktemp("linked"))
    train, val, held_out = labelled(folder, "train"), labelled(folder, "val"), labelled(folder, "val", "test")
    with writing(folder / "models/tfidf", "test") as writer:
        TfidfCoder.fit(TFIDF, train, val, writer)
    mentions, linked, tfidf = (
        Artifact(folder / "out/mentions"),
        fit(folder),
        load_coder(Artifact(folder / "models/tfidf")),
    )
    for coder, scores in ((linked, linked.scored(stored(mentions, held_out))), (tfidf, None)):
        with writing(folder / f"data/scores/{coder.name}", "test") as writer:
            write_scores(writer, coder, held_out, scores)
    stacked = stack(folder)
    with writing(folder / "data/scores/stacked", "test") as writer:
        held = stored_scores(stacked, held_out, folder / "data/scores")
        write_scores(writer, stacked, held_out, stacked.scored(stored(mentions, held_out), held))
    return folder


@pytest.fixture(params=["linked", "stacked"])
def coder(hospital: Path, request: pytest.FixtureRequest) -> Coder[Any]:
    return load_coder(Artifact(hospital / "models" / request.param))


def test_both_code_what_is_affirmed_and_what_train_taught_beyond_the_labels(hospital: Path, coder: Coder[Any]) -> None:
    held_out = labelled(hospital, "val", "test")
    scores = coder.scores(held_out.read(coder.reads))
    assert scores.shape == (100, len(coder.codes))
    assert scores.dtype == np.float32
    column = {code: place for place, code in enumerate(coder.codes)}
    assert coder.codes[:2] == LABELS
    assert {"Z7901"} <= set(coder.codes)
    said = dense(scores, [column[code] for code in (*LABELS, "Z7901")])
    truth = np.hstack([held_out.labels.toarray(), held_out.others.toarray()[:, :1]]).astype(bool)
    for place in range(3):
        assert said[truth[:, place], place].min() > said[~truth[:, place], place].max()


def test_what_the_stage_stores_is_what_the_coder_says_of_the_notes_alone(hospital: Path, coder: Coder[Any]) -> None:
    for split in ("val", "test"):
        held = Artifact(hospital / "data/scores" / coder.name).npz(f"{split}.npz")
        said = coder.scores(labelled(hospital, split).read(coder.reads))
        for name in ("data", "indices", "indptr"):
            assert np.array_equal(getattr(said, name), held[name])
        assert held["codes"].tolist() == list(coder.codes)


def test_versions_of_one_note_are_each_scored(coder: Coder[Any], hospital: Path) -> None:
    """As `explain` takes words away: many rows of one note_id, and batches of any size."""
    (batch,) = list(labelled(hospital, "test").read(coder.reads))
    text = batch.schema.get_field_index("text")
    emptied = batch.set_column(text, "text", pa.array(["" for _ in range(batch.num_rows)]))
    one, none = coder.scores([batch]), coder.scores([emptied])
    both = coder.scores([pa.Table.from_batches([batch, emptied]).combine_chunks().to_batches()[0]])
    assert (both != sp_vstack(one, none)).nnz == 0
    by_one = coder.scores(batch.slice(row, 1) for row in range(batch.num_rows))
    assert (one != by_one).nnz == 0
    assert coder.scores([]).shape == (0, len(coder.codes))


def sp_vstack(*parts: Any) -> Any:
    import scipy.sparse as sp

    return sp.vstack(parts, "csr")


def test_evidence_stands_in_the_source_and_the_affirmed_mention_comes_first(hospital: Path, coder: Coder[Any]) -> None:
    held_out = labelled(hospital, "test")
    sources = dict(
        zip(
            *Artifact(hospital / "data/bronze").table("discharge.parquet", ["hadm_id", "text"]).to_pydict().values(),
            strict=True,
        )
    )
    asked = [["J189", "Z7901", "I10"]] * 50
    found = coder.evidence(held_out.read([*dict.fromkeys([*coder.reads, "edits"])]), asked)
    truth = np.hstack([held_out.labels.toarray(), held_out.others.toarray()[:, :1]]).astype(bool)
    for row, hadm_id in enumerate(held_out.hadm_ids.tolist()):
        words = [[sources[hadm_id][span.start : span.end].lower() for span in spans] for spans in found[row]]
        assert ("pneumonia" in " ".join(words[0])) == ("pneumonia" in sources[hadm_id].lower())
        assert any("warfarin" in said for said in words[1]) == truth[row, 2]
        if truth[row, 0]:
            assert words[2][0] == "htn"
        for spans in found[row]:
            weights = [span.weight for span in spans]
            assert weights == sorted(weights, reverse=True)
            assert all(weight > 0 for weight in weights)
    with pytest.raises(DataError, match="not in this coder's label space"):
        coder.evidence(held_out.read([*coder.reads]), [["nothing"]] * 50)


@pytest.mark.parametrize("name", ["linked", "stacked"])
def test_two_fits_are_the_same_bytes(hospital: Path, name: str) -> None:
    (fit if name == "linked" else stack)(hospital, f"again/{name}")
    first, again = ((hospital / at / name / MANIFEST).read_bytes() for at in ("models", "again"))
    assert first == again


def test_labels_of_val_and_test_teach_nothing(hospital: Path, tmp_path: Path) -> None:
    """Neither those that gold scores nor the others; the mentions of stage link have a test of their own."""
    _, truth = notes()
    moved = truth.copy()
    held_out = np.arange(140, COUNT)
    moved[held_out] = truth[np.random.default_rng(5).permutation(held_out)]
    write_gold(
        tmp_path, moved[:, :2].astype(np.int8), np.array(SPLITS), LABELS, others=moved[:, 2:], other_codes=OTHERS
    )
    for name in ("data/silver", "out"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(hospital / name)
    fit(tmp_path)
    assert (tmp_path / "models/linked" / MANIFEST).read_bytes() == (hospital / "models/linked" / MANIFEST).read_bytes()


def test_a_code_that_only_held_out_notes_have_is_not_in_the_label_space(hospital: Path, tmp_path: Path) -> None:
    _, truth = notes()
    truth[:140, 3], truth[140:, 3] = False, True
    write_gold(
        tmp_path, truth[:, :2].astype(np.int8), np.array(SPLITS), LABELS, others=truth[:, 2:], other_codes=OTHERS
    )
    (tmp_path / "data/silver").symlink_to(hospital / "data/silver")
    assert label_space(labelled(tmp_path, "train"), ["A00", "I10"]) == [*LABELS, "A00", "Z7901"]
    assert "Z9999" in load_coder(Artifact(hospital / "models/linked")).codes  # two train notes have it there


def test_members_score_train_notes_by_fits_that_have_not_seen_them(hospital: Path) -> None:
    train, val = labelled(hospital, "train"), labelled(hospital, "val")
    folds, chosen = np.arange(140) % 3, np.arange(140) % 2 == 0
    found, codes = out_of_fold("tfidf", Artifact(hospital / "models/tfidf"), train, val, folds, chosen)
    assert sorted(codes) == LABELS
    with writing(hospital / "fold", "test") as writer:
        TfidfCoder.fit(TFIDF, train.some(folds != 1), val, writer)
    alone = TfidfCoder.load(Artifact(hospital / "fold"))
    said = alone.scores(train.some(chosen & (folds == 1)).read(["text"]))[:, [alone.codes.index(c) for c in codes]]
    assert np.array_equal(found[(folds == 1)[chosen]], said)
    with pytest.raises(DataError, match=r"in one of linked\.folds"):
        out_of_fold("tfidf", Artifact(hospital / "models/tfidf"), train, val, np.full(140, 3), chosen)


def test_fewer_notes_to_fit_on_are_whole_patients_and_a_smaller_model_of_pairs(hospital: Path) -> None:
    few = fit(hospital, "few", fit_notes=60)
    assert [*few.codes] == [*load_coder(Artifact(hospital / "models/linked")).codes]
    assert (hospital / "few/surfaces.parquet").read_bytes() == (
        hospital / "models/linked/surfaces.parquet"
    ).read_bytes()
    assert (hospital / "few/trees.npz").read_bytes() != (hospital / "models/linked/trees.npz").read_bytes()


def test_the_ensemble_hears_coders_with_a_label_space_of_their_own(hospital: Path) -> None:
    params, held_out = EnsembleParams(members=["linked", "tfidf", "stacked"]), labelled(hospital, "val", "test")
    with writing(hospital / "models/ensemble", "test") as writer:
        EnsembleCoder.fit(params, labelled(hospital, "train"), labelled(hospital, "val"), writer,
                          hospital / "data/scores", hospital / "models")  # fmt: skip
    ensemble = EnsembleCoder.load(Artifact(hospital / "models/ensemble"))
    with writing(hospital / "data/scores/ensemble", "test") as writer:
        write_combined(writer, ensemble, held_out, hospital / "data/scores")
    whole = ensemble.scores(held_out.read(ensemble.reads))
    assert whole.shape == (100, 2)
    for split in ("val", "test"):
        held = Artifact(hospital / "data/scores/ensemble").npz(f"{split}.npz")["scores"]
        assert np.array_equal(held, whole[held_out.splits == split])
    truth = held_out.labels.toarray().astype(bool)
    assert whole[truth].min() > whole[~truth].max()
    spans = ensemble.evidence(held_out.read([*ensemble.reads]), [LABELS] * 100)
    assert all(bool(spans[row][place]) for row, place in zip(*np.nonzero(truth), strict=True))


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    texts = ["Nothing to see.\n"] * 60
    written(tmp_path, texts, [["I10"]] * 60, ["train"] * 50 + ["val"] * 10)
    link(tmp_path)
    with pytest.raises(DataError, match="no mention of a train note"):
        fit(tmp_path)


def test_an_older_folder_is_refused(tmp_path: Path) -> None:
    for name in ("linked", "stacked"):
        with writing(tmp_path / name, "test") as writer:
            writer.json("coder.json", {"coder": name, "params": {}})
        with pytest.raises(ArtifactError, match="another version"):
            load_coder(Artifact(tmp_path / name))


def test_trees_over_other_features_are_refused(hospital: Path, tmp_path: Path) -> None:
    """Fewer of them would fit into what trees ask for, each shifted by one."""
    described = Artifact(hospital / "models/linked").json("coder.json")
    with writing(tmp_path / "linked", "test") as writer:
        writer.json("coder.json", described | {"features": described["features"][1:]})
    with pytest.raises(ArtifactError, match="another version's features"):
        load_coder(Artifact(tmp_path / "linked"))


def both(rng: np.random.Generator) -> Iterator[Any]:
    import scipy.sparse as sp

    held = (rng.random((6, 5)) * (rng.random((6, 5)) < 0.6)).astype(np.float32)
    yield held
    yield sp.csr_matrix(held)


def test_scores_are_read_alike_dense_or_sparse() -> None:
    whole, held = both(np.random.default_rng(1))
    rows, columns = np.array([0, 5, 3]), np.array([1, 4, 0])
    assert np.array_equal(cells(whole, rows, columns), cells(held, rows, columns))
    assert len(cells(held, rows[:0], columns[:0])) == 0
    assert np.array_equal(dense(whole, [3, -1, 0]), dense(held, [3, -1, 0]))
    filled = dense(held, [3, -1, 0], np.nan)
    assert np.isnan(filled[:, 1]).all()
    assert np.array_equal(np.isnan(filled[:, 2]), whole[:, 0] == 0)
    for (every, row), (some, values) in zip(listed(whole), listed(held), strict=True):
        assert np.array_equal(row[some], values)
        assert not row[np.setdiff1d(every, some)].any()
