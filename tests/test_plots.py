"""The curves of both revisions as a page that asks nobody for anything, and as small, whole PNG files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from chartcode import cli, plots, revisions
from chartcode.errors import DataError
from chartcode.plots import Plot, Spec
from chartcode.revisions import Sides
from tests.branches import commit, make_branches, run

SIDES = Sides("f" * 40, "main", "fffffff", "abcdef0")
CURVE = [("a", 0.0, 1.0), ("a", 0.5, 0.75), ("a", 1.0, 0.25)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_branches(tmp_path_factory.mktemp("made") / "repo")


def plot(base: plots.Points, here: plots.Points) -> Plot:
    return Plot("tfidf", "A title", "recall", "precision", diagonal=False, base=base, here=here)


def scale(spec: Spec, axis: str) -> dict[str, object]:
    return dict(spec["concat"][0]["layer"][-1]["encoding"][axis]["scale"])


def test_dvc_pairs_the_curves_of_both_revisions(made: Path) -> None:
    curve, reliability = plots.read(revisions.sides(root=made), made)
    assert (curve.group, curve.title) == ("tfidf", "Precision and recall (tfidf, test)")
    assert [(x, y) for _, x, y in curve.base] == [(0, 1), (1, 0.1)]
    assert [(x, y) for _, x, y in curve.here] == [(0, 1), (1, 0.01)]
    assert plots.moved(curve)
    assert reliability.diagonal
    assert [(x, y) for _, x, y in reliability.here] == [(0.1, 0.2), (0.9, 0.8)], "an empty cell is no point"
    assert not plots.moved(reliability)


def test_the_page_carries_its_library_and_may_load_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made)
    assert cli.main(["plots", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"written: {tmp_path}/out/index.html\n"
    page = (tmp_path / "out/index.html").read_text()
    head = page[: page.index("<script")]
    assert "default-src 'none'" in head, "the browser itself refuses any request"
    assert "vegaEmbed" in page
    assert "Precision and recall (tfidf, test)" in page
    assert not re.search(r"src=|href=|url\(|@import", re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.S))
    assert len(page) < 5_000_000


def test_a_repository_without_curves_says_so_in_one_line(made: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made, tmp_path / "repo"))
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text[: text.index("    plots:")])
    run(root, "git", "rm", "-rq", "--cached", "metrics/tfidf/plots")
    shutil.rmtree(root / "metrics/tfidf/plots")
    commit(root)
    with pytest.raises(DataError, match=r"^dvc\.yaml: no plot has data here or in base; run `dvc repro`$"):
        plots.write("HEAD", tmp_path / "out", root)


def test_a_curve_of_one_side_alone_is_drawn() -> None:
    spec = plots.figure([plot([], CURVE)], SIDES)
    assert {row["side"] for row in spec["concat"][0]["layer"][0]["data"]["values"]} == {"here abcdef0"}
    assert plots.png(spec).startswith(b"\x89PNG\r\n\x1a\n")


def test_shares_get_the_same_axes_and_other_units_their_own() -> None:
    spec = plots.figure([plot([("a", 1.0, 0.2), ("a", 40.0, 0.3)], CURVE)], SIDES)
    assert scale(spec, "x") == {"zero": False}
    assert scale(spec, "y") == {"domain": [0, 1]}
