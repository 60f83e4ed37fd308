"""The names of concepts, a row each: what a clinician may write, the code it stands for, and who says so.

A name that means several codes has a row for each; a row without a code is a name that means nothing to code (AF in a
physical exam is `afebrile`): it is kept, for the matcher must know it to stay silent.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Kind = Literal[
    "title",
    "inclusion",
    "lead",  # a main term of the Alphabetic Index, nothing more said
    "index",
    "neoplasm",
    "gem",
    "ontology",
    "cognate",  # Spanish, spelled from English
    "abbreviation",
    "alias",
    "mention",  # words that people marked in train
    "user",
]
LANGUAGES = ("en", "es")
# Of two codes for one name, that of the kind further to the front is meant, until train says otherwise.
PREFERENCE: tuple[Kind, ...] = (
    "user", "mention", "alias", "abbreviation", "lead", "title", "inclusion", "ontology", "gem", "neoplasm", "index",
    "cognate",
)  # fmt: skip

TERMS = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),  # undotted (E785); empty: means nothing to code
        pa.field("system", pa.string(), nullable=False),  # icd10cm | snomed | mesh | a user's own
        pa.field("name", pa.string(), nullable=False),  # as one would write it: no inversion, no NEC
        pa.field("kind", pa.string(), nullable=False),  # a Kind
        pa.field("language", pa.string(), nullable=False),  # en | es
        pa.field("sections", pa.list_(pa.string()), nullable=False),  # where it has this sense; empty: anywhere
        pa.field("share", pa.float32(), nullable=False),  # of the name's uses that have this sense, 0 to 1
        pa.field("source", pa.string(), nullable=False),  # publisher and file or release
        pa.field("licence", pa.string(), nullable=False),
    ]
)
