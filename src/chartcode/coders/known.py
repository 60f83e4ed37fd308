"""The coders there are, by name: who reads a model folder without knowing whose it is asks here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from chartcode.artifacts import Artifact
from chartcode.coders.base import Coder
from chartcode.errors import ArtifactError, DataError
from chartcode.params import Section, parse

CODERS = {
    "tfidf": "TfidfCoder",
    "laat": "LaatCoder",
    "transformer": "TransformerCoder",
    "boosted": "BoostedCoder",
    "linked": "LinkedCoder",
    "stacked": "StackedCoder",
    "ensemble": "EnsembleCoder",
}  # module of chartcode.coders and its class
READS = ("text", "sections", "edits", "year", "age", "sex")  # columns of silver: what any of them reads


def once_each(members: list[str]) -> list[str]:
    """Names of coders, for a field of params. Raises ValueError when one stands twice."""
    if len(set(members)) < len(members):
        raise ValueError("a coder is named twice")
    return members


def load_coder(artifact: Artifact) -> Coder[Any]:
    """The coder that a model folder holds, whichever it is."""
    name = str(artifact.json("coder.json").get("coder"))
    if name not in CODERS:
        raise ArtifactError(f"{artifact.folder}/coder.json: coder: not one of {', '.join(CODERS)}; update chartcode")
    coder: Coder[Any] = getattr(importlib.import_module(f"chartcode.coders.{name}"), CODERS[name]).load(artifact)
    return coder


def fitting_of(name: str, model: Artifact) -> tuple[type[Coder[Any]], Section]:
    """The class of a coder, and the params that a model of it was fitted with."""
    module = importlib.import_module(f"chartcode.coders.{name}")
    kind = getattr(module, CODERS[name].replace("Coder", "Params"))
    return getattr(module, CODERS[name]), parse(kind, model.json("coder.json")["params"], model.path("coder.json"))


def coder_named(arguments: Sequence[str], stage: str) -> str:
    """The coder on a stage's command line (sys.argv). Raises DataError when it is none of ours."""
    if len(arguments) != 2 or arguments[1] not in CODERS:
        raise DataError(f"{stage}: name one coder ({', '.join(CODERS)}), as in `python -m stages.{stage} tfidf`")
    return arguments[1]
