"""`tokens models`: what can be asked for, by which names, and whether the vendors still know it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import orjson

from app.cli.words import Complaint, platforms, said, settings, show
from app.config import Settings
from app.errors import GatewayError
from app.upstream.platform import Platform
from app.upstream.transport import Deadlines, Transport

LIST_BYTES = 16 << 20
SECONDS = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="list models, their other names and parameters")
    check = verbs.add_parser("check", help="compare with what each platform with a key lists")
    for verb in (listing, check):
        verb.add_argument("--platform", default="", metavar="NAME", help="only this platform")
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    known = platforms(chosen)
    if options.platform and options.platform not in known:
        name = said(options.platform)
        raise Complaint(f"there is no platform {name}; there are {', '.join(known)}")
    wanted = [known[name] for name in sorted(known) if options.platform in ("", name)]
    if options.verb == "list":
        show([row for platform in wanted for row in rows(platform)], as_json=options.json)
        return 0
    found = list(differences(chosen, wanted))
    show(found, as_json=options.json, if_none="no platform that was asked has a key")
    return 1 if any(row["state"] == "wrong" for row in found) else 0


def rows(platform: Platform) -> Iterator[dict[str, Any]]:
    """A line for each model, and one for each name that means another."""
    names = platform.catalogue.names
    for model in platform.catalogue.models:
        fitting = [one.name for one in names.suffixes if one.sets and one.fits(model.id)]
        yield _row(platform, model.id, "", model.context, model.max_output, fitting, "")
    for alias in names.aliases:
        fitting = [
            one.name for one in names.suffixes if one.sets and one.fits(alias.name, alias.model)
        ]
        yield _row(platform, alias.name, alias.model, None, None, fitting, alias.note)


def _row(
    platform: Platform,
    name: str,
    means: str,
    context: int | None,
    output: int | None,
    parameters: list[str],
    note: str,
) -> dict[str, Any]:
    return {
        "platform": platform.name,
        "model": name,
        "means": means,
        "context": context,
        "output": output,
        "parameters": parameters,
        "note": note,
    }


def differences(chosen: Settings, wanted: list[Platform]) -> Iterator[dict[str, Any]]:
    """What the platforms list and we do not, and what we name and they no longer have."""
    deadlines = Deadlines(connect_seconds=chosen.connect_seconds, first_byte_seconds=SECONDS)
    transport = Transport(deadlines, proxy=chosen.upstream_proxy, ca_file=chosen.upstream_ca_file)
    try:
        for platform in wanted:
            one = chosen.platforms[platform.name]
            if one.keys:
                yield from _compared(platform, one.base_url, one.keys[0].token, transport)
    finally:
        transport.close()


def _compared(
    platform: Platform, base_url: str, token: Any, transport: Transport
) -> Iterator[dict[str, Any]]:
    try:
        theirs = _listed(platform, base_url, token, transport)
    except (GatewayError, ValueError, OSError) as error:
        yield _state(platform, "wrong", "", f"the list cannot be had: {error}")
        return
    ours = {model.id for model in platform.catalogue.models}
    means = ours | {alias.model for alias in platform.catalogue.names.aliases}
    for name in sorted(means - theirs):
        yield _state(platform, "gone", name, "the platform no longer lists it")
    for name in sorted(theirs - ours):
        yield _state(platform, "new", name, "add it to TOKENS_MODELS_FILE, so that it is listed")
    if theirs == ours:
        yield _state(platform, "ok", "", "both lists are the same")


def _listed(platform: Platform, base_url: str, token: Any, transport: Transport) -> set[str]:
    """The names on the first page of the platform's own list."""
    send = platform.chat.follow(base_url + platform.chat.probe, token)
    answer = transport.open("GET", send.url, {**platform.chat.always, **send.headers}, None)
    try:
        body = answer.read(LIST_BYTES, SECONDS)
    finally:
        answer.close()
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    told = orjson.loads(body)
    kinds = ("data", "models", "items")
    entries: list[Any] = next((told[kind] for kind in kinds if kind in told), [])
    names = (one if isinstance(one, str) else one.get("id") or one.get("name") for one in entries)
    return {str(name).removeprefix("models/") for name in names}


def _state(platform: Platform, state: str, model: str, about: str) -> dict[str, Any]:
    return {"platform": platform.name, "state": state, "model": model, "about": about}
