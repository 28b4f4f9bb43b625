"""`tokens prices`: what models cost, and what another price file would change. No network."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.cli.asking import agreed, contents
from app.cli.price_rows import asked, changes, listed, sources, told
from app.cli.words import Complaint, file_said, platforms, prices, said, settings, show
from app.config import Settings
from app.ledger.price_file import BadPrices, PriceFile, load, parse
from app.ledger.price_folder import PriceFolder
from app.platforms import PLATFORMS, PRICES

VERBS = {
    "list": "list the prices in force, and the models that have none",
    "diff": "say what a price file would change; without one, what your own files change of ours",
    "apply": "check a price file, show what it changes, and put it into force",
    "pin": "keep the prices of a platform as they are, whatever an upgrade brings",
}
SAME = "nothing changes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        for name, about in VERBS.items()
    }
    listing = made["list"]
    listing.add_argument("--platform", default="", metavar="NAME", help="only this platform")
    listing.add_argument("--model", default="", metavar="NAME", help="only this model")
    listing.add_argument("--at", default="", metavar="DAY", help="as of 00:00 UTC of that day")
    made["diff"].add_argument("file", nargs="?", default="", metavar="FILE", help="a price file")
    made["apply"].add_argument("file", metavar="FILE", help="a price file; - is standard input")
    made["apply"].add_argument("--yes", action="store_true", help="do not ask")
    made["pin"].add_argument("platform", metavar="PLATFORM")
    made["pin"].add_argument(
        "--off", action="store_true", help="let the prices that come with the program hold again"
    )
    for name in ("list", "diff"):
        made[name].add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    match options.verb:
        case "list":
            _list(chosen, options)
        case "diff":
            _diff(chosen, options)
        case "apply":
            return _apply(chosen, options)
        case _:
            _pin(chosen, options)
    return 0


def _list(chosen: Settings, options: argparse.Namespace) -> None:
    files, known = prices(chosen).files, platforms(chosen)
    at = _moment(options.at) if options.at else time.time()
    wanted = [_platform(options.platform)] if options.platform else sorted(files)
    rows: list[dict[str, Any]] = []
    for name in wanted:
        if options.model:
            rows += asked(known[name], files[name], options.model, at)
        else:
            rows += listed(known[name], files[name], at)
    shown = rows if options.json else [told(row) for row in rows]
    show(shown, as_json=options.json, if_none="no platform has such a model")
    if not options.json and (origins := sources(rows)):
        print()
        show(origins, as_json=False)


def _diff(chosen: Settings, options: argparse.Namespace) -> None:
    if options.file:
        _, new = _read(options.file)
        pairs = [(_in_force(chosen, new.platform), new)]
    else:
        book = prices(chosen)
        pairs = [(book.bundled[name], file) for name, file in sorted(book.files.items())]
    now = time.time()
    rows = [row for was, becomes in pairs for row in changes(was, becomes, now)]
    show(rows, as_json=options.json, if_none=SAME)


def _apply(chosen: Settings, options: argparse.Namespace) -> int:
    content, new = _read(options.file)
    folder = _folder(chosen)
    rows = list(changes(_in_force(chosen, new.platform), new, time.time()))
    show(rows, as_json=False, if_none=SAME)
    if not options.yes and not agreed(f"put these prices of {new.platform} into force?"):
        print("nothing was changed", file=sys.stderr)
        return 1
    _written(folder, new.platform, content)
    return 0


def _pin(chosen: Settings, options: argparse.Namespace) -> None:
    name, folder = _platform(options.platform), _folder(chosen)
    file = folder.path(name)
    if not options.off:
        if file.exists():
            raise Complaint(f"{file} is in force already, whatever an upgrade brings")
        _written(folder, name, PRICES[name].read_bytes())
        return
    if not file.exists():
        raise Complaint(f"the prices of {name} are not pinned: there is no {file}")
    rows = list(changes(_in_force(chosen, name), load(PRICES[name], name), time.time()))
    try:
        folder.remove(name)
    except OSError as error:
        raise _unwritten(file, error) from error
    show(rows, as_json=False, if_none=SAME)
    print(f"what was pinned is kept as {folder.before(name)}", file=sys.stderr)


def _written(folder: PriceFolder, platform: str, content: bytes) -> None:
    file = folder.path(platform)
    try:
        folder.put(platform, content)
    except OSError as error:
        raise _unwritten(file, error) from error
    print(f"{file} is in force; a gateway that runs takes it within seconds", file=sys.stderr)


def _unwritten(file: Path, error: OSError) -> Complaint:
    why = (error.strerror or str(error)).lower()
    return Complaint(f"{file} cannot be written: {why}; nothing was changed")


def _read(file: str) -> tuple[bytes, PriceFile]:
    """A file of the operator's, wherever it is, checked."""
    content = contents(file)
    try:
        new = parse(content, Path(file_said(file)))
    except BadPrices as error:
        raise Complaint(str(error)) from error
    _platform(new.platform)
    return content, new


def _in_force(chosen: Settings, platform: str) -> PriceFile:
    """The platform's own file; ours where there is none or it cannot be used, as may be why there is
    to be another.
    """
    if chosen.prices_folder and (own := _folder(chosen).path(platform)).exists():
        try:
            return load(own, platform)
        except BadPrices as error:
            print(f"{error}; compared with the prices that come with the program", file=sys.stderr)
    return load(PRICES[platform], platform)


def _folder(chosen: Settings) -> PriceFolder:
    if not chosen.prices_folder:
        raise Complaint("TOKENS_PRICES_FOLDER is empty; name a folder for price files of your own")
    return PriceFolder(Path(chosen.prices_folder))


def _platform(name: str) -> str:
    if name not in PLATFORMS:
        raise Complaint(f"there is no platform {said(name)}; there are {', '.join(PLATFORMS)}")
    return name


def _moment(day: str) -> float:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise Complaint(f"--at should be a day such as 2026-11-01, not {said(day)}") from error
