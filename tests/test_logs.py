"""A failing stage says one line and exits with 1; no traceback that could quote data."""

from __future__ import annotations

import json

import pytest

from chartcode.errors import DataError
from chartcode.logs import DEBUG_VARIABLE, configure, guarded, log


def fail(error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("note/discharge.csv.gz: text: empty"), "error: note/discharge.csv.gz: text: empty\n"),
        (OSError(28, "No space left on device", "data/x"), "error: data/x: No space left on device\n"),
    ],
)
def test_a_known_fault_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: fail(error)) == 1
    assert capsys.readouterr().err == line


def test_an_unknown_fault_tells_its_place_but_not_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: fail(ValueError("patient 10000032 said"))) == 1
    said = capsys.readouterr().err
    assert "ValueError in test_logs.py" in said
    assert "10000032" not in said
    assert said.count("\n") == 1


def test_success_is_status_zero_and_logs_are_json_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    assert guarded(lambda: log("silver").info("notes", rows=3)) == 0
    line = json.loads(capsys.readouterr().err)
    assert (line["stage"], line["event"], line["rows"]) == ("silver", "notes", 3)


def test_a_developer_can_ask_for_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with pytest.raises(ValueError, match="whole"):
        guarded(lambda: fail(ValueError("whole")))
