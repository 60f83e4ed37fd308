"""params.yaml is typed: a wrong key is named in one line, and what DVC writes back is what we read."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from dvc.utils.hydra import apply_overrides
from pydantic import Field

from chartcode import params
from chartcode.coders.boosted import BoostedParams
from chartcode.coders.ensemble import EnsembleParams
from chartcode.coders.laat import LaatParams
from chartcode.coders.linked import LinkedParams
from chartcode.coders.stacked import StackedParams
from chartcode.coders.tfidf import TfidfParams
from chartcode.coders.transformer import TransformerParams
from chartcode.errors import ParamsError
from chartcode.extraction.tables import ExtractParams
from chartcode.linking.teach import LinkParams
from chartcode.linking.terminology.build import TerminologyParams
from chartcode.params import DataParams, EvaluateParams, GoldParams, Section, SplitParams
from chartcode.sources.codiesp import CodiespParams
from chartcode.sources.synthetic.params import SyntheticParams
from tests.conftest import ROOT

MODELS = [
    DataParams,
    SyntheticParams,
    CodiespParams,
    params.BronzeParams,
    params.SilverParams,
    SplitParams,
    GoldParams,
    TerminologyParams,
    LinkParams,
    TfidfParams,
    LaatParams,
    TransformerParams,
    BoostedParams,
    LinkedParams,
    StackedParams,
    EnsembleParams,
    EvaluateParams,
    params.ExplainParams,
    ExtractParams,
]


def changed(tmp_path: Path, old: str, new: str) -> Path:
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_every_section_of_the_file_has_a_model_and_loads() -> None:
    assert {m.section for m in MODELS} == set(params.SECTIONS) == set(params.read(ROOT / "params.yaml"))
    for model in MODELS:
        assert params.load(model, ROOT / "params.yaml").section == model.section


@pytest.mark.parametrize(
    ("old", "new", "model", "message"),
    [
        ("  C: 1.0", "  C: 1.0\n  penalty: l1", TfidfParams, "tfidf.penalty: unknown key"),
        ("  C: 1.0", "", TfidfParams, "tfidf.C: key is missing"),
        ("  C: 1.0", "  C: strong", TfidfParams, "tfidf.C: Input should be a valid number"),
        ("  C: 1.0", "  C: 0", TfidfParams, "tfidf.C: Input should be greater than 0"),
        ("  sublinear_tf: true", "  sublinear_tf: 1", TfidfParams, "tfidf.sublinear_tf: Input should be a valid bool"),
        ("  min_df: 5", "  min_df: 5.5", TfidfParams, "tfidf.min_df: Input should be a valid int"),
        ("  ngram_range:\n  - 1\n", "  ngram_range:\n  - 3\n", TfidfParams, "shortest n-gram first"),
        ("  - transformer\n", "  - laat\n", EnsembleParams, "ensemble.members: Value error, a coder is named twice"),
        (
            "  - tfidf\nevaluate",
            "  - tfidf\n  - tfidf\nevaluate",
            StackedParams,
            "stacked.members: Value error, a coder is named twice",
        ),
        ("  top_k: 50", "  top_k: 0", GoldParams, "gold.top_k: "),
        ("  train: 0.8", "  train: 0.9", SplitParams, "must sum to 1"),
        ("source: synthetic", "source: mimic", DataParams, "data.source: "),
        ("\ntfidf:", "\ntfdif:", TfidfParams, "tfdif: unknown section"),
        ("\ntfidf:", "\n- tfidf", TfidfParams, "not valid YAML near line"),
    ],
)
def test_a_wrong_key_is_named_in_one_line(
    tmp_path: Path, old: str, new: str, model: type[Section], message: str
) -> None:
    with pytest.raises(ParamsError) as error:
        params.load(model, changed(tmp_path, old, new))
    assert message in str(error.value)
    assert "params.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_missing_section_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="not found"):
        params.load(DataParams, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"data: caf\xe9\n")
    with pytest.raises(ParamsError, match="UTF-8"):
        params.load(DataParams, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("data:\n  source: synthetic\n  max_patients: null\n")
    with pytest.raises(ParamsError, match="gold: section is missing"):
        params.load(GoldParams, tmp_path / "params.yaml")


def test_a_number_as_dvc_writes_it_arrives_as_a_float(tmp_path: Path) -> None:
    """`dvc exp run -S transformer.lr=3e-5` writes 3e-05: a string in YAML 1.1."""

    class Learning(Section):
        section: ClassVar[str] = "tfidf"
        C: Annotated[float, Field(gt=0)]

    values = params.read(changed(tmp_path, "  C: 1.0", "  C: 3e-05"))
    learned = params.parse(Learning, {"C": values["tfidf"]["C"]})
    assert learned.C == 3e-5


@pytest.mark.parametrize("override", ["tfidf.C=1.0", "gold.tables=[diagnoses]", "data.max_patients=null"])
def test_params_yaml_survives_a_rewrite_by_dvc(tmp_path: Path, override: str) -> None:
    """`-S` rewrites the file and drops what stands behind a list; in canonical form it changes the one key only."""
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    apply_overrides(path, [override])
    assert path.read_text() == (ROOT / "params.yaml").read_text()


def test_every_key_has_a_comment_above_it() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for before, line in pairwise(lines):
        if line.startswith("  ") and line[2] not in "# -":
            assert before.lstrip().startswith("#"), f"{line.strip()} has no comment"


def test_sections_are_frozen() -> None:
    section = params.load(SplitParams, ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        section.train = 0.5  # type: ignore[misc]


def test_the_working_directory_decides_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert params.load(SplitParams).seed == 42
