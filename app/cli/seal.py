"""`tokens seal`: the keys that open the tokens in the database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cli.database import opened
from app.cli.words import Complaint, settings, show
from app.seal import BadKeyFile, CannotOpen, Seal, new_key, save
from app.storage.credentials import Credentials, Kept

VERBS = {
    "show": "say what each key opens; the keys themselves are not shown",
    "rotate": "make a new key, seal everything with it, and drop the keys that open nothing more",
    "prune": "drop the keys that open nothing",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, about in VERBS.items():
        verb = verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        verb.add_argument("--json", action="store_true", help="print JSON")
        if name == "rotate":
            verb.add_argument("--keep", action="store_true", help="keep the old keys in the file")


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    file = Path(chosen.seal_file)
    _loaded(file)
    with opened(chosen) as database:
        table = Credentials(database)
        try:
            if options.verb == "rotate":
                _rotate(file, table)
                print(
                    f"everything is sealed with a new key; copies of {file} from before do not open it",
                    file=sys.stderr,
                )
            if options.verb == "prune" or (options.verb == "rotate" and not options.keep):
                _prune(file, table)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise Complaint(f"{file} cannot be written: {why}; nothing is lost") from error
        show(_rows(_loaded(file), table.all()), as_json=options.json)
    return 0


def _loaded(file: Path) -> Seal:
    try:
        return Seal.load(file)
    except BadKeyFile as error:
        raise Complaint(
            f"{error}; put the copy of it back, or let `tokens credential add` make one where nothing is sealed"
        ) from error


def _rotate(file: Path, table: Credentials) -> None:
    """Each step leaves everything open to whoever has the file: the new key is in it before anything
    is sealed with it, and the old ones until nothing is. The file is read and written only while
    nobody else can change a credential, or two who rotate at once would drop each other's keys.
    """

    def sealing(kept: list[Kept]) -> dict[int, str]:
        seal = _loaded(file)
        if lost := [one.name for one in kept if not _opens(seal, one)]:
            raise Complaint(
                f"{file} does not open {', '.join(lost)}; give them their tokens again or remove them first"
            )
        save(file, [new_key(), *seal.keys])
        newer = _loaded(file)
        return {one.id: newer.close(one.name, newer.open(one.name, one.sealed)) for one in kept}

    table.reseal(sealing)


def _prune(file: Path, table: Credentials) -> None:
    """The first key stays, whatever it opens: it seals what comes next."""

    def sealing(kept: list[Kept]) -> dict[int, str]:
        first, *others = _loaded(file).keys
        used = [key for key in others if any(_opens(Seal([key]), one) for one in kept)]
        if used != others:
            save(file, [first, *used])
        return {}

    table.reseal(sealing)


def _opens(seal: Seal, kept: Kept) -> bool:
    try:
        seal.open(kept.name, kept.sealed)
    except CannotOpen:
        return False
    return True


def _rows(seal: Seal, kept: Sequence[Kept]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for place, key in enumerate(seal.keys, 1):
        opens = sum(_opens(Seal([key]), one) for one in kept)
        rows.append({"key": place, "seals": place == 1, "opens": opens})
    lost = [one.name for one in kept if not _opens(seal, one)]
    if lost:
        rows.append({"key": "lost", "seals": False, "opens": len(lost)})
    return rows
