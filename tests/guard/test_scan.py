"""The whole guard: one line a finding, never the words found; marks, exemptions and restricted notes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chartcode import cli
from chartcode.artifacts import writing
from chartcode.errors import DataError
from chartcode.guard import restricted, secrets
from chartcode.guard.allowed import MARK, Allowed
from chartcode.guard.blobs import made
from chartcode.guard.scan import Report, scan
from tests.guard.conftest import Repository
from tests.hospital import Hospital, put

ID = "1" + "0045678"
TOKEN = "hf_" + "Ab12" * 9
SENTENCE = "He fell off a green ladder while painting his boat and broke one wrist."


def of(root: Path, **files: str) -> Report:
    return scan((made(path.replace("__", "."), text.encode()) for path, text in files.items()), root, ())


def places(report: Report) -> list[tuple[str, int, str]]:
    return [(finding.path, finding.line, finding.rule) for finding in report.findings]


@pytest.fixture
def restricted_root(tmp_path: Path, hospital: Hospital) -> Path:
    """A checkout with notes that may not be shown, in MIMIC-IV's place."""
    hospital.tables["discharge"][4]["text"] += f"\nHistory:\n{SENTENCE}\n"
    hospital.write(tmp_path / "data/raw/mimic-iv")
    return tmp_path


def test_findings_come_in_order_of_path_line_and_rule(tmp_path: Path) -> None:
    report = of(tmp_path, b__md=f"x\n{TOKEN} {ID}\n", a__md=f"\n\n{ID}\n{ID} {ID}\n")
    assert places(report) == [("a.md", 3, "ids"), ("a.md", 4, "ids"), ("b.md", 2, "ids"), ("b.md", 2, "secrets")]


def test_no_line_of_the_report_holds_what_was_found(restricted_root: Path) -> None:
    mask = "_" * 3
    text = f"{ID}\n{TOKEN}\nDr. {mask}\n{SENTENCE}\n"
    name = f"docs/{ID}-DS-21/{TOKEN}/a.md"
    report = scan([made(name, text.encode())], restricted_root, ())
    said = "\n".join(map(str, report.findings)) + report.summary()
    assert {finding.rule for finding in report.findings} == {"ids", "secrets", "masks", "text"}
    assert {finding.rule for finding in report.findings if finding.line == 0} == {"ids", "secrets"}
    for secret in (ID, TOKEN, TOKEN[3:], mask, "green ladder", "ladder"):
        assert secret not in said


def test_a_name_with_line_breaks_stays_on_one_line(tmp_path: Path) -> None:
    report = scan([made("a\nb\x1b[2J.md", ID.encode())], tmp_path, ())
    assert [str(finding).split(": ")[0] for finding in report.findings] == ["a?b?[2J.md:1"]


def test_a_mark_covers_its_line_and_no_secret(tmp_path: Path) -> None:
    report = of(tmp_path, a__md=f"{ID}  # {MARK}\n{ID}\n{TOKEN}  # {MARK}\n")
    assert places(report) == [("a.md", 2, "ids"), ("a.md", 3, "secrets")]


def test_an_exemption_covers_one_rule_in_its_files(tmp_path: Path) -> None:
    entry = Allowed("docs/*.md", "ids", "invented")
    texts = [made(path, f"{ID}\n{TOKEN}\n".encode()) for path in ("docs/a.md", "src/a.md")]
    report = scan(texts, tmp_path, (entry,))
    assert places(report) == [("docs/a.md", 2, "secrets"), ("src/a.md", 1, "ids"), ("src/a.md", 2, "secrets")]
    assert report.exempted == {entry}


def test_words_of_a_restricted_note_are_found_wrapped_and_in_a_table(restricted_root: Path) -> None:
    wrapped = "# he fell off a green\n# ladder, while painting; his boat\n"
    table = 'n,example\n1,"HE FELL OFF A (GREEN) LADDER WHILE PAINTING..."\n'
    report = of(restricted_root, wrapped__py=wrapped, table__csv=table, own__md="He fell off a ladder.\n")
    assert [place for place in places(report) if place[2] == "text"] == [
        ("table.csv", 2, "text"),
        ("wrapped.py", 1, "text"),
    ]
    assert report.notes == 12
    assert "12 restricted notes" in report.summary()


def test_open_notes_are_not_restricted(tmp_path: Path, hospital: Hospital) -> None:
    for source in restricted.OPEN:
        hospital.write(tmp_path / "data/raw" / source)
    report = of(tmp_path, a__md=hospital.tables["discharge"][0]["text"])
    assert report.notes is None
    assert "no restricted notes on this machine" in report.summary()


def test_a_header_without_notes_or_a_link_into_nowhere_is_no_note(tmp_path: Path) -> None:
    path = tmp_path / "data/raw/mimic-iv/note/discharge.csv.gz"
    put(path, Hospital.of(patients=0).csv("discharge").encode())
    assert restricted.places(tmp_path) == []
    path.unlink()
    path.symlink_to(tmp_path / "unplugged")
    assert restricted.places(tmp_path) == []


@pytest.mark.parametrize(("folder", "name"), [("bronze", "discharge.parquet"), ("silver", "notes.parquet")])
def test_pulled_notes_are_restricted_unless_their_source_is_open(tmp_path: Path, folder: str, name: str) -> None:
    import pyarrow as pa

    for source, notes in (("mimic-iv", 2), ("codiesp", None)):
        with writing(tmp_path / "data" / folder, source) as writer:
            writer.parquet(name, pa.table({"text": ["other words", f"x {SENTENCE}"]}))
        report = of(tmp_path, a__md=SENTENCE)
        assert report.notes == notes
        assert places(report) == ([("a.md", 1, "text")] if notes else [])


def test_notes_in_a_row_that_is_no_row_are_read_too(tmp_path: Path, hospital: Hospital) -> None:
    torn = hospital.csv("discharge") + f'x,"{SENTENCE}"\n'
    put(tmp_path / "data/raw/mimic-iv/note/discharge.csv.gz", torn.encode())
    assert places(of(tmp_path, a__md=SENTENCE)) == [("a.md", 1, "text")]


def test_damaged_notes_stop_the_guard(tmp_path: Path, hospital: Hospital) -> None:
    path = tmp_path / "data/raw/mimic-iv/note/discharge.csv.gz"
    put(path, hospital.csv("discharge").encode())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="download it again"):
        of(tmp_path, a__md=SENTENCE)


def test_the_command_says_what_it_found_and_fails(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository.root)
    assert cli.main(["guard"]) == 0
    assert capsys.readouterr().out == "guard: 1 files, nothing found (text: no restricted notes on this machine)\n"
    start = repository.commit()
    repository.stage("docs/a.md", f"see {ID}\n")
    repository.put("docs/a.md", "clean\n")
    assert cli.main(["guard"]) == 0
    capsys.readouterr()
    assert cli.main(["guard", "--staged"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("docs/a.md:1: ids: ")
    assert said.err.startswith("error: guard: 1 files, 1 findings")
    leaked = repository.commit()
    repository.stage("docs/a.md", "clean\n")
    repository.commit()
    assert cli.main(["guard", "--staged"]) == 0
    assert cli.main(["guard"]) == 0
    capsys.readouterr()
    assert cli.main(["guard", "--since", start]) == 1
    assert f"(in commit {leaked[:10]})" in capsys.readouterr().out


def test_it_works_from_any_folder_of_the_checkout(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.stage("docs/a.md", f"see {ID}\n")
    monkeypatch.chdir(repository.root / "docs")
    assert cli.main(["guard", "--staged"]) == 1


def test_without_detect_secrets_the_guard_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets._detectors.cache_clear()
    monkeypatch.setitem(sys.modules, "detect_secrets", None)
    for name in [name for name in sys.modules if name.startswith("detect_secrets.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DataError, match="make install-dev"):
        of(tmp_path, a__md="x")


def test_a_manifest_that_is_damaged_stops_the_guard(tmp_path: Path) -> None:
    (tmp_path / "data/silver").mkdir(parents=True)
    (tmp_path / "data/silver/manifest.json").write_text(json.dumps({"files": {}})[:-1])
    with pytest.raises(Exception, match="damaged"):
        restricted.places(tmp_path)
