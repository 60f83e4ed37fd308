"""Two coders on the same test notes: is the difference between them more than chance?

A side is a coder (`tfidf`: data/scores/tfidf), a coder at a Git revision or experiment (`tfidf@main`: its scores come
from DVC's cache or remote), or any folder of scores. Gold is that of the checkout, so scores of other admissions are
refused; calibration and
thresholds are learned for each side on its own val scores, by the params of the checkout, as `evaluate` does.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chartcode.artifacts import Artifact
from chartcode.compare import HEADLINE, NOTHING, SCORES, aligned
from chartcode.errors import DataError
from chartcode.evaluation import discrimination
from chartcode.evaluation.fitting import fit
from chartcode.evaluation.headline import Numbers, headline, label_scores
from chartcode.evaluation.paired import Difference, Side, differences
from chartcode.evaluation.ranking import rank_notes
from chartcode.params import EvaluateParams, load
from chartcode.privacy import publish
from chartcode.tables.labels import Gold, read_gold

ROUNDS = 1000  # where evaluate.bootstrap_rounds is 0
FOOTNOTE = (
    "[low, high]: 95% paired bootstrap over patients.\n"
    "p: approximate randomisation over patients, two-sided, each metric for itself. "
    f"{NOTHING} : withheld (small cell) or not defined."
)


def is_name(side: str) -> bool:
    """Whether a side is the plain name of a coder."""
    return bool(re.fullmatch(r"[a-z][a-z0-9_]*", side))


def render(one: str, other: str, gold: Path = Path("data/gold")) -> str:
    """The table of differences, other less one, on test.

    Raises DataError when a side cannot be found or is not of gold's admissions, ArtifactError when it is damaged.
    """
    params = load(EvaluateParams)
    truth = read_gold(Artifact(gold))
    sides, numbers = zip(*(_judge(name, truth, params) for name in (one, other)), strict=True)
    cohort = sides[0].cohort
    shown = [publish(each, cohort.size) for each in numbers]
    wanted = {
        name: numbers[1][name].value - numbers[0][name].value
        for name in numbers[0]
        if shown[0][name] is not None and shown[1][name] is not None
    }
    rounds = params.bootstrap_rounds or ROUNDS
    found = differences(sides[0], sides[1], wanted, sorted(set(params.top_k)), rounds, params.seed)
    rows = [["test", one, other, "difference", "p"]]
    tested = [name for name in HEADLINE if name in found]
    for name in tested + sorted(set(found) - set(tested)):
        values = [f"{numbers[side][name].value:.3f}" for side in (0, 1)]
        rows.append([name, *values, *_cells(wanted[name], found[name])])
    rows += [[name, NOTHING, NOTHING, NOTHING, NOTHING] for name in HEADLINE if name in _testable(params) - set(found)]
    size = f"{shown[0]['n'] or NOTHING} notes of {shown[0]['patients'] or NOTHING} patients, {rounds:,} rounds."
    return f"{aligned(rows)}\n\n{size} {FOOTNOTE}\n"


def _testable(params: EvaluateParams) -> set[str]:
    kinds = {f"{average}_f1{kind}" for average in ("micro", "macro") for kind in ("", "_per_label")}
    return kinds | {"map", "r_precision"} | {f"p_at_{k}" for k in params.top_k}


def _cells(difference: float, tested: Difference) -> tuple[str, str]:
    return f"{difference:+.3f} [{tested.low:+.3f}, {tested.high:+.3f}]", f"{tested.p:.3f}"


def _judge(name: str, gold: Gold, params: EvaluateParams) -> tuple[Side, Numbers]:
    """One side on test, with thresholds from its val scores, and its headline numbers."""
    with _scores(name) as scores:
        fitted = fit(gold, scores, params)
    test, tau = fitted.judged["test"], fitted.tau["test"]
    cells, ranking = discrimination.over_all(test), rank_notes(test, sorted(set(params.top_k)))
    without = params.model_copy(update={"bootstrap_rounds": 0})
    return Side(test, tau), headline(test, tau, label_scores(test), cells, ranking, without)


@contextmanager
def _scores(name: str) -> Iterator[Artifact]:
    """The scores that a side names."""
    coder, at, revision = name.partition("@")
    folder = SCORES / coder if is_name(coder) else Path(name)
    if not (is_name(coder) and at):
        if not folder.is_dir():
            remedy = f"run `dvc repro evaluate@{coder}` or `dvc pull`" if is_name(coder) else "name a folder of scores"
            raise DataError(f"{folder}: no scores there; {remedy}")
        yield Artifact(folder)
        return
    from dvc.exceptions import DvcException  # DVC takes half a second to import
    from dvc.repo import Repo
    from dvc_data.index import DataIndexDirError
    from scmrepo.exceptions import SCMError

    try:
        with Repo.open(".", rev=revision) as repo:
            commit = str(repo.get_rev())
    except (DvcException, SCMError):
        raise DataError(f"{revision}: no such revision; `git fetch`, or see `dvc exp list`") from None
    with tempfile.TemporaryDirectory(prefix="chartcode-") as temporary:
        out = Path(temporary) / coder
        try:
            Repo.get(".", folder.as_posix(), out=str(out), rev=commit)
        except (DvcException, DataIndexDirError, FileNotFoundError):
            raise DataError(
                f"{name}: scores neither in DVC's cache nor on the remote; their maker types `make push`"
            ) from None
        yield Artifact(out)
