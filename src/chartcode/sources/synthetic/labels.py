"""Every diagnosis of every admission of a patient: common conditions, rarer ones, their order and the ward.

The copula says which of the fifty common conditions are present. The total number of codes follows a negative binomial
(r = 2.95, mean 13.6, without zero, everything above 39 counted at 39: this r meets the published mean, median, mode and
90th percentile together), drawn by rank so that admissions with many common conditions have many rare ones. The rest is
dealt from the long tail of the ward, without replacement; chronic conditions of the previous admission come first.

Combination codes ask for their parts: I130, I129 and E1122 for a stage of kidney disease, I130 and I110 for a kind of
heart failure.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic import copula as common
from chartcode.sources.synthetic import resources
from chartcode.sources.synthetic.codes import CHILDBEARING, STRATA, TOP, WARDS, Catalogue, catalogue

Array = NDArray[np.float64]

MAX_CODES = 39
_R, _MEAN = 2.95, 13.6
_COUPLING = 0.82  # correlation of the total with the number of common conditions
_CARRY = 0.75  # chance that a chronic rare condition is coded again
_OBSTETRICS, _PSYCHIATRY = WARDS.index("OBSTETRICS/GYNECOLOGY"), WARDS.index("PSYCHIATRY")

KIDNEY_STAGES = {"N186": 0.42, "N184": 0.24, "N182": 0.12, "N1830": 0.09, "N185": 0.07, "N1832": 0.06}
HEART_FAILURES = {
    "I5033": 0.27,
    "I5022": 0.22,
    "I5023": 0.17,
    "I509": 0.14,
    "I5020": 0.07,
    "I5043": 0.05,
    "I5030": 0.04,
    "I5042": 0.04,
}
# Of these categories an admission carries one code at most.
_SINGLE = (
    "N18",
    "Z68",
    "I48",
    "I50",
    "J45",
    "K21",
    "F32",
    "E03",
    "E78",
    "F10",
    "Z37",
    "Z3A",
    "F172",
    "K35",
    "G30",
    "R652",
    "A41",
    "D63",
    "I63",
)
_NO_REASON = ("B95", "B96", "B97", "R", "V", "W", "X", "Y", "Z")  # never the reason for a stay, if there is another
_DIABETES = ("E08", "E09", "E10", "E11", "E13")  # not beside E119, diabetes without complications
_AGES = (
    (0.0, 18.0),
    (0.03, 21.0),
    (0.10, 30.0),
    (0.25, 45.0),
    (0.50, 61.0),
    (0.75, 73.5),
    (0.90, 83.0),
    (0.97, 90.0),
    (1.0, 99.0),
)


@dataclass(frozen=True)
class Admission:
    """Diagnoses of one admission as positions in the catalogue, principal first."""

    diagnoses: tuple[int, ...]
    ward: int
    age: float  # years
    size: float  # standard normal rank of the number of codes


@dataclass(frozen=True)
class LabelModel:
    """What `Patient histories` are drawn from; small enough to hand to every worker process."""

    copula: common.Copula
    count_cdf: Array  # (K + 3,) distribution of the number of common conditions and their required parts
    total_cdf: Array  # (40,) distribution of the number of codes
    ward_logits: Array  # (strata, wards)
    ward_pull: Array  # (K, wards): how far a common condition pulls towards a ward
    tail: dict[tuple[int, int, int], tuple[NDArray[np.int64], Array]]  # (stratum, ward, chronic) -> codes, cumulative
    chronic_share: Array  # (strata, wards)
    chronic: NDArray[np.bool_]  # (C,)
    allowed: NDArray[np.bool_]  # (strata, C)
    kidney: tuple[NDArray[np.int64], Array]
    heart: tuple[NDArray[np.int64], Array]
    reason: NDArray[np.bool_]  # (C,) may be the principal diagnosis
    category: NDArray[np.int8]  # (C,) index into _SINGLE, -1 for none, -2 for diabetes
    position: dict[str, int]  # of the codes that rules name


def age_from_normal(z: float) -> float:
    """Age in years of an adult inpatient whose rank among patients is that of a standard normal `z`."""
    share = float(common._normal_cdf(z))
    return float(np.interp(share, [p for p, _ in _AGES], [a for _, a in _AGES]))


def stratum_of(sex: int, age: float) -> int:
    """Index into STRATA."""
    return 0 if sex == 0 else 1 if age <= CHILDBEARING[1] else 2


def total_distribution() -> Array:
    """P(number of codes = 0, 1, ... 39)."""
    from scipy.stats import nbinom

    counts = np.arange(0, 600)
    mass = nbinom.pmf(counts, _R, _R / (_R + _MEAN))
    folded: Array = np.array(mass[: MAX_CODES + 1])
    folded[MAX_CODES] += mass[MAX_CODES + 1 :].sum()
    folded[0] = 0.0
    return np.asarray(folded / folded.sum())


def _needs_kidney(present: NDArray[np.bool_], at: dict[str, int]) -> NDArray[np.bool_]:
    combined = present[:, at["I129"]] | present[:, at["I130"]] | present[:, at["E1122"]]
    return np.asarray(combined & ~(present[:, at["N183"]] | present[:, at["N189"]]))


def _needs_heart(present: NDArray[np.bool_], at: dict[str, int]) -> NDArray[np.bool_]:
    return np.asarray((present[:, at["I110"]] | present[:, at["I130"]]) & ~present[:, at["I5032"]])


def _choice(table: dict[str, float], index: dict[str, int]) -> tuple[NDArray[np.int64], Array]:
    return np.array([index[c] for c in table]), np.cumsum(list(table.values())) / sum(table.values())


@lru_cache(maxsize=1)
def model() -> LabelModel:
    """Fit the model to the published statistics; some five seconds, the catalogue included. Parent process only."""
    known = catalogue()
    index = known.index
    course = tuple(row["course"] for row in resources.rows("codes.csv"))[:TOP]
    copula, present, sex, age_normal = common.fit(known, course)
    at = {code: index[code] for code in known.codes[:TOP]}
    required = _needs_kidney(present, at).astype(np.int64) + _needs_heart(present, at)
    common_count = present.sum(1) + required
    count_cdf = np.cumsum(np.bincount(common_count, minlength=TOP + 3)) / len(common_count)
    total_cdf = np.cumsum(total_distribution())

    rng = np.random.default_rng(7)
    ages = np.interp(common._normal_cdf(age_normal), [p for p, _ in _AGES], [a for _, a in _AGES])
    stratum = np.where(sex == 0, 0, np.where(ages <= CHILDBEARING[1], 1, 2))
    score = _COUPLING * _rank_normal(common_count, count_cdf, rng.random(len(sex)))
    score = score + np.sqrt(1 - _COUPLING**2) * rng.standard_normal(len(sex))
    total = np.maximum(np.searchsorted(total_cdf, common._normal_cdf(score)), np.maximum(common_count, 1))
    rare = np.minimum(total, MAX_CODES) - common_count  # (n,) codes still to deal

    forced = np.zeros(len(known.codes))
    for table, share in (
        (KIDNEY_STAGES, _needs_kidney(present, at).mean()),
        (HEART_FAILURES, _needs_heart(present, at).mean()),
    ):
        positions, cumulative = _choice(table, index)
        forced[positions] = np.diff(cumulative, prepend=0.0) * share
    free = np.maximum(known.prevalence - forced, 0.0)
    free[:TOP] = 0.0
    shares = np.bincount(stratum, minlength=len(STRATA)) / len(stratum)
    reach = (known.allowed * shares[:, None]).sum(0)  # (C,) share of admissions a code may occur in
    wanted = free / reach * known.allowed * shares[:, None]  # (strata, C) expected codes per admission of the hospital

    pull = _ward_pull(known)
    logits = _fit_wards(wanted, known, present, pull, stratum, rare, rng)
    tail, chronic_share = _tail_tables(wanted, known, logits, pull, present, stratum, rare, rng)
    return LabelModel(
        copula, count_cdf, total_cdf, logits, pull, tail, chronic_share, known.chronic, known.allowed,
        _choice(KIDNEY_STAGES, index), _choice(HEART_FAILURES, index),
        np.array([not code.startswith(_NO_REASON) for code in known.codes]),
        _categories(known.codes), at,
    )  # fmt: skip


def _categories(codes: tuple[str, ...]) -> NDArray[np.int8]:
    def one(code: str) -> int:
        if code.startswith(_DIABETES) and code not in ("E119", "E1122"):
            return -2
        return next((place for place, prefix in enumerate(_SINGLE) if code.startswith(prefix)), -1)

    return np.array([one(code) for code in codes], dtype=np.int8)


def _rank_normal(count: NDArray[np.int64], cdf: Array, uniform: Array) -> Array:
    """Counts as standard normals: their place in the distribution, ties broken by `uniform`."""
    below = np.where(count > 0, cdf[np.maximum(count - 1, 0)], 0.0)
    return common._normal_quantile(np.clip(below + uniform * (cdf[count] - below), 1e-6, 1 - 1e-6))


def _ward_pull(known: Catalogue) -> Array:
    ward = known.ward[:, :TOP].T  # (K, wards)
    pull = 0.35 * np.log((ward + 0.02) / (ward.mean(0) + 0.02))
    pull[:, _OBSTETRICS] = -1.5
    return np.asarray(pull)


def _gumbel(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    return np.asarray(-np.log(-np.log(rng.random(shape))))


def _fit_wards(
    wanted: Array, known: Catalogue, present: NDArray[np.bool_], pull: Array, stratum: NDArray[np.int64],
    rare: NDArray[np.int64], rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Ward log-odds per stratum, so that each ward deals as many rare codes as its chapters ask for."""
    mass = wanted @ known.ward.T  # (strata, wards)
    aim = mass / mass.sum(1, keepdims=True)
    logits = np.log(np.maximum(aim, 1e-9))
    noise, lean = _gumbel((len(stratum), len(WARDS)), rng), present @ pull
    for _ in range(8):
        ward = (logits[stratum] + lean + noise).argmax(1)
        dealt = np.zeros_like(aim)
        np.add.at(dealt, (stratum, ward), rare)
        dealt /= dealt.sum(1, keepdims=True)
        logits = np.where(aim > 1e-6, logits + 0.8 * np.log(np.maximum(aim, 1e-9) / np.maximum(dealt, 1e-5)), -50.0)
    return np.asarray(np.round(logits, 6))


def _tail_tables(
    wanted: Array, known: Catalogue, logits: Array, pull: Array, present: NDArray[np.bool_], stratum: NDArray[np.int64],
    rare: NDArray[np.int64], rng: np.random.Generator,
) -> tuple[dict[tuple[int, int, int], tuple[NDArray[np.int64], Array]], Array]:  # fmt: skip
    """Drawing tables per stratum, ward and course, corrected for drawing without replacement."""
    ward = (logits[stratum] + present @ pull + _gumbel((len(stratum), len(WARDS)), rng)).argmax(1)
    tables: dict[tuple[int, int, int], tuple[NDArray[np.int64], Array]] = {}
    chronic_share = np.zeros((len(STRATA), len(WARDS)))
    for w in range(len(WARDS)):
        histogram = np.bincount(rare[ward == w], minlength=MAX_CODES + 1)[: MAX_CODES + 1]
        share = max(float((ward == w).mean()), 1e-6)
        inclusion = (wanted * known.ward[w]).sum(0) / share  # (C,) share of the ward's admissions
        corrected = _undo_saturation(inclusion, histogram / max(histogram.sum(), 1))
        for s in range(len(STRATA)):
            weight = wanted[s] * known.ward[w] * corrected / np.maximum(inclusion, 1e-12)
            total = weight.sum()
            for chronic in (0, 1):
                chosen = np.flatnonzero((weight > 0) & (known.chronic == bool(chronic)))
                part = weight[chosen]
                if chronic:
                    chronic_share[s, w] = part.sum() / total if total > 0 else 0.0
                cumulative = np.cumsum(part) / part.sum() if len(part) else np.zeros(0)
                tables[s, w, chronic] = (chosen, cumulative)
    return tables, np.round(chronic_share, 6)


def _undo_saturation(inclusion: Array, counts: Array) -> Array:
    """Weights with which drawing T distinct codes, T ~ `counts`, includes code c with probability `inclusion[c]`.

    Drawing without replacement includes c with about 1 - exp(-w_c t), t such that these sum to T; solved by Newton for
    the commonest codes, the rest being too rare to saturate.
    """
    order = np.argsort(-inclusion, kind="stable")[:1500]
    target, weights = inclusion[order], inclusion.copy()
    numbers = np.flatnonzero(counts[1:]) + 1
    if not len(numbers):
        return weights
    for _ in range(5):
        head, rest = weights[order], weights.sum() - weights[order].sum()
        t = numbers / weights.sum()
        for _ in range(8):
            kept = np.exp(-np.outer(t, head))
            excess = (1 - kept).sum(1) + rest * t - numbers
            t = t - excess / ((kept * head).sum(1) + rest)
        reached = counts[numbers] @ (1 - np.exp(-np.outer(t, head)))
        weights[order] = head * target / np.maximum(reached, 1e-9)
    return weights


class History:
    """Draws a patient's admissions one after another."""

    def __init__(self, model: LabelModel, rng: np.random.Generator) -> None:
        self._model, self._rng = model, rng
        self.sex = int(rng.random() >= common.SHARE_MEN)  # 0 men, 1 women
        self._latent, normal_age = model.copula.patient(rng)
        self.age = age_from_normal(normal_age)  # at the first admission
        self._size = float(rng.standard_normal())
        self._stage = float(rng.random())

    def admissions(self, ages: list[float]) -> list[Admission]:
        """One admission for each age in years."""
        present = self._model.copula.present(self._latent, self.sex, len(ages), self._rng)
        at = self._model.position
        kidney, heart = _needs_kidney(present, at), _needs_heart(present, at)
        before: tuple[int, ...] = ()
        found = []
        for row, age in enumerate(ages):
            admission = self._one(
                np.flatnonzero(present[row]).tolist(), bool(kidney[row]), bool(heart[row]), age, before
            )
            before = admission.diagnoses
            found.append(admission)
        return found

    def _one(self, codes: list[int], kidney: bool, heart: bool, age: float, before: tuple[int, ...]) -> Admission:
        model, rng = self._model, self._rng
        stratum = stratum_of(self.sex, age)
        lean = model.ward_logits[stratum] + (model.ward_pull[codes].sum(0) if codes else 0.0)
        ward = int((lean - np.log(-np.log(rng.random(len(WARDS))))).argmax())
        for needed, (parts, cumulative) in ((kidney, model.kidney), (heart, model.heart)):
            if needed:
                drift = (self._stage + 0.15 * (rng.random() - 0.5)) % 1.0  # the stage rarely changes between admissions
                codes.append(int(parts[min(int(np.searchsorted(cumulative, drift)), len(parts) - 1)]))
        base = len(codes)
        low = float(model.count_cdf[base - 1]) if base else 0.0
        place = low + float(rng.random()) * (float(model.count_cdf[base]) - low)
        own = float(rng.standard_normal())
        score = _COUPLING * float(common._normal_quantile(min(max(place, 1e-6), 1 - 1e-6)))
        score += float(np.sqrt((1 - _COUPLING**2) / 2)) * (self._size + own)
        total = int(np.searchsorted(model.total_cdf, float(common._normal_cdf(score))))
        total = min(max(total, base, 1), MAX_CODES)
        rare = self._deal(stratum, ward, total - base, set(codes), before)
        return Admission(self._order(codes, rare), ward, age, score)

    def _deal(self, stratum: int, ward: int, count: int, taken: set[int], before: tuple[int, ...]) -> list[int]:
        """`count` rare codes; chronic ones of the previous admission first."""
        model, rng = self._model, self._rng
        if count <= 0:
            return []
        chronic = int(rng.binomial(count, model.chronic_share[stratum, ward]))
        barred = {int(model.category[code]) for code in taken} - {-1}
        if model.position["E119"] not in taken:
            barred.discard(-2)
        else:
            barred.add(-2)
        dealt: list[int] = []

        def take(code: int) -> bool:
            category = int(model.category[code])
            if code in taken or category in barred:
                return False
            if category >= 0:
                barred.add(category)
            taken.add(code)
            dealt.append(code)
            return True

        for code, stays in zip(before, rng.random(len(before)) < _CARRY, strict=True):
            if code >= TOP and stays and len(dealt) < chronic and model.chronic[code] and model.allowed[stratum, code]:
                take(code)
        for course, upto in ((1, chronic), (0, count)):
            codes, cumulative = model.tail[stratum, ward, course]
            attempts = 0
            while len(codes) and len(dealt) < upto and attempts < 60:
                for uniform in rng.random(upto - len(dealt) + 2).tolist():
                    if len(dealt) < upto:
                        take(int(codes[min(bisect_right(cumulative, uniform), len(codes) - 1)]))
                attempts += 1
        return dealt

    def _order(self, codes: list[int], rare: list[int]) -> tuple[int, ...]:
        """Principal diagnosis first: an acute one if there is any; the others as they come."""
        model, rng = self._model, self._rng
        every = codes + rare
        reasons = [code for code in every if model.reason[code]] or every
        acute = [code for code in reasons if not model.chronic[code]] or reasons
        principal = acute[int(rng.random() * len(acute))]
        others = [code for code in every if code != principal]
        order = rng.permutation(len(others)).tolist()
        return (principal, *(others[i] for i in order))
