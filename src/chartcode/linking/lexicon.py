"""How often a name found by the dictionary is a mention: counted on marked documents, each judged by the others.

A name of a terminology is no mention wherever it stands (`lead`, `pain` in "pain clinic"), and a mention of train is
found in train with certainty. So a document of train sees a name with the rate it has in the folds that it is not in;
a new document sees the rate of all folds.
Legend: K names, F folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chartcode.linking.corpora import Document
from chartcode.linking.matcher import Matcher
from chartcode.linking.tokens import Words, is_word, key_of

ALL = -1  # the fold of a document that is not of train
UNSEEN = "u"
_EDGES = (0.15, 0.4, 0.7, 0.9)  # of the bins of a rate
_PRIOR = 0.5  # pseudo-counts, each of mention and of no mention


class Hit(NamedTuple):
    """Words first..end (exclusive) of a text are a name; `rate` is its bin: u (never seen in train), 0 .. 4."""

    first: int
    end: int
    rate: str


class Lexicon:
    """Names and, by fold of the reader, the bin of how often each is a mention (one character a name)."""

    def __init__(self, keys: Sequence[str], bins: Mapping[int, str]) -> None:
        self.keys, self.bins = list(keys), dict(bins)
        self._matcher = Matcher(self.keys) if self.keys else None

    @classmethod
    def of(
        cls, names: Sequence[str], documents: Sequence[Document], words: Sequence[Words], folds: Sequence[int]
    ) -> Lexicon:
        """Count `names` on documents (folded `words` and fold of each given beside them)."""
        keys = sorted({key for key in map(key_of, names) if _is_name(key)})
        lexicon = cls(keys, {ALL: UNSEEN * len(keys)})
        found = np.zeros((max(folds, default=0) + 1, len(keys)), np.int32)
        right = np.zeros_like(found)
        for document, text, fold in zip(documents, words, folds, strict=True):
            spans = {(m.start, m.end) for m in document.mentions}
            for match in lexicon._matcher.find(text) if lexicon._matcher else ():
                found[fold, match.key] += 1
                right[fold, match.key] += (text.starts[match.first], text.ends[match.end - 1]) in spans
        lexicon.bins = {ALL: _bins(found.sum(0), right.sum(0))}
        for fold in sorted(set(folds)):
            lexicon.bins[fold] = _bins(found.sum(0) - found[fold], right.sum(0) - right[fold])
        return lexicon

    def find(self, words: Words, fold: int = ALL) -> list[Hit]:
        """The names in a text, leftmost-longest, with the rate that a reader of this fold may know."""
        if self._matcher is None:
            return []
        bins = self.bins[fold]
        return [Hit(first, end, bins[key]) for first, end, key in self._matcher.find(words)]


class MentionLexicon:
    """The mentions of marked documents as names; a document does not see those that its own fold alone holds.

    So it meets its mentions as a new document would: some known, some not.
    """

    def __init__(self, lexicons: Mapping[int, Lexicon]) -> None:
        self.lexicons = dict(lexicons)

    @classmethod
    def of(cls, documents: Sequence[Document], words: Sequence[Words], folds: Sequence[int]) -> MentionLexicon:
        """One lexicon of all documents for new ones, and one for each fold, of the others."""
        lexicons: dict[int, Lexicon] = {}
        for left_out in (ALL, *sorted(set(folds))):
            rest = [at for at, fold in enumerate(folds) if fold != left_out]
            some = [documents[at] for at in rest]
            names = sorted({d.text[m.start : m.end] for d in some for m in d.mentions})
            lexicons[left_out] = Lexicon.of(names, some, [words[at] for at in rest], [folds[at] for at in rest])
        return cls(lexicons)

    def find(self, words: Words, fold: int = ALL) -> list[Hit]:
        """The known mentions in a text."""
        return self.lexicons[fold].find(words)


def _bins(found: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> str:
    rates = np.searchsorted(_EDGES, (right + _PRIOR) / (found + 2 * _PRIOR))
    return "".join(UNSEEN if n == 0 else str(b) for n, b in zip(found.tolist(), rates.tolist(), strict=True))


def _is_name(key: str) -> bool:
    """Long enough to be a name: three signs, a letter among them."""
    return len(key) >= 3 and any(is_word(word) and word[0].isalpha() for word in key.split(" "))
