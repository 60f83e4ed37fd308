"""What sharing costs: seconds of DVC's own commands, and of push and pull, against Azurite on this machine.

Run   python -m benchmarks.share [--rounds 3] [--megabytes 500] [--files 2000]
Prints a Markdown table of medians over the rounds. `verify` is paired: each round pulls the same data with and without
it, the first of the two by turns. Azurite shares the cores with DVC: this is what DVC costs, not what a network does.
Everything is written to a temporary folder (six times the data) and removed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.azurite import CONNECTION, Azurite, AzuriteError, azurite
from tests.checkouts import clone, commit, make_checkout, run

SMALL = 20_000  # bytes of one of the many files
Times = defaultdict[str, list[float]]


def seconds(folder: Path, store: Azurite, *command: str) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    run(folder, *command, **{CONNECTION: store.connection_string})
    return time.perf_counter() - start


def repository(folder: Path, files: int, size: int) -> Path:
    """A DVC repository that tracks one folder of random files."""
    (folder / "table").mkdir(parents=True)
    for number in range(files):
        (folder / f"table/{number}.bin").write_bytes(os.urandom(size))
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "add", "-q", "table")
    commit(folder)
    return folder


def point(folder: Path, container: str, verify: bool) -> None:
    """Make a container the remote; another round, another container, so that nothing is known to be there."""
    run(folder, "dvc", "remote", "add", "--local", "-q", "-f", "-d", "here", f"azure://{container}/dvc")
    run(folder, "dvc", "remote", "modify", "--local", "here", "verify", str(verify).lower())


def round_trip(author: Path, store: Azurite, number: int, label: str, times: Times) -> None:
    """Push to a new container, then pull into empty clones, with and without `verify`."""
    container = f"{author.name}{number}"
    store.create(container)
    point(author, container, verify=False)
    times[f"push {label}"].append(seconds(author, store, "dvc", "push"))
    for verify in (False, True) if number % 2 else (True, False):
        teammate = clone(author, author.parent / f"{container}-{verify}")
        point(teammate, container, verify)
        name = f"pull {label}{', verify' if verify else ''}"
        times[name].append(seconds(teammate, store, "dvc", "pull"))
        shutil.rmtree(teammate)
    store.empty(container)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=500, help="size of the one large file")
    parser.add_argument("--files", type=int, default=2000, help=f"number of files of {SMALL // 1000} kB")
    chosen = parser.parse_args()
    times: Times = defaultdict(list)
    try:
        with tempfile.TemporaryDirectory(prefix="share-") as place, azurite() as store:
            here = Path(place)
            pipeline = here / "pipeline"
            pipeline.mkdir()
            make_checkout(pipeline)
            one = repository(here / "one", 1, chosen.megabytes * 1_000_000)
            many = repository(here / "many", chosen.files, SMALL)
            for number in range(chosen.rounds):
                times["dvc status"].append(seconds(pipeline, store, "dvc", "status"))
                times["dvc repro, nothing to do"].append(seconds(pipeline, store, "dvc", "repro"))
                round_trip(one, store, number, f"1 file of {chosen.megabytes} MB", times)
                round_trip(many, store, number, f"{chosen.files:,} files of {SMALL // 1000} kB", times)
    except AzuriteError as error:
        sys.exit(f"error: {error}")
    print("| command | median s | least | most |\n|---|---:|---:|---:|")
    for name, taken in times.items():
        print(f"| {name} | {statistics.median(taken):.1f} | {min(taken):.1f} | {max(taken):.1f} |")


if __name__ == "__main__":
    main()
