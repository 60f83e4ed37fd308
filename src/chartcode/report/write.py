"""Writes a run's report from its artifacts and metrics: reports/<coder>/report.html and report.md.

Every number is one of metrics/<coder>/ or is counted from an artifact here, under the rule of privacy.py: no count of 1
to 10 is given, so a report of any hospital may be shown. Notes are shown of invented and openly licensed sources alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from chartcode import __version__
from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.params import GoldParams
from chartcode.report import cards, codes, groups, mentions, mistakes, results
from chartcode.report.document import Block, Heading, Table, Text, to_html, to_markdown
from chartcode.report.examples import OPEN, examples
from chartcode.report.facts import facts
from chartcode.report.published import linear_by_code, literature
from chartcode.tables.labels import read_gold

SPLITS = ("test", "val")
CURVES = ("precision_recall", "reliability")


@dataclass(frozen=True)
class Run:
    """What a report is written from: the artifacts of one run and the folder of its metrics."""

    coder: str
    bronze: Artifact
    silver: Artifact
    gold: Artifact
    mentions: Artifact
    model: Artifact
    evaluation: Artifact
    explained: Artifact
    metrics: Path

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All of them."""
        return (self.bronze, self.silver, self.gold, self.mentions, self.model, self.evaluation, self.explained)


def blocks(run: Run, params: GoldParams) -> list[Block]:
    """The whole report. Raises DataError when a metrics file is missing or the artifacts are of different sources."""
    source = run.silver.source
    if {artifact.source for artifact in run.artifacts} != {source}:
        raise DataError(f"{run.silver.folder}: artifacts of several sources lie side by side; run `dvc repro`")
    gold = read_gold(run.gold)
    found = facts(run.silver, gold, params)
    titles = _titles(run.bronze, (*gold.codes, *gold.other_codes))
    numbers, evidence = (_json(run.metrics / f"{name}.json", run.coder) for name in ("metrics", "evidence"))
    about = run.explained.json("explained.json")
    links, named = (_json(run.metrics.parent / f"stages/{name}.json", "link") for name in ("link", "link_groups"))
    slices = _json(run.metrics / "slices.json", run.coder).get("test", {})
    per_code = codes.told(run.evaluation.table("per_code.parquet"), gold, source not in OPEN)
    micro_f1 = numbers["test"].get("micro_f1")
    points = {
        (name, split): _points(run.metrics / "plots" / f"{name}_{split}.csv") for name in CURVES for split in SPLITS
    }
    return [
        results.tiles(numbers, evidence),
        *results.headline(run.coder, numbers, literature(source, len(gold.codes))),
        *results.curves(points, _raw(run.evaluation), _epochs(run.metrics / "plots/training.csv")),
        *groups.groups(slices, micro_f1),
        Heading("Codes"),
        *codes.beside_mimic(per_code, linear_by_code(source, len(gold.codes)), source, titles),
        Heading("Best and worst", 3),
        *codes.extremes(per_code, len(gold.codes), titles),
        *mistakes.mistakes(slices, micro_f1, run.evaluation, gold, titles),
        *results.evidence(evidence, about),
        *mentions.in_the_text(links, named, evidence, about["mentions_from"]),
        *_examples(run, source, titles),
        *cards.data_card(source, run.silver.json("waterfall.json"), run.bronze.json("report.json")["tables"], found),
        *cards.exploration(found, titles),
        *cards.model_card(
            run.coder, run.model.json("coder.json"), run.evaluation.json("thresholds.json"), len(gold.codes), found
        ),
        *_provenance(run),
    ]


def save(run: Run, params: GoldParams, code: str, folder: Path = Path("reports")) -> Path:
    """Write the report as an artifact; returns the HTML file. `code` is the digest of the stage's code."""
    source = run.silver.source
    title = f"{run.coder} on {source}"
    subtitle = (
        "Codes from discharge summaries, with evidence: how well one coder gives them, on what notes, and where it "
        f"goes wrong. One run of chartcode {__version__}; every number is of its metrics or counted from its artifacts."
    )
    made = blocks(run, params)
    target = folder / run.coder
    with writing(target, source, run.artifacts, code) as writer:
        writer.path("report.html").write_text(to_html(title, subtitle, made), encoding="utf-8")
        writer.path("report.md").write_text(to_markdown(title, subtitle, made), encoding="utf-8")
    return target / "report.html"


def _examples(run: Run, source: str, titles: Mapping[str, str]) -> list[Block]:
    heading = Heading("Examples", 3)
    if source not in OPEN:
        return [heading, Text(f"None: notes of {source} are shown in no report.", "note")]
    shown = examples(run.explained, run.bronze, run.mentions, titles)
    if not shown:
        return [heading, Text("None: nobody marked evidence in the test notes.")]
    how = (
        "Shaded: where the coder points, stronger is darker. Underlined: what was marked. Chosen by hash. "
        "Below, the codes of the note and the words that name them, with p: how likely a note with them is coded so."
    )
    return [heading, Text(how, "small"), *shown]


def _provenance(run: Run) -> list[Block]:
    rows = [
        [f"`{artifact.folder.as_posix()}`", f"`{artifact.fingerprint[:16]}`", f"`{artifact.manifest['code'][:16]}`"]
        for artifact in run.artifacts
    ]
    caption = "sha256 of each manifest, and of the code that made it. The revision is the commit that holds dvc.lock."
    return [Heading("Provenance"), Table(["artifact", "manifest", "code"], rows, caption, left=(0, 1, 2))]


def _titles(bronze: Artifact, codes: Sequence[str]) -> dict[str, str]:
    """What the source's own dictionary calls the codes, or ICD-10-CM where it has none."""
    table = bronze.table("d_icd_diagnoses.parquet", ["icd_code", "icd_version", "long_title"])
    rows = table.filter(pc.equal(table["icd_version"], 10)).to_pylist()
    if not rows:
        import simple_icd_10_cm as icd  # 2 s to load

        return {code: icd.get_description(code) for code in codes if icd.is_valid_item(code)}
    wanted = set(codes)
    return {row["icd_code"]: row["long_title"] or "" for row in rows if row["icd_code"] in wanted}


def _json(path: Path, coder: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))[coder])
    except FileNotFoundError:
        raise DataError(f"{path}: not found; run `dvc repro`") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not the metrics of {coder}; run `dvc repro --force`") from None


def _raw(evaluation: Artifact) -> list[tuple[float, float]]:
    """The reliability curve of test before calibration; none without calibration."""
    rows = evaluation.table("reliability.parquet").to_pylist()
    return [(r["predicted"], r["observed"]) for r in rows if r["split"] == "test" and r["scores"] == "raw"]


def _epochs(path: Path) -> dict[str, list[tuple[float, float]]]:
    """The numbers of a training by epoch; none for a coder that has no epochs."""
    if not path.is_file():
        return {}
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[float(cell) for cell in line.split(",")] for line in lines]
    names = ("loss", "MAP", "micro-F1") if rows else ()
    return {name: [(row[0], row[at]) for row in rows] for at, name in enumerate(names, 1)}


def _points(path: Path) -> list[tuple[float, float]]:
    """The first two columns of a curve."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split(",")[:2] for line in lines]
    return [(float(x), float(y)) for x, y in rows if x and y and "nan" not in (x, y)]
