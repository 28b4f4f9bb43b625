"""`tokens credential`: what platforms are called with.

A token never stands on a command line, where other users of the machine and the shell's history
could read it: it comes from a prompt, from standard input or from a file.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from app.cli import asking
from app.cli.credential_fields import FIELDS, changed, read_fields, told
from app.cli.database import is_there, looked_at, opened
from app.cli.keeping import Keeping, all_keys
from app.cli.why import healths, reasons
from app.cli.words import Complaint, moment, said, settings, show
from app.config import Settings
from app.credential import Credential
from app.platforms import PLATFORMS
from app.storage.credentials import AlreadyKept, Kept

VERBS = {
    "add": "keep a token, sealed; it is asked for, or read from standard input",
    "import": "keep the tokens of a CSV or JSON lines file",
    "list": "list all credentials, those in the settings too",
    "show": "show one credential, but not its token",
    "edit": "change a credential",
    "enable": "let a credential serve, and forget what is held against it",
    "disable": "let a credential serve no more; what it serves now is finished",
    "check": "try credentials: each lists its models, which costs nothing",
    "why": "say why a credential serves or does not",
    "remove": "forget a credential for good",
    "export": "print credentials in the form that import reads, without their tokens",
}
HELP = {
    "label": "what people call it",
    "groups": "groups it belongs to, comma-separated; free, plus, pro, team, max, business, ultra or your own",
    "weight": "how often it serves, compared with the others of its priority: 1 to 1000",
    "priority": "the highest that can serve does: -1000 to 1000",
    "base_url": "its own address of the platform; empty = the platform's",
    "rpm": "most requests a minute; `none` = without limit",
    "rpd": "most requests a day",
    "tpm": "most tokens a minute",
    "tpd": "most tokens a day",
    "concurrency": "most calls at a time",
    "context": "most tokens of a request that it serves",
    "output": "most tokens of an answer that it serves",
    "budget_day": "dollars that it may spend a day, such as 5 or 2.50",
    "budget_month": "dollars a month",
    "budget_total": "dollars ever",
    "credit": "dollars of a gift",
    "credit_until": "the last day of the credit in UTC, such as 2026-12-31",
    "note": "whatever is worth knowing",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        for name, about in VERBS.items()
    }
    made["add"].add_argument("platform", metavar="PLATFORM", help=", ".join(PLATFORMS))
    for name in ("show", "edit", "enable", "disable", "why", "remove"):
        made[name].add_argument("id", metavar="ID", help="its name, number or label from the list")
    made["check"].add_argument(
        "ids", metavar="ID", nargs="*", help="as in the list; all that are on, if left out"
    )
    for name in ("add", "edit"):
        for field, about in HELP.items():
            made[name].add_argument(f"--{field.replace('_', '-')}", metavar="X", help=about)
        made[name].add_argument("--file", metavar="FILE", help="the token is its first line")
        made[name].add_argument(
            "--proxy-file",
            metavar="FILE",
            help="the address of a proxy of its own is its first line",
        )
    made["edit"].add_argument("--token", action="store_true", help="give it another token")
    made["edit"].add_argument("--no-proxy", action="store_true", help="without a proxy of its own")
    _import_arguments(made["import"])
    made["remove"].add_argument("--yes", action="store_true", help="do not ask")
    made["export"].add_argument(
        "--with-tokens", action="store_true", help="tokens too, into a new file that --out names"
    )
    made["export"].add_argument("--out", metavar="FILE", help="a new file, readable by you alone")
    for name in ("list", "export", "check"):
        made[name].add_argument(
            "--platform", default="", metavar="NAME", help="only this platform's"
        )
    for name, verb in made.items():
        if name != "export":
            verb.add_argument("--json", action="store_true", help="print JSON")


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="CSV with a head, or JSON lines; - = standard input"
    )
    parser.add_argument("--platform", default="", metavar="NAME", help="of lines that name none")
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it")
    parser.epilog = f"Fields: platform, token, proxy, {', '.join(FIELDS)}; token is required."


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    if getattr(options, "platform", "") and options.platform not in PLATFORMS:
        known = ", ".join(sorted(PLATFORMS))
        raise Complaint(f"there is no platform {said(options.platform)}; there are {known}")
    makes = options.verb in ("add", "import") and not getattr(options, "dry_run", False)
    changes = options.verb != "import" and is_there(chosen)
    with (opened if makes or changes else looked_at)(chosen) as database:
        return _DO[options.verb](chosen, Keeping(chosen, database), options)


Health = Mapping[str, str | None]
UNKNOWN: Health = {"health": None, "until": None}
NONE = "no credential yet; `tokens credential add PLATFORM` keeps one"


# ---------------------------------------------------------------- one at a time


def _add(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    keeping.check_file()
    values = read_fields(_given(options))
    proxy = asking.proxy(options.proxy_file)
    secrets = {"token": asking.token(options.file), "proxy": proxy}
    if any(
        secrets["token"] == key.token.reveal() for key in chosen.platforms[options.platform].keys
    ):
        raise Complaint(f"TOKENS_{options.platform.upper()}_KEYS has this token already")
    try:
        kept = keeping.add(options.platform, secrets, values)
    except AlreadyKept as twin:
        raise Complaint(f"{options.platform} has this token already, as {twin.name}") from twin
    show([_row(keeping, kept)], as_json=options.json)
    return 0


def _edit(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    kept = keeping.find(options.id, all_keys(chosen))
    values = read_fields(_given(options))
    if "limits" in values:
        values["allowance"] = changed(kept.allowance, values.pop("limits"))
    secrets = None
    if options.token or options.file or options.proxy_file or options.no_proxy:
        new = options.token or options.file
        secrets = {"token": asking.token(options.file)} if new else keeping.secrets(kept)
        if options.proxy_file or options.no_proxy:
            secrets["proxy"] = asking.proxy(options.proxy_file)
        elif new:
            secrets["proxy"] = _kept_proxy(keeping, kept)
    if not values and secrets is None:
        raise Complaint("nothing to change; `tokens credential edit --help` says what can be")
    show([_row(keeping, keeping.change(kept, values, secrets))], as_json=options.json)
    return 0


def _kept_proxy(keeping: Keeping, kept: Kept) -> str:
    """The proxy that a credential with a new token keeps; none where the old seal cannot be opened."""
    try:
        return keeping.secrets(kept).get("proxy", "")
    except Complaint as complaint:
        print(f"tokens: its proxy is lost: {complaint}", file=sys.stderr)
        return ""


def _switch(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    kept = keeping.find(options.id, all_keys(chosen))
    enabled = options.verb == "enable"
    kept = keeping.change(kept, {"enabled": enabled})
    if enabled:
        keeping.forgive(kept)
    show([_row(keeping, kept)], as_json=options.json)
    return 0


def _remove(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    kept = keeping.find(options.id, all_keys(chosen))
    label = f" {kept.label}" if kept.label else ""
    question = f"forget {kept.name} ({kept.platform}{label}) for good?"
    if not options.yes and not asking.agreed(question):
        print("it stays as it is", file=sys.stderr)
        return 1
    keeping.table.remove(kept)
    if options.json:
        show([], as_json=True)
    else:
        print(f"{kept.name} is forgotten; every worker knows within a second")
    return 0


def _given(options: argparse.Namespace) -> dict[str, str]:
    return {name: value for name in HELP if (value := getattr(options, name, None)) is not None}


# ---------------------------------------------------------------- looking


def _list(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    kept = [one for one in keeping.table.all() if options.platform in ("", one.platform)]
    found = _healths(chosen)
    rows = [_row(keeping, one, found.get(one.name, UNKNOWN)) for one in kept]
    rows += [
        _setting_row(name, key, found.get(key.id, UNKNOWN))
        for name, one in sorted(chosen.platforms.items())
        if options.platform in ("", name)
        for key in one.keys
    ]
    show(rows, as_json=options.json, if_none=NONE)
    return 0


def _show(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    keys = all_keys(chosen)
    kept = keeping.named(options.id, keys)
    if kept is None:
        platform, key = keys[options.id]
        row = _setting_row(platform, key, _healths(chosen).get(key.id, UNKNOWN))
        show([row], as_json=options.json)
        return 0
    row = _row(keeping, kept, _healths(chosen).get(kept.name, UNKNOWN)) | {
        "base_url": kept.base_url,
        "note": kept.note,
        "created": moment(kept.created_at),
    }
    show([row], as_json=options.json)
    return 0


def _healths(chosen: Settings) -> Mapping[str, Health]:
    """What is held against each credential, by name; nothing is known where nobody can be asked."""
    try:
        return healths(chosen)
    except Complaint as complaint:
        print(f"tokens: {complaint}", file=sys.stderr)
        return {}


def _row(keeping: Keeping, kept: Kept, health: Health | None = None) -> dict[str, Any]:
    """`health` only where it was asked for: what was just changed is told as it is kept."""
    hint = keeping.hint(kept)
    state = "on" if kept.enabled else "off"
    return {
        "id": kept.id,
        "name": kept.name,
        "platform": kept.platform,
        "label": kept.label,
        "token": hint or None,
        "state": state if hint else "cannot be opened",
        **(health or {}),
        "groups": list(kept.groups),
        "weight": kept.weight,
        "priority": kept.priority,
        "limits": [f"{name}={value}" for name, value in told(kept.allowance).items()],
        "source": "database",
    }


def _setting_row(platform: str, key: Credential, health: Health) -> dict[str, Any]:
    token = key.token.reveal()
    return {
        "id": None,
        "name": key.id,
        "platform": platform,
        "label": key.label,
        "token": f"…{token[-4:]}" if len(token) > 20 else "…",
        "state": "on",
        **health,
        "groups": list(key.groups),
        "weight": key.weight,
        "priority": key.priority,
        "limits": [],
        "source": "settings",
    }


def _why(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    kept = keeping.named(options.id, all_keys(chosen))
    show(reasons(chosen, kept.name if kept else options.id), as_json=options.json)
    return 0


# ---------------------------------------------------------------- many at a time


def _module(name: str) -> Callable[[Settings, Keeping, argparse.Namespace], int]:
    """The verb that has a file of its own."""

    def do(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
        module = importlib.import_module(f"app.cli.{name}")
        code: int = module.run(chosen, keeping, options)
        return code

    return do


_DO: dict[str, Callable[[Settings, Keeping, argparse.Namespace], int]] = {
    "add": _add,
    "edit": _edit,
    "enable": _switch,
    "disable": _switch,
    "remove": _remove,
    "list": _list,
    "show": _show,
    "why": _why,
    "import": _module("credential_import"),
    "export": _module("credential_export"),
    "check": _module("credential_check"),
}
