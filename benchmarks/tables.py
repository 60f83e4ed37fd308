"""CPU seconds and peak memory of ingest and cleaning beside chunked pandas and `re`, in one run on one machine.

Run   python -m benchmarks.tables [NOTES]     after `dvc repro bronze`; its notes, over again if need be
Each figure is the median of three fresh processes, ours and the reference's in turn; imports and the compilation of
kernels are left out of the seconds, and in the memory. Ours checks contracts and repeated keys, pandas checks nothing.
Silver has no reference: it is the whole stage on data/bronze as it stands.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import pyarrow as pa
import pyarrow.parquet as pq

from chartcode.lineage import ROOT

ROUNDS = 3
NAMES = ("ingest", "ingest by pandas", "clean", "clean by re", "silver")
RAW, TEXTS = "discharge.csv.gz", "texts.parquet"


def prepare(folder: Path, notes: int) -> None:
    """So many notes as a raw file of several gzip members, under ids of their own, and their texts as Parquet."""
    table = pq.read_table(ROOT / "data/bronze/discharge.parquet")
    texts = table.schema.empty_table().select(["text"]).schema
    with (folder / RAW).open("wb") as raw, pq.ParquetWriter(folder / TEXTS, texts, compression="zstd") as kept:
        for first in range(0, notes, 2048):
            batch = table.take([n % table.num_rows for n in range(first, min(first + 2048, notes))])
            kept.write_table(batch.select(["text"]))
            batch = batch.set_column(0, "note_id", pa.array([f"note-{first + n}" for n in range(batch.num_rows)]))
            rows = io.StringIO(newline="")
            writer = csv.writer(rows, lineterminator="\n")
            if first == 0:
                writer.writerow(batch.column_names)
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
            raw.write(gzip.compress(rows.getvalue().encode(), 6, mtime=0))


def ingest(folder: Path) -> Callable[[], None]:
    """The stage's way from raw notes to bronze."""
    from chartcode.artifacts import Writer
    from chartcode.tables import bronze
    from chartcode.tables.schemas import RAW_TABLES

    pa.scalar(0)  # with its first scalar pyarrow imports pandas
    table = RAW_TABLES["discharge"]
    tally = bronze.Tally(table, folder / RAW)
    return lambda: bronze._write_table(table, tally, pa.array([], pa.int64()), {}, Writer(folder))


def ingest_by_pandas(folder: Path) -> Callable[[], None]:
    """Chunks of strings through pandas into Parquet."""
    import pandas as pd

    def work() -> None:
        writer = None
        for chunk in pd.read_csv(folder / RAW, dtype=str, keep_default_na=False, chunksize=4096):
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            writer = writer or pq.ParquetWriter(folder / "pandas.parquet", table.schema, compression="zstd")
            writer.write_table(table)
        if writer:
            writer.close()

    return work


def batches(folder: Path) -> Iterator[pa.Array]:
    """The texts, 512 notes at a time."""
    with pq.ParquetFile(folder / TEXTS) as file:
        for batch in file.iter_batches(512):
            yield batch.column("text")


def cleaning(folder: Path, clean: Callable[[pa.Array], pa.Array]) -> Callable[[], None]:
    """All texts through one way of cleaning."""
    clean(pa.array(["once"]))

    def work() -> None:
        for texts in batches(folder):
            clean(texts)

    return work


def silver(folder: Path) -> Callable[[], None]:
    """The whole stage."""
    from chartcode.artifacts import Artifact, writing
    from chartcode.params import DataParams, GoldParams, SilverParams, load
    from chartcode.tables.cleaning import clean_batch
    from chartcode.tables.silver import write_silver

    clean_batch(pa.array(["once"]))

    def work() -> None:
        bronze = Artifact(ROOT / "data/bronze")
        with writing(folder / "silver", bronze.source, [bronze]) as writer:
            write_silver(bronze, writer, load(DataParams), load(SilverParams), load(GoldParams))

    return work


def part(name: str, folder: Path) -> None:
    """One part in this process: its CPU seconds and peak memory (MB) as JSON."""
    from chartcode.tables import cleaning as ours
    from tests.tables import reference_cleaning as by_re

    work = {
        "ingest": ingest,
        "ingest by pandas": ingest_by_pandas,
        "clean": lambda place: cleaning(place, ours.clean_batch),
        "clean by re": lambda place: cleaning(place, by_re.clean_batch),
        "silver": silver,
    }[name](folder)
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def run(*arguments: str) -> str:
    """What a fresh process of this file prints."""
    command = [sys.executable, "-m", "benchmarks.tables", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arguments[0]} failed: {done.stderr.splitlines()[-1]}")
    return done.stdout


def main(notes: int) -> None:
    """Print a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="tables-") as temporary:
        folder = Path(temporary)
        run("prepare", str(folder), str(notes))  # not here: a child's peak begins with its parent's
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
        for _ in range(ROUNDS):
            for name in NAMES:
                found[name].append(json.loads(run("part", name, str(folder)).splitlines()[-1]))
    middle = {name: [median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    print(f"{notes:,} notes, median of {ROUNDS} rounds\n")
    print("| part | ours, CPU s | reference | CPU s | ratio | our peak RSS, MB | its |")
    print("|---|---|---|---|---|---|---|")
    for name, other, label in (("ingest", "ingest by pandas", "chunked pandas"), ("clean", "clean by re", "`re`")):
        ours, theirs = middle[name], middle[other]
        ratio = theirs[0] / ours[0]
        print(
            f"| {name} | {ours[0]:.2f} | {label} | {theirs[0]:.2f} | {ratio:.1f}x | {ours[1]:.0f} | {theirs[1]:.0f} |"
        )
    print(f"| silver (data/bronze) | {middle['silver'][0]:.2f} | - | - | - | {middle['silver'][1]:.0f} | - |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["part"]:
        part(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["prepare"]:
        prepare(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
