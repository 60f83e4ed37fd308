"""Linking marked mentions and finding them, on NCBI Disease and BC5CDR: learned from train alone, measured on dev.

Run   python -m benchmarks.concepts --data ../shared/data                     every table, about ten minutes
      python -m benchmarks.concepts --data ../shared/data --encoder FOLDER    with vectors of that encoder too
      python -m benchmarks.concepts --data ../shared/data --only linking      or tagging; or dense, with --encoder
      python -m benchmarks.concepts --data ../shared/data --cross             five folds of train, dev untouched

acc@1 counts a mention as linked when the first answer is one of its concepts (as published results do); `all` asks for
every concept of a coordination. Mentions without a concept (-1, under 1%) are left out of both.
Names: MEDIC (shared/data/ncbi-disease). That copy of MEDIC holds mentions of NCBI's train part as names; for NCBI they
are taken out again (`corpora.without_mentions`), or nothing could be learned on train.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import pyarrow as pa

from chartcode.linking.candidates import JOINT, Index
from chartcode.linking.corpora import (
    NCBI_TYPES,
    Document,
    read_medic,
    read_pubtator,
    renamed,
    without_mentions,
)
from chartcode.linking.dense import DenseEncoder
from chartcode.linking.measures import Spans, accuracy, overlapping, scores
from chartcode.linking.resolver import Answer, Resolver, Sample, candidates_of, mention_names, samples
from chartcode.linking.tagger import Tagger, TaggerParams

DISEASE = frozenset({"Disease"})
KINDS = {"Disease": "Disease", "Chemical": "Chemical"}
PATHS = {
    "NCBI": ("ncbi-disease/train/NCBItrainset_corpus.txt", "ncbi-disease/devel/NCBIdevelopset_corpus.txt"),
    "BC5CDR": ("bc5cdr/train.pubtator.gz", "bc5cdr/dev.pubtator.gz"),
}
FOLDS = 5
ALL_STEPS, DENSE = "+ similar (all, no encoder)", "all + dense"


class Corpus:
    """Train and dev of a corpus, and the names it is linked to."""

    def __init__(self, name: str, data: Path) -> None:
        self.name = name
        medic, other = read_medic(data / "ncbi-disease/medic_kb.tsv.gz")
        train, dev = (read_pubtator(data / path, NCBI_TYPES if name == "NCBI" else KINDS) for path in PATHS[name])
        self.terms = without_mentions(medic, train) if name == "NCBI" else medic
        self.train, self.dev = renamed(train, other), renamed(dev, other)

    def folds(self) -> Iterator[tuple[list[Document], list[Document]]]:
        """Train in five parts: what is learned from, what is held out."""
        for fold in range(FOLDS):
            held = self.train[fold::FOLDS]
            numbers = {document.number for document in held}
            yield [document for document in self.train if document.number not in numbers], held


def answers(resolver: Resolver, marked: Sequence[Sample]) -> list[list[Answer]]:
    """Ranked answers to every sample."""
    return [resolver.ranked(one) for one in candidates_of(resolver.index, marked)]


def linkable(documents: Sequence[Document]) -> list[Sample]:
    """The disease mentions that have a concept."""
    return [sample for sample in samples(documents, DISEASE) if sample.concepts]


Vectors = tuple[Sequence[str], np.ndarray]


def kept_vectors(path: Path | None) -> Vectors | None:
    """Names and their vectors that an earlier run wrote."""
    if path is None or not path.is_file():
        return None
    with np.load(path) as arrays:
        return bytes(arrays["names"]).decode().split("\n"), arrays["vectors"].astype(np.float32)


def keep_vectors(path: Path, index: Index) -> None:
    """Write the vectors of an index's names."""
    names = np.frombuffer("\n".join(index.names).encode(), np.uint8)
    np.savez(path, names=names, vectors=index.vectors().astype(np.float16))


def link_table(corpus: Corpus, encoder: DenseEncoder | None, path: Path | None, brief: bool) -> None:
    """Every step's worth; `brief`: with the encoder alone."""
    print(f"\n## {corpus.name}: linking, {len(linkable(corpus.dev))} mentions of dev\n")
    print("| resolver | acc@1 | acc@5 | all | queries/s |\n|---|---|---|---|---|")
    rest = frozenset({"bag", "synonym", "composite", "similar", "dense"})
    steps = [
        ("exact", rest, True),
        ("+ bag", rest - {"bag"}, True),
        ("+ synonym", rest - {"bag", "synonym"}, True),
        ("+ composite", rest - {"bag", "synonym", "composite"}, True),
        (ALL_STEPS, frozenset({"dense"}), True),
        ("without bag", frozenset({"bag", "dense"}), True),
        ("without synonym", frozenset({"synonym", "dense"}), True),
        ("without composite", frozenset({"composite", "dense"}), True),
        ("without train mentions: exact", rest, False),
        ("without train mentions: all", frozenset({"dense"}), False),
    ]
    if encoder:
        steps += [(DENSE, frozenset(), True), ("without train mentions: all + dense", frozenset(), False)]
    if brief:
        steps = [one for one in steps if one[0] == DENSE]
    marked = linkable(corpus.dev)
    names = mention_names(samples(corpus.train, DISEASE, FOLDS))
    with_mentions = Index(corpus.terms, names, encoder=encoder, vectors=kept_vectors(path))
    if path is not None and encoder is not None and not path.is_file():
        keep_vectors(path, with_mentions)
    vectors = with_mentions.vectors()
    kept = (with_mentions.names, vectors) if vectors is not None else None
    indexes = {True: with_mentions}
    if not all(mentions for _, _, mentions in steps):
        indexes[False] = Index(corpus.terms, encoder=encoder, vectors=kept)
    for name, skip, mentions in steps:
        index = indexes[mentions]
        index.skip = skip
        resolver = Resolver.learn(corpus.terms, corpus.train, DISEASE, index=index)
        start = time.perf_counter()
        given = answers(resolver, marked)
        seconds = time.perf_counter() - start
        different = len({sample.query for sample in marked})
        one, five, whole = accuracy(given, marked)
        print(f"| {name} | {one:.3f} | {five:.3f} | {whole:.3f} | {different / seconds:.0f} |", flush=True)
        if name in (ALL_STEPS, DENSE):
            report(name, given, marked)


def report(name: str, given: Sequence[Sequence[Answer]], marked: Sequence[Sample]) -> None:
    """By step: how many, how often right; by p: how often right."""
    steps: Counter[tuple[str, bool]] = Counter()
    bins: Counter[tuple[int, bool]] = Counter()
    total: Counter[int] = Counter()
    for ranked, sample in zip(given, marked, strict=True):
        if ranked:
            right = bool(set(ranked[0].code.split(JOINT)) & sample.concepts)
            steps[ranked[0].method, right] += 1
            bins[min(9, int(10 * ranked[0].p)), right] += 1
            total[min(9, int(10 * ranked[0].p))] += 1
    rows = [
        f"{step} {steps[step, True]}/{steps[step, True] + steps[step, False]}" for step in sorted({s for s, _ in steps})
    ]
    line = [f".{b} {bins[b, True]}/{total[b]}" for b in sorted(total)]
    print(f"\nRight by step ({name}): {', '.join(rows)}; by calibrated p: {', '.join(line)}\n")
    print("| resolver | acc@1 | acc@5 | all | queries/s |\n|---|---|---|---|---|")


def dictionaries(data: Path, terms: pa.Table) -> list[list[str]]:
    """Names for the tagger: MEDIC with the Disease Ontology, and the main terms of the ICD-10-CM index."""
    names = terms["name"].to_pylist()
    with gzip.open(data / "disease-ontology/HumanDO.tsv.gz", "rt", encoding="utf-8") as file:
        names += [row["label"] for row in csv.DictReader(file, delimiter="\t")]
    with gzip.open(data / "disease-ontology/doid-es-translated.tsv.gz", "rt", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        names += [row["source_text"] for row in rows if "Exact" in row["predicate"] or "label" in row["predicate"]]
    with gzip.open(data / "icd10cm/index_2025.csv.gz", "rt", encoding="utf-8") as file:
        index = [part.strip() for row in csv.DictReader(file) if row["Level"] == "0" for part in row["Term"].split(",")]
    return [names, [name for name in index if len(name) > 4]]


def tag_table(corpus: Corpus, data: Path, encoder: DenseEncoder | None, folder: Path) -> None:
    """Finding mentions, and finding and linking them."""
    names = dictionaries(data, corpus.terms)
    start = time.perf_counter()
    tagger = Tagger.train(corpus.train, names, TaggerParams(), folder / corpus.name)
    trained = time.perf_counter() - start
    start = time.perf_counter()
    found = [tagger.find(document.text) for document in corpus.dev]
    speed = len(corpus.dev) / (time.perf_counter() - start)
    print(f"\n## {corpus.name}: finding mentions, {len(corpus.dev)} documents of dev\n")
    print(f"{trained:.0f} s to train, {speed:.0f} docs/s\n")
    print("| what | P | R | F1 |\n|---|---|---|---|")
    for kind in sorted({m.kind for d in corpus.dev for m in d.mentions}):
        ours = [{(f.start, f.end, f.kind) for f in some if f.kind == kind} for some in found]
        true = [{(m.start, m.end, m.kind) for m in d.mentions if m.kind == kind} for d in corpus.dev]
        print("| {} exact | {:.3f} | {:.3f} | {:.3f} |".format(kind, *scores(ours, true)))
        print("| {} relaxed | {:.3f} | {:.3f} | {:.3f} |".format(kind, *overlapping(ours, true)))
    resolver = Resolver.learn(corpus.terms, corpus.train, DISEASE, encoder=encoder)
    linked: list[Spans] = []
    gold: list[Spans] = []
    wrong: Counter[str] = Counter()
    start = time.perf_counter()
    for document, some in zip(corpus.dev, found, strict=True):
        ours = [(f.start, f.end) for f in some if f.kind == "Disease"]
        ranked = resolver.resolve_document(document.text, ours, 1)
        true = {(m.start, m.end): set(m.concepts) for m in document.mentions if m.kind == "Disease" and m.concepts}
        got = {span: set(one[0].code.split(JOINT)) if one else set() for span, one in zip(ours, ranked, strict=True)}
        # Right is a true span with one of its concepts; both sides write that concept.
        linked.append({(*span, min(codes & true.get(span, set()) or codes | {""})) for span, codes in got.items()})
        gold.append({(*span, min(codes & got.get(span, set()) or codes)) for span, codes in true.items()})
        marked = {(m.start, m.end) for m in document.mentions if m.kind == "Disease"}
        for a, b in marked - set(got):
            wrong["boundary" if any(c < b and a < d for c, d in got) else "missed"] += 1
        for span, one in zip(ours, ranked, strict=True):
            if span not in marked and not any(c < span[1] and span[0] < d for c, d in marked):
                wrong["no mention"] += 1
            elif span in true and not got[span] & true[span]:
                wrong[f"wrong concept ({one[0].method if one else 'abstained'})"] += 1
    seconds = time.perf_counter() - start
    print("| Disease span and concept | {:.3f} | {:.3f} | {:.3f} |".format(*scores(linked, gold)))
    print(f"\nLinking the found: {len(corpus.dev) / seconds:.0f} docs/s. Errors: {dict(wrong.most_common(20))}")


def cross(corpus: Corpus, data: Path, encoder: DenseEncoder | None, folder: Path, what: str) -> None:
    """Train in five parts: what every knob was chosen by."""
    for number, (learned, held) in enumerate(corpus.folds()):
        if what != "tagging":
            marked = linkable(held)
            resolver = Resolver.learn(corpus.terms, learned, DISEASE, encoder=encoder)
            print(corpus.name, number, "linking", *(f"{n:.3f}" for n in accuracy(answers(resolver, marked), marked)))
        if what in ("", "tagging"):
            terms = without_mentions(corpus.terms, learned) if corpus.name == "NCBI" else corpus.terms
            tagger = Tagger.train(learned, dictionaries(data, terms), TaggerParams(), folder / f"{corpus.name}{number}")
            ours = [{(f.start, f.end, f.kind) for f in tagger.find(d.text) if f.kind == "Disease"} for d in held]
            true = [{(m.start, m.end, m.kind) for m in d.mentions if m.kind == "Disease"} for d in held]
            print(corpus.name, number, "tagging", *(f"{n:.3f}" for n in scores(ours, true)), flush=True)


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description="linking and finding mentions on NCBI Disease and BC5CDR")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with ncbi-disease, bc5cdr and the terminologies"
    )
    parser.add_argument("--encoder", type=Path, help="snapshot of an encoder for the dense step")
    parser.add_argument("--vectors", type=Path, help="file (.npz) to keep the vectors of names in for the next run")
    parser.add_argument("--only", choices=("linking", "dense", "tagging"), default="")
    parser.add_argument("--corpus", choices=tuple(PATHS), action="append")
    parser.add_argument("--cross", action="store_true", help="on five folds of train instead of dev")
    asked = parser.parse_args()
    encoder = DenseEncoder(asked.encoder) if asked.encoder else None
    with tempfile.TemporaryDirectory(prefix="concepts-") as temporary:
        for name in asked.corpus or PATHS:
            corpus = Corpus(name, asked.data)
            if asked.cross:
                cross(corpus, asked.data, encoder, Path(temporary), asked.only)
                continue
            if asked.only != "tagging":
                link_table(corpus, encoder, asked.vectors, asked.only == "dense")
            if asked.only in ("", "tagging"):
                tag_table(corpus, asked.data, encoder, Path(temporary))


if __name__ == "__main__":
    main()
