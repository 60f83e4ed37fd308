"""`chartcode fit-tagger` and `fit-resolver`: marked documents in, a folder out, figures where others are marked too.

A corpus is a PubTator file (BC5CDR, NCBI Disease, and what most tools for marking text write).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chartcode.errors import DataError
from chartcode.linking.corpora import NCBI_TYPES, Document, read_pubtator
from chartcode.linking.dense import DenseEncoder
from chartcode.linking.lists import terms_of
from chartcode.linking.measures import accuracy, scores
from chartcode.linking.resolver import Resolver, candidates_of, samples
from chartcode.linking.tagger import Tagger, TaggerParams


def read_corpus(path: Path, kinds: Sequence[str] = ()) -> list[Document]:
    """Documents with the mentions of these types (none: of all); NCBI's four types are one, Disease.

    Raises DataError naming the types there are, where no mention is of one that is asked for.
    """
    documents = read_pubtator(path)
    there = {mention.kind for document in documents for mention in document.mentions}
    renamed: Mapping[str, str] = NCBI_TYPES if there <= set(NCBI_TYPES) else {kind: kind for kind in there}
    known = set(renamed.values()) if there else set()
    for kind in kinds:
        if kind not in known:
            raise DataError(f"{path}: no mention of type {kind}; there are: {', '.join(sorted(known)) or 'none'}")
    chosen = set(kinds) or known
    return [
        document._replace(
            mentions=tuple(m._replace(kind=renamed[m.kind]) for m in document.mentions if renamed[m.kind] in chosen)
        )
        for document in documents
    ]


def fit_tagger(
    corpus: Path, out: Path, names: Sequence[Path], kinds: Sequence[str], dev: Path | None, language: str = "en"
) -> Iterator[str]:
    """Write a tagger to the new folder `out`; yields lines to be read by people.

    `names` are lists or folders of names (`lists.terms_of`), the more trusted first. Raises DataError.
    """
    _refuse(out)
    documents = read_corpus(corpus, kinds)
    asked = read_corpus(dev, kinds) if dev else []
    dictionary = [sorted(set(terms_of(path, language)["name"].to_pylist())) for path in names]
    tagger = Tagger.train(documents, dictionary, TaggerParams(), out)
    yield f"written: {out}/  ({len(documents):,} documents, {_mentions(documents):,} mentions)"
    found = [tagger.find(document.text) for document in asked]
    for kind in sorted({mention.kind for document in asked for mention in document.mentions}):
        ours = [{(f.start, f.end, f.kind) for f in some if f.kind == kind} for some in found]
        true = [{(m.start, m.end, m.kind) for m in document.mentions if m.kind == kind} for document in asked]
        yield "{}: exact spans P {:.3f}, R {:.3f}, F1 {:.3f}".format(kind, *scores(ours, true))


def fit_resolver(
    names: Path,
    out: Path,
    corpus: Path | None,
    kinds: Sequence[str],
    encoder: Path | None,
    dev: Path | None,
    language: str = "en",
) -> Iterator[str]:
    """Write a resolver of these names to the new folder `out`, taught by `corpus` if one is given; yields lines.

    With an encoder, names are encoded here, once. Raises DataError.
    """
    _refuse(out)
    terms = terms_of(names, language)
    documents = read_corpus(corpus, kinds) if corpus else []
    asked = read_corpus(dev, kinds) if dev else []
    by = DenseEncoder(encoder) if encoder else None
    resolver = Resolver.learn(terms, documents, encoder=by) if documents else Resolver.of(terms, encoder=by)
    resolver.save(out, terms)
    taught = f", taught by {_mentions(documents):,} mentions" if documents else ""
    yield f"written: {out}/  ({len(resolver.index.names):,} names{taught})"
    marked = [sample for sample in samples(asked) if sample.concepts]
    if marked:
        given = [resolver.ranked(one) for one in candidates_of(resolver.index, marked)]
        first, five, _ = accuracy(given, marked)
        yield f"{len(marked):,} mentions: first answer right {first:.3f}, one of the first five {five:.3f}"


def _refuse(out: Path) -> None:
    if out.exists():
        raise DataError(f"{out}: exists; name a new folder")


def _mentions(documents: Sequence[Document]) -> int:
    return sum(len(document.mentions) for document in documents)
