"""Which of the fifty commonest conditions occur together: a Gaussian copula fitted to published prevalences and lifts.

Each condition is a latent normal variable that is present above a threshold. Published lifts (how much more often two
conditions meet than chance would have it) are solved as bivariate normal correlations; all other pairs share one
correlation, which gives the published spread of labels per admission. Conditions that exclude each other by the rules
of coding are resolved afterwards, and thresholds and correlations are solved again until the prevalences hold.

A latent variable is the sum of a part that belongs to the patient, which returns in every admission, and a part that
belongs to the admission. The patient's age is one more variable of the first kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic.codes import PUBLISHED_PERCENT, TOP, Catalogue

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARE_MEN = 0.48
COMMON = 0.15  # correlation of any two conditions
PERSISTENCE = {"chronic": 0.85, "mixed": 0.5, "acute": 0.15}  # share of the latent variance that is the patient's
_DRAWS = 80_000  # admissions simulated to solve the thresholds
_SEED = 20_231  # of those; part of the model, not of the hospital
_GAUSS = np.polynomial.legendre.leggauss(48)

PUBLISHED_LIFT = (
    ("Z7901", "I4891", 3.5), ("G4733", "E669", 2.7), ("F329", "F419", 2.6), ("I4891", "Z7902", 2.3),
    ("Z794", "E119", 2.3),
    ("I2510", "Z7902", 2.2), ("I2510", "I4891", 2.0), ("E785", "I2510", 1.8), ("I10", "E119", 1.8),
    ("N179", "D649", 1.7),
    ("E785", "Z794", 1.6), ("G4733", "J45909", 1.6),
)  # fmt: skip

# Not published; needed so that combination codes find their parts, and siblings their company.
ASSUMED_LIFT = (
    ("I129", "N183", 5.5), ("I130", "N183", 7.0), ("I129", "N189", 5.5), ("I130", "N189", 5.5), ("E1122", "N183", 5.5),
    ("E1122", "N189", 5.0), ("E1122", "I129", 5.5), ("E1122", "I130", 5.5), ("I110", "I5032", 6.5),
    ("I130", "I5032", 7.0),
    ("E1122", "Z794", 4.0), ("Z955", "I2510", 4.0), ("Z951", "I2510", 4.0), ("I252", "I2510", 3.5),
    ("I480", "Z7901", 3.0),
    ("Z955", "Z7902", 4.0), ("Z86718", "Z7901", 3.5), ("Y92239", "Y92230", 1.0), ("J449", "F17210", 2.0),
    ("J9601", "J189", 2.5), ("N179", "E872", 2.5), ("I10", "N183", 0.8), ("I10", "N189", 0.8), ("Z955", "I252", 3.0),
)  # fmt: skip

# Pairs that never meet. Where both arise the first named yields if `first` is set, else the one nearer its threshold.
EXCLUSIONS = (
    ("I10", "I110", True), ("I10", "I129", True), ("I10", "I130", True), ("I110", "I129", False),
    ("I110", "I130", False),
    ("I129", "I130", False), ("Z87891", "F17210", False), ("E119", "E1122", False), ("N183", "N189", False),
    ("I4891", "I480", False),
)  # fmt: skip

# Correlation of a condition with age.
_AGE = {
    "E785": 0.35, "I10": 0.30, "Z87891": 0.25, "K219": 0.15, "I2510": 0.45, "F329": 0.0, "N179": 0.25, "F419": -0.15,
    "E039": 0.25, "Z7901": 0.35, "Z794": 0.15, "E119": 0.25, "G4733": 0.10, "E669": -0.05, "I4891": 0.50,
    "F17210": -0.20,
    "J45909": -0.10, "Z66": 0.50, "N390": 0.25, "Z7902": 0.35, "I129": 0.40, "J449": 0.35, "E1122": 0.30, "I252": 0.35,
    "N189": 0.30, "I110": 0.40, "Z8673": 0.35, "Z955": 0.35, "G4700": 0.0, "K5900": 0.10, "M109": 0.30, "N400": 0.45,
    "N183": 0.35, "I130": 0.42, "Z951": 0.40, "Y92239": 0.0, "I480": 0.40, "Y92230": 0.0, "Y929": 0.0, "I5032": 0.40,
    "Z23": 0.0, "G8929": -0.05,
}  # fmt: skip

MEN_ONLY = ("N400",)


def _normal_cdf(x: Array | float) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(x), dtype=float)


def _normal_quantile(p: Array | float) -> Array:
    from scipy.special import ndtri

    return np.asarray(ndtri(p), dtype=float)


def joint_probability(p: float, q: float, rho: float) -> float:
    """P(both present) for marginal probabilities p, q and latent correlation rho (Plackett's integral over rho)."""
    a, b = float(_normal_quantile(1 - p)), float(_normal_quantile(1 - q))
    nodes, weights = _GAUSS
    r = rho * (nodes + 1) / 2
    density = np.exp(-(a * a - 2 * r * a * b + b * b) / (2 * (1 - r * r))) / (2 * np.pi * np.sqrt(1 - r * r))
    return p * q + float(rho / 2 * np.sum(weights * density))


def correlation_for(p: float, q: float, joint: float) -> float:
    """The latent correlation in (-0.9, 0.97) at which two conditions meet with probability `joint`."""
    low, high = -0.9, 0.97
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if joint_probability(p, q, middle) < joint else (low, middle)
    return (low + high) / 2


def _nearest_correlation(matrix: Array) -> Array:
    """Clip eigenvalues at 1e-3 and rescale the diagonal to one."""
    values, vectors = np.linalg.eigh(matrix)
    clipped = (vectors * np.clip(values, 1e-3, None)) @ vectors.T
    scale = np.sqrt(np.diag(clipped))
    return np.asarray(clipped / scale[:, None] / scale[None, :])


@dataclass(frozen=True)
class Copula:
    """The fitted model. K = 50 conditions, in catalogue order."""

    patient_root: Array  # (K + 1, K + 1) Cholesky factor of the patients' part; the last variable is age
    admission_root: Array  # (K, K) of the admissions' part
    persistence: Array  # (K,)
    thresholds: Array  # (2, K): men, women
    exclusions: tuple[tuple[int, int, bool], ...]

    def patient(self, rng: np.random.Generator) -> tuple[Array, float]:
        """One patient: latent part (K,) and standard normal age."""
        latent = self.patient_root @ rng.standard_normal(TOP + 1)
        return latent[:-1], float(latent[-1])

    def present(self, patient: Array, sex: int, admissions: int, rng: np.random.Generator) -> Bools:
        """Conditions of each admission of a patient, (admissions, K)."""
        own = rng.standard_normal((admissions, TOP)) @ self.admission_root.T
        latent = np.sqrt(self.persistence) * patient + np.sqrt(1 - self.persistence) * own
        return resolve(latent - self.thresholds[sex], self.exclusions)


def resolve(margin: Array, exclusions: tuple[tuple[int, int, bool], ...]) -> Bools:
    """Presence from latent margins (n, K), exclusions applied in order."""
    present = margin > 0
    for first, second, first_yields in exclusions:
        both = present[:, first] & present[:, second]
        if both.any():
            yields = both if first_yields else both & (margin[:, first] < margin[:, second])
            present[:, first] &= ~yields
            present[:, second] &= ~(both & ~yields)
    return np.asarray(present)


def fit(catalogue: Catalogue, course: tuple[str, ...]) -> tuple[Copula, Bools, NDArray[np.int64], Array]:
    """Solve the copula; returns it with the simulation it was solved on: presence (n, K), sex (n,), age normals (n,).

    `course` gives chronic, mixed or acute for each of the K conditions. Takes some two seconds.
    """
    index = {code: position for position, code in enumerate(catalogue.codes[:TOP])}
    target = np.array(PUBLISHED_PERCENT) / 100
    persistence = np.array([PERSISTENCE[c] for c in course])
    age = np.array([_AGE.get(code, 0.12) for code in catalogue.codes[:TOP]])
    exclusions = tuple((index[a], index[b], first) for a, b, first in EXCLUSIONS)
    pairs = [(index[a], index[b], lift) for a, b, lift in (*ASSUMED_LIFT, *PUBLISHED_LIFT)]
    excluded = {(a, b) for a, b, _ in exclusions} | {(b, a) for a, b, _ in exclusions}

    rng = np.random.default_rng(_SEED)
    normals_patient, normals_own = rng.standard_normal((_DRAWS, TOP + 1)), rng.standard_normal((_DRAWS, TOP))
    sex = (rng.random(_DRAWS) >= SHARE_MEN).astype(np.int64)  # 0 men, 1 women
    by_sex = np.tile(target, (2, 1))
    for code in MEN_ONLY:
        by_sex[:, index[code]] = (target[index[code]] / SHARE_MEN, 0.0)
    thresholds = _normal_quantile(1 - np.clip(by_sex, 1e-9, None))
    joint = np.array([min(target[a] * target[b] * lift, 0.93 * min(target[a], target[b])) for a, b, lift in pairs])
    wanted = joint.copy()
    share = np.sqrt(np.outer(persistence, persistence)) + np.sqrt(np.outer(1 - persistence, 1 - persistence))

    copula = None
    for _ in range(4):
        matrix = np.full((TOP, TOP), COMMON)
        np.fill_diagonal(matrix, 1.0)
        for (a, b, _lift), probability in zip(pairs, wanted, strict=True):
            matrix[a, b] = matrix[b, a] = correlation_for(target[a], target[b], probability)
        # A pair whose parts persist differently loses some correlation in the sum; ask for more in the parts.
        parts = np.clip(matrix / share, -0.95, 0.98)
        np.fill_diagonal(parts, 1.0)
        whole = np.eye(TOP + 1)
        whole[:TOP, :TOP] = parts
        whole[TOP, :TOP] = whole[:TOP, TOP] = np.clip(age / np.sqrt(persistence), -0.6, 0.6)
        patient_root = np.round(np.linalg.cholesky(_nearest_correlation(whole)), 6)
        admission_root = np.round(np.linalg.cholesky(_nearest_correlation(parts)), 6)
        latent_patient = normals_patient @ patient_root.T
        latent = np.sqrt(persistence) * latent_patient[:, :TOP] + np.sqrt(1 - persistence) * (
            normals_own @ admission_root.T
        )
        for _ in range(7):
            present = resolve(latent - thresholds[sex], exclusions)
            thresholds += 0.9 * (_normal_quantile(np.clip(present.mean(0), 1e-4, 1 - 1e-4)) - _normal_quantile(target))
        thresholds = np.round(thresholds, 6)
        present = resolve(latent - thresholds[sex], exclusions)
        copula = Copula(patient_root, admission_root, persistence, thresholds, exclusions)
        seen = np.array([(present[:, a] & present[:, b]).mean() for a, b, _ in pairs])
        step = np.where([(a, b) in excluded for a, b, _ in pairs], 1.0, joint / np.maximum(seen, 1e-6))
        ceiling = np.array([0.95 * min(target[a], target[b]) for a, b, _ in pairs])
        wanted = np.clip(wanted * step, 1e-5, ceiling)
    assert copula is not None
    return copula, present, sex, latent_patient[:, TOP]
