"""params.yaml as frozen, typed sections; an unknown, missing or mistyped key is an error that names it.

A section's model stands here when every stage may need it, and in the file of its coder or source otherwise, so
that a new knob of one coder re-runs that coder alone. `load(Model)` reads the section `Model.section`.

The file is read as YAML 1.2: DVC writes `-S transformer.lr=3e-5` as `3e-05`, which YAML 1.1 takes for a string.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chartcode.errors import ParamsError

PATH = Path("params.yaml")
SECTIONS = (
    "data",
    "synthetic",
    "codiesp",
    "bronze",
    "silver",
    "split",
    "gold",
    "terminology",
    "link",
    "tfidf",
    "laat",
    "transformer",
    "boosted",
    "linked",
    "stacked",
    "ensemble",
    "evaluate",
    "explain",
    "extract",
)

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Section(BaseModel):
    """One section of params.yaml: strict types, no unknown keys, frozen, no defaults (params.yaml holds them all)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
    section: ClassVar[str]


class DataParams(Section):
    """Which hospital, and how much of it."""

    section: ClassVar[str] = "data"
    source: Literal["synthetic", "codiesp", "mimic-iv"]
    max_patients: Positive | None


class BronzeParams(Section):
    """What bronze leaves out."""

    section: ClassVar[str] = "bronze"
    exclude: str


class SilverParams(Section):
    """Which notes enter the cohort."""

    section: ClassVar[str] = "silver"
    min_tokens: Count
    note_types: list[str]


class SplitParams(Section):
    """Shares of patients and the key of the hash that deals them out."""

    section: ClassVar[str] = "split"
    train: Fraction
    val: Fraction
    test: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SplitParams:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError("train, val and test must sum to 1")
        return self


class GoldParams(Section):
    """Which codes are labels."""

    section: ClassVar[str] = "gold"
    top_k: Positive | None
    min_count: Positive
    icd_version: Literal[9, 10]
    select_on: Literal["train", "cohort"]
    tables: Annotated[list[Literal["diagnoses", "procedures"]], Field(min_length=1)]


class EvaluateParams(Section):
    """How scores become decisions and how sure we are of the metrics."""

    section: ClassVar[str] = "evaluate"
    threshold: Literal["global", "per_label", "none"]
    calibrate: Literal["none", "platt", "isotonic"]
    cross_fit: bool
    top_k: list[Positive]
    bootstrap_rounds: Count
    seed: Seed


class ExplainParams(Section):
    """How many notes a coder's evidence is judged on."""

    section: ClassVar[str] = "explain"
    notes: Positive | None
    faithful_pairs: Positive | None
    seed: Seed


SectionT = TypeVar("SectionT", bound=Section)


def read(path: Path = PATH) -> dict[str, Any]:
    """The whole file as plain values. Raises ParamsError when it is absent, not YAML, or its sections are not ours."""
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: not found; run from the root of the repository") from None
    except (OSError, UnicodeDecodeError):
        raise ParamsError(f"{path}: cannot be read as a UTF-8 text file") from None
    except YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" near line {line + 1}" if line is not None else ""
        raise ParamsError(f"{path}: not valid YAML{where}") from None
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: must hold sections ({', '.join(SECTIONS)})")
    for name in values:
        if name not in SECTIONS:
            raise ParamsError(f"{path}: {name}: unknown section; known are {', '.join(SECTIONS)}")
    return values


def load(model: type[SectionT], path: Path = PATH) -> SectionT:
    """The section of `model`, typed and checked. Raises ParamsError naming the first key that is wrong."""
    values = read(path)
    if model.section not in values:
        raise ParamsError(f"{path}: {model.section}: section is missing")
    return parse(model, values[model.section], path)


def parse(model: type[SectionT], values: Any, path: Path = PATH) -> SectionT:
    """`values` as a `model`, or ParamsError in one line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join([model.section, *(str(part) for part in first["loc"])])
        reasons = {"extra_forbidden": "unknown key; remove or correct it", "missing": "key is missing; add it"}
        raise ParamsError(f"{path}: {key}: {reasons.get(first['type'], first['msg'])}") from None
