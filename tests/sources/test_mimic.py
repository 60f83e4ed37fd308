"""Linking a MIMIC-IV download: any usual layout is found, nothing is copied, what is missing is said aloud."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chartcode.errors import DataError
from chartcode.sources import mimic
from chartcode.tables.schemas import EVIDENCE_SCHEMA, RAW_TABLES

DEMO = Path(__file__).resolve().parents[2] / "../shared/data/mimic-iv-demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason="the MIMIC-IV demo is not beside the project")


def table(name: str, *rows: str) -> bytes:
    return gzip.compress("\n".join([",".join(RAW_TABLES[name].header), *rows, ""]).encode())


def hospital(folder: Path, *modules: str, leave_out: tuple[str, ...] = ()) -> Path:
    """Files of a tiny hospital: `folder/{hosp,note}/*.csv.gz`."""
    for name, raw in RAW_TABLES.items():
        if raw.path.split("/")[0] in (modules or ("hosp", "note")) and name not in leave_out:
            path = folder / raw.path
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = {"admissions": ["1,11,2180-01-01 00:00:00" + "," * 13, "2,22,2180-01-01 00:00:00" + "," * 13]}
            path.write_bytes(table(name, *rows.get(name, [])))
    return folder


@pytest.mark.parametrize(
    ("note_at", "hosp_at", "note", "hosp"),
    [
        ("", "", "", ""),
        ("", "", "note", "hosp"),
        ("mimic-iv-note-2.2", "mimic-iv-3.1", "mimic-iv-note-2.2", "mimic-iv-3.1"),
        ("mimic-iv-note/2.2", "mimiciv/3.1", "mimic-iv-note", "mimiciv"),
        ("physionet.org/files/mimic-iv-note/2.2", "physionet.org/files/mimiciv/3.1", "", ""),
        ("physionet.org/files/mimic-iv-note/2.2", "physionet.org/files/mimiciv/3.1", "physionet.org", "physionet.org"),
        ("a/physionet.org/files/mimic-iv-note/2.2", "b/physionet.org/files/mimiciv/2.2", "a", "b"),
    ],
)
def test_every_usual_layout_is_found(tmp_path: Path, note_at: str, hosp_at: str, note: str, hosp: str) -> None:
    disk = tmp_path / "disk"
    hospital(disk / note_at, "note")
    hospital(disk / hosp_at, "hosp")
    (disk / hosp_at / "icu").mkdir()
    target = tmp_path / "data/raw/mimic-iv"
    linked = mimic.link(disk / note, disk / hosp, target=target)
    assert linked.absent == ()
    for raw in RAW_TABLES.values():
        path = target / raw.path
        assert path.is_symlink() and not path.parent.is_symlink()
        assert path.resolve() == (disk / (note_at if "note" in raw.path else hosp_at) / raw.path).resolve()
    assert (target / "splits.csv").read_text() == "subject_id,hadm_id,split\n"
    assert pq.read_table(target / "evidence.parquet").schema == EVIDENCE_SCHEMA


def test_an_absent_table_is_a_header_only_file_and_is_named(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk", "hosp", leave_out=("d_icd_diagnoses", "prescriptions"))
    linked = mimic.link(None, disk, target=tmp_path / "out")
    assert linked.absent == ("discharge", "d_icd_diagnoses", "prescriptions")
    for name in linked.absent:
        raw = RAW_TABLES[name]
        assert gzip.decompress((tmp_path / "out" / raw.path).read_bytes()).decode() == ",".join(raw.header) + "\n"
    said = "\n".join(linked.lines())
    assert "absent (header-only files stand in): discharge, d_icd_diagnoses, prescriptions" in said
    assert "no notes" in said


def snapshot(folder: Path) -> dict[str, bytes | Path]:
    return {
        p.relative_to(folder).as_posix(): p.readlink() if p.is_symlink() else p.read_bytes()
        for p in folder.rglob("*")
        if not p.is_dir()
    }


def test_linking_twice_changes_nothing_and_linking_another_moves_our_links_only(tmp_path: Path) -> None:
    one = hospital(tmp_path / "one", "hosp", leave_out=("prescriptions",))
    two = hospital(tmp_path / "two", leave_out=("d_icd_diagnoses",))
    target = tmp_path / "out"
    mimic.link(None, one, target=target)
    before = snapshot(target)
    (target / "notes_of_mine.txt").write_text("kept")
    mimic.link(None, one, target=target)
    assert snapshot(target) == before | {"notes_of_mine.txt": b"kept"}
    mimic.link(two, two, target=target)
    assert (target / "hosp/prescriptions.csv.gz").readlink() == (two / "hosp/prescriptions.csv.gz").resolve()
    assert not (target / "hosp/d_icd_diagnoses.csv.gz").is_symlink()
    assert (target / "notes_of_mine.txt").read_text() == "kept"


def test_a_file_of_the_users_own_is_not_replaced(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    target = tmp_path / "out"
    (target / "hosp").mkdir(parents=True)
    mine = target / "hosp/patients.csv.gz"
    mine.write_bytes(table("patients", "1,F,50,2180,2014 - 2016,"))
    with pytest.raises(DataError, match=r"patients\.csv\.gz: is a file of its own"):
        mimic.link(disk, disk, target=target)
    assert [p for p in target.rglob("*") if p.is_file()] == [mine]


def test_a_dangling_link_is_replaced(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    target = tmp_path / "out"
    (target / "hosp").mkdir(parents=True)
    (target / "hosp/patients.csv.gz").symlink_to(tmp_path / "gone")
    mimic.link(disk, disk, target=target)
    assert (target / "hosp/patients.csv.gz").is_file()


def test_two_versions_are_refused_by_their_relative_names(tmp_path: Path) -> None:
    hospital(tmp_path / "mimiciv/2.2", "hosp")
    hospital(tmp_path / "mimiciv/3.1", "hosp")
    with pytest.raises(DataError, match=r"two versions found, mimiciv/2\.2/hosp and mimiciv/3\.1/hosp"):
        mimic.link(None, tmp_path, target=tmp_path / "out")
    assert mimic.link(None, tmp_path / "mimiciv/3.1", target=tmp_path / "out").tables


def test_one_folder_reached_by_two_names_is_one_version(tmp_path: Path) -> None:
    hospital(tmp_path / "mimiciv/3.1", "hosp")
    (tmp_path / "mimiciv/latest").symlink_to(tmp_path / "mimiciv/3.1")
    assert mimic.link(None, tmp_path / "mimiciv", target=tmp_path / "out").tables


def test_other_databases_in_the_tree_are_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tmp_path / "physionet.org/files"
    hospital(files / "mimiciv/3.1", "hosp")
    for patient in range(50):  # one folder a patient, as in MIMIC-CXR
        (files / f"mimic-cxr/2.1.0/files/p10/p100000{patient:02}").mkdir(parents=True)
    (files / "mimic-iv-ed/2.2/ed").mkdir(parents=True)
    (files / "mimic-iv-ed/2.2/ed/diagnosis.csv.gz").write_bytes(b"")
    monkeypatch.setattr(mimic, "MOST_FOLDERS", 40)
    assert mimic.link(None, files, target=tmp_path / "out").tables
    monkeypatch.setattr(mimic, "MOST_FOLDERS", 4)
    with pytest.raises(DataError, match="more than 4 folders; name the one that holds the files"):
        mimic.link(None, files, target=tmp_path / "out")


def test_plain_csv_is_refused_with_the_remedy(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk", "hosp")
    packed = disk / "hosp/diagnoses_icd.csv.gz"
    (disk / "hosp/diagnoses_icd.csv").write_bytes(gzip.decompress(packed.read_bytes()))
    mimic.link(None, disk, target=tmp_path / "out")  # both stand there: the compressed one is taken
    packed.unlink()
    with pytest.raises(DataError, match=r"diagnoses_icd\.csv: plain CSV; compress it first: gzip hosp/\*\.csv"):
        mimic.link(None, disk, target=tmp_path / "out")


@pytest.mark.parametrize("name", ["patients", "admissions"])
def test_without_patients_or_admissions_nothing_is_linked(tmp_path: Path, name: str) -> None:
    disk = hospital(tmp_path / "disk", leave_out=(name,))
    with pytest.raises(DataError, match=rf"hosp/{name}\.csv\.gz: missing"):
        mimic.link(disk, disk, target=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_named_before_anything_is_linked(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    (disk / "hosp/patients.csv.gz").write_bytes(gzip.compress(b"subject_id,sex\n1,F\n"))
    with pytest.raises(DataError, match=r"patients\.csv\.gz: gender: column is missing"):
        mimic.link(disk, disk, target=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_torn_download_is_said_to_be_torn(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    path = disk / "hosp/admissions.csv.gz"
    rows = [f"{n},{n * 11},2180-01-01 00:00:00" + "," * 13 for n in range(1, 4000)]
    path.write_bytes(table("admissions", *rows)[:-200])
    with pytest.raises(DataError, match=r"admissions\.csv\.gz: .*(ends early|not a whole gzip).*download it again"):
        mimic.link(disk, disk, target=tmp_path / "out")


def test_wrong_folders_are_one_line(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk", "hosp")
    for note, hosp, message in (
        (None, tmp_path / "none", r"not a folder; --hosp"),
        (disk, disk, r"no discharge\.csv\.gz at or below it; --note"),
    ):
        with pytest.raises(DataError, match=message) as error:
            mimic.link(note, hosp, target=tmp_path / "out")
        assert "\n" not in str(error.value)


def test_the_links_are_not_taken_for_a_download(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    target = tmp_path / "data/raw/mimic-iv"
    mimic.link(disk, disk, target=target)
    with pytest.raises(DataError, match="at or below it"):
        mimic.link(None, tmp_path / "data", target=target)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((299712, 431231, 4756326), "MIMIC-IV 2.2"),
        ((364627, 546028, 6364520), "MIMIC-IV 3.0"),
        ((364627, 546028, 6364488), "MIMIC-IV 3.1"),
        ((364627, 546028, None), "MIMIC-IV 3.0 or MIMIC-IV 3.1 (diagnoses_icd is absent)"),
        ((100, 275, 4506), "MIMIC-IV demo 2.2"),
        ((100, 275, 4000), "MIMIC-IV demo 2.2 (diagnoses_icd is of 4,000 rows, not the published number)"),
        ((2, 2, 5), "none of PhysioNet's (2 patients, 2 admissions): taken as a hospital of its own"),
    ],
)
def test_a_release_is_known_by_its_row_counts(rows: tuple[int, int, int | None], said: str) -> None:
    counts = zip(("patients", "admissions", "diagnoses_icd"), rows, strict=True)
    assert mimic.release({name: count for name, count in counts if count is not None}) == said


def test_a_split_file_becomes_splits_csv_and_stays_until_replaced(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    target = tmp_path / "out"
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("hadm_id,split\n22,test\n11,train\n99,val\n")
    two.write_text("hadm_id,split\n11,val\n")
    linked = mimic.link(disk, disk, one, target)
    assert (target / "splits.csv").read_text() == "subject_id,hadm_id,split\n1,11,train\n2,22,test\n"
    assert (linked.split_admissions, linked.split_unknown, linked.split_kept) == (2, 1, False)
    assert mimic.link(disk, disk, target=target).split_kept
    assert (target / "splits.csv").read_text().endswith("2,22,test\n")
    mimic.link(disk, disk, two, target)
    assert (target / "splits.csv").read_text() == "subject_id,hadm_id,split\n1,11,val\n"


def test_a_bad_split_file_leaves_nothing_linked(tmp_path: Path) -> None:
    disk = hospital(tmp_path / "disk")
    (tmp_path / "bad.csv").write_text("hadm_id,fold\n11,1\n")
    with pytest.raises(DataError, match=r"bad\.csv: split: column is missing"):
        mimic.link(disk, disk, tmp_path / "bad.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_demo
def test_the_real_demo_links_and_says_what_it_lacks(tmp_path: Path) -> None:
    linked = mimic.link(None, DEMO, target=tmp_path / "out")
    assert linked.release == "MIMIC-IV demo 2.2"
    assert linked.rows == {"patients": 100, "admissions": 275, "diagnoses_icd": 4506}
    assert linked.absent == ("discharge", "d_icd_diagnoses")


@needs_demo
def test_the_demo_unpacked_under_physionet_is_found(tmp_path: Path) -> None:
    shutil.copytree(DEMO / "hosp", tmp_path / "physionet.org/files/mimic-iv-demo/2.2/hosp")
    linked = mimic.link(None, tmp_path, target=tmp_path / "out")
    assert linked.release == "MIMIC-IV demo 2.2"
