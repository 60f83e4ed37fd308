"""Does the guard catch what must not enter Git, does it cry wolf, and what does its search in the notes cost?

Alone    python -m benchmarks.guard              plant each leak in a scratch copy, then scan tree and history
         python -m benchmarks.guard speed        megabytes of notes a second, beside sets of word tuples
Every leak is invented. The restricted notes are too: a small hospital under data/raw/mimic-iv of the scratch copy.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import pyarrow as pa
import pyarrow.parquet as pq

from chartcode.guard import blobs, restricted
from chartcode.guard.scan import Report, scan
from chartcode.guard.shingles import WIDTH, Suspects, words
from chartcode.lineage import ROOT
from tests.hospital import Hospital

ROUNDS = 3
REPEATS = 4  # of the synthetic hospital's notes, so that building the index does not count
FULL = 3.3e9  # bytes of text in MIMIC-IV-Note's discharge summaries
# Written backwards: this file is in the tree that is compared with the notes.
BACKWARDS = "twice. elbow left her struck and steel wet on slipped stick, walking grey her lost she ferry the On"
STORY = " ".join(reversed(BACKWARDS.split()))
ID = "1" + "0045678"  # in two pieces, like all below: this file is tracked too
DATE = "21" + "34-05-06"
SALT = "Zx81" * 22
LINES = STORY.upper().replace(", ", "\n# -- ").replace(" wet", "\n# wet")


@dataclass(frozen=True)
class Leak:
    """What is planted where, and the rule that must catch it. `append` keeps what stands in the file."""

    name: str
    rule: str
    path: str
    content: str | bytes
    append: bool = False


def table() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["x"]}), out)
    return out.getvalue()


NOTEBOOK = '{"cells": [{"outputs": [{"text": "x"}]}], "nb' + 'format": 4}'
REMOTE = "https://chartcode.blob.core.windows.net/dvc"
LEAKS = (
    Leak("Parquet file renamed to .md", "formats", "docs/page.md", table()),
    Leak("pickled object named .txt", "formats", "docs/words.txt", b"\x80\x04\x95\x05\x00\x00\x00]K\x01a."),
    Leak("weights named .json", "formats", "docs/sizes.json", struct.pack("<Q", 40) + b'{"w":{"dtype":"F32"}}'),
    Leak("notebook with output, no suffix", "formats", "docs/analysis", NOTEBOOK),
    Leak("a file forced into data/", "place", "data/silver/sample.json", "{}"),
    Leak("a large text file", "size", "docs/long.md", "word\n" * 70_000),
    Leak("symlink to a home folder", "link", "docs/mimic", b"->/srv/people/ada/mimic"),
    Leak("id in a comment", "ids", "src/chartcode/icd.py", f"# wrong for {ID}\n", True),
    Leak("note id in a file name", "ids", f"docs/{ID}-DS-3.md", "ok\n"),
    Leak("table with a column of ids", "ids", "stages/no_exclusions.csv", "17\n", True),
    Leak("masked name in a docstring", "masks", "src/chartcode/icd.py", '"""Dr. ' + "_" * 3 + ' called."""\n', True),
    Leak("shifted date in a test", "dates", "tests/test_icd.py", f'WHEN = "{DATE} 07:15:00"\n', True),
    Leak("note, wrapped anew in a comment", "text", "src/chartcode/icd.py", f"# {LINES}\n", True),
    Leak("note inside a CSV", "text", "src/chartcode/sources/synthetic/codes.csv", f'9,"{STORY}"\n', True),
    Leak("note in JSON with escaped breaks", "text", "docs/a.json", '{"t": "' + STORY.replace(" ", "\\n") + '"}\n'),
    Leak("note in UTF-16", "text", "docs/a.md", STORY.encode("utf-16")),
    Leak("note in a metrics key", "text", "metrics/tfidf/metrics.json", f'{{"{STORY}": 0.5}}\n'),
    Leak("count of 4 patients in metrics", "metrics", "metrics/tfidf/metrics.json", '{"tfidf": {"patients": 4}}\n'),
    Leak("SAS in YAML", "secrets", "params.yaml", f"# {REMOTE}?sv=2024-08-04&sp=rl&sig={SALT[:43]}%3D\n", True),
    Leak("AccountKey in .dvc/config", "secrets", ".dvc/config", f"    connection_string = AccountKey={SALT}==\n", True),
    Leak("SAS token in .dvc/config", "secrets", ".dvc/config", f"    sas_token = sp=rl{SALT[:8]}\n", True),
    Leak("private key", "secrets", "docs/key.txt", "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3Bl\n"),
    Leak("PhysioNet login", "secrets", "docs/get.md", "machine physionet.org login ada " + f"password {SALT[:9]}\n"),
    Leak("Hugging Face token", "secrets", "stages/tfidf.py", f'TOKEN = "hf_{SALT[:34]}"\n', True),
    Leak("GitHub token", "secrets", ".ci/run", f"export GH=ghp_{SALT[:36]}\n", True),
    Leak("absolute path in dvc.lock", "paths", "dvc.lock", "    - path: /secure/mimic/note.csv.gz\n", True),
    Leak("home folder in code", "paths", "benchmarks/twin.py", 'NOTES = "/ho' + 'me/ada/notes"\n', True),
    Leak("host in a lock", "hosts", "requirements/base.lock", "x @ https://pypi.example.org/x.whl\n", True),
)  # fmt: skip


def git(root: Path, *arguments: str) -> str:
    author = ("-c", "user.name=b", "-c", "user.email=b@b", "-c", "core.hooksPath=none", "-c", "gc.auto=0")
    return subprocess.run(["git", *author, *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def copy_of_the_tree(folder: Path) -> Path:
    """The working tree as a repository of one commit, with notes in MIMIC-IV's place."""
    for name in git(ROOT, "ls-files", "-coz", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "state")
    hospital = Hospital.of(patients=200)
    for number, note in enumerate(hospital.tables["discharge"]):
        note["text"] = " ".join(f"finding{number}x{i}" for i in range(300)) + (
            f".\nCourse:\n{STORY}\n" if number == 70 else ""
        )
    hospital.write(folder / "data/raw/mimic-iv")
    return folder


def plant(root: Path, leak: Leak) -> None:
    """Put the leak into the index."""
    path = root / leak.path
    path.parent.mkdir(parents=True, exist_ok=True)
    content = leak.content if isinstance(leak.content, bytes) else leak.content.encode()
    if content.startswith(b"->"):
        path.symlink_to(content[2:].decode())
    else:
        path.write_bytes((path.read_bytes() if leak.append else b"") + content)
    git(root, "add", "--force", "--", leak.path)


def planted_and_caught(root: Path) -> list[tuple[str, str, str, bool]]:
    """Name, rule, where it was looked for, caught; one leak at a time."""
    rows: list[tuple[str, str, str, bool]] = []

    def judge(name: str, rule: str, where: str, report: Report) -> None:
        rows.append((name, rule, where, rule in {finding.rule for finding in report.findings}))

    for leak in LEAKS:
        plant(root, leak)
        judge(leak.name, leak.rule, "--staged", scan(blobs.staged(root), root))
        git(root, "reset", "-q", "--hard")
    leak = next(leak for leak in LEAKS if leak.rule == "text")
    clean = (root / leak.path).read_text()
    plant(root, leak)
    (root / leak.path).write_text(clean)
    judge("staged, then cleaned in the work tree", "text", "--staged", scan(blobs.staged(root), root))
    git(root, "reset", "-q", "--hard")
    (root / leak.path).write_text(f"{clean}{leak.content!s}")
    judge("edited, not yet staged", "text", "tracked", scan(blobs.tracked(root), root))
    git(root, "reset", "-q", "--hard")
    git(root, "switch", "-q", "-c", "branch")
    plant(root, leak)
    git(root, "commit", "-qm", "add")
    git(root, "revert", "--no-edit", "HEAD")
    judge("in an earlier commit, reverted since", "text", "--since main", scan(blobs.since(root, "main"), root))
    git(root, "commit", "-q", "--allow-empty", "-m", f"fix for {ID}")
    judge("id in a commit message", "ids", "--since main", scan(blobs.since(root, "main"), root))
    git(root, "switch", "-q", "main")
    return rows


def leaks() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = copy_of_the_tree(Path(folder))
        rows = planted_and_caught(root)
        clean = scan(blobs.tracked(root), root)
    for name, rule, where, caught in rows:
        print(f"{name:<40} {rule:<8} {where:<13} {'caught' if caught else 'MISSED'}")
    print(f"\ncaught {sum(row[-1] for row in rows)} of {len(rows)}; rules {len({row[1] for row in rows})}")
    print(f"false alarms, clean tree: {len(clean.findings)} in {clean.files} files, {clean.notes} notes")
    print("".join(f"  {finding}\n" for finding in clean.findings), end="")
    first = git(ROOT, "rev-list", "--max-parents=0", "HEAD").split()[0]
    start = time.perf_counter()
    history = scan(blobs.since(ROOT, first), ROOT)
    taken = time.perf_counter() - start
    print(
        f"findings in the history since the first commit: {len(history.findings)} in {history.files} versions of files"
    )
    print("".join(f"  {finding}\n" for finding in history.findings), end="")
    print(f"seconds for the history: {taken:.1f}")


def by_tuples(texts: list[str], notes: Iterable[bytes]) -> set[tuple[int, int]]:
    """The same search with a dict of word tuples: slow and obvious."""
    known: dict[tuple[str, ...], set[tuple[int, int]]] = {}
    for number, text in enumerate(texts):
        here = [
            (word, line) for line, part in enumerate(text.split("\n"), 1) for word in words(part.replace("\\n", " "))
        ]
        for k in range(len(here) - WIDTH + 1):
            known.setdefault(tuple(word for word, _ in here[k : k + WIDTH]), set()).add((number, here[k][1]))
    found: set[tuple[int, int]] = set()
    for note in notes:
        there = words(note.decode())
        for k in range(len(there) - WIDTH + 1):
            found |= known.get(tuple(there[k : k + WIDTH]), set())
    return found


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def speed() -> None:
    """The tracked tree against the notes of the synthetic hospital, read from discharge.csv.gz each time."""
    path = ROOT / "data/raw/synthetic/note/discharge.csv.gz"
    if not path.is_file():
        sys.exit("run `dvc repro synthetic` first")
    texts = [blob.text for blob in blobs.tracked(ROOT)]
    size = REPEATS * sum(map(len, restricted.notes(path)))

    def notes() -> Iterator[bytes]:
        for _ in range(REPEATS):
            yield from restricted.notes(path)

    kinds: dict[str, Callable[[], object]] = {
        "rolling hash": lambda: set(Suspects(texts).found_in(notes())),
        "word tuples": lambda: by_tuples(texts, notes()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    values: dict[str, object] = {}
    for _ in range(ROUNDS):
        for name, work in kinds.items():
            taken, values[name] = timed(work)
            seconds[name].append(taken)
    print(f"{len(texts)} files, {len(Suspects(texts)):,} windows of {WIDTH} words; {size / 1e6:.0f} MB of notes")
    for name, taken in seconds.items():
        rate = size / median(taken)
        print(f"{name:<13} {rate / 1e6:6.1f} MB/s, reading included; {FULL / 1e9} GB would take {FULL / rate:.0f} s")
    print("the same lines found:", values["rolling hash"] == values["word tuples"])


if __name__ == "__main__":
    speed() if sys.argv[1:] == ["speed"] else leaks()
