"""A model brought out of DVC: the committed bytes, checked and stamped, or one line and nothing left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chartcode import registry
from chartcode.artifacts import MANIFEST, ORIGIN, Artifact, writing
from chartcode.errors import ArtifactError, DataError
from tests.checkouts import commit, run

PIPELINE = """stages:
  tfidf:
    cmd: "true"
    outs:
    - models/tfidf
artifacts:
  tfidf:
    path: models/tfidf
    type: model
"""


def train(root: Path, weight: float) -> None:
    """A model of one weight, judged and committed."""
    with writing(root / "models/tfidf", "synthetic", [], "c0de") as writer:
        writer.json("coder.json", {"weight": weight})
    metrics = root / "metrics/tfidf/metrics.json"
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps({"tfidf": {"test": {"micro_f1": weight}}}))
    run(root, "dvc", "commit", "--force")
    commit(root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two trained models, one after the other; the first is registered as v1.0.0."""
    folder = tmp_path_factory.mktemp("made")
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / ".gitignore").write_text("/models\n/out\n/shelf\n")
    train(folder, 0.5)
    run(folder, "gto", "register", "tfidf", "--version", "v1.0.0")
    train(folder, 0.25)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own, to stand in."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "repo", symlinks=True))
    return tmp_path / "repo"


def weight(folder: Path) -> float:
    return float(json.loads((folder / "coder.json").read_text())["weight"])


def test_the_model_of_a_revision_comes_with_its_stamp(root: Path) -> None:
    origin = registry.bring("tfidf", root / "out")
    assert origin == json.loads((root / "out" / ORIGIN).read_text())
    assert origin["revision"] == run(root, "git", "rev-parse", "HEAD").strip()
    assert (origin["source"], origin["test"], weight(root / "out")) == ("synthetic", {"micro_f1": 0.25}, 0.25)
    assert (root / "out" / MANIFEST).read_bytes() == (root / "models/tfidf" / MANIFEST).read_bytes()
    Artifact(root / "out")  # the stamp is no foreign file


@pytest.mark.parametrize("revision", ["HEAD~1", "tfidf@v1.0.0"])
def test_an_older_model_is_found_by_commit_and_by_version(root: Path, revision: str) -> None:
    origin = registry.bring("tfidf", root / "shelf/old", revision=revision)
    assert (origin["test"]["micro_f1"], weight(root / "shelf/old")) == (0.5, 0.5)


def test_what_is_not_committed_is_not_brought(root: Path) -> None:
    with writing(root / "models/tfidf", "synthetic", [], "c0de") as writer:
        writer.json("coder.json", {"weight": 0.125})
    registry.bring("tfidf", root / "out")
    assert weight(root / "out") == 0.25


def test_another_repository_is_read_where_it_lies(root: Path, tmp_path: Path) -> None:
    registry.bring("tfidf", tmp_path / "out", repository=str(root))
    assert weight(tmp_path / "out") == 0.25


def test_a_model_without_metrics_is_brought_all_the_same(root: Path) -> None:
    run(root, "git", "rm", "-rqf", "metrics")
    commit(root)
    assert registry.bring("tfidf", root / "out")["test"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("laat", {}), r"^dvc\.yaml: no model laat at HEAD; there are: tfidf$"),
        (("tfidf", {"revision": "nonsuch"}), "^nonsuch: no such revision; "),
        (("tfidf", {"repository": "nowhere"}), "^HEAD: no such revision of that repository; "),
    ],
    ids=["model", "revision", "repository"],
)
def test_what_is_not_there_is_one_line(root: Path, arguments: tuple[str, dict[str, str]], message: str) -> None:
    name, options = arguments
    with pytest.raises(DataError, match=message):
        registry.bring(name, root / "out", **options)
    assert not (root / "out").exists()


def test_weights_that_are_nowhere_are_one_line_and_leave_nothing(root: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run(root, "git", "clone", "-q", str(root), str(clone))
    with pytest.raises(DataError, match="weights neither in the local cache nor on the remote"):
        registry.bring("tfidf", tmp_path / "out", repository=str(clone))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone", "repo"]


def test_a_folder_that_stands_is_not_touched(root: Path) -> None:
    (root / "out").mkdir()
    (root / "out/mine").write_text("mine")
    with pytest.raises(DataError, match="exists; name a new folder with --to"):
        registry.bring("tfidf", root / "out")
    assert (root / "out/mine").read_text() == "mine"


def test_a_model_resealed_in_the_cache_is_refused(root: Path) -> None:
    """Its manifest agrees with its bytes; the lock of the commit does not."""
    with writing(root / "forged", "synthetic", [], "c0de") as writer:
        writer.json("coder.json", {"weight": 0.75})
    for name in ("coder.json", MANIFEST):
        kept = (root / "models/tfidf" / name).read_bytes()
        for path in (root / ".dvc/cache/files/md5").glob("*/*"):
            if path.read_bytes() == kept:
                path.chmod(0o644)
                path.write_bytes((root / "forged" / name).read_bytes())
    with pytest.raises(ArtifactError, match=r"not the bytes that dvc\.lock names"):
        registry.bring("tfidf", root / "out")
    assert not (root / "out").exists()


def test_a_model_is_not_put_where_git_would_take_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name a folder that it ignores, as shelf/tfidf"):
        registry.bring("tfidf", root / "new/tfidf")
    registry.bring("tfidf", tmp_path / "elsewhere/tfidf")
