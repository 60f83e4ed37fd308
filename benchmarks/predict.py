"""`chartcode predict` from a cold process beside scikit-learn's vectoriser and `re` with the same model.

Run   python -m benchmarks.predict [NOTES]     10,000 notes unless told; with the model and the notes of the last
                                               `dvc repro`, these over again if need be
Every figure is the median of ROUNDS processes, ours and the reference's in turn, from the start of Python to the end;
peak memory is the process's own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chartcode.artifacts import Artifact
from chartcode.lineage import ROOT

ROUNDS = 3
MODEL = ROOT / "models/tfidf"
NAMES = ("chartcode predict", "scikit-learn and `re`")


def by_sklearn(notes: Path, out: Path) -> None:
    """Clean with `re`, transform with scikit-learn, multiply with dense weights; writes the scores (N, L)."""
    from scipy.special import expit
    from sklearn.feature_extraction.text import TfidfVectorizer

    from chartcode.coders.tfidf import TfidfCoder
    from tests.tables import reference_cleaning

    coder = TfidfCoder.load(Artifact(MODEL))
    weights, params = np.hstack(list(coder.weights())), json.loads((MODEL / "coder.json").read_text())["params"]
    vectorizer = TfidfVectorizer(
        ngram_range=tuple(params["ngram_range"]),
        sublinear_tf=params["sublinear_tf"],
        strip_accents="unicode",
        vocabulary=coder.terms.terms_,
    )
    vectorizer.idf_ = coder.terms.idf_
    scores = []
    with pq.ParquetFile(notes) as file:
        for batch in file.iter_batches(1024, columns=["text"]):
            texts = reference_cleaning.clean_batch(batch.column("text")).field("text").to_pylist()
            scores.append(expit(vectorizer.transform(texts) @ weights + coder.bias))
    np.save(out, np.vstack(scores).astype(np.float32))


def by_ours(notes: Path, out: Path) -> None:
    """The command."""
    from chartcode import cli

    if cli.main(["predict", str(notes), "--model", str(MODEL), "--out", str(out)]):
        sys.exit(1)


def measured(name: str, notes: Path, out: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory (MB) of a process of its own."""
    out.unlink(missing_ok=True)
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.predict", "--child", name, str(notes), str(out)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    cpu, peak = json.loads(done.stdout.splitlines()[-1])
    return time.perf_counter() - start, cpu, peak


def child(name: str, notes: Path, out: Path) -> None:
    """One run; its CPU seconds and peak memory as JSON."""
    (by_ours if name == NAMES[0] else by_sklearn)(notes, out)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3]))


def difference(ours: Path, theirs: Path, codes: list[str]) -> float:
    """The largest difference of a score."""
    rows = pq.read_table(ours, columns=["code", "score"])
    place = {code: column for column, code in enumerate(codes)}
    columns = np.array([place[code] for code in rows["code"].to_pylist()]).reshape(-1, len(codes))
    expected = np.take_along_axis(np.load(theirs), columns, axis=1)
    return float(np.abs(rows["score"].to_numpy().reshape(expected.shape) - expected).max())


def main(count: int) -> None:
    """Print a Markdown table."""
    codes = Artifact(MODEL).table("weights.parquet", ["code"])["code"].to_pylist()
    with tempfile.TemporaryDirectory(prefix="predict-") as temporary:
        folder = Path(temporary)
        table = pq.read_table(ROOT / "data/bronze/discharge.parquet", columns=["note_id", "text"])
        notes = folder / "notes.parquet"
        with pq.ParquetWriter(notes, table.schema) as writer:
            for first in range(0, count, 2048):
                places = np.arange(first, min(first + 2048, count))
                names = pa.array([f"note-{place}" for place in places], pa.string())
                writer.write_table(table.take(pa.array(places % table.num_rows)).set_column(0, table.field(0), names))
        del table
        outs = {NAMES[0]: folder / "ours.parquet", NAMES[1]: folder / "theirs.npy"}
        measured(NAMES[0], notes, outs[NAMES[0]])  # compiles, if nothing has yet
        runs = {name: [] for name in NAMES}  # type: dict[str, list[tuple[float, float, float]]]
        for _ in range(ROUNDS):
            for name in NAMES:
                runs[name].append(measured(name, notes, outs[name]))
        print(f"{count:,} notes, {len(codes)} codes, from the start of Python to the end\n")
        print("| | wall s | notes/s | CPU s | peak RSS, MB |\n|---|---:|---:|---:|---:|")
        for name, found in runs.items():
            wall, cpu, peak = (median(column) for column in zip(*found, strict=True))
            print(f"| {name} | {wall:.1f} | {count / wall:,.0f} | {cpu:.1f} | {peak:,.0f} |")
        ratios = [
            median(theirs[column] / ours[column] for ours, theirs in zip(*runs.values(), strict=True))
            for column in (0, 1)
        ]
        print(f"\n{ratios[0]:.1f}x wall, {ratios[1]:.1f}x CPU; ", end="")
        print(f"largest difference of a score {difference(*outs.values(), codes):.1e}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
