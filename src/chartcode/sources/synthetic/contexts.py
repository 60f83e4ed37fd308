"""Sentences that name a condition and take it back: denied, a relative's, ruled out, past.

As in charts, the word that takes it back mostly stands some words away, in front of a list or behind it, so that
neighbouring words do not tell: who reads the sentence knows, who counts words does not.
"""

from __future__ import annotations

from chartcode.sources.synthetic.phrases import SYMPTOMS, Voice

# {x} the condition, {s} a symptom, {i} another illness, {r} a relative.
_DENIED = (
    "Denies {s}, {x}, {s}.", "Denies {x}.", "Negative for {s}, {s}, {x} and {s}.", "No {s}, {x} or {s}.",
    "Patient denies any {s}, {s} or {x}.", "No history of {s}, {x}.", "Denied {s}, {s}, {x}, {s}.",
    "Reports no {s}, no {s}, no known {x}.", "Never had {i}, {x}, {s}.", "Without {s}, {x}, or {s} on questioning.",
)  # fmt: skip
_RELATIVES = ("Mother", "Father", "Sister", "Brother", "Maternal grandmother", "Paternal uncle", "Son", "Aunt")
_ILLNESSES = (
    "colon cancer", "breast cancer", "lupus", "glaucoma", "Alzheimer's", "lung cancer", "melanoma", "psoriasis",
    "ovarian cancer", "multiple sclerosis", "leukemia", "cataracts", "migraines", "hearing loss", "gallstones",
)  # fmt: skip
_FAMILY = (
    "{r} with {x}.", "{r} with {i}, {x}.", "{r}: {i}, {x}, {i}.", "{r} died of {i}, also had {x}.",
    "{i}, {x} in {r}.", "{r} with {i}, {r} with {i} and {x}.",
)  # fmt: skip
_REFUTED = (
    "Initially there was concern for {s}, {x} or {i} but this was ruled out.",
    "Workup for {i}, {x}, {s} was negative.", "Low suspicion for {s}, {x}, {i} given exam.",
    "There was no evidence of {x} on imaging.", "The differential included {i}, {x}, {i}, none of which was borne out.",
    "{s} raised the question of {x}, {i}; both were felt to be unlikely.", "Ruled out for {x} with serial testing.",
    "Outside records mention {i}, {x}, {s}, which could not be confirmed.",
    "Carried a label of {i}, {x}, with which nobody here agreed.",
)  # fmt: skip
_PAST = (
    "{i}, {x}, both resolved", "remote {x} in ___", "{s}, {x}, {i} in childhood", "{i}, {x} s/p treatment ___",
    "{x} (resolved ___)", "{i} and {x}, neither active since ___",
)  # fmt: skip


def _said(choices: tuple[str, ...], condition: str, voice: Voice) -> str:
    """One of `choices` with its slots filled; every symptom, illness and relative is drawn anew."""
    sentence = voice.pick(choices)
    for slot, words in (("{s}", SYMPTOMS), ("{i}", _ILLNESSES), ("{r}", _RELATIVES)):
        while slot in sentence:
            sentence = sentence.replace(slot, voice.pick(words), 1)
    return (sentence[:1].upper() + sentence[1:]).replace("{x}", condition)


def denied(condition: str, voice: Voice) -> str:
    """The patient says no."""
    return _said(_DENIED, condition, voice)


def of_family(condition: str, voice: Voice) -> str:
    """A relative has it."""
    return _said(_FAMILY, condition, voice)


def refuted(condition: str, voice: Voice) -> str:
    """It was suspected and is not the case."""
    return _said(_REFUTED, condition, voice)


def past(condition: str, voice: Voice) -> str:
    """It was, once; a line of the history."""
    return _said(_PAST, condition, voice)
