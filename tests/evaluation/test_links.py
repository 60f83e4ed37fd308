"""What notes name beside what they are coded with: counted again row by row, small cells, the stage itself."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact
from chartcode.errors import DataError
from chartcode.evaluation.links import measure, save
from chartcode.linking.flags import FLAGS
from chartcode.linking.mentions import MENTIONS
from chartcode.logs import guarded
from chartcode.params import EvaluateParams
from chartcode.privacy import small
from stages.evaluate_links import main
from tests.evaluation.conftest import write_gold, write_params
from tests.evaluation.test_support import mention, mentions

PARAMS = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[5], bootstrap_rounds=50, seed=1)
LABELS, OTHERS = ["I10", "E119", "N189"], ["E1165", "F329", "Z66"]
CONTEXTS = ("family", "negated", "hypothetical", "historical", "uncertain")
SPLIT = np.repeat(["train", "val", "test"], [60, 80, 120])
Rows = list[dict[str, Any]]


def hospital(folder: Path, seed: int = 1, share: float = 1.0, patients: int | None = None) -> Rows:
    """Gold and mentions in `folder`; returns the mentions."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((len(SPLIT), 6)) < [0.6, 0.4, 0.2, 0.3, 0.2, 0.1]).astype(np.int8)
    write_gold(folder, truth[:, :3], SPLIT, LABELS, patients, truth[:, 3:], OTHERS)
    names = np.array([*LABELS, *OTHERS, "R51"])
    rows: Rows = []
    for note in range(len(SPLIT)):
        for code in names[rng.random(7) < share * np.append(np.where(truth[note], 0.7, 0.2), 0.1)].tolist():
            p = [round(float(x), 2) for x in rng.choice([0.1, 0.3, 0.6], 2)]
            row = mention(f"{note}-DS-1", (code, p[0]), (str(rng.choice(names)), p[1]))
            row["alternatives"][1]["dictionary"] = bool(rng.random() < 0.5)
            row["source"], row["method"] = str(rng.choice(["title", "alias"])), str(rng.choice(["exact", "bag"]))
            row |= {flag: bool(rng.random() < 0.15) for flag in FLAGS}
            rows += [row] * int(rng.integers(1, 3))
    mentions(folder, *rows)
    return rows


def measured(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return measure(Artifact(folder / "data/gold"), Artifact(folder / "data/mentions"), PARAMS)


def true_pairs(folder: Path, split: str) -> dict[str, set[str]]:
    """Codes of each note."""
    gold = Artifact(folder / "data/gold")
    arrays, others = gold.npz("labels.npz"), gold.npz("others.npz")
    return {
        f"{n}-DS-1": {LABELS[i] for i in arrays["indices"][arrays["indptr"][n] : arrays["indptr"][n + 1]]}
        | {str(others["codes"][i]) for i in others["indices"][others["indptr"][n] : others["indptr"][n + 1]]}
        for n in np.flatnonzero(split == SPLIT)
    }


def test_numbers_are_those_counted_row_by_row(tmp_path: Path) -> None:
    rows = hospital(tmp_path)
    numbers, groups = measured(tmp_path)
    for split in ("val", "test"):
        true = true_pairs(tmp_path, split)
        pairs = {(note, code) for note, codes in true.items() for code in codes}
        labels = {pair for pair in pairs if pair[1] in LABELS}
        affirmed, said, hinted, category, names = (set[Any]() for _ in range(5))
        for row in (row for row in rows if row["note_id"] in true):
            counts = not (row["negated"] or row["family"] or row["hypothetical"])
            for place, one in enumerate(row["alternatives"]):
                pair = (row["note_id"], one["code"])
                if place == 0 or one["dictionary"]:
                    said.add(pair)
                    if counts:
                        affirmed.add(pair)
                        category.add((pair[0], pair[1][:3]))
                elif counts:
                    hinted.add(pair)
            context = next(
                (f for f in ("family", "negated", "hypothetical", "historical", "uncertain") if row[f]), "affirmed"
            )
            names.add((row["note_id"], row["code"], row["p"], row["source"], row["method"], context))
        expected = {
            "evidence_recall": len(affirmed & labels) / len(labels),
            "evidence_recall_any_context": len(said & labels) / len(labels),
            "evidence_recall_hinted": len((affirmed | hinted) & labels) / len(labels),
            "evidence_recall_category": sum((n, c[:3]) in category for n, c in labels) / len(labels),
            "evidence_recall_all_codes": len(affirmed & pairs) / len(pairs),
            "names_precision": sum(name[:2] in pairs for name in names) / len(names),
        }
        shown = numbers[split]
        assert (shown["n"], shown["names"], shown["pairs"]) == (len(true), len(names), len(labels))
        for key, value in expected.items():
            assert shown[key] in (None, pytest.approx(value, abs=1e-4)), key
        assert shown["evidence_recall"] is not None and shown["names_precision"] is not None
        assert shown["evidence_recall_lo"] < shown["evidence_recall"] < shown["evidence_recall_hi"]
        for by, place in (("kind", 3), ("method", 4), ("context", 5)):
            for group, held in groups[split][by].items():
                own = {
                    n[:2]
                    for n in names
                    if n[place] == group and (by == "context" or n[5] in ("affirmed", "historical", "uncertain"))
                }
                assert held["pairs"] in (len(own), None)
                assert held["precision"] in (None, pytest.approx(len(own & pairs) / len(own), abs=1e-4))
        seen = Counter(code for codes in true_pairs(tmp_path, "train").values() for code in codes)
        for group, held in groups[split]["train_notes"].items():
            low, _, high = group.rstrip("+").partition("-")
            own = {pair for pair in pairs if int(low) <= seen[pair[1]] <= int(high or low)}
            assert held["pairs"] in (len(own), None) and own
            assert held["evidence_recall"] in (None, pytest.approx(len(own & affirmed) / len(own), abs=1e-4))


def test_the_same_numbers_whatever_the_batches_and_codes_train_never_saw(tmp_path: Path) -> None:
    rows = hospital(tmp_path)
    before = measured(tmp_path)
    mentions(tmp_path, *rows, *[mention("nobody", (f"Q{n:04}", 0.5)) for n in range(2000)])
    assert measured(tmp_path) == before


def test_60_small_hospitals_give_no_small_count_away(tmp_path: Path) -> None:
    told = 0
    for seed in range(60):
        folder = tmp_path / str(seed)
        hospital(folder, seed, share=[0.02, 0.2, 1.0][seed % 3], patients=[None, 8, 40][seed // 3 % 3])
        numbers, groups = measured(folder)
        for split in ("val", "test"):
            shown = numbers[split]
            if shown["patients"] is None:
                assert shown["n"] is None or not small(shown["n"])
            for key in (key for key in shown if key.startswith("evidence_recall") and key[-3:] not in ("_lo", "_hi")):
                whole = shown["pairs_all_codes" if key.endswith("all_codes") else "pairs"]
                if shown[key] is not None and whole is not None:
                    hits = round(shown[key] * whole)
                    assert not small(hits) and not small(whole - hits), (seed, key)
                    told += 1
                    if shown["evidence_recall"] is not None and whole == shown["pairs"]:
                        assert not small(abs(hits - round(shown["evidence_recall"] * whole))), (seed, key)
            for by in ("kind", "method", "context", "train_notes"):
                for held in groups[split].get(by, {}).values():
                    rate = held.get("precision", held.get("evidence_recall"))
                    assert not small(held["pairs"] or 0)
                    if rate is not None and held["pairs"]:
                        right = round(rate * held["pairs"])
                        assert not small(right) and not small(held["pairs"] - right)
                        told += 1
    assert told > 200


def test_the_stage_writes_two_files_of_numbers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, seed=1)
    assert guarded(main) == 0
    files = [tmp_path / f"metrics/stages/{name}.json" for name in ("link", "link_groups")]
    before = [file.read_bytes() for file in files]
    assert json.loads(before[0])["link"] == measured(tmp_path)[0]
    assert guarded(main) == 0 and [file.read_bytes() for file in files] == before
    for text in before:
        assert b"DS-1" not in text and b"F329" not in text and b"NaN" not in text


def test_a_hospital_without_mentions_and_one_of_few_patients(tmp_path: Path) -> None:
    hospital(tmp_path)
    mentions(tmp_path)
    numbers, groups = measured(tmp_path)
    assert numbers["test"]["names"] == 0 and numbers["test"]["p_ece"] is None
    assert numbers["test"]["evidence_recall"] == 0 and groups["test"]["reliability"] == []
    hospital(tmp_path / "few", patients=9)
    numbers, groups = measured(tmp_path / "few")
    assert groups == {"val": {}, "test": {}} and set(numbers["test"].values()) == {None}
    save(numbers, groups, tmp_path / "metrics")


def test_mentions_of_another_source_are_refused(tmp_path: Path) -> None:
    hospital(tmp_path)
    mentions(tmp_path, mention("0-DS-1", ("I10", 0.5)), source="codiesp")
    with pytest.raises(DataError, match="of another source than"):
        measured(tmp_path)


def test_the_rows_of_these_tests_are_those_of_the_pipeline() -> None:
    assert pa.Table.from_pylist([mention("n", ("I10", 0.5))], schema=MENTIONS).schema == MENTIONS
