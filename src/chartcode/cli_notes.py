"""The commands that read notes: link, extract, and what fits the models that they may use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from chartcode.errors import DataError

Work = Callable[[argparse.Namespace], None]


def command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, work: Work, text: str
) -> argparse.ArgumentParser:
    """A command that does `work`; `text` says what, in its own help and the overview."""
    made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    made.set_defaults(work=work)
    return made


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the commands known to the parser."""
    mentions = command(commands, "link", _link, "the concepts that notes mention: place, code, p, negated or not")
    _notes(mentions, ".csv or .parquet")
    names = mentions.add_mutually_exclusive_group()
    names.add_argument(
        "--model", type=Path, metavar="DIR", help="what stage `link` wrote (default: models/linker, if it is there)"
    )
    names.add_argument(
        "--names",
        type=Path,
        metavar="CSV",
        help="a list of your own: name, code, perhaps system (default: fifty common); English unless --language says",
    )
    mentions.add_argument(
        "--language",
        choices=["en", "es"],
        default="en",
        help="of the notes and of the list's names (default: en; a model knows its own)",
    )
    mentions.add_argument(
        "--min-p", type=float, default=0.0, metavar="P", help="leave out mentions below P (default: 0)"
    )
    mentions.add_argument(
        "--tagger", type=Path, metavar="DIR", help="link what it finds and no name covers: what `fit-tagger` wrote"
    )
    mentions.add_argument(
        "--resolver",
        type=Path,
        metavar="DIR",
        help="... by what `fit-resolver` wrote (default: by the names themselves)",
    )
    mentions.add_argument(
        "--encoder", type=Path, metavar="DIR", help="... and by the vectors of an encoder: a snapshot, as of MiniLM"
    )
    mentions.add_argument(
        "--least", type=float, metavar="P", help="... if the link is right with P or more (default: 0.5)"
    )

    fit_tagger = command(commands, "fit-tagger", _fit_tagger, "learn to find mentions from marked documents")
    _corpus(fit_tagger, "corpus", "marked documents in PubTator form (BC5CDR, NCBI Disease), plain or .gz")
    fit_tagger.add_argument(
        "--names", type=Path, nargs="+", default=[], metavar="CSV", help="lists of names that help, trusted first"
    )

    fit_resolver = command(
        commands, "fit-resolver", _fit_resolver, "make what links a mention to a code; encode names once, for `link`"
    )
    _corpus(fit_resolver, "names", "a list: name, code, perhaps system; or data/terminology, or models/linker")
    fit_resolver.add_argument(
        "--corpus", type=Path, metavar="FILE", help="marked documents to learn from, in PubTator form (default: none)"
    )
    fit_resolver.add_argument("--encoder", type=Path, metavar="DIR", help="a snapshot of an encoder, as of MiniLM")

    extract = command(
        commands, "extract", _extract, "medications, problem-treatment pairs and a summary of each note, as JSON"
    )
    _notes(extract, ".csv, .parquet or .jsonl")
    extract.add_argument(
        "--linker", type=Path, metavar="DIR", help="name diagnoses by the linker there, models/linker (default: none)"
    )
    extract.add_argument(
        "--min-p", type=float, default=0.05, metavar="P", help="of them, those at least so likely coded (default: 0.05)"
    )
    extract.add_argument(
        "--note-types", type=Path, metavar="DIR", help="name each note's types by the classifier there"
    )

    fit_types = command(commands, "fit-note-types", _fit_note_types, "fit a classifier of note types and specialties")
    fit_types.add_argument("notes", type=Path, metavar="FILE", help="CSV or CSV.gz: transcription, medical_specialty")
    fit_types.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")


def _notes(one: argparse.ArgumentParser, suffixes: str) -> None:
    """What `link` and `extract` have in common."""
    one.add_argument("notes", type=Path, metavar="FILE", help="one note (.txt), or CSV, CSV.gz or Parquet of notes")
    one.add_argument("--out", type=Path, metavar="FILE", help=f"a new {suffixes} file (default, of one note: print)")


def _corpus(one: argparse.ArgumentParser, learned: str, text: str) -> None:
    """What `fit-tagger` and `fit-resolver` have in common."""
    one.add_argument(learned, type=Path, metavar=learned.upper(), help=text)
    one.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a new folder, as models/tagger: it holds words of the documents, and is as restricted as they are",
    )
    one.add_argument("--kinds", nargs="+", default=[], metavar="TYPE", help="types of mentions (default: all)")
    one.add_argument("--dev", type=Path, metavar="FILE", help="other marked documents: print how it does there")
    one.add_argument(
        "--language",
        choices=["en", "es"],
        default="en",
        help="of the names that are taken (default: en); words are read as English ones",
    )


def _refuse_beyond(option: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise DataError(f"{option}: from 0 to 1")


def _link(chosen: argparse.Namespace) -> None:
    from chartcode.linking import files
    from chartcode.linking.terminology.user import MINI
    from chartcode.predict import read_note

    _refuse_beyond("--min-p", chosen.min_p)
    model = chosen.model or Path("models/linker")
    listed = chosen.names or MINI if chosen.names or not (chosen.model or model.is_dir()) else None
    by = files.Names.of_list(listed, chosen.language) if listed else files.Names.of_model(model)
    if chosen.tagger is not None:
        from chartcode.linking import unnamed

        least = unnamed.LEAST if chosen.least is None else chosen.least
        _refuse_beyond("--least", least)
        asked = (chosen.tagger, chosen.resolver, listed or model, chosen.encoder)
        by = by.beyond(unnamed.load(*asked, by.language, least))
    elif chosen.resolver or chosen.encoder or chosen.least is not None:
        raise DataError("--resolver, --encoder, --least: only with --tagger, which finds what they link")
    if chosen.out is not None:
        notes, mentions = files.link_file(chosen.notes, chosen.out, by, chosen.min_p)
        sys.stdout.write(f"written: {chosen.out}  ({notes:,} notes, {mentions:,} mentions)\n")
    elif chosen.notes.suffix.lower() == ".txt":
        sys.stdout.write(files.rendered(by.text(read_note(chosen.notes), chosen.min_p)))
    else:
        raise DataError("--out: needed for a file of notes")


def _fit_tagger(chosen: argparse.Namespace) -> None:
    from chartcode.linking.fitting import fit_tagger

    asked = (chosen.corpus, chosen.out, chosen.names, chosen.kinds, chosen.dev, chosen.language)
    for line in fit_tagger(*asked):
        sys.stdout.write(f"{line}\n")


def _fit_resolver(chosen: argparse.Namespace) -> None:
    from chartcode.linking.fitting import fit_resolver

    asked = (chosen.names, chosen.out, chosen.corpus, chosen.kinds, chosen.encoder, chosen.dev, chosen.language)
    for line in fit_resolver(*asked):
        sys.stdout.write(f"{line}\n")


def _extract(chosen: argparse.Namespace) -> None:
    from chartcode.extraction.files import Readers, extract_file, extract_text

    if chosen.out is None and chosen.notes.suffix.lower() != ".txt":
        raise DataError("--out: needed for a file of notes")
    _refuse_beyond("--min-p", chosen.min_p)
    readers = Readers.load(chosen.linker, chosen.note_types, chosen.min_p)
    if chosen.out is None:
        sys.stdout.write(extract_text(chosen.notes, readers).model_dump_json(indent=2) + "\n")
        return
    count = extract_file(chosen.notes, chosen.out, readers)
    sys.stdout.write(f"written: {chosen.out}  ({count:,} {'note' if count == 1 else 'notes'})\n")


def _fit_note_types(chosen: argparse.Namespace) -> None:
    from chartcode.extraction.note_types import fit_file

    fitted = fit_file(chosen.notes, chosen.out)
    sys.stdout.write(f"written: {chosen.out}/  ({fitted.texts:,} different texts, {fitted.types} types)\n")
