"""The console script and the page that leads a stranger to a first run on their own hospital."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import chartcode
from chartcode import artifacts, cli
from chartcode.sources import codiesp, fetch
from chartcode.tables.bronze import write_bronze
from chartcode.tables.schemas import RAW_TABLES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/add-your-hospital.md"
DEMO = ROOT / "../shared/data/mimic-iv-demo"
CODIESP = ROOT / "../shared/data/codiesp"
COMMANDS = (
    "fetch", "link-mimic", "compare", "predict", "link", "extract", "fit-note-types", "fit-tagger",
    "fit-resolver", "get", "seal", "doctor", "guard", "pr", "plots", "reproduced",
)  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout to stand in."""
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "params.yaml").write_text("data:\n  source: mimic-iv\n  max_patients: null\n")
    (folder / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    monkeypatch.chdir(folder)
    return folder


def usage(*arguments: str) -> int:
    """Exit status of an invocation that argparse ends."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(ended.value.code or 0)


def test_version_and_help_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("--version") == 0
    assert capsys.readouterr().out == f"chartcode {chartcode.__version__}\n"
    assert usage("--help") == 0
    overview = capsys.readouterr().out
    for command in COMMANDS:
        assert command in overview
        assert usage(command, "--help") == 0
        assert f"usage: chartcode {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("sing",), ("fetch",), ("fetch", "mimic"), ("link-mimic",)])
def test_wrong_usage_ends_with_status_two(arguments: tuple[str, ...]) -> None:
    assert usage(*arguments) == 2


def test_help_costs_no_heavy_import() -> None:
    """`chartcode --help` must feel immediate: tables and readers are loaded by the command that needs them."""
    code = "import sys, chartcode.cli; print(sorted({'pandas', 'pyarrow', 'ibis', 'torch', 'dvc'} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_outside_the_repository_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fetch", "codiesp", "--from", "nowhere"]) == 1
    assert cli.main(["link-mimic", "--hosp", "nowhere"]) == 1
    assert capsys.readouterr().err.count("run chartcode from the root of the repository") == 2
    assert not list(tmp_path.iterdir())


def test_errors_are_one_line_on_standard_error(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["compare"], ["link-mimic", "--hosp", "nowhere"], ["fetch", "codiesp", "--from", "nowhere"]):
        assert cli.main(arguments) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert re.fullmatch(r"error: [^\n]+\n", said.err)


def test_compare_prints_the_table(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "metrics/tfidf").mkdir(parents=True)
    numbers = {"tfidf": {"test": {"n": 50, "micro_f1": 0.5, "micro_f1_lo": 0.4, "micro_f1_hi": 0.6, "brier": 0.1}}}
    (checkout / "metrics/tfidf/metrics.json").write_text(json.dumps(numbers))
    assert cli.main(["compare"]) == 0
    said = capsys.readouterr().out
    assert "0.500 [0.400, 0.600]" in said
    assert said.endswith("written: metrics/tfidf/  data/scores/tfidf/\n")
    assert "brier" not in said
    assert cli.main(["compare", "--all", "tfidf"]) == 0
    assert "brier" in capsys.readouterr().out


def test_doctor_fails_when_the_source_is_not_there(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr()
    assert "run `chartcode link-mimic --note DIR --hosp DIR`" in said.out
    assert re.fullmatch(r"error: doctor: \d+ missing [^\n]+\n", said.err)


@pytest.mark.skipif(not DEMO.is_dir(), reason="the MIMIC-IV demo is not beside the project")
def test_the_demo_goes_through_link_and_bronze_row_for_row(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["link-mimic", "--hosp", str(DEMO)]) == 0
    said = capsys.readouterr().out
    assert "release: MIMIC-IV demo 2.2" in said
    assert "absent (header-only files stand in): discharge, d_icd_diagnoses" in said
    rows = bronze(checkout / "data/raw/mimic-iv", checkout)
    for name, raw in RAW_TABLES.items():
        path = DEMO / raw.path
        in_file = gzip.decompress(path.read_bytes()).count(b"\n") - 1 if path.exists() else 0
        assert rows[name] == in_file
    assert (rows["admissions"], rows["diagnoses_icd"], rows["quarantine"]) == (275, 4506, 0)


@pytest.mark.skipif(not CODIESP.is_dir(), reason="CodiEsp is not beside the project")
def test_codiesp_goes_from_a_folder_on_disk_through_bronze(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fetch", "codiesp", "--from", str(CODIESP)]) == 0
    assert capsys.readouterr().out == f"linked: {codiesp.FOLDER}\n"
    with artifacts.writing(checkout / "data/raw/codiesp", "codiesp") as writer:
        codiesp.generate(codiesp.FOLDER, codiesp.CodiespParams(language="es"), writer)
    rows = bronze(checkout / "data/raw/codiesp", checkout)
    assert (rows["discharge"], rows["diagnoses_icd"], rows["procedures_icd"]) == (750, 8316, 2367)
    assert (rows["splits"], rows["evidence"], rows["quarantine"]) == (750, 16614, 0)


def test_an_md5_given_by_hand_is_held_against_the_download(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[fetch.Release] = []
    monkeypatch.setattr(fetch, "fetch", lambda release: asked.append(release) or codiesp.FOLDER)
    assert cli.main(["fetch", "codiesp", "--md5", "ab" * 16]) == 0
    assert asked[0].md5 == "ab" * 16
    assert asked[0].contents == fetch.CODIESP.contents
    assert "checksums of train, dev verified; test is not pinned" in capsys.readouterr().out


def bronze(raw: Path, checkout: Path) -> dict[str, int]:
    """Rows of each bronze table built from a raw folder."""
    (checkout / "none.csv").write_text("subject_id\n")
    with artifacts.writing(checkout / "bronze", raw.name) as writer:
        write_bronze(raw, checkout / "none.csv", writer)
    made = artifacts.Artifact(checkout / "bronze")
    return {Path(name).stem: made.rows(name) for name in made.names() if name.endswith(".parquet")}


def test_the_page_for_a_new_hospital_works_as_written(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    assert len(script) == 1
    subprocess.run([sys.executable, "-c", script[0]], check=True, cwd=checkout)
    assert cli.main(["link-mimic", "--note", "my-hospital", "--hosp", "my-hospital"]) == 0
    said = capsys.readouterr().out
    assert "taken as a hospital of its own" in said
    assert "absent" not in said
    rows = bronze(checkout / "data/raw/mimic-iv", checkout)
    assert rows["quarantine"] == 0
    assert (rows["discharge"], rows["patients"], rows["diagnoses_icd"], rows["procedures_icd"]) == (2, 2, 3, 1)
    notes = pq.read_table(checkout / "bronze/discharge.parquet")["text"].to_pylist()
    assert notes[0] == 'Discharge Diagnosis:\nPneumonia, "community".'


def test_the_page_lists_every_column_and_which_may_be_empty() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for raw in RAW_TABLES.values():
        section = page[page.index(f"### `{raw.path}`") :].split("\n###")[0]
        listed = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", section, flags=re.M)
        assert listed == [(c.name, "no" if c.required else "yes") for c in raw.columns]


def test_the_pages_quarantine_reasons_are_the_ones_bronze_gives() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("## 4.") : page.index("## 5.")]
    source = "".join((ROOT / "src/chartcode/tables" / f).read_text() for f in ("contracts.py", "bronze.py"))
    reasons = re.findall(r"^\| `([^`]+)` \|", table, flags=re.M)
    assert len(reasons) >= 8
    for reason in reasons:
        assert reason.replace("before admittime", "before {earlier}") in source


def test_the_page_names_params_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for section, key in re.findall(r"^\| `(\w+)\.(\w+)` \|", page, flags=re.M):
        assert re.search(rf"^{section}:\n(?:  .*\n|\n)*?  {key}:", params, flags=re.M), f"{section}.{key}"
