"""Whether this machine, this login and this hospital's files are fit for a run, and roughly what the run will cost.

Looks only: no network, nothing written, no secret printed. A finding is ok, a warning (a run is possible), or missing:
the chosen source cannot run without it.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tomllib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chartcode import revisions, seal
from chartcode.artifacts import Artifact
from chartcode.errors import ChartcodeError, DataError
from chartcode.params import DataParams, load
from chartcode.sources import codiesp, mimic
from chartcode.tables.raw_csv import read_header
from chartcode.tables.schemas import EVIDENCE_FILE, RAW_TABLES, SPLITS_FILE

Level = Literal["ok", "warning", "missing"]
TRAINING_TABLES = ("discharge", "patients", "admissions", "diagnoses_icd")  # no coder can be trained without them
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"

# Rough costs, to tell minutes from days; the benchmarks measure, this guesses.
BYTES_PER_NOTE = 3_400  # of a compressed discharge.csv.gz: 1.1 GB hold MIMIC-IV's 331,793 notes
REFERENCE = (331_793, 40, 16)  # raw notes, minutes, threads: slower end of what a comparable CPU pipeline reports
DISK_FACTOR = 8  # bytes written (bronze, silver, features, and each again in DVC's cache) for each raw compressed byte
DISK_BASE = 2 << 30  # bytes: models, scores, room to work


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    topic: str
    text: str


def examine(root: Path = Path(), environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything `chartcode doctor` reports about the checkout at `root`. Never raises for what it finds."""
    found = [
        _python(),
        *_examined("warning", "packages", lambda: _packages(root)),
        *_examined("missing", "git", lambda: [_git(root)]),
    ]
    gpu = _examined("warning", "gpu", lambda: [_gpu()])
    try:
        source = load(DataParams, root / "params.yaml").source
    except Exception as error:  # noqa: BLE001  whatever is wrong with params.yaml is a finding
        return [*found, Finding("missing", "source", _reason(error, root / "params.yaml")), *gpu]
    found += _examined("missing", "remote", lambda: _remote(root, source, environment))
    found += _examined("missing", "sealing", lambda: _sealing(root, source))
    found += _examined("warning", "login", lambda: _login(root, source, environment))
    folder = root / "data/raw" / source
    files = _examined("missing", "files", lambda: _source(root, source, folder))
    return [*found, *files, *gpu, *_examined("warning", "disk", lambda: _cost(root, folder))]


def _examined(level: Level, topic: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What `look` finds; a finding of `level` when it fails, so that one bad file does not hide the rest."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001  a doctor that dies of the disease helps nobody
        return [Finding(level, topic, _reason(error))]


def _reason(error: Exception, path: Path | None = None) -> str:
    """An error in one line; of a foreign one the kind alone, since its message may quote a cell."""
    if isinstance(error, ChartcodeError):
        return str(error)
    place = path or (error.filename if isinstance(error, OSError) else None) or "this check"
    kind = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return f"{place}: cannot be examined ({kind})"


def report(findings: Iterable[Finding]) -> str:
    """The findings as aligned lines."""
    return "".join(f"{f.level:<8} {f.topic:<9} {' '.join(f.text.split())}\n" for f in findings)


def refuse_missing(findings: Iterable[Finding]) -> None:
    """Raise DataError, in one line, when something the chosen source needs is missing."""
    topics = [f.topic for f in findings if f.level == "missing"]
    if topics:
        raise DataError(f"doctor: {len(topics)} missing ({', '.join(dict.fromkeys(topics))}); see the lines above")


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fit = sys.version_info >= (3, 11)
    return Finding("ok" if fit else "missing", "python", version if fit else f"{version}; 3.11 or newer is needed")


def _packages(root: Path) -> list[Finding]:
    """Installed versions against the pins of pyproject.toml; extras that are not installed are no fault."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        listed = {"": project["dependencies"], **project.get("optional-dependencies", {})}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [Finding("warning", "packages", f"{root / 'pyproject.toml'}: not readable; run from the repository")]
    other, absent, right = [], [], 0
    for extra, pins in listed.items():
        for pin in pins:
            match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?==([0-9A-Za-z.]+?)(\.\*)?(?:[ ;]|$)", pin)
            if match is None:
                continue
            name, wanted, loose = match[1], match[2], match[3]
            try:
                version = importlib.metadata.version(name).split("+")[0]
            except importlib.metadata.PackageNotFoundError:
                if not extra:
                    absent.append(name)
                continue
            fits = version == wanted or (loose is not None and version.startswith(f"{wanted}."))
            right += fits
            if not fits:
                other.append(f"{name} {version} (pinned {wanted}{loose or ''})")
    found = [Finding("ok", "packages", f"{right} as pinned")]
    if other:
        found.append(Finding("warning", "packages", f"other than pinned: {', '.join(other)}; numbers may differ"))
    if absent:
        found.append(Finding("missing", "packages", f"not installed: {', '.join(absent)}; run `make install`"))
    return found


def _git(root: Path) -> Finding:
    if shutil.which("git") is None:
        return Finding("missing", "git", "not installed; DVC needs it")
    if revisions.git("rev-parse", "--is-inside-work-tree", root=root) != "true":
        return Finding("missing", "git", "this is no checkout; DVC needs one (git clone, or git init)")
    return Finding("ok", "git", (revisions.git("--version") or "").removeprefix("git version "))


def _remote(root: Path, source: str, environment: Mapping[str, str]) -> list[Finding]:
    """Where `dvc push` and `dvc pull` go."""
    settings = seal.settings(root, source)
    url = settings.get("url")
    if url is None:
        return [Finding("missing", "remote", f".dvc/config: no remote {source}; DVC needs one of that name to run")]
    if "://" not in url:
        text = f"{source}: a folder on this machine; to share, dvc remote modify --local {source} url azure://..."
        return [Finding("ok", "remote", text)]
    account = settings.get("account_name", "none named")
    found = [Finding("ok", "remote", f"{source}: {url}, account {account}")]
    if CONNECTION in environment:
        named = re.search(r"(?:^|;)AccountName=([A-Za-z0-9]+)", environment[CONNECTION])
        whose = f"account {named[1]}" if named else "another account"
        text = f"{CONNECTION} is set and wins: push and pull go to {whose}; unset it unless this is a test"
        found.append(Finding("warning", "remote", text))
    return found


def _sealing(root: Path, source: str) -> list[Finding]:
    seal.refuse_mixing(root, source)
    return [Finding("ok", "sealing", "sealed: nothing goes to a public container")] if seal.is_sealed(root) else []


def _login(root: Path, source: str, environment: Mapping[str, str]) -> list[Finding]:
    """Whether some way to log in to Azure is at hand, in the order DVC tries them; none is tried."""
    settings = seal.settings(root, source)
    if "://" not in settings.get("url", ""):
        return []
    ways = {
        "connection string": CONNECTION in environment or "connection_string" in settings,
        "service principal": "client_secret" in settings or "AZURE_CLIENT_SECRET" in environment,
        "account key": "account_key" in settings or "AZURE_STORAGE_KEY" in environment,
        "SAS token": "sas_token" in settings or "AZURE_STORAGE_SAS_TOKEN" in environment,
        "workload identity": "AZURE_FEDERATED_TOKEN_FILE" in environment,
        "managed identity": "IDENTITY_ENDPOINT" in environment or "MSI_ENDPOINT" in environment,
        "az login": any(
            (Path(_home(environment)) / f).exists() for f in ("msal_token_cache.json", "msal_token_cache.bin")
        ),
    }
    usable = [way for way, there in ways.items() if there]
    if usable:
        return [Finding("ok", "login", f"{', '.join(usable)} at hand (not tried)")]
    return [Finding("warning", "login", "none at hand: runs work; `make pull` and `make push` need `az login`")]


def _home(environment: Mapping[str, str]) -> str:
    return environment.get("AZURE_CONFIG_DIR") or str(Path(environment.get("HOME", "~")).expanduser() / ".azure")


def _source(root: Path, source: str, folder: Path) -> list[Finding]:
    """Whether the chosen source's raw files are there, or can be built."""
    found = [Finding("ok", "source", f"data.source is {source}")]
    if source == "codiesp":
        try:
            codiesp.locate(root / codiesp.FOLDER)
        except ChartcodeError as error:
            found.append(Finding("missing", "source", str(error)))
    if source != seal.RESTRICTED and not folder.is_dir():
        return [*found, Finding("ok", "files", f"{folder} is not built yet; `dvc repro` builds it")]
    absent, empty = [], []
    for name, table in RAW_TABLES.items():
        path = folder / table.path
        try:
            read_header(path, table)
            if _header_only(path):
                empty.append(name)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            absent.append(f"{path}: not a whole gzip file; download it again")
        except csv.Error:
            absent.append(f"{path}: header is not a line of CSV (line ends of an old Mac?); save it with \\n line ends")
        except (ChartcodeError, OSError) as error:
            absent.append(_reason(error, path))
    files = (folder / name for name in (SPLITS_FILE, EVIDENCE_FILE))
    absent += [f"{path}: file is missing" for path in files if not path.is_file()]
    if absent and source == seal.RESTRICTED:
        absent.append("run `chartcode link-mimic --note DIR --hosp DIR`")
    found += [Finding("missing", "files", text) for text in absent]
    if needed := [name for name in empty if name in TRAINING_TABLES]:
        text = f"without rows: {', '.join(needed)}; bronze runs, but no coder can be trained"
        found.append(Finding("missing", "files", text))
    if others := [name for name in empty if name not in TRAINING_TABLES]:
        found.append(Finding("ok", "files", f"header only, reported as absent: {', '.join(others)}"))
    if not absent:
        found.append(Finding("ok", "files", f"{len(RAW_TABLES) - len(empty)} tables with rows under {folder}"))
        if source == seal.RESTRICTED:
            found.append(_release(folder))
    return found


def _release(folder: Path) -> Finding:
    try:
        return Finding("ok", "release", mimic.release(mimic.count_rows(folder)))
    except (ChartcodeError, OSError) as error:
        return Finding("missing", "files", _reason(error, folder))


def _header_only(path: Path) -> bool:
    with gzip.open(path, "rb") as file:
        return file.readline() != b"" and file.readline().strip() == b""


def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("ok", "gpu", "torch is not installed: the linear coder runs, neural coders need `[neural]`")
    cuda = importlib.import_module("torch").cuda
    if not cuda.is_available():
        return Finding("ok", "gpu", "none: neural coders run on the CPU, slowly")
    return Finding("ok", "gpu", ", ".join(cuda.get_device_name(index) for index in range(cuda.device_count())))


def _cost(root: Path, folder: Path) -> list[Finding]:
    """Free disk against need, and hours: guesses, with what they rest on."""
    raw = sum(_size(path) for path in folder.rglob("*.gz"))
    need = DISK_BASE + DISK_FACTOR * raw
    free = shutil.disk_usage(root.resolve()).free
    rule = f"{DISK_FACTOR} x the raw files + {DISK_BASE >> 30} GB, a guess"
    room = f"{free / 2**30:.0f} GB free, about {need / 2**30:.0f} GB needed ({rule})"
    found = [Finding("ok" if free > need else "missing", "disk", room)]
    notes, source = _notes(folder)
    if notes:
        reference, minutes, threads = REFERENCE
        text = (
            f"about {max(0.1, notes / reference * minutes / 60):.1f} h or less to the linear coder's metrics for"
            f" {notes:,} notes ({source}); basis: a comparable pipeline reports {minutes} min for {reference:,} notes"
            f" on {threads} threads ({os.cpu_count()} here); neural coders are not in it"
        )
        found.append(Finding("ok", "hours", text))
    return found


def _size(path: Path) -> int:
    """Bytes of a file, through links; 0 when it cannot be reached."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _notes(folder: Path) -> tuple[int, str]:
    """How many notes a source holds, and how that is known."""
    discharge = RAW_TABLES["discharge"].path
    with contextlib.suppress(ChartcodeError, OSError, KeyError, TypeError, ValueError):
        return Artifact(folder, verify=False).rows(discharge), "counted"
    guess = f"guessed from the size of {Path(discharge).name}"
    return _size(folder / discharge) // BYTES_PER_NOTE, guess
