"""The table of coders: every number in its row and column, intervals beside their number, nothing invented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chartcode import compare
from chartcode.artifacts import writing
from chartcode.errors import DataError


def write(folder: Path, coder: str, values: object) -> None:
    path = folder / coder / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(values))


def two_coders(folder: Path) -> Path:
    tfidf = {"n": 12228, "patients": 6530, "micro_f1": 0.5124, "micro_f1_lo": 0.498, "micro_f1_hi": 0.5268, "ece": None}
    laat = {"n": 12228, "micro_f1": 0.61, "map": 0.7, "zeta": 1.5}
    write(folder, "tfidf", {"tfidf": {"val": {"n": 10}, "test": tfidf}})
    write(folder, "laat", {"laat": {"test": laat}})
    return folder


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.split("  ")[0] == name)
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_coders_stand_side_by_side_with_intervals(tmp_path: Path) -> None:
    text = compare.render(compare.read_metrics(two_coders(tmp_path)), folder=tmp_path)
    test = text[text.index("test ") :]
    assert cells(test, "test") == ["test", "laat", "tfidf"]
    assert cells(test, "micro_f1") == ["micro_f1", "0.610", "0.512 [0.498, 0.527]"]
    assert cells(test, "n") == ["n", "12,228", "12,228"]
    assert cells(test, "map") == ["map", "0.700", "-"]
    assert cells(test, "ece") == ["ece", "-", "-"]
    assert "micro_f1_lo" not in text
    assert "zeta" not in text
    assert "macro_f1" not in text


def test_all_numbers_on_request(tmp_path: Path) -> None:
    text = compare.render(compare.read_metrics(two_coders(tmp_path)), everything=True)
    assert cells(text, "zeta") == ["zeta", "1.500", "-"]
    assert "micro_f1_hi" not in text


def test_ends_with_the_paths_of_what_was_written_and_whose_notes_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged = compare.read_metrics(two_coders(tmp_path))
    with writing(Path("data/scores/tfidf"), "codiesp") as writer:
        writer.json("x.json", 1)
    assert compare.render(judged).splitlines()[-1].endswith("data/scores/tfidf/  (source: codiesp)")
    (Path("data/scores/tfidf") / "manifest.json").unlink()
    assert compare.render(judged).splitlines()[-2:] == [
        "written: metrics/laat/  data/scores/laat/",
        "written: metrics/tfidf/  data/scores/tfidf/",
    ]


def test_one_coder_by_name(tmp_path: Path) -> None:
    assert list(compare.read_metrics(two_coders(tmp_path), ["laat"])) == ["laat"]
    with pytest.raises(DataError, match=r"boosted/metrics\.json: not found; run `dvc repro evaluate@boosted`"):
        compare.read_metrics(tmp_path, ["boosted"])


def test_columns_are_aligned_whatever_the_lengths(tmp_path: Path) -> None:
    text = compare.render(compare.read_metrics(two_coders(tmp_path)))
    table = text[text.index("test ") :].split("\n\n")[0].splitlines()
    at = table[0].index("tfidf")
    assert all(len(line) <= at or (line[at - 1] == " " and line[at] != " ") for line in table)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"other": {}}', '{"tfidf": 3}', '{"tfidf": {"val": 3}}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tfidf").mkdir()
    (tmp_path / "tfidf/metrics.json").write_text(content)
    with pytest.raises(DataError, match=r"tfidf/metrics\.json: not the metrics of tfidf"):
        compare.read_metrics(tmp_path)


def test_nothing_judged_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no coder is judged yet; run `dvc repro`"):
        compare.read_metrics(tmp_path)
