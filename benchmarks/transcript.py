"""What two people see who share through the remote: a real session, printed as Markdown for docs/share.md.

Run   python -m benchmarks.transcript
Anna has run the pipeline on an invented hospital of 150 patients; `hub` is the team's Git server, Azurite stands for
the storage account. Shown is what the commands print; progress bars, blank lines and the stages' logs are left out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.azurite import CONNECTION, AzuriteError, azurite, containers_of
from tests.checkouts import ENVIRONMENT, make_checkout, run

# (who, what they type); `dvc pull` alone is what `make pull` runs after its check.
SESSION = (
    ("anna", "dvc push"),
    ("anna", "git push -q origin main"),
    ("ben", "git clone -q ../hub.git ."),
    ("ben", "dvc pull"),
    ("ben", "dvc repro | tail -n 1"),
    ("ben", "dvc exp run -q -S tfidf.C=3e-5 -n weak"),
    ("ben", "dvc exp push origin weak"),
    ("anna", "dvc exp list origin"),
    ("anna", "dvc exp pull origin weak"),
    ("anna", "dvc exp diff main weak --md --param-deps | grep -E 'test.(macro_f1|micro_f1|map) |tfidf.C'"),
    ("anna", "dvc exp apply weak"),
    ("anna", "git status --short"),
)
LEFT_OUT = ('{"', "\x1b")  # the stages' JSON logs; what is drawn for a terminal


def said(folder: Path, line: str, connection: str) -> list[str]:
    """What a command line prints, without machine paths; it must succeed."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=ENVIRONMENT | {CONNECTION: connection},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    text = done.stdout.replace(f"{folder.parent}/", "").replace("\r", "\n")
    if done.returncode:
        sys.exit(f"{line}: status {done.returncode}\n{text}")
    lines = [shown.rstrip() for shown in text.splitlines()]
    return [shown for shown in lines if shown and not shown.lstrip().startswith(LEFT_OUT)]


def main() -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="transcript-") as place, azurite(containers_of()) as store:
            here = Path(place)
            for who in ("anna", "ben"):
                (here / who).mkdir()
            make_checkout(here / "anna")
            run(here, "git", "init", "-q", "--bare", "-b", "main", "hub.git")
            run(here / "anna", "git", "remote", "add", "origin", "../hub.git")
            print("```console")
            for who, line in SESSION:
                print("\n".join([f"{who}$ {line}", *said(here / who, line, store.connection_string)]))
            print("```")
    except AzuriteError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
