"""What no name covers: the tagger's spans, linked in their context, and never where the dictionary has a name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chartcode.cli import main
from chartcode.linking.calibration import BEST, UNUSED
from chartcode.linking.context import Context
from chartcode.linking.files import FOUND, Names
from chartcode.linking.resolver import Resolver
from chartcode.linking.tagger import Found
from chartcode.linking.unnamed import Unnamed, coded
from tests.linking.marked import NAMES, abstracts, terms

LIST = "name,code,system\n" + "".join(f"{name},{code},mesh\n" for code, name, _ in NAMES if code != "D003")


class Marked:
    """Says that these words are meant, wherever they stand."""

    def __init__(self, **words: float) -> None:
        self._words = {word.replace("_", " "): p for word, p in words.items()}

    def find(self, text: str) -> list[Found]:
        places = ((text.find(word), word, p) for word, p in self._words.items())
        return sorted(Found(at, at + len(word), "Disease", p) for at, word, p in places if at >= 0)


def unnamed(least: float = 0.3, **words: float) -> Unnamed:
    return Unnamed(Marked(**words), Resolver.of(terms()), "mesh", least=least)


@pytest.fixture
def by(tmp_path: Path) -> Names:
    (tmp_path / "list.csv").write_text(LIST)
    return Names.of_list(tmp_path / "list.csv")


def test_a_span_that_no_name_covers_is_linked_in_its_context(by: Names) -> None:
    note = "Pt  has asthma.\n\nNo  kidney \tfailures, no cystic kidney."
    assert [m["text"] for m in by.text(note).to_pylist()] == ["asthma"]
    found = by.beyond(unnamed(kidney_failures=0.9, asthma=0.9)).text(note)
    assert found.schema.equals(FOUND)
    asthma, failure = found.to_pylist()
    assert (asthma["code"], asthma["method"], asthma["source"]) == ("D008", "exact", "user")
    assert note[failure["start"] : failure["end"]] == "kidney \tfailures"
    assert (failure["code"], failure["name"], failure["system"]) == ("D003", "kidney failure", "mesh")
    assert (failure["method"], failure["source"]) == ("exact", "Disease")
    assert (failure["negated"], failure["trigger"]) == (True, "no")


def test_what_touches_a_name_is_left_to_the_dictionary(by: Names) -> None:
    note = "Severe asthma."
    assert by.beyond(unnamed(Severe_asthma=0.9, asthma=0.9)).text(note).equals(by.text(note))


def test_p_falls_with_doubt_and_context_and_links_in_doubt_are_left_out() -> None:
    text = "Kidney failures."
    (sure,) = unnamed(Kidney_failures=1.0).find(text, [], [])
    (half,) = unnamed(Kidney_failures=0.6).find(text, [], [])
    assert half.link == pytest.approx(0.6 * sure.link)
    assert sure.p == pytest.approx(BEST * sure.link)
    assert coded(1.0, Context(negated=True)) == pytest.approx(BEST * UNUSED["negated"])
    assert coded(1.0, Context(negated=True, family=True)) == pytest.approx(BEST * UNUSED["family"])
    assert unnamed(least=0.6 * sure.link + 0.01, Kidney_failures=0.6).find(text, [], []) == []


def test_a_coordination_is_a_link_each() -> None:
    links = unnamed(breast_and_ovarian_carcinoma=1.0).find("Had breast and ovarian carcinoma.", [], [])
    assert [(link.code, link.method) for link in links] == [("D001", "composite"), ("D002", "composite")]


def test_notes_stay_in_order_and_empty_ones_are_none(by: Names) -> None:
    ids, texts = pa.array(["b", "a", "c"]), pa.array(["kidney failures, asthma", "", "asthma, kidney failures"])
    found = by.beyond(unnamed(kidney_failures=1.0)).table(ids, texts).to_pylist()
    assert [(m["note_id"], m["code"]) for m in found] == [("b", "D003"), ("b", "D008"), ("c", "D008"), ("c", "D003")]
    none = by.table(pa.array([], pa.string()), pa.array([], pa.string()))
    assert (len(none), none.schema) == (0, FOUND)
    assert len(by.table(ids, texts, min_p=1.0)) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tagger", "nowhere"], "nowhere"), (["--encoder", "nowhere"], "only with --tagger"),
        (["--resolver", "nowhere"], "only with --tagger"), (["--tagger", "list.csv"], "list.csv"),
        (["--tagger", "nowhere", "--least", "2"], "--least: from 0 to 1"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("note.txt").write_text("asthma")
    Path("list.csv").write_text(LIST)
    assert main(["link", "note.txt", "--names", "list.csv", *arguments]) == 1
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1


def test_without_the_options_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("HTN")
    program = (
        "import sys; from chartcode.cli import main; main(sys.argv[1:]); "
        "sys.exit(any(m in sys.modules for m in ('pycrfsuite', 'torch', 'sklearn')))"
    )
    run = [sys.executable, "-c", program, "link", str(tmp_path / "note.txt")]
    done = subprocess.run(run, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "essential hypertension" in done.stdout


def test_end_to_end_by_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked abstracts -> tagger, list -> resolver, notes -> table."""
    monkeypatch.chdir(tmp_path)
    abstracts(Path())
    Path("list.csv").write_text(LIST)
    Path("all.csv").write_text(LIST + "renal failure,D003,mesh\nkidney failure,D003,mesh\n")
    assert main(["fit-tagger", "train.pubtator", "--out", "tagger", "--names", "list.csv", "--kinds", "Disease"]) == 0
    fitted = ["fit-resolver", "all.csv", "--corpus", "train.pubtator", "--kinds", "Disease", "--dev", "train.pubtator"]
    assert main([*fitted, "--out", "resolver"]) == 0
    said = capsys.readouterr().out
    assert "written: tagger/  (30 documents," in said
    assert "first answer right 1.000" in said
    Path("note.txt").write_text("We report asthma in a patient given lithium for kidney failure.")
    Path("notes.csv").write_text(f"note_id,text\n1,{Path('note.txt').read_text()}\n2,We report kidney failure.\n")
    link = ["link", "note.txt", "--names", "list.csv"]
    assert main(link) == 0
    assert "D003" not in capsys.readouterr().out
    assert main([*link, "--tagger", "tagger", "--resolver", "resolver"]) == 0
    assert "kidney failure" in capsys.readouterr().out
    several = ["link", "notes.csv", "--names", "all.csv", "--tagger", "tagger", "--out", "found.parquet"]
    assert main(several) == 0
    assert pq.read_table("found.parquet")["code"].to_pylist() == ["D008", "D003", "D003"]
    assert main(["fit-resolver", "all.csv", "--out", "resolver"]) == 1
    assert "exists; name a new folder" in capsys.readouterr().err
    for folder, what in (("--tagger", "tagger"), ("--resolver", "resolver")):
        assert main([*link, "--tagger", "tagger", folder, "nowhere"]) == 1
        assert f"nowhere: not found; `chartcode fit-{what}` makes a {what}" in capsys.readouterr().err
