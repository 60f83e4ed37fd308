"""An artifact is there whole or not at all, and nothing but the bytes its manifest promises is read."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import MANIFEST, Artifact, atomic_file, writing
from chartcode.errors import ArtifactError
from tests.conftest import ROOT


def make(folder: Path, first: int = 0) -> Artifact:
    with writing(folder, "synthetic", code="abc") as writer:
        writer.parquet("rows.parquet", pa.table({"n": list(range(first, first + 9000)), "t": ["note ___"] * 9000}))
        writer.json("names.json", ["é", "b"])
        writer.npz("sub/arrays.npz", x=np.arange(50))
    return Artifact(folder)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    made = make(tmp_path / "a")
    assert made.table("rows.parquet")["n"].to_pylist() == list(range(9000))
    assert sum(b.num_rows for b in made.batches("rows.parquet", ["n"], 1000)) == 9000
    assert made.rows("rows.parquet") == 9000
    assert made.json("names.json") == ["é", "b"]
    assert made.npz("sub/arrays.npz")["x"].tolist() == list(range(50))
    assert made.source == "synthetic"


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    one = make(tmp_path / "a")
    time.sleep(1.1)  # a time stamp of whole seconds would show
    two = make(tmp_path / "b")
    assert one.manifest == two.manifest
    for name in [*one.names(), MANIFEST]:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_batches_of_any_size_give_the_same_file(tmp_path: Path) -> None:
    """Page boundaries follow the chunks of what is written, and an engine's batches depend on its threads."""
    rng = random.Random(5)
    texts = ["".join(rng.choices("abc ", k=4)) * rng.randrange(800) for _ in range(3000)]
    table = pa.table({"n": list(range(3000)), "text": texts})
    digests = set()
    for size in (1, 7, 999, 1500, 2048, 3000):
        with writing(tmp_path / "a", "x") as writer:
            writer.parquet("t.parquet", table.to_batches(size), table.schema, ["n"], row_group=1000)
        digests.add(Artifact(tmp_path / "a").manifest["files"]["t.parquet"]["sha256"])
    assert len(digests) == 1


def test_an_error_leaves_the_older_artifact_and_no_temporary_file(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(RuntimeError), writing(tmp_path / "a", "x") as writer:
        writer.json("half.json", 1)
        raise RuntimeError
    assert Artifact(tmp_path / "a").names() == ["names.json", "rows.parquet", "sub/arrays.npz"]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_run_killed_between_its_two_renames_leaves_the_older_artifact_to_the_next(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / ".a.old")
    with pytest.raises(RuntimeError), writing(tmp_path / "a", "x"):
        raise RuntimeError
    assert Artifact(tmp_path / "a").rows("rows.parquet") == 9000


@pytest.mark.parametrize(
    "write",
    [
        "w.parquet('a.parquet', pa.table({'t': [os.urandom(50000)]}))",
        "w.path('b').write_bytes(os.urandom(50000))",
        "save_file({'c': np.zeros(50000)}, w.path('c.safetensors'))",
    ],
)
def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path: Path, write: str) -> None:
    """A limit on the size of files stands for the disk: the writer meets the same error."""
    script = (
        "import resource, signal, sys; from pathlib import Path; import pyarrow as pa, os; import numpy as np;"
        "from safetensors.numpy import save_file;"
        "from chartcode.artifacts import writing; from chartcode.errors import ArtifactError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        f"  with writing(Path(sys.argv[1]), 'x') as w: {write}\n"
        "except ArtifactError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.stdout == f"{tmp_path / 'a'}: cannot be written; free disk space or change permissions\n", done.stderr


@pytest.mark.parametrize("name", ["rows.parquet", "names.json", "sub/arrays.npz"])
def test_every_flipped_bit_and_every_truncation_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a"
    make(folder)
    whole = (folder / name).read_bytes()
    rng = random.Random(1)
    for _ in range(25):
        place = rng.randrange(len(whole))
        bent = bytearray(whole)
        bent[place] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(bent)
        with pytest.raises(ArtifactError, match=name):
            Artifact(folder)
        (folder / name).write_bytes(whole[:place])
        with pytest.raises(ArtifactError, match=name):
            Artifact(folder)
    (folder / name).write_bytes(whole)
    Artifact(folder)


def test_missing_extra_and_swapped_files_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    make(folder)
    (folder / "extra.json").write_text("1")
    with pytest.raises(ArtifactError, match=r"extra\.json: not listed"):
        Artifact(folder)
    (folder / "extra.json").unlink()
    (folder / "names.json").rename(tmp_path / "names.json")
    with pytest.raises(ArtifactError, match=r"names\.json: missing"):
        Artifact(folder)


def test_a_folder_without_manifest_or_with_a_torn_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    make(folder)
    text = (folder / MANIFEST).read_text()
    for torn in (text[:50], "[]", "{}", ""):
        (folder / MANIFEST).write_text(torn)
        with pytest.raises(ArtifactError, match="damaged"):
            Artifact(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(ArtifactError, match="dvc repro"):
        Artifact(folder)


def test_a_manifest_that_lists_a_file_outside_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    make(folder)
    (tmp_path / "secret").write_text("x")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["../secret"] = {"sha256": "0", "bytes": 1}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="outside"):
        Artifact(folder)


def test_arrays_that_would_need_pickle_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError), writing(tmp_path / "a", "x") as writer:
        writer.npz("o.npz", o=np.array([{}], dtype=object))
    with writing(tmp_path / "a", "x") as writer:
        np.savez(writer.path("o.npz"), o=np.array([{}], dtype=object))
    with pytest.raises(ArtifactError, match="not plain arrays"):
        Artifact(tmp_path / "a").npz("o.npz")


def test_a_manifest_tells_of_no_time_host_or_path(tmp_path: Path) -> None:
    text = json.dumps(make(tmp_path / "a").manifest)
    assert str(tmp_path) not in text
    assert os.uname().nodename not in text
    assert "20" + time.strftime("%y-%m") not in text


def test_one_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError
    assert path.read_text() == "old"
    with atomic_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


WRITE_FOR_EVER = """
import sys
from pathlib import Path
import pyarrow as pa
from chartcode.artifacts import writing
n = 0
while True:
    n += 1
    with writing(Path(sys.argv[1]), "x") as w:
        w.parquet("a.parquet", pa.table({"n": [n] * 20000}))
        w.json("b.json", n)
    print(n, flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_never_leaves_a_torn_artifact(tmp_path: Path) -> None:
    """Thirty kills at random moments: the folder is whole, or (between two renames) not there."""
    folder = tmp_path / "a"
    rng = random.Random(3)
    seen = 0
    for _ in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(folder)], stdout=subprocess.PIPE, cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.wait()
        if folder.exists():
            made = Artifact(folder)
            assert set(made.table("a.parquet")["n"].to_pylist()) == {made.json("b.json")}
            seen += 1
    assert seen > 20


def test_of_several_processes_the_first_alone_leaves_an_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accelerate launch` starts them with a RANK each; the others end before they are done."""
    with writing(tmp_path / "model", "synthetic") as first:
        first.json("weights.json", 1)
        with monkeypatch.context() as other:
            other.setenv("RANK", "1")
            with pytest.raises(SystemExit), writing(tmp_path / "model", "synthetic") as second:
                second.json("weights.json", 2)
                raise SystemExit(0)
    assert Artifact(tmp_path / "model").json("weights.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
