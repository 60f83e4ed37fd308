"""Every rule over every file: the table of rules, one pass, and a report that never quotes what was found."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from chartcode.guard import files, machine, patients, restricted
from chartcode.guard.allowed import ALLOWED, MARK, Allowed, reason
from chartcode.guard.blobs import Blob, made
from chartcode.guard.files import Span
from chartcode.guard.secrets import secrets
from chartcode.guard.shingles import Suspects


@dataclass(frozen=True)
class Rule:
    """One rule: what it is called, why it is there, what to do about a finding, and the function that looks."""

    name: str
    why: str
    remedy: str
    look: Callable[[Blob], Iterable[Span]]
    about_text: bool = True  # such a rule reads file names too
    markable: bool = False  # whether the mark `guard: invented` on a line silences it


TEXT = Rule(
    "text",
    "eight words in a row of a restricted note are the note",
    "a restricted note holds these words; remove them",
    lambda _: (),
)


def rules(root: Path | None = None, home: Path | None = None) -> tuple[Rule, ...]:
    """The rules that look at one file at a time; `root` and `home` are the paths of this machine."""
    own = partial(machine.machine_paths, pattern=machine.paths(root, home))
    out = "git rm --cached it, and let DVC keep it"
    mark = f"remove it; if a person invented it, write `{MARK}` on the line"
    data = "data, weights and notebooks are kept by DVC, and hide what they hold"
    return (
        Rule("formats", data, f"data, weights, notebooks and binary files stay out: {out}", files.kind, False),
        Rule("place", data, f"what lies under data/, models/, reports/ stays out: {out}", files.place, False),
        Rule("size", "nobody reads it before it is merged", f"too large: {out}", files.size, False),
        Rule(
            "link", "Git keeps where it points", "the link leaves the repository: git rm --cached it", files.link, False
        ),
        Rule("ids", "an id points at a patient", f"looks like an id of MIMIC-IV: {mark}", patients.ids, markable=True),
        Rule("masks", "stand in real notes", f"a mask of de-identification: {mark}", patients.masks, markable=True),
        Rule("dates", "MIMIC's lie there", f"a date as MIMIC shifts them: {mark}", patients.dates, markable=True),
        Rule("metrics", "aggregates only", "no id, sentence or count of 1..10 there: write null", patients.metrics),
        Rule("secrets", "Git never forgets one", "a secret: revoke it, then remove it", secrets),
        Rule("paths", "tell of a machine and its users", f"a path of a machine: {mark}", own, markable=True),
        Rule("hosts", "a lock works anywhere", "names a package host: `make lock` writes none", machine.hosts),
    )


SHOWN = 3  # findings of one rule in one file


@dataclass(frozen=True, order=True)
class Finding:
    """One line of the report; `path` is fit to be shown."""

    path: str
    line: int  # 0: the file's name
    rule: str
    remedy: str
    origin: str = ""

    def __str__(self) -> str:
        where = "file name; " if self.line == 0 else ""
        return f"{self.path}:{self.line}: {self.rule}: {where}{self.remedy}{f' ({self.origin})' if self.origin else ''}"


@dataclass
class Report:
    """What a scan saw and found. `notes` is None where no restricted note is on this machine."""

    files: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: int | None = None
    exempted: set[Allowed] = field(default_factory=set)  # entries of the table that silenced something

    def lines(self) -> list[str]:
        """The findings, of one kind in one file the first few and how many more: a model file holds thousands."""
        shown: list[str] = []
        for (path, rule, _), same in groupby(self.findings, key=lambda found: (found.path, found.rule, found.origin)):
            several = list(same)
            shown += [str(finding) for finding in several[:SHOWN]]
            if len(several) > SHOWN:
                shown.append(f"{path}: {rule}: and {len(several) - SHOWN:,} more lines")
        return shown

    def summary(self) -> str:
        """The last line of the report."""
        if self.notes is None:
            text = "text: no restricted notes on this machine"
        else:
            text = f"text: compared with {self.notes:,} restricted notes"
        found = f"{len(self.findings)} findings" if self.findings else "nothing found"
        return f"guard: {self.files} files, {found} ({text})"


def scan(blobs: Iterable[Blob], root: Path, allowed: tuple[Allowed, ...] = ALLOWED) -> Report:
    """Look at every file with every rule, then for its words in the restricted notes below `root`."""
    report = Report()
    found: set[Finding] = set()
    table = rules(root, Path.home())
    seen: list[tuple[Blob, str]] = []
    for blob in blobs:
        report.files += 1
        shown = _shown(blob, table)
        for rule in table:
            if entry := reason(blob.path, rule.name, allowed):
                report.exempted |= {entry for _ in rule.look(blob)}
                continue
            found |= {_finding(rule, shown, line, blob) for line in _lines(rule, blob)}
            if rule.about_text and any(True for _ in rule.look(_name(blob))):
                found.add(_finding(rule, shown, 0, blob))
        if not reason(blob.path, TEXT.name, allowed):
            seen.append((blob, shown))
    report.notes, places = _compare([blob.text for blob, _ in seen], root)
    found |= {_finding(TEXT, seen[number][1], line, seen[number][0]) for number, line in places}
    report.findings = sorted(found, key=lambda each: (each.path, each.rule, each.origin, each.line))
    return report


def _finding(rule: Rule, shown: str, line: int, blob: Blob) -> Finding:
    return Finding(shown, line, rule.name, rule.remedy, blob.origin)


def _name(blob: Blob) -> Blob:
    return made(".name", blob.path.encode("utf-8", "replace"))


def _shown(blob: Blob, table: Iterable[Rule]) -> str:
    """The path on one line, with stars over whatever a rule found in it."""
    name = _name(blob).text
    letters = list(name)
    for rule in table:
        if rule.about_text:
            for start, end in rule.look(_name(blob)):
                letters[start:end] = re.sub(r"\w", "*", name[start:end])
    return "".join(letter if letter.isprintable() else "?" for letter in letters)


def _lines(rule: Rule, blob: Blob) -> Iterator[int]:
    """Lines (from 1) on which a rule finds something that is not marked as invented."""
    starts = [start for start, _ in rule.look(blob)]
    breaks = [match.start() for match in re.finditer("\n", blob.text)] if starts else []
    for start in starts:
        line = bisect_left(breaks, start)
        first, last = breaks[line - 1] + 1 if line else 0, breaks[line] if line < len(breaks) else None
        if not (rule.markable and MARK in blob.text[first:last]):
            yield line + 1


def _compare(texts: list[str], root: Path) -> tuple[int | None, list[tuple[int, int]]]:
    """How many restricted notes were read, and where (text, line) their words stand."""
    places = restricted.places(root)
    if not places:
        return None, []
    with tqdm(desc="guard: restricted notes", unit=" notes", delay=2, disable=None, leave=False) as bar:
        read = 0

        def notes() -> Iterator[bytes]:
            nonlocal read
            for path in places:
                for note in restricted.notes(path):
                    read += 1
                    bar.update()
                    yield note

        found = Suspects(texts).found_in(notes())
    return read, found
