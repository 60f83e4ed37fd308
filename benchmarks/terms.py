"""TF-IDF of notes beside scikit-learn's: seconds, peak memory, and whether terms and weights are the same.

Run   python -m benchmarks.terms [NOTES]     a Parquet file with the column `text` (default data/silver/notes.parquet)
Each run is a process of its own and reads the notes as it goes. Runs take turns; the medians of ROUNDS are printed, and
the ratios are of runs next to each other, so that a busy machine slows both. The loops are compiled before the clock
starts; what that costs stands in the last line.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 3
KNOBS: dict[str, Any] = {"ngram_range": (1, 2), "min_df": 5, "max_features": 200_000, "sublinear_tf": True}


def batches(path: Path) -> Iterator[pa.Array]:
    """The notes, as silver's readers hand them on."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1024, columns=["text"]):
            yield batch.column(0)


def run_sklearn(path: Path) -> tuple[sp.csr_array, list[str]]:
    """The reference, fed one note at a time."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(**KNOBS, strip_accents="unicode", dtype=np.float32)
    matrix = vectorizer.fit_transform(text for batch in batches(path) for text in batch.to_pylist())
    return matrix, vectorizer.get_feature_names_out().tolist()


def run_ours(path: Path, **knobs: Any) -> tuple[sp.csr_array, list[str]]:
    """Ours on so many threads."""
    from chartcode.coders.terms import TfidfTerms

    terms = TfidfTerms(**KNOBS, **knobs)
    return terms.fit_transform(batches(path)), terms.terms_


RUNS = {
    "scikit-learn": run_sklearn,
    "ours, 1 thread": lambda path: run_ours(path, threads=1),
    "ours, 2 threads": lambda path: run_ours(path, threads=2),
    "ours, scikit-learn's ties": lambda path: run_ours(path, ties="sklearn"),
}


def compiled() -> float:
    """Wall seconds until the loops are there: loading numba, and compiling or reading what was compiled before."""
    from chartcode.coders.terms import TfidfTerms

    start = time.perf_counter()
    TfidfTerms(min_df=1, threads=2).fit_transform([pa.array(["aa bb"] * 3000)])
    return time.perf_counter() - start


def child(name: str, path: Path, out: Path | None) -> None:
    """One run: its figures to standard output as JSON, its matrix and terms to `out`."""
    ready = compiled() if name.startswith("ours") else 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    matrix, terms = RUNS[name](path)
    figures = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "start": before / 1e3,
        "notes": matrix.shape[0],
        "terms": matrix.shape[1],
        "entries": matrix.nnz,
        "megabytes": (matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes) / 1e6,
        "compiled": ready,
    }
    if out is not None:
        matrix.sort_indices()
        np.savez(out, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, terms=np.array(terms, dtype=str))
    sys.stdout.write(json.dumps(figures))


def measured(name: str, path: Path, out: Path | None) -> dict[str, float]:
    """The figures of one run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.terms", str(path), "--child", name]
    command += ["--out", str(out)] if out else []
    return dict(json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout))


def compared(ours: Path, theirs: Path) -> tuple[str, str]:
    """Whether the terms are the same, and the largest difference of a weight; else how many terms are others."""
    with np.load(ours) as a, np.load(theirs) as b:
        if not np.array_equal(a["terms"], b["terms"]):
            return f"all but {len(np.setdiff1d(a['terms'], b['terms'])):,}, tied at the cut", ""
        if not (np.array_equal(a["indices"], b["indices"]) and np.array_equal(a["indptr"], b["indptr"])):
            return "yes, but not where they stand", ""
        return "yes", f"{np.abs(a['data'] - b['data']).max():.1e}"


def table(path: Path) -> None:
    """All runs in turn, as a Markdown table."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in RUNS}
    first = measured("ours, 1 thread", path, None)["compiled"]
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            for number, name in enumerate(RUNS):
                out = Path(folder) / f"{number}.npz" if turn == 0 else None
                figures[name].append(measured(name, path, out))
        same = {name: compared(Path(folder) / f"{n}.npz", Path(folder) / "0.npz") for n, name in enumerate(RUNS)}
    size = figures["scikit-learn"][0]
    print(f"{size['notes']:,} notes, {size['terms']:,} terms, {size['entries']:,} entries\n")
    print("| | CPU s | ratio | wall s | ratio | peak RSS, MB | matrix, MB | terms equal | max abs dx |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, runs in figures.items():
        row = [name]
        for key in ("cpu", "wall"):
            ratio = median(t[key] / o[key] for t, o in zip(figures["scikit-learn"], runs, strict=True))
            row += [f"{median(run[key] for run in runs):.2f}", f"{ratio:.1f}"]
        row += [f"{median(run['peak'] for run in runs):,.0f}", f"{runs[0]['megabytes']:,.0f}", *same[name]]
        print("| " + " | ".join(row) + " |")
    later = median(run["compiled"] for run in figures["ours, 1 thread"])
    print(f"\nnumba and its loops: {first:.1f} s in the first process here, {later:.1f} s in later ones")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path, nargs="?", default=ROOT / "data/silver/notes.parquet")
    parser.add_argument("--child", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.notes, given.out)
    else:
        table(given.notes.resolve())
