"""CodiEsp: the published cases arrive as MIMIC-IV's files, to the byte, with codes, splits and evidence in place."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.csv as pa_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode import artifacts, params
from chartcode.errors import DataError, ParamsError
from chartcode.sources import codiesp
from chartcode.tables.schemas import EVIDENCE_SCHEMA, RAW_TABLES

PUBLISHED = Path(__file__).resolve().parents[2] / "../shared/data/codiesp"
needs_corpus = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="CodiEsp is not beside the project")

NOTES = {  # one case a split; the dev case is the second case of the train article
    "train": ("S01-1", 'Paciente de 5 años con "fiebre".\r\nRx tórax 🫁 normal; dolor agudo y tos.\n'),
    "dev": ("S01-2", "\ufeffSegundo caso: riñón izquierdo.\n\n"),
    "test": ("S02-1", "Caso de prueba, con comas, y\ttabulador"),
}


def corpus(folder: Path) -> Path:
    """A three-case corpus in the published layout."""
    for split, (article, text) in NOTES.items():
        for name, body in (("text_files", text), ("text_files_en", f"EN {text}")):
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / f"{article}.txt").write_bytes(body.encode())
        (folder / split / f"{split}D.tsv").write_text(f"{article}\tn44.8\n{article}\ti10\n{article}\tn44.8\n")
        (folder / split / f"{split}P.tsv").write_text(f"{article}\t0tcb\n")
        (folder / split / f"{split}X.tsv").write_text("")
    text = NOTES["train"][1]
    (folder / "train/trainX.tsv").write_text(
        f"S01-1\tDIAGNOSTICO\ti10\ttos dolor\t{span(text, 'tos')};{span(text, 'dolor')}\n"
        f"S01-1\tPROCEDIMIENTO\t0tcb\tRx tórax\t{span(text, 'Rx tórax')}\r\n"
        f"S01-1\tDIAGNOSTICO\tn44.8\tfiebre\t5 5;{span(text, 'fiebre')}\n"
        f"S01-1\tDIAGNOSTICO\tn44.8\tFIEBRE\t{span(text, 'tos')}\n",
        encoding="utf-8",
        newline="",
    )
    return folder


def span(text: str, words: str) -> str:
    start = text.index(words)
    return f"{start} {start + len(words)}"


def build(folder: Path, out: Path, language: str = "es") -> tuple[artifacts.Artifact, dict[str, int]]:
    with artifacts.writing(out, "codiesp") as writer:
        counts = codiesp.generate(folder, params.parse(codiesp.CodiespParams, {"language": language}), writer)
    return artifacts.Artifact(out), counts


def table(out: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(out / RAW_TABLES[name].path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_of_the_contract_is_there_with_its_header(tmp_path: Path) -> None:
    build(corpus(tmp_path / "in"), tmp_path / "out")
    for raw in RAW_TABLES.values():
        with gzip.open(tmp_path / "out" / raw.path, "rt", encoding="utf-8") as file:
            header = file.readline().rstrip("\n")
        assert header == ",".join(raw.header)
    for name in ("prescriptions", "d_icd_diagnoses"):
        assert table(tmp_path / "out", name) == []


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_note_is_the_published_file_to_the_byte(tmp_path: Path, language: str) -> None:
    build(corpus(tmp_path / "in"), tmp_path / "out", language)
    notes = {row["note_id"]: row["text"] for row in table(tmp_path / "out", "discharge")}
    for article, text in NOTES.values():
        said = text if language == "es" else f"EN {text}"
        assert notes[f"{codiesp.article_key(article)}-DS-1"].encode() == said.encode()


def test_codes_lose_dot_and_case_and_repetition_but_not_their_order(tmp_path: Path) -> None:
    build(corpus(tmp_path / "in"), tmp_path / "out")
    codes = [(r["seq_num"], r["icd_code"], r["icd_version"]) for r in table(tmp_path / "out", "diagnoses_icd")]
    assert codes == [("1", "N448", "10"), ("2", "I10", "10")] * 3
    assert {r["icd_code"] for r in table(tmp_path / "out", "procedures_icd")} == {"0TCB"}


def test_nothing_is_invented_about_the_patient(tmp_path: Path) -> None:
    build(corpus(tmp_path / "in"), tmp_path / "out")
    for row in table(tmp_path / "out", "patients"):
        assert {name for name, value in row.items() if value} == {"subject_id"}
    for row in table(tmp_path / "out", "admissions"):
        assert {name for name, value in row.items() if value} == {"subject_id", "hadm_id", "admittime"}
        assert row["admittime"] == codiesp.ADMITTIME


def test_dev_is_our_validation_split_and_shared_articles_are_counted(tmp_path: Path) -> None:
    _, counts = build(corpus(tmp_path / "in"), tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/splits.csv").read_text())))
    split = {int(row["hadm_id"]): row["split"] for row in rows}
    assert [split[codiesp.article_key(a)] for a in ("S01-1", "S01-2", "S02-1")] == ["train", "val", "test"]
    assert all(row["subject_id"] == row["hadm_id"] for row in rows)
    assert (counts["articles_in_train_and_outside"], counts["cases_outside_train_of_those"]) == (1, 1)


def test_fragments_of_one_mention_share_its_number_and_cut_the_words_out_of_the_note(tmp_path: Path) -> None:
    made, counts = build(corpus(tmp_path / "in"), tmp_path / "out")
    evidence = made.table("evidence.parquet")
    assert evidence.schema == EVIDENCE_SCHEMA
    text = NOTES["train"][1]
    found = [(r["icd_code"], r["mention"], text[r["start"] : r["end"]], r["kind"]) for r in evidence.to_pylist()]
    assert found == [
        ("I10", 0, "dolor", "span"),
        ("I10", 0, "tos", "span"),
        ("0TCB", 1, "Rx tórax", "span"),
        ("N448", 2, "fiebre", "span"),
        ("N448", 3, "tos", "span"),
    ]
    assert counts["span_fragments_without_width"] == 1
    assert counts["spans_unlike_their_reference"] == 1  # FIEBRE points at `tos`


def test_the_translation_has_no_evidence_because_offsets_count_the_spanish_text(tmp_path: Path) -> None:
    made, _ = build(corpus(tmp_path / "in"), tmp_path / "out", "en")
    assert made.table("evidence.parquet").schema == EVIDENCE_SCHEMA
    assert made.rows("evidence.parquet") == 0


def test_rows_are_sorted_by_patient_and_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "in")
    one, _ = build(folder, tmp_path / "one")
    two, _ = build(folder, tmp_path / "two")
    assert one.manifest == two.manifest
    for name in ("discharge", "patients", "admissions", "diagnoses_icd", "procedures_icd"):
        subjects = [int(row["subject_id"]) for row in table(tmp_path / "one", name)]
        assert subjects == sorted(subjects)


def test_the_unpacked_zip_is_accepted_one_level_down_and_the_background_set_is_ignored(tmp_path: Path) -> None:
    corpus(tmp_path / "in" / codiesp.PUBLISHED)
    background = tmp_path / "in" / codiesp.PUBLISHED / "background/text_files"
    background.mkdir(parents=True)
    (background / "S99-1.txt").write_text("no codes")
    _, counts = build(tmp_path / "in", tmp_path / "out")
    assert counts["cases"] == 3


def test_an_absent_corpus_is_one_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chartcode fetch codiesp") as error:
        codiesp.locate(tmp_path / "none")
    assert "\n" not in str(error.value)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="dangling link"):
        codiesp.locate(tmp_path / "link")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train/trainD.tsv", "S01-1 i10\n", r"trainD.tsv: line 1: 1 columns, expected 2"),
        ("dev/devP.tsv", "S77-1\t0tcb\n", r"devP.tsv: line 1: articleID has no text file"),
        ("train/trainX.tsv", "S01-1\tDIAGNOSTICO\ti10\ttos\t9 x\n", r"trainX.tsv: line 1: reference-position must be"),
        ("train/trainX.tsv", "S01-1\tDIAGNOSTICO\ti10\ttos\t9 9999\n", r"line 1: reference-position lies outside"),
        ("train/trainX.tsv", "S01-1\tDIAGNOSTICO\ti10\ttos\t-4 2\n", r"line 1: reference-position lies outside"),
        ("test/text_files/S02-1.txt", b"ri\xf1\xf3n", r"S02-1.txt: not UTF-8"),
        ("test/text_files/S01-1.txt", "again", r"an articleID stands in two official splits"),
    ],
)
def test_a_torn_corpus_is_refused_in_one_line(tmp_path: Path, file: str, content: str | bytes, message: str) -> None:
    folder = corpus(tmp_path / "in")
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as error:
        build(folder, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_missing_table_is_named(tmp_path: Path, split: str) -> None:
    folder = corpus(tmp_path / "in")
    (folder / split / f"{split}X.tsv").unlink()
    with pytest.raises(DataError, match=rf"{split}X.tsv: missing"):
        codiesp.locate(folder)


def test_two_articles_with_one_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codiesp, "article_key", lambda _: 7)
    with pytest.raises(DataError, match="two articleIDs hash to one subject_id"):
        build(corpus(tmp_path / "in"), tmp_path / "out")


def test_language_is_spanish_or_english() -> None:
    with pytest.raises(ParamsError, match=r"codiesp\.language"):
        params.parse(codiesp.CodiespParams, {"language": "fr"})


def test_numbers_of_articles_stay_what_they_were() -> None:
    assert codiesp.article_key("S0004-06142005000700014-1") == 899086117599


@given(st.text())
def test_a_number_fits_a_positive_64_bit_id(article: str) -> None:
    assert 1 <= codiesp.article_key(article) <= 2**40


@needs_corpus
def test_published_corpus_has_its_published_counts(tmp_path: Path) -> None:
    made, counts = build(PUBLISHED, tmp_path / "out")
    assert made.rows("note/discharge.csv.gz") == 750
    assert made.rows("hosp/diagnoses_icd.csv.gz") == 5639 + 1320 + 1357
    assert made.rows("hosp/procedures_icd.csv.gz") == 1550 + 424 + 393
    rows = csv.DictReader(io.StringIO((tmp_path / "out/splits.csv").read_text()))
    assert Counter(row["split"] for row in rows) == {"train": 500, "val": 125, "test": 125}
    assert counts["cases_outside_train_of_those"] == 20
    assert counts["span_fragments_without_width"] == 4
    assert counts["spans_unlike_their_reference"] == 6  # trailing punctuation inside the published offsets


@needs_corpus
def test_published_notes_survive_a_csv_reader_to_the_byte(tmp_path: Path) -> None:
    build(PUBLISHED, tmp_path / "out")
    ids = {row["article_id"]: row["subject_id"] for row in csv.DictReader((tmp_path / "out/id_map.csv").open())}
    read = pa_csv.read_csv(
        tmp_path / "out/note/discharge.csv.gz", parse_options=pa_csv.ParseOptions(newlines_in_values=True)
    )
    notes = dict(zip(read["subject_id"].to_pylist(), read["text"].to_pylist(), strict=True))
    for path in sorted(PUBLISHED.glob("*/text_files/*.txt"))[::25]:
        assert notes[int(ids[path.stem])].encode() == path.read_bytes()


@needs_corpus
def test_published_spans_lie_in_their_notes(tmp_path: Path) -> None:
    made, _ = build(PUBLISHED, tmp_path / "out")
    notes = {row["note_id"]: row["text"] for row in table(tmp_path / "out", "discharge")}
    codes: dict[str, set[str]] = {}
    for name in ("diagnoses_icd", "procedures_icd"):
        for row in table(tmp_path / "out", name):
            codes.setdefault(f"{row['subject_id']}-DS-1", set()).add(row["icd_code"])
    for row in made.table("evidence.parquet").to_pylist():
        assert 0 <= row["start"] < row["end"] <= len(notes[row["note_id"]])
        assert row["icd_code"] in codes[row["note_id"]]


def test_a_link_to_the_corpus_reads_like_the_corpus(tmp_path: Path) -> None:
    corpus(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    one, _ = build(tmp_path / "link", tmp_path / "one")
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copy")
    two, _ = build(tmp_path / "copy", tmp_path / "two")
    assert one.manifest == two.manifest
