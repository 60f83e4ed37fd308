"""How hard the synthetic hospital is: the linear coder on its notes, and an oracle that is told which mentions count.

Notes are made, cleaned and turned into features chunk by chunk, with the pipeline's own generator, cleaning, TF-IDF,
solver and metrics, and nothing on disk in between. The oracle is a linear model on the mentions themselves (their words
and whether they are affirmed; never whose they are), as the generator put them: no filler, no laboratory values. What
it finds more than the linear coder is what there is to gain; what it finds more than a model of the same words without
the mark (`blind`) is the part of context in that.

Legend: N notes, K = 50 codes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from chartcode.coders.one_vs_rest import OneVsRestLogistic
from chartcode.coders.terms import TfidfTerms
from chartcode.coders.tfidf import TfidfParams
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.decisions import decide, f1, micro_f1, ratio
from chartcode.evaluation.discrimination import auroc, mean_over_labels, over_all, per_label
from chartcode.evaluation.ranking import rank_notes
from chartcode.evaluation.thresholds import choose
from chartcode.parallel import cores
from chartcode.sources.synthetic.codes import TOP
from chartcode.sources.synthetic.generate import blueprint, chunks
from chartcode.sources.synthetic.hospital import Blueprint, Hospital, Rows
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.rates import Fitted, rates
from chartcode.tables.cleaning import clean_batch

Array = np.ndarray[Any, Any]
SPLITS = ("train", "val", "test")
TRAIN = 0.75  # share of patients; MIMIC-IV's usual split learns from 73% of the notes
_GOLDEN = 0.6180339887498949
_FEWEST = 5  # train notes a mention must stand in to be a feature of the oracle
_ORACLE_C = 0.3


@dataclass(frozen=True)
class Part:
    """Some notes: clean text (N,), labels (N, K), patients by number (N,), and the words of every mention."""

    texts: pa.Array
    truth: Array
    patient: Array
    mentions: list[list[str]]


@dataclass
class Data:
    """All notes as features; `linear`, `oracle` and `blind` hold a matrix for train and one for the rest."""

    codes: tuple[str, ...]
    truth: Array
    patient: Array
    split: Array
    linear: tuple[Any, Any]
    oracle: tuple[Any, Any]
    blind: tuple[Any, Any]


@dataclass(frozen=True)
class Judged:
    """Metrics of one coder on test, at one threshold a code chosen on val; `f1` (K,)."""

    f1: Array
    micro_f1: float
    precision: float
    recall: float
    p_at_5: float
    auroc_micro: float
    auroc_macro: float
    both: Array = field(repr=False)  # (K,) F1, mean of val and test, each at thresholds of the other: half the noise

    @property
    def macro_f1(self) -> float:
        """Mean over codes."""
        return float(self.f1.mean())


def say(text: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def dealt(patient: Array, train: float) -> Array:
    """Splits of patients by number: a share of `train`, and half the others each; evenly in any run of numbers."""
    place = patient * _GOLDEN % 1
    return np.where(place < train, 0, np.where(place < (1 + train) / 2, 1, 2))


def part_of(hospital: Hospital, first: int, last: int) -> Part:
    """The ICD-10 notes of patients `first` to `last` - 1, cleaned."""
    rows, patient = Rows(), []
    for number in range(first, last):
        hospital.patient(number, rows)
        patient += [number] * (len(rows.mentions) - len(patient))
    discharge, place = rows.tables["discharge"], {code: at for at, code in enumerate(hospital.codes[:TOP])}
    row_of = {row[2]: at for at, row in enumerate(discharge)}
    truth, ten = np.zeros((len(discharge), TOP), np.int8), np.zeros(len(discharge), bool)
    for _, hadm, _, code, version in rows.tables["diagnoses_icd"]:
        if version == 10:
            ten[row_of[hadm]] = True
            if code in place:
                truth[row_of[hadm], place[code]] = 1
    kept = np.flatnonzero(ten)
    texts = clean_batch(pa.array([discharge[at][-1] for at in kept])).field("text")
    mentions = [
        [
            f"{mark.affirmed:d} {' '.join(discharge[at][-1][start:end].lower().split())}"
            for mark, start, end in rows.mentions[at]
            if mark.kind != "lab"  # marked where the condition is coded only
        ]
        for at in kept
    ]
    return Part(texts, truth[kept], np.array(patient)[kept], mentions)


def gather(plan: Blueprint, coder: TfidfParams, workers: int, train: float = TRAIN) -> Data:
    """Make the hospital and turn its notes into features."""
    terms = TfidfTerms(coder.ngram_range, coder.min_df, coder.max_features, coder.sublinear_tf)
    seen: list[Part] = []
    held_out: list[pa.Array] = []
    names: dict[str, int] = {}
    stated: list[tuple[Array, Array]] = []  # of each note: mentions by number, and how often

    def train_texts() -> Iterator[pa.Array]:
        for part in chunks(plan, workers, part_of):
            learn = dealt(part.patient, train) == 0
            held_out.append(part.texts.filter(pa.array(~learn)))
            for mentions in part.mentions:
                counted = Counter(names.setdefault(mention, len(names)) for mention in mentions)
                stated.append((np.array([*counted], np.int32), np.array([*counted.values()], np.float32)))
            seen.append(replace(part, texts=pa.array([]), mentions=[]))
            yield part.texts.filter(pa.array(learn))

    learnt = terms.fit_transform(train_texts())
    patient = np.concatenate([part.patient for part in seen])
    split = dealt(patient, train)
    ends = np.append(0, np.cumsum([len(found) for found, _ in stated]))
    counts = sp.csr_array(
        (np.concatenate([n for _, n in stated]), np.concatenate([found for found, _ in stated]), ends),
        shape=(len(stated), len(names)),
    )
    words: dict[str, int] = {}
    place = [words.setdefault(mention[2:], len(words)) for mention in names]
    unmarked = sp.csr_array((np.ones(len(place), np.float32), (np.arange(len(place)), place)))
    return Data(
        plan.codes[:TOP],
        np.concatenate([part.truth for part in seen]),
        patient,
        split,
        (learnt, terms.transform(held_out)),
        _mentioned(counts, split),
        _mentioned(counts @ unmarked, split),
    )


def _mentioned(counts: Any, split: Array) -> tuple[Any, Any]:
    """Features of mentions, those of enough train notes: 1 + ln of how often each is made."""
    weighed = sp.csr_array(counts)
    weighed.data = 1 + np.log(weighed.data)
    common = np.flatnonzero(np.bincount(weighed[split == 0].indices, minlength=weighed.shape[1]) >= _FEWEST)
    return weighed[split == 0][:, common], weighed[split > 0][:, common]


def judge(data: Data, features: tuple[Any, Any], model: OneVsRestLogistic) -> Judged:
    """Fit on train, choose thresholds on val, judge on test."""
    train, rest = features
    scores, split = model.fit(train, data.truth[data.split == 0]).predict_proba(rest), data.split[data.split > 0]
    truth, patient = data.truth[data.split > 0], data.patient[data.split > 0]
    val, test = (
        make(SPLITS[s], data.codes, truth[split == s], scores[split == s], patients=patient[split == s]) for s in (1, 2)
    )
    made = decide(test, _thresholds(val))
    own = f1(made.label_hits, made.label_called, made.label_true)
    back = decide(val, _thresholds(test))
    return Judged(
        f1=own,
        micro_f1=micro_f1(made),
        precision=float(ratio(made.hits, made.called)),
        recall=float(ratio(made.hits, made.true)),
        p_at_5=float(rank_notes(test, [5]).hits[5].sum() / (5 * test.n)),
        auroc_micro=auroc(over_all(test)),
        auroc_macro=mean_over_labels(np.array([auroc(scores) for scores in per_label(test)])),
        both=(own + f1(back.label_hits, back.label_called, back.label_true)) / 2,
    )


def _thresholds(cohort: Cohort) -> Array:
    return choose(cohort, over_all(cohort)).own


def measure(
    settings: SyntheticParams, coder: TfidfParams, found: Fitted | None = None, tol: float = 1e-4, train: float = TRAIN
) -> tuple[Judged, Judged, Judged]:
    """The linear coder, the oracle, and who has the mentions' words alone, on the hospital of `settings`.

    `found` are the rates (default: rates.csv), `train` the share of patients to learn from, `tol` the duality gap at
    which models are fitted well enough.
    """
    plan = replace(blueprint(settings), rates=rates(settings, found))
    start = time.perf_counter()
    data = gather(plan, coder, cores(), train)
    made = time.perf_counter()
    linear = judge(data, data.linear, OneVsRestLogistic(C=coder.C, class_weight=coder.class_weight, tol=tol))
    oracle = judge(data, data.oracle, OneVsRestLogistic(C=_ORACLE_C, tol=tol))
    blind = judge(data, data.blind, OneVsRestLogistic(C=_ORACLE_C, tol=tol))
    counts = np.bincount(data.split, minlength=3).tolist()
    say(
        f"{len(data.split):,} notes ({' / '.join(f'{n:,}' for n in counts)}), notes and features "
        f"{made - start:.0f} s, models and metrics {time.perf_counter() - made:.0f} s"
    )
    return linear, oracle, blind
