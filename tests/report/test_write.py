"""The report of a hospital with restricted notes, from its files to the page: all sections, nothing of a patient."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.tfidf import TfidfCoder
from chartcode.errors import DataError
from chartcode.evaluation import explain, links, record, support
from chartcode.linking.mentions import MENTIONS
from chartcode.params import EvaluateParams, ExplainParams
from chartcode.report.document import Excerpt, Table, to_html, to_markdown
from chartcode.report.examples import examples
from chartcode.report.write import Run, save
from chartcode.tables.schemas import EVIDENCE_SCHEMA
from tests.coders.test_tfidf import PARAMS
from tests.evaluation.test_support import mention
from tests.hospital import Hospital
from tests.linking.test_linker import linker
from tests.tables import made

EVALUATE = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[5], bootstrap_rounds=20, seed=1)
SECTIONS = (
    "Results", "Curves", "Groups of codes and notes", "Codes", "Mistakes", "Evidence", "Data card", "Model card",
    "Provenance",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """150 patients of tests/hospital.py as if they were MIMIC-IV's, through every stage that the report reads."""
    folder = tmp_path_factory.mktemp("report")
    hospital = Hospital.of(patients=150)
    for patient in hospital.tables["patients"]:
        patient["anchor_age"] = 60
    bronze = made.bronze(hospital.write(folder / "raw"), folder)
    silver = made.silver(bronze, folder)
    gold = made.gold(silver, made.split(silver, bronze, folder), folder)
    labels = gold_of(silver, gold)
    train, held_out = (labelled_notes(silver, labels, *splits) for splits in (("train",), ("val", "test")))
    with writing(folder / "models/tfidf", "mimic-iv") as writer:
        TfidfCoder.fit(PARAMS, train, train, writer)
    model = Artifact(folder / "models/tfidf")
    coder = TfidfCoder.load(model)
    with writing(folder / "scores/tfidf", "mimic-iv") as writer:
        write_scores(writer, coder, held_out)
    scores = Artifact(folder / "scores/tfidf")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        judged = record.judge("tfidf", gold, scores, EVALUATE)
        record.save(judged, gold, scores, "code", metrics=folder / "metrics", data=folder)
    evaluation = Artifact(folder / "evaluation/tfidf")
    notes = silver.table("notes.parquet", ["note_id", "text", "sections", "edits", "year"])
    with writing(folder / "mentions", "mimic-iv") as writer:
        writer.parquet("mentions.parquet", linker(folder / "linker").mentions(notes.combine_chunks().to_batches()[0]))
    mentions = Artifact(folder / "mentions")
    links.save(*links.measure(gold, mentions, EVALUATE), folder / "metrics/stages")
    params = ExplainParams(notes=20, faithful_pairs=None, seed=1)
    found = explain.explain("tfidf", coder, silver, gold, bronze, mentions, scores, evaluation, params, EVALUATE)
    explain.save(found, [silver], "code", metrics=folder / "metrics", data=folder)
    explained = Artifact(folder / "explained/tfidf")
    return Run("tfidf", bronze, silver, gold, mentions, model, evaluation, explained, folder / "metrics/tfidf")


def texts(run: Run, folder: Path) -> list[str]:
    page = save(run, made.GOLD, "code", folder)
    return [page.read_text(encoding="utf-8"), page.with_suffix(".md").read_text(encoding="utf-8")]


def test_every_section_stands_in_both_forms_and_bytes_repeat(run: Run, tmp_path: Path) -> None:
    page, markdown = texts(run, tmp_path)
    for section in SECTIONS:
        assert f">{section}</a></h2>" in page
        assert f"\n## {section}\n" in markdown
    manifest = (tmp_path / "tfidf/manifest.json").read_bytes()
    texts(run, tmp_path)
    assert (tmp_path / "tfidf/manifest.json").read_bytes() == manifest


def test_nothing_of_a_patient_stands_in_the_report_of_restricted_notes(run: Run, tmp_path: Path) -> None:
    notes = run.silver.table("notes.parquet", ["subject_id", "hadm_id", "note_id", "text"]).to_pylist()
    words = {word for note in notes for word in re.findall(r"finding\d+x\d+", note["text"])}
    for text in texts(run, tmp_path):
        assert "notes of mimic-iv are shown in no report" in text
        assert not words & set(re.findall(r"\w+", text))
        assert not any(str(note[key]) in text for note in notes for key in ("subject_id", "hadm_id", "note_id"))


def test_numbers_are_those_of_the_metrics(run: Run, tmp_path: Path) -> None:
    _, markdown = texts(run, tmp_path)
    test = json.loads((run.metrics / "metrics.json").read_text())["tfidf"]["test"]
    row = next(line for line in markdown.splitlines() if line.startswith("| micro-F1, one threshold |"))
    value = "–" if test["micro_f1"] is None else f"{test['micro_f1']:.3f}"
    assert row.split("|")[2].strip().startswith(value)


def test_slices_are_shown_where_they_are(run: Run, tmp_path: Path) -> None:
    target = run.metrics / "slices.json"
    before = target.read_text()
    groups = {"F": {"n": 40, "micro_f1": 0.5, "micro_f1_lo": 0.4, "micro_f1_hi": 0.6}, "<b>": {"n": None}}
    target.write_text(json.dumps({"tfidf": {"test": {"sex": groups}}}))
    page, _ = texts(run, tmp_path)
    target.write_text(before)
    assert "0.500 [0.400,\u00a00.600]" in page and "<b>" not in page and "&lt;b&gt;" in page


def test_missing_metrics_and_mixed_sources_are_one_line(run: Run, tmp_path: Path) -> None:
    elsewhere = replace(run, metrics=tmp_path)
    with pytest.raises(DataError, match=r"metrics\.json: not found; run `dvc repro`"):
        save(elsewhere, made.GOLD, "code", tmp_path)
    with writing(tmp_path / "other", "synthetic") as writer:
        writer.json("explained.json", {})
    mixed = replace(run, explained=Artifact(tmp_path / "other"))
    with pytest.raises(DataError, match="artifacts of several sources"):
        save(mixed, made.GOLD, "code", tmp_path)


NOTE = "Seen for\n chest pain.  Known <HTN> & gout, <script>alert(1)</script>\n no fever. " + "Well. " * 80


def open_artifacts(folder: Path, source: str) -> tuple[Artifact, Artifact, Artifact]:
    """A note in which HTN is marked for I10, the coder points at it and, faintly, at gout; gout and fever are named."""
    at, gout = NOTE.index("HTN"), NOTE.index("gout")
    with writing(folder / "bronze", source) as writer:
        writer.parquet("discharge.parquet", pa.table({"note_id": ["n-1", "n-2"], "text": [NOTE, "other"]}))
        marks = [pa.array([value], field.type) for value, field in
                 zip(("n-1", "I10", 0, at, at + 3, "abbreviation"), EVIDENCE_SCHEMA, strict=True)]  # fmt: skip
        writer.parquet("evidence.parquet", pa.table(marks, schema=EVIDENCE_SCHEMA))
    rows = [("test", "n-1", "I10", 0.7, True, True, at, at + 3, 2.0),
            ("test", "n-1", "I10", 0.7, True, True, gout, gout + 4, 0.1)]  # fmt: skip
    columns = zip(*rows, strict=True)
    with writing(folder / "explained", source) as writer:
        arrays = [pa.array(c, f.type) for c, f in zip(columns, explain.SPANS, strict=True)]
        writer.parquet("spans.parquet", pa.table(arrays, schema=explain.SPANS))
        codes = [("I10", 0.7, True, True, 0.6, "named"), ("M109", 0.2, False, False, 0.5, "named"),
                 ("M1A9", 0.6, False, True, None, "category"), ("R509", 0.55, False, True, None, "denied"),
                 ("E119", 0.5, True, True, None, "hinted"), ("Z66", 0.45, False, True, None, "unnamed"),
                 ("N179", 0.1, True, False, 0.1, "named"), ("J189", 0.1, False, False, 0.1, "named")]  # fmt: skip
        rows_of = [dict(zip(support.CODES.names, ("test", "n-1", *code), strict=True)) for code in codes]
        rows_of.append(rows_of[0] | {"note_id": "n-2", "code": "K219"})
        writer.parquet("codes.parquet", pa.Table.from_pylist(rows_of, schema=support.CODES))
        writer.json("explained.json", {"mentions_from": 0.4})
    said = [
        mention("n-1", ("I10", 0.6), text="HTN", section="past_medical_history"),
        mention("n-1", ("I10", 0.2), text="htn", section="hospital_course"),
        mention("n-1", ("M109", 0.5), ("M1A9", 0.4), text="gout, <script>", section="allergies", historical=True,
                trigger="h/o <b>"),
        mention("n-1", ("R509", 0.02), text="fever", negated=True, trigger="no"),
        mention("n-1", ("N179", 0.1), text="AKI | x"),
        mention("n-2", ("K219", 0.9), text="of another note"),
    ]  # fmt: skip
    said[2]["alternatives"][1]["dictionary"] = False
    said[2]["alternatives"].append(said[2]["alternatives"][1] | {"code": "E119", "p": 0.004})
    with writing(folder / "mentions", source) as writer:
        writer.parquet("mentions.parquet", pa.Table.from_pylist(said, schema=MENTIONS))
    return Artifact(folder / "explained"), Artifact(folder / "bronze"), Artifact(folder / "mentions")


def test_an_example_is_the_notes_own_words_with_what_was_said_and_marked(tmp_path: Path) -> None:
    shown, _ = examples(*open_artifacts(tmp_path, "synthetic"), {"I10": "Essential hypertension"})
    assert isinstance(shown, Excerpt)
    assert shown.title == "I10 Essential hypertension, called at score 0.70"
    text = "".join(piece for piece, _, _ in shown.pieces[1:-1])
    assert " ".join(NOTE.split()).startswith(" ".join(text.split()))
    assert [piece for piece in shown.pieces if piece[1] or piece[2]] == [("HTN", 1.0, True)]


def test_the_codes_of_an_example_stand_with_the_words_that_name_them(tmp_path: Path) -> None:
    _, shown = examples(*open_artifacts(tmp_path, "synthetic"), {"I10": "Essential hypertension"})
    assert isinstance(shown, Table)
    rows = [[cell.replace("\u00a0", " ") for cell in row] for row in shown.rows]
    gout = "“gout, <script>” {}in allergies, past (“h/o <b>”), p {}"
    assert rows == [
        ["predicted", "`I10` Essential hypertension", "0.70", "yes",
         "“HTN” 2× in past medical history, hospital course, p 0.60"],
        ["", "`M1A.9`", "0.60", "no", "nowhere"],
        ["predicted without a mention", "`R50.9`", "0.55", "no", "“fever” in hospital course, denied (“no”), p 0.02"],
        ["", "`E11.9`", "0.50", "yes", "not named; train ties it to " + gout.format("", "below 0.01")],
        ["", "`Z66`", "0.45", "no", "nowhere"],
        ["in the text, not predicted", "`M10.9`", "0.20", "no", gout.format("", "0.50")],
        ["coded, not predicted", "`N17.9`", "0.10", "yes", "“AKI | x” in hospital course, p 0.10"],
    ]  # fmt: skip


def test_words_of_a_note_in_a_table_are_no_markup(tmp_path: Path) -> None:
    shown = examples(*open_artifacts(tmp_path, "synthetic"), {})
    markdown = to_markdown("t", "s", shown[1:])
    assert "<script" not in markdown and "&lt;script>" in markdown and "AKI &#124; x" in markdown
    assert "<b>" not in to_html("t", "s", shown) and "&lt;b&gt;" in to_html("t", "s", shown)


def test_a_script_in_a_note_is_read_and_never_run(tmp_path: Path) -> None:
    page = to_html("t", "s", examples(*open_artifacts(tmp_path, "synthetic"), {"I10": "<script>alert(2)</script>"}))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "&lt;script&gt;alert(2)" in page


def test_examples_of_restricted_notes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="notes of mimic-iv are shown in no report"):
        examples(*open_artifacts(tmp_path, "mimic-iv"), {})


def test_a_training_is_drawn_where_there_was_one(run: Run, tmp_path: Path) -> None:
    target = run.metrics / "plots/training.csv"
    assert target.read_text() == "epoch,loss,map,micro_f1\n" and ">Training<" not in texts(run, tmp_path)[0]
    target.write_text("epoch,loss,map,micro_f1\n1.0,0.4,0.3,0.25\n2.0,0.3,0.4,0.35\n")
    page, _ = texts(run, tmp_path)
    target.write_text("epoch,loss,map,micro_f1\n")
    assert page.count(">Training<") == 1 and ">micro-F1</text>" in page
