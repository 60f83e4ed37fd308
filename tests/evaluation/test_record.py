"""What evaluate writes: the same bytes every time, short, sorted, and only aggregates where Git looks."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from chartcode.artifacts import Artifact
from tests.evaluation.conftest import CODES, SPLIT, truth_and_scores, write_gold, write_params, write_scores

Run = Callable[..., int]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_runs_write_the_same_bytes_and_nothing_else(hospital: Path, evaluate: Run) -> None:
    assert evaluate("tfidf") == 0
    first = tree(hospital)
    assert evaluate("tfidf") == 0
    assert tree(hospital) == first
    written = sorted(name for name in first if not name.startswith(("data/gold", "data/scores")))
    curves = [f"metrics/tfidf/plots/{c}_{s}.csv" for c in ("precision_recall", "reliability") for s in ("test", "val")]
    assert written == [
        "data/evaluation/tfidf/confusions.parquet",
        "data/evaluation/tfidf/manifest.json",
        "data/evaluation/tfidf/notes.parquet",
        "data/evaluation/tfidf/per_code.parquet",
        "data/evaluation/tfidf/reliability.parquet",
        "data/evaluation/tfidf/suspects.parquet",
        "data/evaluation/tfidf/thresholds.json",
        "metrics/tfidf/metrics.json",
        *curves,
        "metrics/tfidf/plots/training.csv",
        "metrics/tfidf/slices.json",
        "params.yaml",
    ]


def test_metrics_are_one_tree_under_the_coder_with_sorted_keys(hospital: Path, evaluate: Run) -> None:
    evaluate("tfidf")
    text = (hospital / "metrics/tfidf/metrics.json").read_text(encoding="utf-8")
    metrics = json.loads(text)
    assert list(metrics) == ["tfidf"]
    assert list(metrics["tfidf"]) == ["test", "val"]
    test = metrics["tfidf"]["test"]
    assert list(test) == sorted(test)
    assert test["n"] == 160 and test["patients"] == 80 and test["labels"] == 6
    assert test["micro_f1_lo"] <= test["micro_f1"] <= test["micro_f1_hi"]
    assert test["map_all_codes"] < test["map"] <= test["map_labelled"]
    assert test["micro_f1_all_codes"] < test["micro_f1"]
    assert all(value is None or round(value, 4) == value for value in test.values())
    assert "NaN" not in text


def test_a_diff_stays_readable(hospital: Path, evaluate: Run) -> None:
    write_params(hospital, threshold="none", top_k=[5, 8, 15], bootstrap_rounds=20)
    evaluate("tfidf")
    metrics = json.loads((hospital / "metrics/tfidf/metrics.json").read_text(encoding="utf-8"))
    values = metrics["tfidf"]["test"]
    assert len([key for key in values if not key.endswith(("_lo", "_hi"))]) <= 50
    assert len(values) <= 80  # bounds are a row each in `dvc metrics diff`, and one cell in `chartcode pr`


def test_without_rounds_there_are_no_intervals(hospital: Path, evaluate: Run) -> None:
    write_params(hospital, top_k=[5], bootstrap_rounds=0)
    evaluate("tfidf")
    metrics = json.loads((hospital / "metrics/tfidf/metrics.json").read_text(encoding="utf-8"))
    assert not [key for key in metrics["tfidf"]["test"] if key.endswith(("_lo", "_hi"))]


def test_shuffled_test_labels_move_the_test_metrics_and_nothing_else(hospital: Path, evaluate: Run) -> None:
    evaluate("tfidf")
    honest = tree(hospital)
    truth, _ = truth_and_scores()
    rows = np.flatnonzero(SPLIT == "test")
    truth[rows] = truth[np.random.default_rng(3).permutation(rows)]
    write_gold(hospital, truth)
    evaluate("tfidf")
    shuffled = tree(hospital)
    name = "metrics/tfidf/metrics.json"
    before, after = json.loads(honest[name])["tfidf"], json.loads(shuffled[name])["tfidf"]
    assert after["val"] == before["val"]
    parts = [json.loads(files["metrics/tfidf/slices.json"])["tfidf"] for files in (honest, shuffled)]
    assert parts[0]["val"] == parts[1]["val"] and parts[0]["test"] != parts[1]["test"]
    assert after["test"]["micro_f1"] < before["test"]["micro_f1"] - 0.05
    same = ["data/evaluation/tfidf/thresholds.json", "metrics/tfidf/plots/precision_recall_val.csv"]
    assert all(shuffled[file] == honest[file] for file in [*same, "metrics/tfidf/plots/reliability_val.csv"])


def test_per_code_table_has_a_row_a_code_and_split(hospital: Path, evaluate: Run) -> None:
    evaluate("tfidf")
    artifact = Artifact(hospital / "data/evaluation/tfidf")
    table = artifact.table("per_code.parquet")
    assert table["code"].to_pylist() == CODES * 2
    truth, scores = truth_and_scores()
    first = table.filter(pc.and_(pc.equal(table["split"], "test"), pc.equal(table["code"], "A000"))).to_pylist()[0]
    true, said = truth[SPLIT == "test", 0], scores[SPLIT == "test", 0] >= np.float32(first["threshold"])
    assert first["train_positives"] == truth[SPLIT == "train", 0].sum()
    assert first["positives"] == true.sum()
    assert first["recall"] == pytest.approx((true & said).sum() / true.sum())
    assert first["precision"] == pytest.approx((true & said).sum() / said.sum())
    assert set(artifact.manifest["inputs"]) == {"data/gold", "data/scores/tfidf"}
    assert artifact.json("thresholds.json")["fallback"] == ["A005"]


def test_label_spaces_meet_by_code_name(hospital: Path, evaluate: Run) -> None:
    """A coder with other columns, in another order: known codes are judged alike, an unknown one is missed."""
    evaluate("tfidf")
    _, scores = truth_and_scores()
    foreign = np.random.default_rng(0).random((len(scores), 1)).astype(np.float32)
    turned = np.hstack([foreign, scores[:, ::-1]])
    write_scores(hospital, turned, coder="linker", codes=["Z999", *CODES[::-1]])
    evaluate("linker")
    read = {c: json.loads((hospital / f"metrics/{c}/metrics.json").read_text())[c] for c in ("tfidf", "linker")}
    for split, numbers in read["tfidf"].items():
        assert {k: v for k, v in read["linker"][split].items() if "all_codes" not in k} == {
            k: v for k, v in numbers.items() if "all_codes" not in k
        }, "codes that are no labels count where all codes do, and nowhere else"
    write_scores(hospital, scores[:, 1:], coder="partial", codes=CODES[1:], sparse=True)
    assert evaluate("partial") == 0
    table = Artifact(hospital / "data/evaluation/partial").table("per_code.parquet").to_pylist()
    assert table[0]["code"] == "A000" and table[0]["f1"] == 0 and table[1]["f1"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name one coder"),
        (("tfidf", "laat"), "name one coder"),
        (("../gold",), "name one coder"),
        (("tfdif",), "no such coder; coders with scores: tfidf"),
    ],
)
def test_a_wrong_name_is_one_line(
    hospital: Path, evaluate: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert evaluate(*arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_empty_split_is_one_line_that_names_it(
    hospital: Path, evaluate: Run, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    write_gold(hospital, truth_and_scores()[0], np.where(split == SPLIT, "train", SPLIT))
    assert evaluate("tfidf") == 1
    error = capsys.readouterr().err
    assert f"split {split} has no notes; raise split.{split}" in error and error.count("\n") == 1


def test_scores_of_other_admissions_are_refused(
    hospital: Path, evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scores(hospital, truth_and_scores()[1], order=slice(None, None, -1))
    assert evaluate("tfidf") == 1
    assert "hadm_ids are not the val rows" in capsys.readouterr().err


def test_nan_scores_and_doubled_codes_are_refused(
    hospital: Path, evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    _, scores = truth_and_scores()
    scores[210, 2] = np.nan
    write_scores(hospital, scores)
    assert evaluate("tfidf") == 1
    assert "val.npz: val: scores hold NaN" in capsys.readouterr().err
    write_scores(hospital, truth_and_scores()[1], codes=["A001", *CODES[1:]])
    assert evaluate("tfidf") == 1
    assert "a code stands twice" in capsys.readouterr().err


def test_val_without_a_label_names_the_param(hospital: Path, evaluate: Run, capsys: pytest.CaptureFixture[str]) -> None:
    truth, _ = truth_and_scores()
    truth[SPLIT == "val"] = 0
    write_gold(hospital, truth)
    assert evaluate("tfidf") == 1
    assert "no val note has a label; raise split.val" in capsys.readouterr().err


def test_a_repository_without_a_commit_is_one_line(
    hospital: Path, evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "-q"], cwd=hospital, check=True)
    assert evaluate("tfidf") == 1
    error = capsys.readouterr().err
    assert "run `git commit`" in error and error.count("\n") == 1
    assert (hospital / "params.yaml").exists()


def test_curves_stand_on_a_fixed_grid(hospital: Path, evaluate: Run) -> None:
    evaluate("tfidf")
    lines = (hospital / "metrics/tfidf/plots/precision_recall_test.csv").read_text().splitlines()
    assert lines[0] == "recall,precision"
    assert [line.split(",")[0] for line in lines[1:]] == [f"{x / 100:.4f}" for x in range(101)]
    bins = (hospital / "metrics/tfidf/plots/reliability_test.csv").read_text().splitlines()
    assert bins[0] == "predicted,observed" and 2 <= len(bins) <= 16


@pytest.mark.parametrize(("patients", "told"), [(10, False), (11, True)])
def test_ten_patients_have_no_number_no_slice_and_no_curve(
    hospital: Path, evaluate: Run, patients: int, told: bool
) -> None:
    """160 notes of few patients: the cells are many, the people are not."""
    write_gold(hospital, truth_and_scores()[0], patients=patients)
    assert evaluate("tfidf") == 0
    folder = hospital / "metrics/tfidf"
    for name in ("metrics.json", "slices.json"):
        test = json.loads((folder / name).read_text())["tfidf"]["test"]
        parts = [part for groups in test.values() for part in groups.values()] if name == "slices.json" else [test]
        assert any(value is not None for part in parts for value in part.values()) == told
    for curve in ("precision_recall", "reliability"):
        assert (len((folder / f"plots/{curve}_test.csv").read_text().splitlines()) > 1) == told


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibrated_scores_lie_less_and_both_curves_are_kept(hospital: Path, evaluate: Run, kind: str) -> None:
    write_params(hospital, calibrate=kind, cross_fit="true")
    assert evaluate("tfidf") == 0
    test = json.loads((hospital / "metrics/tfidf/metrics.json").read_text())["tfidf"]["test"]
    assert test["ece"] < test["ece_raw"] / 2
    assert test["brier"] < test["brier_raw"]
    artifact = Artifact(hospital / "data/evaluation/tfidf")
    curves = artifact.table("reliability.parquet").to_pandas().groupby(["split", "scores"]).size()
    assert set(curves.index) == {(s, c) for s in ("val", "test") for c in ("judged", "raw")}
    assert "calibration.npz" in artifact.names()
    first = tree(hospital)
    assert evaluate("tfidf") == 0
    assert tree(hospital) == first


HISTORY = [{"loss": 0.4, "map": 0.3, "micro_f1": 0.25}, {"loss": 0.3, "map": 0.4, "micro_f1": 0.35}]


def test_how_training_went_is_told_epoch_by_epoch_where_val_is_told(hospital: Path, evaluate: Run) -> None:
    curve = hospital / "metrics/tfidf/plots/training.csv"
    evaluate("tfidf")
    assert curve.read_text() == "epoch,loss,map,micro_f1\n"
    truth, scores = truth_and_scores()
    write_scores(hospital, scores, history=HISTORY)
    evaluate("tfidf")
    assert [line.split(",") for line in curve.read_text().splitlines()[1:]] == [
        ["1.0000", "0.4000", "0.3000", "0.2500"], ["2.0000", "0.3000", "0.4000", "0.3500"],
    ]  # fmt: skip
    write_gold(hospital, truth, patients=5)
    write_scores(hospital, scores, history=HISTORY)
    evaluate("tfidf")
    assert curve.read_text() == "epoch,loss,map,micro_f1\n", "numbers of five patients"
