"""`tokens licence`: what callers are called by."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from typing import Any

from app.cli.database import opened
from app.cli.words import Complaint, moment, settings, show
from app.platforms import PLATFORMS
from app.storage.licences import Licence, Licences

_SPAN = re.compile(r"^(\d+)([smhdwy])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = verbs.add_parser("add", help="make a licence and show it, this once")
    add.add_argument("--label", default="", help="whom or what it is for")
    add.add_argument(
        "--expires", default="", metavar="SPAN", help="for example 30d, 12h; never if left out"
    )
    add.add_argument("--platforms", default="", help="comma-separated; all if left out")
    add.add_argument(
        "--models", default="", help="comma-separated names or patterns; all if left out"
    )
    listing = verbs.add_parser("list", help="list all licences")
    shown = verbs.add_parser("show", help="show one licence (not its words: those are not kept)")
    revoke = verbs.add_parser(
        "revoke", help="end a licence for good; every worker knows within 2 seconds"
    )
    extend = verbs.add_parser("extend", help="give a licence another end")
    for verb in (shown, revoke, extend):
        verb.add_argument("name", metavar="NAME", help="its name or number from the list")
    extend.add_argument("span", metavar="SPAN", help="from now, as 30d; `never` = without end")
    for verb in (add, listing, shown, revoke, extend):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    database = opened(settings())
    try:
        table = Licences(database)
        if options.verb == "add":
            return _add(table, options)
        if options.verb == "list":
            show([_row(licence) for licence in table.all()], as_json=options.json)
            return 0
        return _change(table, options)
    finally:
        database.close()


def _add(table: Licences, options: argparse.Namespace) -> int:
    platforms = _names(options.platforms)
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        known = ", ".join(sorted(PLATFORMS))
        raise Complaint(f"there is no platform {unknown[0]}; there are {known}")
    expires_at = _ending(options.expires) if options.expires else None
    words, licence = table.add(
        time.time(),
        label=options.label,
        platforms=platforms,
        models=_names(options.models),
        expires_at=expires_at,
    )
    if options.json:
        print(json.dumps({"licence": words, **_row(licence)}, ensure_ascii=False))
    else:
        print(words)
        print("keep it: it is not stored and cannot be shown again", file=sys.stderr)
    return 0


def _change(table: Licences, options: argparse.Namespace) -> int:
    licence = table.find(options.name)
    if licence is None:
        raise Complaint(f"there is no licence {options.name}; `tokens licence list` shows all")
    if options.verb == "revoke":
        licence = table.revoke(licence, time.time())
    elif options.verb == "extend":
        end = None if options.span == "never" else _ending(options.span)
        licence = table.extend(licence, end)
    show([_row(licence)], as_json=options.json)
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _ending(span: str) -> int:
    found = _SPAN.match(span)
    if found is None:
        raise Complaint(f"{span!r} is not a span of time; write 30d, 12h, 90m, 2w or 1y")
    return int(time.time()) + int(found[1]) * _SECONDS[found[2]]


def _row(licence: Licence) -> dict[str, Any]:
    now = time.time()
    state = "live" if licence.is_live(now) else "revoked" if licence.revoked_at else "expired"
    return {
        "id": licence.id,
        "name": licence.name,
        "label": licence.label,
        "state": state,
        "platforms": list(licence.platforms),
        "models": list(licence.models),
        "created": moment(licence.created_at),
        "expires": moment(licence.expires_at),
    }
