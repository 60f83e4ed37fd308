"""`chartcode predict`: the codes of a file are those of the coder, whatever its form, and nothing is half-written."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from chartcode import cli
from chartcode.artifacts import Artifact, writing
from chartcode.coders.tfidf import TfidfCoder
from chartcode.evaluation.recalibration import Calibrator, Map
from tests.coders.test_tfidf import fitted, notes

COUNT = 90


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted coder, thresholds for it, and the same raw notes as CSV, CSV.gz and Parquet."""
    folder = tmp_path_factory.mktemp("predict")
    fitted(folder / "model", notes(200, 1))
    with writing(folder / "thresholds", "test") as writer:
        own = {"I10": 0.4, "E119": 0.6, "N189": 0.3}
        writer.json("thresholds.json", {"ships": "per_label", "global": 0.3, "none": 0.5, "per_label": own})
    texts = sources()
    raw = pa.table({"note_id": [f"note-{n}" for n in range(COUNT)], "note_type": ["DS"] * COUNT, "text": texts})
    pq.write_table(raw, folder / "notes.parquet", row_group_size=17)
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([raw.column_names, *zip(*raw.to_pydict().values(), strict=True)])
    (folder / "notes.csv").write_text(lines.getvalue(), newline="")
    (folder / "notes.csv.gz").write_bytes(gzip.compress(lines.getvalue().encode(), mtime=0))
    return folder


def sources() -> list[str]:
    return [text for batch in notes(COUNT, 5).read(["source"]) for text in batch.column("source").to_pylist()]


def run(place: Path, source: str, out: Path, *more: str) -> int:
    return cli.main(["predict", str(place / source), "--model", str(place / "model"), "--out", str(out), *more])


def table(path: Path) -> pa.Table:
    return pq.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)


@pytest.mark.parametrize("source", ["notes.csv", "notes.csv.gz", "notes.parquet"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_scores_are_the_coders_best_first(place: Path, tmp_path: Path, source: str, form: str) -> None:
    out = tmp_path / f"codes.{form}"
    assert run(place, source, out) == 0
    found = table(out)
    coder = TfidfCoder.load(Artifact(place / "model"))
    expected = coder.scores(notes(COUNT, 5).read(coder.reads))  # of silver's clean text
    assert found.num_rows == COUNT * 3
    scores = found["score"].to_numpy().reshape(COUNT, 3)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1), atol=1e-6)
    codes = np.array(found["code"].to_pylist()).reshape(COUNT, 3)
    for row in range(COUNT):
        for code, score in zip(codes[row], scores[row], strict=True):
            assert score == pytest.approx(expected[row, coder.codes.index(code)], abs=1e-6)
    assert found["note_id"].to_pylist()[::3] == [f"note-{n}" for n in range(COUNT)]
    assert found["rank"].to_pylist() == [1, 2, 3] * COUNT


def test_calibrated_thresholds_meet_calibrated_scores(place: Path, tmp_path: Path) -> None:
    coder = TfidfCoder.load(Artifact(place / "model"))
    maps = Calibrator("platt", coder.codes, True, tuple(Map(np.array([2.0]), np.array([j - 1.0])) for j in range(3)))
    known = dict.fromkeys(coder.codes, 0.9)
    with writing(tmp_path / "judged", "test") as writer:
        writer.json("thresholds.json", {"ships": "global", "global": 0.3, "none": 0.5, "per_label": known})
        writer.npz("calibration.npz", None, **maps.arrays())
    out = tmp_path / "codes.parquet"
    assert run(place, "notes.parquet", out, "--thresholds", str(tmp_path / "judged")) == 0
    expected = maps.apply(coder.scores(notes(COUNT, 5).read(coder.reads)))
    found = table(out)
    np.testing.assert_allclose(found["score"].to_numpy().reshape(COUNT, 3), -np.sort(-expected, axis=1), atol=1e-6)
    assert found["called"].to_pylist() == [score >= np.float32(0.3) for score in found["score"].to_numpy()]


def test_few_notes_at_a_time_and_few_codes_a_note(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(place, "notes.parquet", tmp_path / "all.parquet") == 0
    monkeypatch.setattr("chartcode.predict.TOGETHER", 20)
    monkeypatch.setattr("chartcode.predict.ROWS", 7)
    assert run(place, "notes.parquet", tmp_path / "two.parquet", "--top", "2") == 0
    whole = table(tmp_path / "all.parquet")
    assert table(tmp_path / "two.parquet").equals(whole.filter(pa.compute.less_equal(whole["rank"], 2)))


def test_a_code_is_called_from_its_threshold_on(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.parquet"
    assert run(place, "notes.csv", out, "--thresholds", str(place / "thresholds")) == 0
    rows = table(out).to_pylist()
    threshold = {"I10": 0.4, "E119": 0.6, "N189": 0.3}
    assert {row["called"] for row in rows} == {True, False}
    assert all(row["called"] == (row["score"] >= np.float32(threshold[row["code"]])) for row in rows)


BROKEN = {
    "a row too long": (b"note_id,text\na,b\nc,d,e\n", "a row has a wrong number of cells"),
    "no text": (b"note_id,text\na,b\nc,\n", "text: empty; mend the file"),
    "the same note twice": (b"note_id,text\na,b\nc,d\na,e\n", "note_id: stands twice"),
    "a NUL": (b"note_id,text\na,b\nc,d\0e\n", "text: holds a NUL"),
    "not UTF-8": (b"note_id,text\na,b\nc,\xff\n", "text: not UTF-8"),
    "no such column": (b"id,text\na,b\n", "note_id: column is missing"),
    "an open quote": (b'note_id,text\na,b\nc,"d\n', "a quote is opened and never closed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_notes_are_one_line_and_leave_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, message = BROKEN[name]
    (tmp_path / "bad.csv").write_bytes(content)
    assert run(place, str(tmp_path / "bad.csv"), tmp_path / "codes.csv") == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


def test_what_else_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(message: str, source: str, out: Path, *more: str) -> None:
        assert run(place, source, out, *more) == 1
        assert message in capsys.readouterr().err

    (tmp_path / "there.csv").write_text("")
    refused("exists; name a new file", "notes.csv", tmp_path / "there.csv")
    refused("name it .csv or .parquet", "notes.csv", tmp_path / "codes.json")
    refused("file is missing", "absent.csv", tmp_path / "codes.csv")
    refused("file is missing", "absent.parquet", tmp_path / "codes.csv")
    refused("--top: at least 1", "notes.csv", tmp_path / "codes.csv", "--top", "0")
    pq.write_table(pa.table({"note_id": ["a", "b"], "text": ["x", None]}), tmp_path / "null.parquet")
    refused("text: empty; mend the file", str(tmp_path / "null.parquet"), tmp_path / "codes.csv")
    pq.write_table(pa.table({"note_id": ["a"]}), tmp_path / "textless.parquet")
    refused("not Parquet with the columns", str(tmp_path / "textless.parquet"), tmp_path / "codes.csv")
    pq.write_table(pa.table({"note_id": ["a"], "text": ["x\0y"]}), tmp_path / "nul.parquet")
    refused("text: holds a NUL", str(tmp_path / "nul.parquet"), tmp_path / "codes.csv")
    pq.write_table(pa.table({"note_id": ["a"], "text": [b"\xff"]}), tmp_path / "latin.parquet")
    refused("text: not UTF-8", str(tmp_path / "latin.parquet"), tmp_path / "codes.csv")
    (tmp_path / "folder.parquet").mkdir()
    refused("not Parquet with the columns", str(tmp_path / "folder.parquet"), tmp_path / "codes.csv")
    with writing(tmp_path / "foreign", "test") as writer:
        writer.json("thresholds.json", {"ships": "global", "global": 0.3, "none": 0.5, "per_label": {"Z99": 0.1}})
    refused("thresholds of other codes", "notes.csv", tmp_path / "codes.csv", "--thresholds", str(tmp_path / "foreign"))
    with writing(tmp_path / "newer", "test") as writer:
        writer.json("coder.json", {"coder": "tfidf", "params": {"depth": 3}})
    refused("fit the coder anew", "notes.csv", tmp_path / "codes.csv", "--model", str(tmp_path / "newer"))
    with writing(tmp_path / "other", "test") as writer:
        writer.json("coder.json", {"coder": "oracle"})
    refused("coder: not one of tfidf", "notes.csv", tmp_path / "codes.csv", "--model", str(tmp_path / "other"))
    assert not (tmp_path / "codes.csv").exists()


def test_parquet_may_hold_numbers_and_dictionaries(place: Path, tmp_path: Path) -> None:
    texts = pa.array(sources()[:3]).dictionary_encode()
    pq.write_table(pa.table({"note_id": pa.array([7, 8, 9]), "text": texts}), tmp_path / "numbers.parquet")
    assert run(place, str(tmp_path / "numbers.parquet"), tmp_path / "codes.parquet") == 0
    assert table(tmp_path / "codes.parquet")["note_id"].to_pylist()[::3] == ["7", "8", "9"]


def test_a_file_without_notes_gives_a_file_without_rows(place: Path, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("note_id,text\n")
    assert run(place, str(tmp_path / "none.csv"), tmp_path / "codes.parquet") == 0
    assert table(tmp_path / "codes.parquet").num_rows == 0


def test_what_scoring_does_not_need_is_not_loaded(place: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from chartcode import cli; status = cli.main(sys.argv[1:]);"
        "loaded = {'sklearn', 'torch', 'duckdb', 'ibis', 'dvc', 'matplotlib'} & set(sys.modules);"
        "sys.exit(status or ' '.join(loaded) or 0)"
    )
    arguments = ["predict", str(place / "notes.csv"), "--model", str(place / "model"), "--out", str(tmp_path / "o.csv")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
