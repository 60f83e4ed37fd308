"""What explain writes: a real coder's evidence in invented notes, counted again from the spans that were stored."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.known import coder_named
from chartcode.coders.tfidf import TfidfCoder
from chartcode.errors import DataError
from chartcode.evaluation import evidence, plausibility
from chartcode.evaluation import explain as explain_module
from chartcode.evaluation.evidence import WORD, Looked, Pair
from chartcode.evaluation.explain import Explained, explain, save
from chartcode.evaluation.recalibration import Calibrator, Map
from chartcode.params import EvaluateParams, ExplainParams
from chartcode.privacy import publish, small
from chartcode.tables.cleaning import clean_batch
from chartcode.tables.schemas import EVIDENCE_SCHEMA
from tests.coders.test_tfidf import CODES, PARAMS, notes
from tests.evaluation.conftest import write_gold
from tests.linking.test_dictionary import terms
from tests.linking.test_linker import linker

SPLIT = np.repeat(["train", "val", "test"], [200, 60, 80])
TELLING = {"I10": re.compile("Hypertension|high BP"), "E119": re.compile("metformin dose")}
NAMES = terms({"code": "I10", "name": "hypertension"}, {"code": "E1165", "name": "metformin dose"})
EVALUATE = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[5], bootstrap_rounds=50, seed=1)


def made(folder: Path, *, marked: bool = True, shuffled: bool = False) -> Path:
    """A hospital of 340 notes with the layers that explain reads, and a coder fitted on its train notes."""
    cohort = notes(len(SPLIT), 1)
    sources = [s for b in cohort.read(["source"]) for s in b.column("source").to_pylist()]
    truth = cohort.labels.toarray()
    rows = [
        (f"{n}-DS-1", code, place, *match.span(), "synonym")
        for n, source in enumerate(sources)
        for code, words in TELLING.items()
        for place, match in enumerate(words.finditer(source))
        if marked
    ]
    if shuffled:
        test = np.flatnonzero(SPLIT == "test")
        truth[test] = truth[np.random.default_rng(1).permutation(test)]
    columns = list(zip(*rows, strict=True)) or [()] * len(EVIDENCE_SCHEMA)
    with writing(folder / "data/bronze", "synthetic") as writer:
        arrays = [pa.array(c, f.type) for c, f in zip(columns, EVIDENCE_SCHEMA, strict=True)]
        writer.parquet("evidence.parquet", pa.table(arrays, schema=EVIDENCE_SCHEMA))
    cleaned = clean_batch(pa.array(sources))
    ids = np.arange(len(SPLIT))
    with writing(folder / "data/silver", "synthetic") as writer:
        silver = {"note_id": [f"{n}-DS-1" for n in ids], "subject_id": 10_000 + ids // 2, "hadm_id": 20_000 + ids}
        silver |= {"text": cleaned.field("text"), "edits": cleaned.field("edits"), "source": sources}
        writer.parquet("notes.parquet", pa.table(silver))
    write_gold(folder, truth, SPLIT, list(CODES))
    silver_read, gold = Artifact(folder / "data/silver"), Artifact(folder / "data/gold")
    labels = gold_of(silver_read, gold)
    train = labelled_notes(silver_read, labels, "train")
    with writing(folder / "models/tfidf", "synthetic") as writer:
        TfidfCoder.fit(PARAMS, train, train, writer)
    coder = TfidfCoder.load(Artifact(folder / "models/tfidf"))
    with writing(folder / "data/scores/tfidf", "synthetic") as writer:
        write_scores(writer, coder, labelled_notes(silver_read, labels, "val", "test"))
    batch = pa.table({**silver, "sections": cleaned.field("sections")}).combine_chunks().to_batches()[0]
    with writing(folder / "data/mentions", "synthetic") as writer:
        writer.parquet("mentions.parquet", linker(folder / "linker", names=NAMES).mentions(batch))
    with writing(folder / "data/evaluation/tfidf", "synthetic") as writer:
        writer.json("thresholds.json", thresholds(0.5))
    return folder


def thresholds(tau: float) -> dict[str, Any]:
    """As `evaluate` writes them."""
    return {"global": tau, "none": 0.5, "per_label": dict.fromkeys(CODES, tau), "ships": "global"}


def run(folder: Path, most: int | None = None, pairs: int | None = None) -> Explained:
    silver, gold, bronze, mentions, scores, evaluation = (
        Artifact(folder / "data" / name)
        for name in ("silver", "gold", "bronze", "mentions", "scores/tfidf", "evaluation/tfidf")
    )
    layers = (silver, gold, bronze, mentions, scores, evaluation)
    coder = TfidfCoder.load(Artifact(folder / "models/tfidf"))
    params = ExplainParams(notes=most, faithful_pairs=pairs, seed=3)
    found = explain("tfidf", coder, *layers, params, EVALUATE)
    save(found, layers, "code", metrics=folder / "metrics", data=folder / "data")
    return found


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made(tmp_path_factory.mktemp("explain"))
    run(folder)
    return folder


def shown(folder: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads((folder / "metrics/tfidf/evidence.json").read_text())["tfidf"])


def test_two_runs_write_the_same_bytes(hospital: Path) -> None:
    names = ("metrics/tfidf/evidence.json", "data/explained/tfidf/manifest.json")
    before = [(hospital / name).read_bytes() for name in names]
    run(hospital)
    assert [(hospital / name).read_bytes() for name in names] == before
    assert before[0].endswith(b"}\n") and b"NaN" not in before[0]


def test_numbers_follow_from_the_stored_spans_and_the_source_notes(hospital: Path) -> None:
    """Words, shares and marks made anew from the source text, by sets and dictionaries."""
    explained = Artifact(hospital / "data/explained/tfidf")
    boundary = explained.json("explained.json")["boundary"]
    table = Artifact(hospital / "data/silver").table("notes.parquet", ["note_id", "source"])
    sources = dict(zip(*(table[name].to_pylist() for name in ("note_id", "source")), strict=True))
    truth = notes(len(SPLIT), 1).labels.toarray()
    spans: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for span in explained.table("spans.parquet").to_pylist():
        spans.setdefault((span["note_id"], span["code"]), []).append(span)
    hits = called = true = pairs = 0
    for n in np.flatnonzero(SPLIT == "test"):
        for code, telling in TELLING.items():
            note = f"{n}-DS-1"
            marks = [m.span() for m in telling.finditer(sources[note])]
            if not truth[n, CODES.index(code)] or not marks:
                continue
            words = [m.span() for m in WORD.finditer(sources[note])]
            gold = {w for w, (s, e) in enumerate(words) for start, end in marks if s < end and start < e}
            weight = dict.fromkeys(range(len(words)), 0.0)
            for span in spans.get((note, code), []):
                for w, (s, e) in enumerate(words):
                    weight[w] += span["weight"] if s < span["end"] and span["start"] < e else 0
            total = sum(weight.values()) or 1
            said = {w for w in weight if weight[w] / total >= boundary - 1e-7}
            hits, called, true, pairs = hits + len(said & gold), called + len(said), true + len(gold), pairs + 1
    test = shown(hospital)["test"]
    assert test["evidence_pairs"] in (pairs, None)
    assert test["evidence_precision"] == pytest.approx(hits / called, abs=1e-4)
    assert test["evidence_recall"] == pytest.approx(hits / true, abs=1e-4)
    assert test["evidence_f1"] == pytest.approx(2 * hits / (called + true), abs=1e-4)
    assert test["evidence_f1_lo"] < test["evidence_f1"] < test["evidence_f1_hi"]


def test_fewer_pairs_are_rescored_and_as_many_are_judged_by_what_people_marked(hospital: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hospital, tmp_path / "hospital"))
    whole = shown(folder)["test"]
    run(folder, pairs=40)
    fewer = shown(folder)["test"]
    assert (fewer.pop("faithful_pairs"), whole.pop("faithful_pairs") > 60) == (40, True)
    differ = {name for name in whole if whole[name] != fewer[name]}
    assert {"comprehensiveness", "sufficiency"} <= differ
    assert not [name for name in differ if name.startswith("evidence")]


def test_evidence_beats_every_word_and_random_words(hospital: Path) -> None:
    for numbers in shown(hospital).values():
        assert numbers["evidence_f1"] > numbers["evidence_f1_all_words"] + 0.2
        assert numbers["comprehensiveness"] > numbers["comprehensiveness_random"] + 0.05
        assert 0 <= numbers["sufficiency"] <= 1


def test_every_span_is_of_a_true_or_called_code(hospital: Path) -> None:
    for span in Artifact(hospital / "data/explained/tfidf").table("spans.parquet").to_pylist():
        assert span["true"] or span["called"]
        assert span["called"] == (span["score"] >= 0.5)
        assert 0 <= span["start"] < span["end"]


def test_test_labels_move_nothing_of_val_and_no_boundary(tmp_path: Path, hospital: Path) -> None:
    other = run(made(tmp_path, shuffled=True))
    assert other.numbers["val"] == shown(hospital)["val"]
    assert other.about["mentions_from"] is not None
    assert other.about == Artifact(hospital / "data/explained/tfidf").json("explained.json")
    assert other.numbers["test"] != shown(hospital)["test"]


def test_a_source_without_marked_evidence_has_faithfulness_alone(tmp_path: Path, hospital: Path) -> None:
    found = run(made(tmp_path, marked=False))
    assert found.about["boundary"] is None
    for split, numbers in found.numbers.items():
        plausible = {key: value for key, value in numbers.items() if key.startswith("evidence_")}
        assert all(value is None for key, value in plausible.items() if key not in ("evidence_notes", "evidence_pairs"))
        same = {key: value for key, value in shown(hospital)[split].items() if key not in plausible}
        assert {key: value for key, value in numbers.items() if key not in plausible} == same


def test_a_sample_is_part_of_the_whole_and_too_few_patients_publish_nothing(hospital: Path, tmp_path: Path) -> None:
    whole = Artifact(hospital / "data/explained/tfidf").table("spans.parquet").to_pylist()
    some = run(made(tmp_path), most=8)
    assert {span["note_id"] for span in some.spans.to_pylist()} < {span["note_id"] for span in whole}
    assert [s for s in whole if s in some.spans.to_pylist()] == some.spans.to_pylist()
    for split, numbers in some.numbers.items():
        of_all = {key: value for key, value in numbers.items() if key.startswith(("called_", "named_"))}
        assert of_all.items() <= shown(hospital)[split].items() and of_all["called_named"]
        assert all(value is None for key, value in numbers.items() if key not in of_all)


def test_what_is_called_is_counted_by_what_the_text_says(hospital: Path) -> None:
    """From the stored scores and mentions, row by row; the notes name I10 and a code of E119's category."""
    test = np.flatnonzero(SPLIT == "test")
    scores = Artifact(hospital / "data/scores/tfidf").npz("test.npz")
    truth = notes(len(SPLIT), 1).labels.toarray()[test]
    said: dict[str, set[tuple[str, bool]]] = {}
    for one in Artifact(hospital / "data/mentions").table("mentions.parquet").to_pylist():
        affirmed = not (one["negated"] or one["hypothetical"] or one["family"])
        said.setdefault(one["note_id"], set()).update((other["code"], affirmed) for other in one["alternatives"])
    counted: Counter[tuple[str, bool]] = Counter()
    for row, column in zip(*np.nonzero(scores["scores"] >= 0.5), strict=True):
        code = str(scores["codes"][column])
        here = said.get(f"{test[row]}-DS-1", set())
        of_category = {affirmed for other, affirmed in here if other[:3] == code[:3]}
        kind = "category" if True in of_category else "denied" if of_category else "unnamed"
        counted["named" if (code, True) in here else kind, bool(truth[row, CODES.index(code)])] += 1
    numbers = shown(hospital)["test"]
    for kind in ("named", "category", "denied", "unnamed"):
        right, wrong = counted[kind, True], counted[kind, False]
        assert right + wrong and numbers[f"called_{kind}"] == right + wrong
        assert numbers[f"called_{kind}_precision"] == pytest.approx(right / (right + wrong), abs=1e-4)


def test_codes_are_called_as_they_were_judged(tmp_path: Path, hospital: Path) -> None:
    """Every map a logit scaled down: whoever holds raw scores against the calibrated threshold calls other codes."""
    folder = made(tmp_path)
    coder = TfidfCoder.load(Artifact(folder / "models/tfidf"))
    maps = Calibrator("platt", coder.codes, True, tuple(Map(np.array([0.1]), np.array([0.0])) for _ in coder.codes))
    evaluation = folder / "data/evaluation/tfidf"
    with writing(evaluation, "synthetic") as writer:
        writer.json("thresholds.json", thresholds(float(maps.apply(np.full((1, len(CODES)), 0.6, np.float32))[0, 0])))
        writer.npz("calibration.npz", None, **maps.arrays())
    calibrated = run(folder).spans.to_pylist()
    with writing(evaluation, "synthetic") as writer:
        writer.json("thresholds.json", thresholds(0.6))
    assert calibrated == run(folder).spans.to_pylist()
    assert {span["called"] for span in calibrated} == {True, False}


def test_no_few_notes_are_left_out_of_a_sample(hospital: Path) -> None:
    silver, test = Artifact(hospital / "data/silver"), np.flatnonzero(SPLIT == "test")
    for most, left in ((len(test) - 11, 11), (len(test) - 10, 0), (None, 0)):
        assert evidence._sampled(silver, test, ["note_id"], most).num_rows == len(test) - left


@pytest.mark.parametrize(("short", "told"), [(0, True), (4, False), (11, True)])
def test_a_mean_over_pairs_does_not_count_the_few_that_fall_short(short: int, told: bool) -> None:
    """Of 100 pairs some are half covered: 200 (1 - mean) counts them."""
    mean = explain_module._mean([0.5] * short + [1.0] * (100 - short))
    assert (publish({"cover": mean}, 100)["cover"] is not None) == told


@pytest.mark.parametrize("arguments", [(), ("nobody",), ("tfidf", "tfidf"), ("../gold",)])
def test_a_wrong_name_is_one_line(arguments: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"explain: name one coder \(tfidf, "):
        coder_named(["stages/explain.py", *arguments], "explain")


def test_500_random_tables_of_evidence_give_no_small_count_away() -> None:
    """The reader is given more than is published: every count behind a number that is told."""
    said: Counter[str] = Counter()
    for seed in range(500):
        rng = np.random.default_rng(seed)
        rows, patients = int(rng.integers(1, 60)), rng.integers(0, int(rng.integers(1, 60)), 60)
        rate = rng.choice([0.02, 0.3, 0.98])
        pairs = []
        for row in np.repeat(np.arange(rows), rng.integers(0, 3, rows)):
            gold = rng.random(12) < 0.3
            gold[0] = True
            shares = np.where(rng.random(12) < rate, gold, ~gold) * rng.random(12)
            shares /= shares.sum() or 1
            marks = None if rng.random() < 0.1 else gold
            pairs.append(Pair(int(row), "I10", 0.9, True, True, [], shares, marks))
        _, owners = np.unique(patients[:rows], return_inverse=True)
        notes_of = pa.record_batch([pa.array(range(rows))], names=["note_id"])
        looked = Looked("test", notes_of, [], owners, pairs, len(pairs) + int(rng.integers(0, 15)))
        shown = explain_module._plausible(looked, 0.1, EVALUATE)
        marked = [pair for pair in pairs if pair.gold is not None]
        found = [plausibility.agreement(pair.shares, pair.gold, 0.1) for pair in marked]
        told = {key for key, value in shown.items() if value is not None}
        said.update(told)
        with_any = len({pair.row for pair in marked})
        behind = {"evidence_notes": [with_any, rows - with_any]}
        behind["evidence_pairs"] = [len(marked), looked.positives - len(marked)]
        for measure in ("iou", "span_recall", "cover", "empty"):
            values = [float(getattr(each, measure)) for each in found]
            name = {"cover": "evidence_span_cover"}.get(measure, f"evidence_{measure}")
            behind[name] = [sum(v > 0 for v in values), sum(v < 1 for v in values)]
        hits, called, true = np.sum([each.words for each in found], axis=0) if found else (0, 0, 0)
        for name in ("precision", "recall", "f1", "f1_lo", "f1_hi", "auprc"):
            behind[f"evidence_{name}"] = [hits, called - hits, true - hits]
        hits, called, true = np.sum([each.runs for each in found], axis=0) if found else (0, 0, 0)
        behind["evidence_iou_f1"] = [hits, called - hits, true - hits]
        assert told <= {*behind, "evidence_f1_all_words"}
        for name in told & behind.keys():
            assert not any(small(count) for count in behind[name]), (seed, name)
        assert not told or len({owners[pair.row] for pair in marked}) >= 11
    assert min(said[key] for key in ("evidence_notes", "evidence_f1", "evidence_span_recall", "evidence_iou")) > 20, (
        said
    )
