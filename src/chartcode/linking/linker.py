"""Notes in, mentions with codes out: spots the names of a dictionary and says how likely each code is.

A folder (models/linker) holds surfaces.parquet, candidates.parquet (with what train taught), codes.parquet (titles and
years), linker.json, and what places.py keeps where people marked train notes; it needs nothing
else. In train notes p may be taken without their own fold of patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import ArtifactError
from chartcode.icd import category
from chartcode.linking.calibration import BAG, LEARNED, UNUSED, Calibration
from chartcode.linking.flags import ORDER
from chartcode.linking.mentions import MENTIONS, READS, Spotter
from chartcode.linking.terminology.editions import Codes

Array = np.ndarray[Any, Any]
SIDES = len(ORDER) + 1
OF_TRAIN = (LEARNED, "mention")  # kinds of names that train gives
REMEMBERED = 200_000  # judgements kept for the next batch, about 2 kB each; others are made anew
OF_ALL = -1  # fold of a note that train does not hold: judged by what all of train teaches


def contexts(spotted: pa.Table) -> Array:
    """What p of each mention (M,) goes by: 0 affirmed, else 1 + its place in ORDER; SIDES more if found by a bag."""
    found: Array = np.zeros(len(spotted), np.int64)
    for number, flag in reversed(list(enumerate(ORDER, 1))):
        found[spotted[flag].to_numpy(zero_copy_only=False)] = number
    found += SIDES * pc.equal(spotted["method"], BAG).to_numpy(zero_copy_only=False)
    return found


class Judge:
    """Which codes a surface stands for in a context and a year, and how likely each is."""

    def __init__(
        self,
        taught: Calibration,
        keys: Sequence[str],
        codes: Codes,
        most: int,
        without: tuple[Array, Array] | None = None,
    ) -> None:
        """`most` codes a mention are kept; `without` are seen (K, S) and together (K, P) without each fold of train."""
        self._taught, self._keys, self._codes, self._most, self._without = taught, pa.array(keys), codes, most, without
        candidates = taught.candidates
        self._kinds: list[str] = candidates["kind"].to_pylist()
        self._names: list[str] = candidates["code"].to_pylist()
        self._best = candidates["best"].to_numpy(zero_copy_only=False).tolist()
        self._bounds = np.searchsorted(candidates["surface"].to_numpy(), np.arange(len(keys) + 1)).tolist()
        changes = np.array([not codes.lasting(code) for code in self._names], np.int64)
        counted = np.append(0, np.cumsum(changes))[self._bounds]
        self._dated = (np.diff(counted) > 0).tolist()  # (S,) whether the year makes a difference
        self._of_fold: dict[int, tuple[Array, Array, Array]] = {}
        self._number: dict[tuple[int, int, int, int], int] = {}  # what was judged -> its place below
        self._judged: list[list[dict[str, Any]]] = []

    @property
    def codes(self) -> list[str]:
        """Every code that a mention may stand for, whatever the year, sorted."""
        return sorted(set(self._names))

    @property
    def remembered(self) -> int:
        """How many judgements are kept for what comes next."""
        return len(self._judged)

    def offered(self, spotted: pa.Table, years: Array, folds: Array) -> Array:
        """Which of these mentions (M,) have any code: in train, a name that its own fold alone gives has none."""
        self._forget()
        asked = zip(spotted["surface"].to_pylist(), years.tolist(), folds.tolist(), strict=True)
        return np.array([bool(self._judged[self._place(name, 0, year, fold)]) for name, year, fold in asked], bool)

    def judge(self, spotted: pa.Table, years: Array, folds: Array, context: Array | None = None) -> pa.Table:
        """MENTIONS of SPOTTED mentions (M,), all `offered`, of notes of these fiscal years (M,; 0: the latest) and of
        these folds (M,).

        `context` (M,) takes the place of their own.
        """
        self._forget()
        surfaces = spotted["surface"].to_numpy()
        context = contexts(spotted) if context is None else context
        asked = zip(surfaces.tolist(), context.tolist(), years.tolist(), folds.tolist(), strict=True)
        places, inverse = np.unique(np.array([self._place(*a) for a in asked], np.int64), return_inverse=True)
        said = [self._judged[place] for place in places.tolist()]
        take = pa.array(inverse)
        judged = {
            "key": self._keys.take(spotted["surface"].combine_chunks()),
            "code": pa.array([s[0]["code"] for s in said], pa.string()).take(take),
            "p": pa.array([s[0]["p"] for s in said], pa.float32()).take(take),
            "source": pa.array([s[0]["kind"] for s in said], pa.string()).take(take),
            "alternatives": pa.array(said, MENTIONS.field("alternatives").type).take(take),
        }
        columns = [judged[f.name] if f.name in judged else spotted[f.name] for f in MENTIONS]
        return pa.table(columns, schema=MENTIONS)

    def _forget(self) -> None:
        """Memory stays flat however many notes there are: what was judged depends on nothing before it."""
        if len(self._judged) > REMEMBERED:
            self._number.clear()
            self._judged.clear()

    def _place(self, surface: int, context: int, year: int, fold: int) -> int:
        asked = (surface, context, year if self._dated[surface] else 0, fold)
        place = self._number.get(asked)
        if place is None:
            place = self._number[asked] = len(self._judged)
            self._judged.append(self._weigh(*asked))
        return place

    def _weigh(self, surface: int, context: int, year: int, fold: int) -> list[dict[str, Any]]:
        """The candidates of a surface, the code it names first, then by falling p; codes as they are in this year.

        Train may offer what keeps company with a name; the code of a mention is one of a category that the name has.
        """
        p, seen, together = self._counts(fold)
        factors = self._taught.factors
        factor = (factors[ORDER[context % SIDES - 1]] if context % SIDES else 1.0) * (
            factors[BAG] if context >= SIDES else 1.0
        )
        merged: dict[str, dict[str, Any]] = {}
        for pair in range(self._bounds[surface], self._bounds[surface + 1]):
            kind = self._kinds[pair]
            if kind in OF_TRAIN and fold != OF_ALL and together[pair] < 1:
                continue  # nothing but the fold left out offers it
            code = self._codes.of_year(self._names[pair], year)
            likely = float(p[pair]) * factor * (factors[LEARNED] if kind == LEARNED else 1.0)
            said = {"code": code, "p": round(likely, 6), "seen": int(seen[surface]), "kind": kind}
            said |= {"together": int(together[pair]), "dictionary": kind != LEARNED, "best": self._best[pair]}
            known = merged.setdefault(code, said)
            if known is not said:
                better = said if said["p"] > known["p"] else known
                for mark in ("best", "dictionary"):
                    better[mark] = known[mark] or said[mark]
                merged[code] = better
        ordered = sorted(merged.values(), key=lambda said: (-said["p"], not said["best"], said["code"]))
        named = {category(said["code"]) for said in ordered if said["dictionary"]}
        if not named and fold != OF_ALL:
            return []  # without its fold there would be no such surface
        first = [said for said in ordered if not named or category(said["code"]) in named][:1]
        return [*first, *(said for said in ordered if said not in first)][: self._most]

    def _counts(self, fold: int) -> tuple[Array, Array, Array]:
        if fold not in self._of_fold:
            if fold == OF_ALL or self._without is None:
                seen, together = self._taught.seen, self._taught.candidates["together"].to_numpy()
            else:
                seen, together = (counts[fold] for counts in self._without)
            self._of_fold[fold] = (self._taught.p(seen, together), seen, together)
        return self._of_fold[fold]


class Linker:
    """A dictionary, what train taught about it, and the codes of all years."""

    def __init__(self, spotter: Spotter, judge: Judge, codes: Codes, year: int) -> None:
        """`year` is the fiscal year of notes without one; 0: the latest."""
        self.spotter, self.judge, self._codes, self._year = spotter, judge, codes, year

    @property
    def codes(self) -> list[str]:
        """Every code that a mention may stand for, whatever the year, sorted."""
        years = range(self._codes.earliest, self._codes.latest + 1)
        return sorted({self._codes.of_year(code, year) for code in self.judge.codes for year in years})

    def title(self, code: str) -> str:
        """What a code is called; "" where nobody says."""
        return self._codes.titles.get(code, "")

    def mentions(self, notes: pa.RecordBatch) -> pa.Table:
        """MENTIONS of notes with silver's columns note_id, text, sections, edits, and year if they have it."""
        spotted = self.spotter.table(notes.select(list(READS)))
        year_of = dict(zip(notes.column("note_id").to_pylist(), years_of(notes, self._year).tolist(), strict=True))
        years = np.array([year_of[note_id] for note_id in spotted["note_id"].to_pylist()], np.int64)
        return self.judge.judge(spotted, years, np.full(len(spotted), OF_ALL))

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """The linker of a verified folder."""
        described = artifact.json("linker.json")
        surfaces, candidates = artifact.table("surfaces.parquet"), artifact.table("candidates.parquet")
        try:
            taught = Calibration(
                candidates.drop_columns(["prior"]),
                surfaces["seen"].to_numpy(),
                candidates["prior"].to_numpy(),
                {flag: float(described["factors"][flag]) for flag in UNUSED},
                float(described["strength"]),
            )
            language, most, year = str(described["language"]), int(described["most"]), int(described["year"])
        except (KeyError, TypeError, ValueError, AttributeError):
            file = artifact.path("linker.json")
            raise ArtifactError(f"{file}: written by another version; run `dvc repro link`") from None
        codes = Codes(artifact.table("codes.parquet"))
        judge = Judge(taught, surfaces["key"].to_pylist(), codes, most)
        return cls(Spotter(surfaces, language), judge, codes, year)


def years_of(notes: pa.RecordBatch | pa.Table, otherwise: int) -> Array:
    """Fiscal year of each note (N,): its year of admission, or `otherwise`."""
    if "year" not in notes.schema.names:
        return np.full(notes.num_rows, otherwise)
    return np.array([year or otherwise for year in notes.column("year").to_pylist()], np.int64)


def save(
    writer: Writer, surfaces: pa.Table, taught: Calibration, codes: pa.Table, language: str, most: int, year: int
) -> None:
    """Write what `Linker.load` reads."""
    writer.parquet("surfaces.parquet", surfaces.append_column("seen", pa.array(taught.seen, pa.int32())))
    writer.parquet("candidates.parquet", taught.candidates.append_column("prior", pa.array(taught.prior)))
    writer.parquet("codes.parquet", codes)
    described = {"factors": dict(taught.factors), "language": language, "most": most}
    writer.json("linker.json", described | {"strength": taught.strength, "year": year})
