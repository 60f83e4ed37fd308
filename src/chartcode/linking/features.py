"""What the tagger sees of each word of a text: the word, its form, its neighbours, what the dictionaries say of it.

Features in CRFsuite's sense: strings, each there or not.
- the word, folded; prefixes and suffixes; letters in runs of three and four; shape (Aa0)
- two words to each side, pairs with the next ones
- dictionary hits: place in the hit (B, I, E, S) and how often train says that the name is a mention
- how often the word is within a mention in other documents of train; how often it stands in names, and at their end;
  whether the end of a name begins as it does (`diabetic` as `diabetes`)
- short forms that the document defines: the last word of their long form, and whether a dictionary has it
Legend: T words and signs of a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chartcode.linking.abbreviations import definitions
from chartcode.linking.corpora import Document
from chartcode.linking.lexicon import ALL, Hit, Lexicon, MentionLexicon
from chartcode.linking.tokens import Words, words_of

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_SENTENCE = re.compile(r"[.!?]['\")\]]?\s+(?=[A-Z0-9\"'(\[])|\n\s*\n|\n(?=\s*(?:[-*#•]|\d+[.)]))")
_LOWER, _UPPER, _DIGIT, _RUN = re.compile("[a-z]+"), re.compile("[A-Z]"), re.compile(r"\d+"), re.compile(r"(.)\1{2,}")
_HEADS = range(4, 9)  # letters by which a word is likened to the end of a name
NONE = "O"


class Tokens(NamedTuple):
    """The words and signs of a text with their places (T,), and its sentences as runs first..end of them."""

    words: list[str]
    starts: list[int]
    ends: list[int]
    sentences: list[tuple[int, int]]


def tokens_of(text: str) -> Tokens:
    """Letters, digits and signs apart, so that hardly a mention begins or ends within a token."""
    found = list(_TOKEN.finditer(text))
    starts = [match.start() for match in found]
    sentences: list[tuple[int, int]] = []
    first = at = 0
    for border in [*(match.end() for match in _SENTENCE.finditer(text)), len(text) + 1]:
        while at < len(starts) and starts[at] < border:
            at += 1
        if at > first:
            sentences.append((first, at))
        first = at
    return Tokens([match[0] for match in found], starts, [match.end() for match in found], sentences)


def shape(word: str) -> str:
    """The form of a word: Aa of Marfan, AAA of long capitals, 0 of any number."""
    return _RUN.sub(r"\1\1\1", _DIGIT.sub("0", _LOWER.sub("a", _UPPER.sub("A", word))))


@dataclass(frozen=True)
class Knowledge:
    """What features need beside the text: dictionaries, and counts of folded words (by fold, where of train)."""

    names: list[Lexicon]
    mentions: MentionLexicon
    inside: dict[int, Counter[str]]  # occurrences within mentions in the documents that a reader of this fold may know
    seen: dict[int, Counter[str]]  # occurrences at all
    in_names: Counter[str]
    at_end: Counter[str]
    heads: frozenset[str]  # the first letters of the last words of names

    @classmethod
    def of(cls, names: Sequence[Sequence[str]], documents: Sequence[Document], folds: Sequence[int]) -> Knowledge:
        """Learn from lists of names, the more trusted first, and marked documents, the fold of each beside it."""
        words = [words_of(document.text) for document in documents]
        lexicons = [Lexicon.of(some, documents, words, folds) for some in names]
        inside = {fold: Counter[str]() for fold in (ALL, *sorted(set(folds)))}
        seen = {fold: Counter[str]() for fold in inside}
        for document, text, fold in zip(documents, words, folds, strict=True):
            marked = [
                word
                for word, start, end in zip(*text, strict=True)
                if any(m.start <= start and end <= m.end for m in document.mentions)
            ]
            for reader, counts in inside.items():
                if reader != fold:
                    counts.update(marked)
                    seen[reader].update(text.folded)
        return cls._made(lexicons, MentionLexicon.of(documents, words, folds), inside, seen)

    @classmethod
    def _made(cls, names: list[Lexicon], mentions: MentionLexicon, inside: Any, seen: Any) -> Knowledge:
        in_names, at_end, heads = Counter[str](), Counter[str](), set[str]()
        for number, lexicon in enumerate(names):
            for key in lexicon.keys:
                words = key.split(" ")
                if number == 0:
                    in_names.update(set(words))
                    at_end[words[-1]] += 1
                heads.update(words[-1][:n] for n in _HEADS if len(words[-1]) >= n)
        return cls(names, mentions, inside, seen, in_names, at_end, frozenset(heads))

    def to_json(self) -> dict[str, Any]:
        """What a new document needs, folds left out."""
        lexicons = [*self.names, self.mentions.lexicons[ALL]]
        return {
            "lexicons": [{"names": lexicon.keys, "rates": lexicon.bins[ALL]} for lexicon in lexicons],
            "inside": dict(self.inside[ALL]),
            "seen": dict(self.seen[ALL]),
        }

    @classmethod
    def from_json(cls, value: Any) -> Knowledge:
        """The inverse of `to_json`."""
        *names, mentions = [Lexicon(one["names"], {ALL: one["rates"]}) for one in value["lexicons"]]
        inside, seen = {ALL: Counter(value["inside"])}, {ALL: Counter(value["seen"])}
        return cls._made(names, MentionLexicon({ALL: mentions}), inside, seen)

    def share_inside(self, word: str, fold: int) -> str:
        """How often a folded word is within a mention: tenths, `z` never, `?` seen three times at most, `u` never."""
        seen = self.seen[fold][word]
        if not seen:
            return "u"
        inside = self.inside[fold][word]
        return (str(min(9, 10 * inside // seen)) if inside else "z") + ("" if seen > 3 else "?")

    def likeness(self, word: str) -> str:
        """How many first letters a folded word shares with the last word of a name, and how much of it they are."""
        for n in range(min(_HEADS.stop - 1, len(word)), _HEADS.start - 1, -1):
            if word[:n] in self.heads:
                return f"{n}{'=' if n >= len(word) - 1 else '+' if len(word) - n < 4 else '-'}"
        return "0"


def features(text: str, tokens: Tokens, knowledge: Knowledge, fold: int = ALL) -> list[list[str]]:
    """The features of every word and sign (T lists); a document of train gives its fold."""
    words = words_of(text)
    place = {start: at for at, start in enumerate(tokens.starts)}
    folded = [word.lower() for word in tokens.words]
    for word, start in zip(words.folded, words.starts, strict=True):
        if start in place:
            folded[place[start]] = word
    marks = [_marks(lexicon.find(words, fold), words, place, tokens) for lexicon in knowledge.names]
    marks.append(_marks(knowledge.mentions.find(words, fold), words, place, tokens))
    shares = [knowledge.share_inside(word, fold) for word in folded]
    short = _short_forms(text, tokens, marks, folded)

    near: list[list[str]] = []  # of a word, for those up to two away
    next_to: list[list[str]] = []  # and for the next ones
    own: list[list[str]] = []
    for at, word in enumerate(tokens.words):
        fold_at, share = folded[at], shares[at]
        in_names = knowledge.in_names[fold_at].bit_length()
        at_end = knowledge.at_end[fold_at].bit_length()
        near.append([f"f={fold_at}", f"n={marks[0][at]}", f"m={marks[-1][at]}", f"r={share}"])
        next_to.append([f"s={shape(word)}", f"i={in_names}", f"e={at_end}", f"a={short[at]}"])
        next_to[-1] += [f"n{number}={mark[at]}" for number, mark in enumerate(marks[1:-1])]
        own.append([f"w={word.lower()}", f"nm={''.join(mark[at] for mark in marks)}", f"ir={in_names}{share}"])
        own[-1] += [f"er={at_end}{share}", f"k={knowledge.likeness(fold_at)}{share[0]}", *_letters(word.lower())]

    out: list[list[str]] = []
    for first, end in tokens.sentences:
        for at in range(first, end):
            row = ["b", *near[at], *next_to[at], *own[at]]
            for away in (-2, -1, 1, 2):
                if not first <= at + away < end:
                    row.append(f"{away}edge")
                    continue
                row += [f"{away}{one}" for one in near[at + away]]
                if away in (-1, 1):
                    row += [f"{away}{one}" for one in next_to[at + away]]
                    word, share = folded[at + away], shares[at + away]
                    row += [f"{away}q{word[-3:]}", f"{away}q{word[-4:]}"]
                    row += [f"{away}ff={folded[at]} {word}", f"{away}rr={shares[at]}{share}"]
            row += [f"{away}f={folded[at + away]}" for away in (-3, 3) if first <= at + away < end]
            out.append(row)
    return out


def _letters(word: str) -> list[str]:
    if len(word) < 3 or not word[0].isalpha():
        return []
    ends = [part for n in (2, 3, 4, 5) if len(word) > n for part in (f"p{word[:n]}", f"q{word[-n:]}")]
    closed = f"^{word}$"
    return ends + sorted({f"g{closed[at : at + n]}" for n in (3, 4) for at in range(len(closed) - n + 1)})


def _marks(hits: Sequence[Hit], words: Words, place: dict[int, int], tokens: Tokens) -> list[str]:
    """Each word's place in a hit and the rate of the hit; `^` where it is a short form, which may stand for much."""
    marks = [NONE] * len(tokens.words)
    for first, end, how_often in hits:
        at = place.get(words.starts[first])
        if at is None:
            continue
        run = [at]
        while run[-1] + 1 < len(marks) and tokens.starts[run[-1] + 1] < words.ends[end - 1]:
            run.append(run[-1] + 1)
        is_short = len(run) == 1 and len(tokens.words[at]) < 6 and not tokens.words[at][1:].islower()
        rate = how_often + "^" if is_short else how_often
        for one in run:
            marks[one] = ("S" if len(run) == 1 else "B" if one == at else "E" if one == run[-1] else "I") + rate
    return marks


def _short_forms(text: str, tokens: Tokens, marks: Sequence[Sequence[str]], folded: Sequence[str]) -> list[str]:
    """`L` for words of a long form; for a short form the end of its long one and the marks there; else `-`."""
    out = ["-"] * len(tokens.words)
    for defined in definitions(text):
        long = [at for at, start in enumerate(tokens.starts) if defined.long_start <= start < defined.long_end]
        if not long:
            continue
        said = f"{folded[long[-1]]} {''.join(sorted({mark[long[-1]][:2] for mark in marks}))}"
        for at in long:
            out[at] = "L"
        for match in re.finditer(rf"(?<!\w){re.escape(text[defined.start : defined.end])}(?!\w)", text):
            for at, start in enumerate(tokens.starts):
                if match.start() <= start < match.end():
                    out[at] = said
    return out
