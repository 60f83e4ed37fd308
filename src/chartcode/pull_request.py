"""What a pull request moves, for a reviewer who has no data: params, metrics, stages and curves, as Markdown and PNG.

Compares the checkout with the commit where it left its base branch (`revisions.sides`). Numbers that did not move are
counted, not listed; a change is held against the bootstrap interval, so that noise is seen as noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chartcode import plots, revisions
from chartcode.compare import HEADLINE, NOTHING
from chartcode.revisions import Flat, LockChange, Sides, State

MARKER = "<!-- chartcode: pull request report -->"  # by which CI finds its own comment again
FOLDER = Path("reports/pr")
PRIMARY = "test", "micro_f1", "test micro-F1"  # the pre-registered metric: split, key, and its name in a sentence
LONGEST = 60_000  # characters; a comment on GitHub holds 65,536
ENDS = ("_lo", "_hi")
UP, DOWN = "▲", "▼"
FOOTNOTE = (
    f"[low, high]: 95% bootstrap over patients, each side for itself (unpaired). {UP}{DOWN}: base lies outside the "
    "interval of here; a change without a mark, where there is an interval, may be noise. "
    f"{NOTHING} : withheld (small cell), not defined or not there."
)


@dataclass(frozen=True)
class Row:
    """One metric on both sides; bounds are (low, high), None where there are none."""

    name: str
    base: float | None
    here: float | None
    base_bounds: tuple[float, float] | None
    here_bounds: tuple[float, float] | None

    @property
    def moved(self) -> bool:
        return (self.base, self.base_bounds) != (self.here, self.here_bounds)

    @property
    def outside(self) -> bool | None:
        """Whether base lies outside the interval of here; None when that cannot be said."""
        if self.base is None or self.here_bounds is None:
            return None
        return not self.here_bounds[0] <= self.base <= self.here_bounds[1]


@dataclass(frozen=True)
class Evidence:
    """Everything the report is written from."""

    sides: Sides
    base: State
    here: State
    stages: tuple[LockChange, ...]
    stale: tuple[str, ...] | None  # see revisions.to_run
    figures: tuple[str, ...] = ()  # file names beside the report


def write(base: str | None = None, out: Path = FOLDER, figures_at: str | None = None, root: Path = Path()) -> str:
    """Write report.md and one PNG a coder whose curves moved to `out`; returns the one-sentence summary.

    `figures_at` is an address where the figures will be found: the report then links there and embeds none.
    """
    compared = revisions.sides(base, root)
    before, after = revisions.states(compared, root)
    changes = revisions.lock_changes(revisions.locks(compared.commit, root), revisions.locks(None, root))
    pictures = {
        f"{group}.png": plots.png(plots.figure(each, compared))
        for group, each in plots.grouped(plots.read(compared, root)).items()
        if any(plots.moved(plot) for plot in each)
    }
    evidence = Evidence(compared, before, after, changes, revisions.to_run(root), tuple(pictures))
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (out / name).write_bytes(picture)
    (out / "report.md").write_text(report(evidence, figures_at), encoding="utf-8")
    return summary(evidence)


def report(evidence: Evidence, figures_at: str | None = None) -> str:
    """The whole report, without the numbers beside the headline when a comment would not hold it."""
    sides = evidence.sides
    top = [
        MARKER,
        "## What moved",
        f"**{summary(evidence)}**",
        f"Base `{sides.base}` (where this branch left `{sides.branch}`), here `{sides.here}`.",
        *_warnings(evidence),
    ]
    params = _params(evidence)
    rest = [*_stages(evidence.stages), *_curves(evidence.figures, figures_at)]
    whole = _text([*top, *params, *_metrics(evidence, everything=True), *rest])
    return whole if len(whole) <= LONGEST else _text([*top, *params, *_metrics(evidence, everything=False), *rest])


def _text(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def summary(evidence: Evidence) -> str:
    """One sentence: the primary metric of every coder that moved."""
    said = [_sentence(coder, rows, evidence) for coder, rows in _moved(evidence).items() if any(rows.values())]
    return "; ".join(said) + "." if said else "No metric changed."


def _sentence(coder: str, moved: Mapping[str, Sequence[Row]], evidence: Evidence) -> str:
    split, key, name = PRIMARY
    rows = {row.name: row for row in table(evidence.base.metrics, evidence.here.metrics, coder, split)}
    row = rows.get(key, Row(key, None, None, None, None))
    if coder not in _coders(evidence.base.metrics):
        return f"{coder} is new" + (f": {name} {_value(row.here)}" if key in rows else "")
    if coder not in _coders(evidence.here.metrics):
        return f"{coder} is gone" + (f": {name} was {_value(row.base)}" if key in rows else "")
    if key not in rows:
        return f"{coder}: {sum(map(len, moved.values()))} numbers moved"
    if row.base == row.here:
        return f"{coder}: {name} stays at {_value(row.here)}, other numbers moved"
    if row.base is None or row.here is None:
        return f"{coder}: {name} {_value(row.base)} → {_value(row.here)} (withheld)"
    known = {True: ", outside the 95% interval", False: ", inside the 95% interval", None: ""}[row.outside]
    return f"{coder}: {name} {_value(row.base)} → {_value(row.here)} ({_difference(row.base, row.here)}{known})"


def _warnings(evidence: Evidence) -> list[str]:
    said = []
    if evidence.stale is None:
        said.append("DVC could not tell whether the lock is fresh: run `dvc repro --allow-missing --dry`.")
    elif evidence.stale:
        stages = ", ".join(f"`{stage}`" for stage in evidence.stale)
        said.append(
            f"The lock is not fresh: `dvc repro` would run {stages} and what follows. The numbers below are not those "
            "of this code and these params."
        )
    said += [
        f"`{path}` of base cannot be read; it counts as absent there."
        for path in dict.fromkeys(evidence.base.unreadable)
    ]
    said += [
        f"`{change.stage}` has other results from the same code, params and data: another version of a library, "
        "another machine, or a stage that does not repeat itself."
        for change in evidence.stages
        if change.unexplained
    ]
    return ["> [!WARNING]\n" + "\n".join(f"> {line}" + "  " for line in said)] if said else []


def _params(evidence: Evidence) -> list[str]:
    base, here = evidence.base.params, evidence.here.params
    keys = revisions.differing(base, here)
    if not keys:
        return ["### Params", "None changed."]
    rows = [[f"`{key}`", *(_param(side, key) for side in (base, here))] for key in keys]
    return ["### Params", _markdown(["param", "base", "here"], rows)]


def _param(params: Flat, key: str) -> str:
    if key not in params:
        return NOTHING
    text = json.dumps(params[key], ensure_ascii=False, default=str)
    text = text if len(text) <= 60 else text[:59] + "…"
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def _coders(metrics: Flat) -> list[str]:
    return sorted({key.split(".")[0] for key in metrics})


def _place(key: str) -> tuple[str, str, str]:
    """Coder, split and name of a metric's key; a key of fewer parts has no split."""
    parts = key.split(".", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (parts[0], "", parts[-1])


def table(base: Flat, here: Flat, coder: str, split: str) -> list[Row]:
    """Every metric of a coder on a split: the headline in its order, the rest by name; bounds stand beside theirs."""
    sides = [
        {name: value for key, value in side.items() for *place, name in [_place(key)] if place == [coder, split]}
        for side in (base, here)
    ]
    names = {name for side in sides for name, value in side.items() if value is None or _is_number(value)}
    names -= {f"{name}{end}" for name in names for end in ENDS}
    shown = [name for name in HEADLINE if name in names]
    old, new = sides
    return [
        Row(name, _number(old, name), _number(new, name), _bounds(old, name), _bounds(new, name))
        for name in [*shown, *sorted(names - set(shown))]
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(side: Mapping[str, Any], name: str) -> float | None:
    value = side.get(name)
    return value if _is_number(value) else None


def _bounds(side: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    low, high = (_number(side, f"{name}{end}") for end in ENDS)
    return None if low is None or high is None else (low, high)


def _moved(evidence: Evidence) -> dict[str, dict[str, list[Row]]]:
    """Rows that moved, by coder and split: test before val, which only sets thresholds."""
    base, here = evidence.base.metrics, evidence.here.metrics
    found: dict[str, dict[str, list[Row]]] = {}
    for coder in sorted({*_coders(base), *_coders(here)}):
        splits = sorted({_place(key)[1] for key in (*base, *here) if _place(key)[0] == coder})
        found[coder] = {split: [row for row in table(base, here, coder, split) if row.moved] for split in splits}
    return found


def _metrics(evidence: Evidence, *, everything: bool) -> list[str]:
    moved = _moved(evidence)
    still = [coder for coder, splits in moved.items() if not any(splits.values())]
    if len(still) == len(moved):
        return ["### Metrics", "No metric changed."]
    blocks = ["### Metrics"]
    for coder, splits in moved.items():
        others: list[str] = []
        for split, rows in splits.items():
            if not rows:
                continue
            label = f"{coder}, {split}" if split else coder
            count = len(table(evidence.base.metrics, evidence.here.metrics, coder, split))
            headline = [row for row in rows if row.name in HEADLINE]
            note = f"{count - len(rows)} of {count} numbers did not move." if count > len(rows) else ""
            shown = [_rows(headline)] if headline else []
            blocks += _folded(label, [*shown, note]) if split == "val" else [f"**{label}**", *shown, note]
            others += [f"{label}\n\n{_rows(rest)}"] if (rest := [row for row in rows if row not in headline]) else []
        if others and everything:
            blocks += _folded(f"{coder}: every other number that moved", others)
        elif others:
            blocks.append(f"More numbers of {coder} moved than a comment holds: `chartcode compare --all {coder}`.")
    if still:
        blocks.append(f"Unchanged: {', '.join(still)}.")
    return [block for block in [*blocks, f"<sub>{FOOTNOTE}</sub>"] if block]


def _folded(title: str, blocks: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", *blocks, "</details>"]


def _rows(rows: Sequence[Row]) -> str:
    cells = [[row.name, _with_bounds(row.base, row.base_bounds), _with_bounds(row.here, row.here_bounds), _change(row)]
             for row in rows]  # fmt: skip
    return _markdown(["metric", "base", "here", "change"], cells, ":--|--:|--:|--:")


def _value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:,d}" if isinstance(value, int) else f"{value:.3f}"


def _with_bounds(value: float | None, bounds: tuple[float, float] | None) -> str:
    return _value(value) if bounds is None else f"{_value(value)} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _change(row: Row) -> str:
    if row.base is None or row.here is None:
        return ""
    if row.base == row.here:
        return "interval only"
    mark = f" {UP if row.here > row.base else DOWN}" if row.outside else ""
    return _difference(row.base, row.here) + mark


def _difference(base: float, here: float) -> str:
    if isinstance(base, int) and isinstance(here, int):
        return f"{here - base:+,d}"
    return f"{here - base:+.3f}" if abs(here - base) >= 0.0005 else f"{here - base:+.4f}"


def _stages(changes: Sequence[LockChange]) -> list[str]:
    if not changes:
        return ["### Stages", "No lock entry changed: every artifact is the base's."]
    rows = []
    for change in changes:
        stage = f"`{change.stage}`" if change.state == "changed" else f"`{change.stage}` ({change.state})"
        cells = (change.params, _names(change.code), change.data, revisions.folded(change.outs))
        rows.append([stage, *(_listed(cell) for cell in cells)])
    return ["### Stages", _markdown(["stage", "params", "code", "data read", "results"], rows)]


def _names(paths: Iterable[str]) -> list[str]:
    return [Path(path).name for path in paths]


def _listed(names: Sequence[str], longest: int = 3) -> str:
    more = f" +{len(names) - longest}" if len(names) > longest else ""
    return ", ".join(f"`{name}`" for name in names[:longest]) + more


def _curves(figures: Sequence[str], figures_at: str | None) -> list[str]:
    if not figures:
        return ["### Curves", "No curve changed."]
    if figures_at:
        return ["### Curves", f"[{', '.join(figures)}]({figures_at})"]
    return ["### Curves", *(f"![Curves of {Path(name).stem}: base dashed, here solid]({name})" for name in figures)]


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]], rule: str | None = None) -> str:
    line: Callable[[Sequence[str]], str] = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    rules = f"|{rule}|" if rule else line(["---"] * len(header))
    return "\n".join([line(header), rules, *(line(row) for row in rows)])
