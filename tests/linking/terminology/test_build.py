"""The table of names: every billable code has one, equal names meet once, and each row says who gave it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from chartcode import cli
from chartcode.errors import DataError
from chartcode.linking.terminology import folder, measure
from chartcode.linking.terminology.build import Terminology, TerminologyParams, build, published
from chartcode.linking.terms import PREFERENCE, TERMS
from chartcode.params import load
from tests.conftest import ROOT
from tests.linking.terminology.test_index import HEADER, LINES, TABLE
from tests.linking.terminology.test_ontology import TRANSLATED, XREFS


def params(source: Path, **changed: object) -> TerminologyParams:
    values = load(TerminologyParams, ROOT / "params.yaml").model_dump()
    return TerminologyParams.model_validate({**values, "folder": str(source), **changed})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small file of most kinds, and papers that do not count."""
    path = tmp_path_factory.mktemp("published")
    (path / "README.md").write_text("papers\n")
    (path / "LICENSE.txt").write_text("papers\n")
    (path / "index_2025.csv").write_text(HEADER + LINES)
    (path / "neoplasms_2025.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    (path / "order_2021.csv").write_text("code,billable,short,long\nN18,0,CKD,CKD\nN1830,1,CKD 3,CKD stage 3 here\n")
    (path / "allXREFinDO.tsv").write_text(XREFS)
    (path / "doid-es-translated.tsv").write_text(TRANSLATED)
    (path / "ours.csv").write_text(
        "name,code,system\nHypertension,I10,icd10cm\nchest ache,R07.9,icd10cm\nache,1,local\n"
    )
    return path


@pytest.fixture(scope="module")
def built(source: Path) -> Terminology:
    return build(params(source))


def test_every_billable_code_is_covered(built: Terminology) -> None:
    named = set(built.terms["code"].to_pylist())
    codes = built.codes.to_pydict()
    billable = {code for code, holds in zip(codes["code"], codes["billable"], strict=True) if holds}
    assert len(billable) > 74000
    assert billable - named == set()
    assert named - billable == {""}, "every name is one of a code that can be billed, or of nothing"


def test_rows_are_sorted_whole_and_each_once(built: Terminology) -> None:
    assert built.terms.schema == TERMS
    rows = built.terms.to_pylist()
    keys = [(row["code"], row["language"], row["name"], tuple(row["sections"]), row["kind"]) for row in rows]
    assert keys == sorted(set(keys))
    for row in rows:
        assert row["name"].strip()
        assert row["name"] == " ".join(row["name"].split())
        assert row["source"]
        assert row["licence"]
        assert row["kind"] in PREFERENCE
        assert 0 <= row["share"] <= 1


def test_the_row_of_the_preferred_kind_stays(built: Terminology) -> None:
    rows = [row for row in built.terms.to_pylist() if row["name"].lower() == "hypertension"]
    assert [(row["code"], row["kind"]) for row in rows] == [("I10", "user")]


def test_a_name_that_means_nothing_is_kept_without_a_code(built: Terminology) -> None:
    rows = [row for row in built.terms.to_pylist() if row["name"] == "AF"]
    assert {(row["code"], tuple(row["sections"])) for row in rows} == {
        ("", ("physical_exam",)),
        ("I4891", ()),
        ("I4891", ("pertinent_results",)),
    }


def test_too_general_names_are_gone_and_counted(built: Terminology) -> None:
    names = {row["name"].lower() for row in built.terms.to_pylist() if row["kind"] not in ("alias", "abbreviation")}
    assert not names & {"early", "fracture of", "disease", "failed"}
    assert sum(built.dropped.values()) > 100


def test_kinds_and_languages_can_be_left_out(source: Path) -> None:
    few = build(params(source, kinds=["alias", "user"], languages="es"))
    assert set(few.terms["language"].to_pylist()) == {"es"}
    assert set(few.terms["kind"].to_pylist()) == {"alias"}


def test_another_system_of_the_files_can_be_chosen(source: Path) -> None:
    rows = build(params(source, system="snomed")).terms.to_pylist()
    assert ("400211001", "yellow nail syndrome") in {(row["code"], row["name"]) for row in rows}
    local = build(params(source, system="local"))
    assert local.terms["name"].to_pylist() == ["ache"]
    assert local.codes.to_pylist()[0] == {"code": "1", "title": "ache", "billable": True, "first": None, "last": None}


def test_the_same_files_give_the_same_table(source: Path, built: Terminology) -> None:
    assert build(params(source)).terms.equals(built.terms)


def test_what_is_covered_is_counted(built: Terminology) -> None:
    numbers = measure.measure(built, ["I10", "E872", "0DTJ4ZZ"], ["I10"])
    assert numbers["gold"] == {"codes": 3, "covered": 0.6667, "names_per_code": pytest.approx(10, abs=10)}
    assert numbers["commonest"]["covered"] == 1.0  # type: ignore[index]
    assert numbers["codes"]["covered"] == 1.0  # type: ignore[index]
    listed = {source: rows for source, _, _, rows in measure.sources(built)}
    assert sum(listed.values()) == built.terms.num_rows
    assert "user (ours.csv)" in listed
    shown: dict[str, int] = numbers["sources"]  # type: ignore[assignment]
    assert sorted(shown.values()) == sorted(listed.values())
    assert "user list 1" in shown
    assert "ours" not in str(shown), "metrics go to Git, where a list's name has no business"
    assert "snomed_maps" in built.absent
    assert "index" not in built.absent


def read(source: Path) -> None:
    """Every file of a folder, as `build` reads it."""
    files = folder.files(source)
    for path in files.get("order", ()):
        folder.order_file(path)
    for _ in published(params(source), files):
        pass


def test_an_unknown_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("note_id,text\n1,x\n")
    with pytest.raises(DataError, match=r"notes\.csv: no file that the terminology knows"):
        read(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("index_2025.csv", "Letter,Level,Term\n", r"index_2025\.csv: column See is missing"),
        ("allXREFinDO.tsv", "id\tlabel\n", r"allXREFinDO\.tsv: column xref is missing"),
        ("order_2021.csv", "code,billable,short,long\nA00,maybe,x,y\n", r"order_2021\.csv: column billable, line 2"),
        ("doid-es-translated.tsv", "source_id\n", r"doid-es-translated\.tsv: column predicate is missing"),
    ],
)
def test_a_damaged_file_is_named_with_its_column(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "allXREFinDO.tsv").write_text(XREFS)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_a_torn_archive_is_named(tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + LINES).encode())
    (tmp_path / "index_2025.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"index_2025\.csv\.gz: cannot be read"):
        read(tmp_path)


def test_the_publisher_s_order_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "icd10cm_order_2019.txt"
    path.write_text(f"00001 A00     0 {'Cholera':60} Cholera\n00002 A000    1 {'Cholera due':60} Cholera due to it\n")
    assert folder.order_file(path) == (2019, {"A00": (False, "Cholera"), "A000": (True, "Cholera due to it")})


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("data:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_linked_by_hand_or_not_at_all(
    source: Path, checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Callable[..., int] = cli.main
    assert run(["fetch", "terminology"]) == 1
    assert "--from FOLDER" in capsys.readouterr().err
    for _ in range(2):
        assert run(["fetch", "terminology", "--from", str(source)]) == 0
    out = capsys.readouterr().out
    assert "data/external/terminology/index_2025.csv  (index)" in out
    linked = checkout / folder.EXTERNAL
    assert {path.name for path in linked.iterdir()} == {p.name for p in source.iterdir()} - {"README.md", "LICENSE.txt"}
    assert folder.files(linked).keys() == folder.files(source).keys()


def test_nothing_is_overwritten(source: Path, checkout: Path) -> None:
    target = checkout / folder.EXTERNAL
    target.mkdir(parents=True)
    (target / "ours.csv").write_text("name,code\nmine,E119\n")
    with pytest.raises(DataError, match=r"ours\.csv: is there already"):
        folder.link(source)
    assert "mine" in (target / "ours.csv").read_text()


def test_a_folder_without_a_known_file_links_nothing(checkout: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    with pytest.raises(DataError, match="no file that the terminology knows; "):
        folder.link(wrong)
    (wrong / "mine.csv").write_text("name;code\nHTN;I10\n")
    (wrong / "old.csv").write_bytes(b"name,code\nM\xe9ni\xe8re,H8109\n")
    with pytest.raises(DataError, match=r"\(it holds mine\.csv, old\.csv\).* whose first line is name,code"):
        folder.link(wrong)
    with pytest.raises(DataError, match="name the folder that holds it"):
        folder.link(wrong / "mine.csv")
    (wrong / "order_2021.csv").write_bytes(b"code,billable\n\xff\n")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):  # it says what it is, so its damage matters
        folder.link(wrong)
    assert not (checkout / folder.EXTERNAL).exists()


def test_what_is_left_out_is_said_and_names_do_not_collide(checkout: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name in ("one", "other"):
        (own / name).mkdir(parents=True)
        (own / name / f"{name}.csv").write_text("name,code\nHTN,I10\n")
    (own / "notes.csv").write_text("note_id,text\n")
    linked = folder.link(own)
    assert linked.names == {"user": ["one.csv", "other.csv"]}
    assert folder.left_out_line(linked) == ["left out, no kind that the terminology knows: notes.csv"]
    assert folder.link(checkout / folder.EXTERNAL).names == linked.names, "the folder itself: all is there"
    (own / "other" / "one.csv").write_text("name,code\nDM,E119\n")
    with pytest.raises(DataError, match=r"holds two files one\.csv"):
        folder.link(own)
    (own / "other" / "one.csv").unlink()
    own.rename(tmp_path / "moved")
    folder.link(tmp_path / "moved")
    assert (checkout / folder.EXTERNAL / "one.csv").read_text() == "name,code\nHTN,I10\n"


@pytest.mark.slow
def test_the_open_files_give_many_names(shared_data: Path, checkout: Path) -> None:
    for name in ("icd10cm", "disease-ontology", "abbreviations"):
        folder.link(shared_data / name)
    built = build(params(folder.EXTERNAL))
    numbers = measure.measure(built, ["I10"], ["I10"])
    assert numbers["codes"]["covered"] == 1.0  # type: ignore[index]
    assert numbers["names_per_code"]["without_injuries"] > 6  # type: ignore[index]
    names = {row["name"].lower(): row["code"] for row in built.terms.to_pylist() if row["kind"] == "index"}
    assert "early" not in names
