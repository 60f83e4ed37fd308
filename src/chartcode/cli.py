"""`chartcode`: what DVC does not do. Bring a hospital's files to their place, compare coders, check the machine.

The pipeline itself is run with DVC (`dvc repro`, `dvc exp run -S ...`); `make help` lists the usual commands.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from chartcode import __version__, cli_notes
from chartcode.cli_notes import command
from chartcode.errors import DataError
from chartcode.logs import guarded

SUMMARY = "What DVC does not do: bring a hospital's files to their place, compare coders, check the machine."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 after a one-line error, 2 (from argparse) on wrong usage."""
    chosen = _parser().parse_args(arguments)
    work: cli_notes.Work = chosen.work
    return guarded(lambda: work(chosen))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chartcode", description=SUMMARY)
    parser.add_argument("--version", action="version", version=f"chartcode {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    fetch = command(commands, "fetch", _fetch, "bring an open corpus to data/external")
    fetch.add_argument(
        "corpus",
        choices=["codiesp", "terminology"],
        help="codiesp: 1,000 coded clinical cases, CC BY 4.0, from Zenodo; terminology: publishers' files of names, "
        "which lie on this disk (stages/no_names/README.md)",
    )
    fetch.add_argument("--from", dest="folder", type=Path, metavar="FOLDER", help="link a copy on this disk instead")
    fetch.add_argument("--md5", metavar="HEX", help="check the zip against the md5 printed on its Zenodo page")

    link = command(commands, "link-mimic", _link_mimic, "link a MIMIC-IV download (or a hospital in its layout)")
    link.add_argument("--hosp", type=Path, required=True, metavar="DIR", help="the hosp files, at or below DIR")
    link.add_argument("--note", type=Path, metavar="DIR", help="discharge.csv.gz of MIMIC-IV-Note, at or below DIR")
    link.add_argument("--splits", type=Path, metavar="FILE", help="a published split: Edin's or Nguyen's, or a table")

    compare = command(
        commands, "compare", _compare, "print the metrics of all coders side by side; of two, test their difference"
    )
    compare.add_argument(
        "coders",
        nargs="*",
        metavar="CODER",
        help="only these (default: every coder judged); two may also be CODER@REV or folders of scores",
    )
    compare.add_argument("--all", action="store_true", dest="everything", help="every number, not the headline alone")

    predict = command(commands, "predict", _predict, "code the notes of a file with a fitted coder")
    predict.add_argument("notes", type=Path, metavar="FILE", help="CSV, CSV.gz or Parquet with note_id and text")
    predict.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new .csv or .parquet file")
    predict.add_argument(
        "--model", type=Path, default=Path("models/tfidf"), metavar="DIR", help="its folder (default: models/tfidf)"
    )
    predict.add_argument("--top", type=int, metavar="K", help="only the K likeliest codes of a note (default: all)")
    predict.add_argument(
        "--thresholds", type=Path, metavar="DIR", help="say which are called: data/evaluation/<coder>, of that model"
    )

    cli_notes.add(commands)

    get = command(commands, "get", _get, "copy a registered model of any revision out of DVC, verified and stamped")
    get.add_argument("model", metavar="MODEL", help="its name under `artifacts:` in dvc.yaml, as tfidf")
    get.add_argument("--rev", default="HEAD", help="commit, branch, tag or experiment (default: HEAD)")
    get.add_argument("--to", type=Path, metavar="DIR", help="a new folder (default: shelf/MODEL, which Git ignores)")
    get.add_argument("--repo", default=".", metavar="URL", help="another repository (default: this one)")

    command(commands, "seal", _seal, "keep this checkout from pushing anything to a public container")

    doctor = command(
        commands, "doctor", _doctor, "check machine, login, files of the chosen source; guess disk and hours"
    )
    doctor.add_argument(
        "--remote", choices=["read", "write"], help="instead: ask the remote of the chosen source, over the network"
    )

    guard = command(
        commands, "guard", _guard, "look for patients, weights, secrets and machine paths in what Git keeps"
    )
    part = guard.add_mutually_exclusive_group()
    part.add_argument(
        "--staged", action="store_true", help="only what the next commit changes (default: tracked files)"
    )
    part.add_argument("--since", metavar="REV", help="every version of a file in the commits REV..HEAD")
    part.add_argument("--experiment", metavar="NAME", help="what an experiment would take along to others")

    pr = command(commands, "pr", _pr, "write what this branch moves, against its base, as Markdown and figures")
    _base(pr)
    pr.add_argument("--out", type=Path, metavar="DIR", help="where to (default: reports/pr)")
    pr.add_argument("--figures-at", metavar="URL", help="link the figures there, for a comment that cannot hold them")

    plots = command(commands, "plots", _plots, "write the curves of here over those of the base, as one offline page")
    _base(plots)
    plots.add_argument("--out", type=Path, metavar="DIR", help="where to (default: reports/plots)")

    reproduced = command(
        commands, "reproduced", _reproduced, "check that a forced run gave what a commit says it gives"
    )
    reproduced.add_argument("--base", default="HEAD", metavar="REV", help="the commit (default: HEAD)")
    return parser


def _base(one: argparse.ArgumentParser) -> None:
    one.add_argument("--base", metavar="REV", help="the branch to merge into (default: origin/main, or main)")


def _at_root() -> None:
    """Refuse to work anywhere but in the repository."""
    if not Path("params.yaml").is_file():
        raise DataError("params.yaml: not found; run chartcode from the root of the repository")


def _fetch(chosen: argparse.Namespace) -> None:
    from chartcode.sources import fetch

    _at_root()
    if chosen.corpus == "terminology":
        _link_terminology(chosen.folder)
        return
    if chosen.folder is not None:
        sys.stdout.write(f"linked: {fetch.link(chosen.folder)}\n")
        return
    release = fetch.CODIESP if chosen.md5 is None else dataclasses.replace(fetch.CODIESP, md5=chosen.md5)
    checked = ", ".join(release.contents)
    sys.stdout.write(f"fetched: {fetch.fetch(release)} (checksums of {checked} verified; test is not pinned)\n")


def _link_terminology(source: Path | None) -> None:
    from chartcode.linking.terminology import folder

    if source is None:
        raise DataError("fetch terminology: name the files with --from FOLDER; stages/no_names/README.md lists them")
    linked = folder.link(source)
    lines = [f"linked: {folder.EXTERNAL}/{name}  ({kind})" for kind, names in linked.names.items() for name in names]
    lines += folder.left_out_line(linked)
    sys.stdout.write("\n".join([*lines, f"next: dvc exp run -S terminology.folder={folder.EXTERNAL}"]) + "\n")


def _link_mimic(chosen: argparse.Namespace) -> None:
    from chartcode import seal
    from chartcode.sources import mimic

    _at_root()
    linked = mimic.link(chosen.note, chosen.hosp, chosen.splits)
    seal.seal()
    written = f"written: {mimic.FOLDER}/  {seal.LOCAL} (sealed: pushes nothing to a public container)"
    sys.stdout.write("\n".join([*linked.lines(), written]) + "\n")
    if "discharge" in linked.absent:
        sys.stdout.write(
            "next: link the notes; until then only bronze runs: dvc exp run -S data.source=mimic-iv bronze\n"
        )
    else:
        sys.stdout.write(
            "next: dvc exp run -S data.source=mimic-iv   (or set data.source in params.yaml, then dvc repro)\n"
        )


def _compare(chosen: argparse.Namespace) -> None:
    from chartcode import compare, versus

    named = all(versus.is_name(coder) for coder in chosen.coders)
    if named:
        sys.stdout.write(compare.render(compare.read_metrics(coders=chosen.coders), everything=chosen.everything))
    elif len(chosen.coders) != 2:
        raise DataError("compare: a CODER@REV or a folder of scores needs one other to be held against")
    if len(chosen.coders) == 2:
        _at_root()
        sys.stdout.flush()
        sys.stdout.write(("\n" if named else "") + versus.render(*chosen.coders))


def _predict(chosen: argparse.Namespace) -> None:
    from chartcode.predict import predict

    if chosen.top is not None and chosen.top < 1:
        raise DataError("--top: at least 1")
    done = predict(chosen.notes, chosen.model, chosen.out, chosen.top, chosen.thresholds)
    sys.stdout.write(f"written: {chosen.out}  ({done.notes:,} notes, {done.codes:,} codes)\n")


def _get(chosen: argparse.Namespace) -> None:
    from chartcode import registry

    if chosen.repo == ".":
        _at_root()
    folder = chosen.to or Path("shelf") / chosen.model
    origin = registry.bring(chosen.model, folder, revision=chosen.rev, repository=chosen.repo)
    sys.stdout.write(f"written: {folder}/  (source: {origin['source']}, revision {origin['revision']})\n")


def _seal(_: argparse.Namespace) -> None:
    from chartcode import seal

    _at_root()
    seal.seal()
    sys.stdout.write(f"written: {seal.LOCAL}\n")


def _doctor(chosen: argparse.Namespace) -> None:
    from chartcode import doctor, remote, seal
    from chartcode.params import DataParams, load

    if chosen.remote:
        _at_root()
        source = load(DataParams).source
        if chosen.remote == "write":
            seal.refuse_mixing(Path(), source)
        findings = [remote.examine(Path(), source, write=chosen.remote == "write")]
    else:
        findings = doctor.examine()
    sys.stdout.write(doctor.report(findings))
    sys.stdout.flush()
    doctor.refuse_missing(findings)


def _guard(chosen: argparse.Namespace) -> None:
    from chartcode.guard import blobs, scan

    root = blobs.top(Path())
    if chosen.staged:
        looked_at = blobs.staged(root)
    elif chosen.experiment is not None:
        looked_at = blobs.experiment(root, chosen.experiment)
    else:
        looked_at = blobs.tracked(root) if chosen.since is None else blobs.since(root, chosen.since)
    report = scan.scan(looked_at, root)
    sys.stdout.write("".join(f"{line}\n" for line in report.lines()))
    sys.stdout.flush()
    if report.findings:
        raise DataError(report.summary())
    sys.stdout.write(f"{report.summary()}\n")


def _pr(chosen: argparse.Namespace) -> None:
    from chartcode import pull_request

    _at_root()
    out = chosen.out or pull_request.FOLDER
    sys.stdout.write(f"{pull_request.write(chosen.base, out, chosen.figures_at)}\nwritten: {out}/report.md\n")


def _plots(chosen: argparse.Namespace) -> None:
    from chartcode import plots

    _at_root()
    sys.stdout.write(f"written: {plots.write(chosen.base, chosen.out or plots.FOLDER)}\n")


def _reproduced(chosen: argparse.Namespace) -> None:
    from chartcode import reproduced

    _at_root()
    verdicts = reproduced.check(chosen.base)
    sys.stdout.write(reproduced.render(verdicts))
    sys.stdout.flush()
    reproduced.refuse_other(verdicts)
