"""Rare words of anatomy, imaging and pathology, built from morphemes.

Their use follows Zipf's law over some 250,000 words, which makes the vocabulary grow with the number of notes as it
does in real ones: about 180,000 types in 122,000 notes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_PREFIXES = (
    "", "peri", "intra", "retro", "sub", "supra", "infra", "para", "endo", "epi", "hypo", "hyper", "trans", "extra",
    "post",
    "pre", "inter", "juxta", "meso", "ante", "hemi", "micro", "macro", "multi", "pseudo", "poly", "circum", "bi",
    "non", "ecto",
    "hepato", "gastro", "cardio", "costo", "sterno", "cerebro", "naso", "oro", "ileo", "recto", "vesico", "utero",
    "broncho",
    "pleuro", "musculo", "osteo", "chondro", "fibro", "myo", "neuro", "spino", "cortico", "thoraco", "lumbo", "sacro",
    "ilio",
    "femoro", "tibio", "radio", "ulno", "cervico", "occipito", "fronto", "temporo", "parieto", "maxillo", "genito",
    "lympho",
    "arterio", "aorto", "atrio", "duodeno", "jejuno", "colo", "choledocho", "pancreatico", "spleno", "reno", "uretero",
)  # fmt: skip
_ROOTS = (
    "hepat", "splen", "nephr", "ren", "gastr", "enter", "col", "rect", "duoden", "jejun", "ile", "pancreat", "chol",
    "cyst",
    "ureter", "urethr", "prostat", "orchi", "hyster", "salping", "oophor", "mamm", "pulmon", "pneum", "bronch",
    "trache", "laryng",
    "pharyng", "rhin", "sinus", "ot", "tympan", "ocul", "ophthalm", "retin", "cerebr", "cerebell", "encephal",
    "mening", "myel",
    "neur", "radicul", "spondyl", "vertebr", "cost", "stern", "clavicul", "scapul", "humer", "uln", "carp", "phalang",
    "ischi",
    "acetabul", "femor", "tibi", "fibul", "tars", "arthr", "burs", "tend", "myo", "fasci", "derm", "cut", "lip",
    "aden", "lymph",
    "thym", "thyr", "parathyr", "adren", "pituit", "card", "pericard", "valvul", "aort", "arteri", "ven", "phleb",
    "angi", "vascul",
    "hem", "thromb", "fibr", "scler", "calc", "necr", "granul", "cyt", "kerat", "melan", "chondr", "oste", "odont",
    "gloss", "stomat",
    "gingiv", "esophag", "periton", "oment", "mesenter", "inguin", "umbilic", "perine", "cervic", "lumb", "sacr",
    "coccyg", "thorac",
    "brachi", "axill", "cubit", "poplit", "sural", "plant", "palm", "digit", "carotid", "jugul", "subclavi", "innomin",
    "celi",
    "porto", "caval", "biliar", "ampull", "pylor", "cardi", "fund", "antr", "cec", "sigmoid", "hilar", "apic", "basil",
    "lobul",
    "segment", "lamin", "pleur", "mediastin", "diaphragm", "crur", "glomerul", "tubul", "papill", "calyc", "trabecul",
    "cortic",
    "medull", "ventricul", "atri", "sept", "auricul", "conjunctiv", "corne", "scleros", "uve", "choroid", "macul",
    "foveal",
)  # fmt: skip
_SUFFIXES = (
    "al", "ic", "ar", "ous", "itic", "ary", "ian", "ial", "ular", "ogenic", "opathic", "otic", "iform", "atous",
    "otrophic",
    "ostatic", "ovascular", "oidal", "ectatic", "orrhagic",
)  # fmt: skip
WORDS = len(_PREFIXES) * len(_ROOTS) * len(_SUFFIXES)
_STRIDE = 100_003  # coprime to WORDS: neighbours in rank share no morphemes
_ZIPF, _SHIFT = 0.95, 30.0


def word(rank: int) -> str:
    """The word of Zipf rank `rank` (0-based, below WORDS)."""
    place = (rank * _STRIDE + 17) % WORDS
    place, suffix = divmod(place, len(_SUFFIXES))
    prefix, root = divmod(place, len(_ROOTS))
    return _PREFIXES[prefix] + _ROOTS[root] + _SUFFIXES[suffix]


@lru_cache(maxsize=1)
def zipf_cdf() -> NDArray[np.float64]:
    """Cumulative probability of the ranks, Zipf-Mandelbrot."""
    mass = (np.arange(WORDS) + _SHIFT) ** -_ZIPF
    return np.asarray(np.cumsum(mass) / mass.sum())
