"""`tokens licence`: what callers are called by."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import time
from collections.abc import Iterable
from typing import Any

from app.cli.database import is_there, opened
from app.cli.licence_limits import add_limits, changed, is_given, shortly, told
from app.cli.words import Complaint, moment, said, settings, show
from app.limits import BOUNDLESS, Allowance
from app.platforms import PLATFORMS
from app.storage.licences import Licence, Licences
from app.upstream.names import read_groups

_SPAN = re.compile(r"(0*[1-9][0-9]*)([smhdwy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_LONGEST_YEARS = 100
_LONGEST_LABEL = 200  # characters, what the column holds
_SPANS = "30d, 12h, 90m, 2w or 1y"

VERBS = {
    "add": "make a licence and show it, this once",
    "list": "list all licences",
    "show": "show one licence (not its words: those are not kept)",
    "revoke": "end a licence for good; every worker knows within 2 seconds",
    "extend": "let a licence last longer",
    "limit": "say how much a licence may use; what is not named stays as it is",
    "webhook": "say whom to tell when what a licence asked for is made",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        for name, about in VERBS.items()
    }
    add, extend = made["add"], made["extend"]
    add.add_argument("--label", default="", help="whom or what it is for")
    add.add_argument(
        "--expires",
        default="",
        metavar="SPAN",
        help=f"how long it lasts, not a date: {_SPANS}, at most {_LONGEST_YEARS}y; without end if left out",
    )
    add.add_argument(
        "--platforms",
        default="",
        metavar="NAMES",
        help=f"what it may call, comma-separated: {', '.join(PLATFORMS)}; all if left out",
    )
    add.add_argument(
        "--models",
        default="",
        metavar="NAMES",
        help="what it may ask for, comma-separated, patterns such as 'gpt-*' too; all if left out",
    )
    add.add_argument(
        "--strict",
        action="store_true",
        help="refuse its calls where a platform has no room for a field, instead of leaving it out",
    )
    add.add_argument(
        "--groups",
        default="",
        metavar="NAMES",
        help="groups whose credentials it may use, comma-separated; all credentials if left out",
    )
    for name in ("show", "revoke", "extend", "limit", "webhook"):
        made[name].add_argument("name", metavar="NAME", help="its name or number from the list")
    extend.add_argument(
        "span",
        metavar="SPAN",
        help=f"how much longer: {_SPANS}, counted from its end, or from now if that is past; "
        "`never` = without end",
    )
    for name in ("add", "limit"):
        add_limits(made[name])
    _add_webhook_arguments(made["webhook"])
    for verb in made.values():
        verb.add_argument("--json", action="store_true", help="print JSON")


def _add_webhook_arguments(verb: argparse.ArgumentParser) -> None:
    what = verb.add_mutually_exclusive_group()
    what.add_argument("--url", default="", help="where to tell of everything that is made for it")
    what.add_argument(
        "--on-request", action="store_true", help="tell only where a request says `webhook_url`"
    )
    what.add_argument("--off", action="store_true", help="tell nobody any more")
    verb.add_argument("--renew", action="store_true", help="make a new secret, shown once")


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    if options.verb == "list" and not is_there(chosen):
        return _show_all([], options)  # looking makes nothing
    with opened(chosen) as database:
        table = Licences(database)
        if options.verb == "add":
            return _add(table, options)
        if options.verb == "list":
            return _show_all(table.all(), options)
        if options.verb == "webhook":
            # Slow to import: it knows of seals and of going to addresses.
            webhook = importlib.import_module("app.cli.licence_webhook")
            return int(webhook.run(options, chosen, database, _found(table, options.name)))
        return _change(table, options)


def _show_all(licences: Iterable[Licence], options: argparse.Namespace) -> int:
    rows = [_row(licence, as_json=options.json) for licence in licences]
    show(rows, as_json=options.json, if_none="no licence yet; `tokens licence add` makes one")
    return 0


def _add(table: Licences, options: argparse.Namespace) -> int:
    platforms = _names(options.platforms)
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        known = ", ".join(sorted(PLATFORMS))
        raise Complaint(f"there is no platform {said(unknown[0])}; there are {known}")
    if len(options.label) > _LONGEST_LABEL:
        raise Complaint(f"a label has at most {_LONGEST_LABEL} characters")
    now = time.time()
    expires_at = _end(options.expires, now, now) if options.expires else None
    words, licence = table.add(
        now,
        label=options.label,
        platforms=platforms,
        models=_names(options.models),
        expires_at=expires_at,
        strict=options.strict,
        groups=_groups(options.groups),
        allowance=changed(BOUNDLESS, options, lambda span: _end(span, now, now)),
    )
    if options.json:
        print(json.dumps({"licence": words, **_row(licence, as_json=True)}, ensure_ascii=False))
    else:
        print(words)
        label = f" ({licence.label})" if licence.label else ""
        print(f"its name is {licence.name}{label}", file=sys.stderr)
        print("keep it: it is not stored and cannot be shown again", file=sys.stderr)
    return 0


def _found(table: Licences, name: str) -> Licence:
    licence = table.find(name)
    if licence is None:
        raise Complaint(f"there is no licence {said(name)}; `tokens licence list` shows all")
    return licence


def _change(table: Licences, options: argparse.Namespace) -> int:
    licence = _found(table, options.name)
    if options.verb == "revoke":
        licence = table.revoke(licence, time.time())
    elif options.verb == "extend":
        licence = table.extend(licence, _later_end(licence, options.span, time.time()))
    elif options.verb == "limit":
        licence = _limit(table, licence, options, time.time())
    show([_row(licence, as_json=options.json)], as_json=options.json)
    return 0


def _limit(table: Licences, licence: Licence, options: argparse.Namespace, now: float) -> Licence:
    if not is_given(options):
        raise Complaint(
            "say which limit: --rpm 60, --budget-day 5.00 ...; `--rpm none` takes it away"
        )

    def change(before: Allowance) -> Allowance:
        return changed(before, options, lambda span: _end(span, now, now))

    return table.allow(licence, change)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _groups(text: str) -> tuple[str, ...]:
    groups = read_groups(text) if text else ()
    if text and not groups:
        raise Complaint("groups are words of letters, digits and . _ : - separated by commas")
    return groups


def _later_end(licence: Licence, span: str, now: float) -> int | None:
    """The end after extending, which never comes sooner than the present one."""
    if licence.revoked_at is not None:
        raise Complaint(
            f"licence {licence.name} is revoked for good; `tokens licence add` makes another"
        )
    if licence.expires_at is None:
        raise Complaint(
            f"licence {licence.name} never expires, so there is nothing to extend; "
            "to limit it, revoke it and add another"
        )
    return None if span == "never" else _end(span, max(now, licence.expires_at), now)


def _end(span: str, begin: float, now: float) -> int:
    found = _SPAN.fullmatch(span)
    if found is None:
        raise Complaint(f"{said(span)!r} is not a span of time that lies ahead; write {_SPANS}")
    seconds = float(found[1]) * _SECONDS[found[2]]  # infinite where an int would be endless
    if begin + seconds > now + _LONGEST_YEARS * _SECONDS["y"]:
        raise Complaint(f"a licence may end at most {_LONGEST_YEARS}y from now")
    return int(begin + seconds)


def _row(licence: Licence, *, as_json: bool) -> dict[str, Any]:
    now = time.time()
    state = "live" if licence.is_live(now) else "revoked" if licence.revoked_at else "expired"
    return {
        "id": licence.id,
        "name": licence.name,
        "label": licence.label,
        "state": state,
        "platforms": list(licence.platforms),
        "models": list(licence.models),
        "groups": list(licence.groups),
        "strict": licence.strict,
        "limits": told(licence.allowance) if as_json else shortly(licence.allowance),
        "created": moment(licence.created_at),
        "expires": moment(licence.expires_at),
    }
