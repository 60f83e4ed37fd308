"""Real clinical cases coded by professional coders: the CodiEsp corpus, read into MIMIC-IV's own files.

CodiEsp v4 (Zenodo 3837305, CC BY 4.0; Miranda-Escalada et al. 2020, CLEF eHealth) holds 1,000 Spanish case reports with
machine-translated English, ICD-10-CM (D) and ICD-10-PCS (P) codes of the 2018 edition, and evidence spans (X).

- One article case is one patient with one admission and one note, numbered by a hash of its articleID (`article_key`).
- Nothing is known of the patient: gender, age, anchor year and every time but one are null. The contract requires an
  admission time, so each has ADMITTIME, the edition of the codes; it says nothing about the case.
- Notes are the published files to the byte: offsets of X count code points of the Spanish file.
- X fragments without width (four in the published train and dev) are left out; the mention keeps its other fragments.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa

from chartcode.artifacts import Writer
from chartcode.errors import DataError
from chartcode.params import Section
from chartcode.tables.schemas import EVIDENCE_FILE, EVIDENCE_SCHEMA, RAW_TABLES, SPLITS_FILE, SPLITS_HEADER

FOLDER = Path("data/external/codiesp")
PUBLISHED = "final_dataset_v4_to_publish"  # the folder Zenodo's zip unpacks to
SPLIT_OF = {"train": "train", "dev": "val", "test": "test"}  # official folder -> our name
TEXTS = {"es": "text_files", "en": "text_files_en"}
ADMITTIME = "2018-01-01 00:00:00"  # constant: the 2018 edition of the code set, no date of care is published
ID_MAP_FILE = "id_map.csv"
ID_MAP_HEADER = ("subject_id", "article_id")


class CodiespParams(Section):
    """Which text of CodiEsp is read: the Spanish original or its machine translation."""

    section: ClassVar[str] = "codiesp"
    language: Literal["en", "es"]


@dataclass(frozen=True)
class Mention:
    """One evidence span of a code; a discontinuous one has several fragments, in reading order."""

    icd_code: str
    fragments: tuple[tuple[int, int], ...]  # code points of the Spanish note, end exclusive


@dataclass(frozen=True)
class Case:
    """One article case: its note, its codes in published order, its evidence (Spanish only)."""

    article_id: str
    split: str
    text: str
    diagnoses: tuple[str, ...]
    procedures: tuple[str, ...]
    mentions: tuple[Mention, ...]

    @property
    def subject_id(self) -> int:
        """Patient and admission number."""
        return article_key(self.article_id)

    @property
    def note_id(self) -> str:
        """Note number in MIMIC-IV-Note's form."""
        return f"{self.subject_id}-DS-1"


def article_key(article_id: str) -> int:
    """A number of 1 to 2**40 that stays the same for an article across languages, splits and versions."""
    return int.from_bytes(hashlib.sha256(f"codiesp:{article_id}".encode()).digest()[:5]) + 1


def locate(folder: Path | str) -> Path:
    """The folder that holds train, dev and test: `folder` itself, or the zip's own folder inside it.

    Raises DataError when it is not there, or a split lacks its code files or texts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "dangling link" if folder.is_symlink() else "not found"
        raise DataError(f"{folder}: {what}; run `chartcode fetch codiesp`, or `chartcode fetch codiesp --from FOLDER`")
    for root in (folder, folder / PUBLISHED):
        if all((root / split).is_dir() for split in SPLIT_OF):
            break
    else:
        raise DataError(f"{folder}: holds no train, dev and test; link the published folder of CodiEsp v4")
    for split in SPLIT_OF:
        for name in (f"{split}D.tsv", f"{split}P.tsv", f"{split}X.tsv", *TEXTS.values()):
            if not (root / split / name).exists():
                raise DataError(f"{root / split / name}: missing; the published CodiEsp v4 has it, fetch it again")
    return root


def generate(folder: Path | str, params: CodiespParams, writer: Writer) -> dict[str, int]:
    """Write MIMIC-IV's files for every case under `folder`, rows sorted by subject_id; returns counts for the log.

    Raises DataError naming the file when a table is torn, a code or span names a case without a note, a span lies
    outside its note, or two articles would share a number.
    """
    root = locate(folder)
    counts = {"span_fragments_without_width": 0, "spans_unlike_their_reference": 0}
    cases: list[Case] = []
    for split in SPLIT_OF:
        cases.extend(_read_split(root, split, params.language, counts))
    cases.sort(key=lambda case: case.subject_id)
    _refuse_shared_ids(root, cases)
    _write(cases, writer)
    return _overlap(cases) | {"cases": len(cases), "mentions": sum(len(c.mentions) for c in cases)} | counts


def _read_split(root: Path, split: str, language: str, counts: dict[str, int]) -> list[Case]:
    texts = {path.stem: _text(path) for path in sorted((root / split / TEXTS[language]).glob("*.txt"))}
    if not texts:
        raise DataError(f"{root / split / TEXTS[language]}: holds no .txt file; fetch CodiEsp again")
    codes = {kind: _codes(root / split / f"{split}{kind}.tsv", texts) for kind in "DP"}
    mentions: dict[str, list[Mention]] = {}
    if language == "es":  # X counts characters of the Spanish file alone
        mentions = _mentions(root / split / f"{split}X.tsv", texts, counts)
    return [
        Case(
            article,
            SPLIT_OF[split],
            text,
            tuple(codes["D"].get(article, ())),
            tuple(codes["P"].get(article, ())),
            tuple(mentions.get(article, ())),
        )
        for article, text in texts.items()
    ]


def _text(path: Path) -> str:
    """The file's code points as they stand, byte-order mark and line ends included."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; fetch CodiEsp again") from None


def _rows(path: Path, width: int, texts: dict[str, str]) -> Iterable[tuple[int, list[str]]]:
    """Line number and cells of a table without header; every line must name a case that has a note."""
    for number, line in enumerate(_text(path).removeprefix("\ufeff").split("\n"), start=1):
        cells = line.rstrip("\r").split("\t")
        if cells == [""]:
            continue
        if len(cells) != width:
            raise DataError(f"{path}: line {number}: {len(cells)} columns, expected {width}; fetch CodiEsp again")
        if cells[0] not in texts:
            raise DataError(f"{path}: line {number}: articleID has no text file in this split; fetch CodiEsp again")
        yield number, cells


def clean_code(code: str) -> str:
    """A published code as MIMIC-IV writes it: upper case, no dot. Four-character PCS tables stay as they are."""
    return code.strip().upper().replace(".", "")


def _codes(path: Path, texts: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for _, (article, code) in _rows(path, 2, texts):
        found.setdefault(article, {})[clean_code(code)] = None  # a dict keeps the first place of a repeated code
    return {article: list(codes) for article, codes in found.items()}


def _mentions(path: Path, texts: dict[str, str], counts: dict[str, int]) -> dict[str, list[Mention]]:
    found: dict[str, dict[Mention, None]] = {}
    for number, (article, _, code, reference, positions) in _rows(path, 5, texts):
        try:
            pairs = [(int(start), int(end)) for start, end in (part.split() for part in positions.split(";"))]
        except ValueError:
            raise DataError(f"{path}: line {number}: reference-position must be `start end;start end`") from None
        text = texts[article]
        if any(not 0 <= start <= end <= len(text) for start, end in pairs):
            raise DataError(f"{path}: line {number}: reference-position lies outside the text; fetch CodiEsp again")
        fragments = tuple(sorted((start, end) for start, end in pairs if start < end))
        counts["span_fragments_without_width"] += len(pairs) - len(fragments)
        said = " ".join(text[start:end] for start, end in pairs if start < end)
        counts["spans_unlike_their_reference"] += said.split() != reference.split()
        if fragments:
            found.setdefault(article, {})[Mention(clean_code(code), fragments)] = None
    return {article: list(mentions) for article, mentions in found.items()}


def _refuse_shared_ids(root: Path, cases: Sequence[Case]) -> None:
    """`cases` sorted by subject_id: neighbours must differ."""
    for one, other in itertools.pairwise(cases):
        if one.article_id == other.article_id:
            raise DataError(f"{root}: an articleID stands in two official splits; fetch CodiEsp again")
        if one.subject_id == other.subject_id:
            raise DataError(f"{root}: two articleIDs hash to one subject_id; lengthen sources.codiesp.article_key")


def _overlap(cases: Sequence[Case]) -> dict[str, int]:
    """How far one article's cases (articleID less its case number) lie on both sides of the official split."""
    article = [case.article_id.rsplit("-", 1)[0] for case in cases]
    train = {name for name, case in zip(article, cases, strict=True) if case.split == "train"}
    outside = [name for name, case in zip(article, cases, strict=True) if case.split != "train"]
    shared = [name for name in outside if name in train]
    return {"articles_in_train_and_outside": len(set(shared)), "cases_outside_train_of_those": len(shared)}


def _write(cases: Sequence[Case], writer: Writer) -> None:
    ids = [(case.subject_id, case.subject_id) for case in cases]
    blank = {name: len(table.columns) for name, table in RAW_TABLES.items()}
    rows: dict[str, list[tuple[object, ...]]] = {
        "patients": [(subject, *[""] * (blank["patients"] - 1)) for subject, _ in ids],
        "admissions": [(*pair, ADMITTIME, *[""] * (blank["admissions"] - 3)) for pair in ids],
        "diagnoses_icd": [
            (*pair, seq, code, 10)
            for pair, case in zip(ids, cases, strict=True)
            for seq, code in enumerate(case.diagnoses, start=1)
        ],
        "procedures_icd": [
            (*pair, seq, "", code, 10)
            for pair, case in zip(ids, cases, strict=True)
            for seq, code in enumerate(case.procedures, start=1)
        ],
        "d_icd_diagnoses": [],
        "prescriptions": [],
    }
    for name, values in rows.items():
        with writer.gzip(RAW_TABLES[name].path) as file:
            file.write(_csv(RAW_TABLES[name].header, values))
        writer.count(RAW_TABLES[name].path, len(values))
    notes = RAW_TABLES["discharge"]
    with writer.gzip(notes.path) as file:
        file.write(_csv(notes.header, []))
        for case in cases:
            quoted = case.text.replace('"', '""')
            file.write(f'{case.note_id},{case.subject_id},{case.subject_id},DS,1,,,"{quoted}"\n'.encode())
    writer.count(notes.path, len(cases))
    splits = [(*pair, case.split) for pair, case in zip(ids, cases, strict=True)]
    writer.path(SPLITS_FILE, len(splits)).write_bytes(_csv(SPLITS_HEADER, splits))
    id_map = [(case.subject_id, case.article_id) for case in cases]
    writer.path(ID_MAP_FILE, len(id_map)).write_bytes(_csv(ID_MAP_HEADER, id_map))
    writer.parquet(EVIDENCE_FILE, _evidence(cases))


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    return text.getvalue().encode()


def _evidence(cases: Sequence[Case]) -> pa.Table:
    """One row a fragment; `mention` numbers the mentions of a note from 0 in published order."""
    rows = [
        (case.note_id, mention.icd_code, number, start, end, "span")
        for case in cases
        for number, mention in enumerate(case.mentions)
        for start, end in mention.fragments
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(EVIDENCE_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, EVIDENCE_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=EVIDENCE_SCHEMA)
