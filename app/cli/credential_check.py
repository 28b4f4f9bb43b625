"""`tokens credential check`: whether platforms take the credentials."""

from __future__ import annotations

import argparse
from typing import Any

from gevent.pool import Pool as Greenlets

from app.cli.keeping import Keeping, all_keys
from app.cli.probe import Tried, make_transport, tried
from app.cli.words import Complaint, show
from app.config import Settings
from app.credential import Credential
from app.platforms import PLATFORMS

AT_A_TIME = 8


def run(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    wanted = list(_wanted(chosen, keeping, options))
    transport = make_transport(chosen)

    def row(one: tuple[str, str, Credential | str]) -> dict[str, Any]:
        platform, name, credential = one
        if isinstance(credential, str):
            found = Tried("wrong", credential)
        else:
            base_url = chosen.platforms[platform].base_url
            found = tried(PLATFORMS[platform], base_url, credential, transport)
        return {
            "credential": name,
            "platform": platform,
            "state": found.state,
            "what": found.what,
            "do": found.do,
        }

    try:
        rows = Greenlets(AT_A_TIME).map(row, wanted)
    finally:
        transport.close()
    show(rows, as_json=options.json, if_none="no credential to check")
    return int(any(row["state"] == "wrong" for row in rows))


def _wanted(
    chosen: Settings, keeping: Keeping, options: argparse.Namespace
) -> list[tuple[str, str, Credential | str]]:
    """Platform, name and credential; or, where that cannot be opened, why."""
    keys = all_keys(chosen)
    if not options.ids:
        kept = [one for one in keeping.table.all() if one.enabled]
        given = [(platform, key) for name, (platform, key) in keys.items() if name == key.id]
    else:
        found = {name: keeping.named(name, keys) for name in options.ids}
        kept = [one for one in found.values() if one is not None]
        given = [keys[name] for name, one in found.items() if one is None]
    wanted: list[tuple[str, str, Credential | str]] = []
    for row in kept:
        try:
            wanted.append((row.platform, row.name, keeping.opened(row)))
        except Complaint as complaint:
            wanted.append((row.platform, row.name, str(complaint)))
    wanted += [(platform, key.id, key) for platform, key in given]
    return [one for one in wanted if options.platform in ("", one[0])]
