"""`tokens explain`: which credential would serve a call, and why not each of the others."""

from __future__ import annotations

import argparse
from typing import Any

from app.cli.database import is_there, opened
from app.cli.pooled import looking
from app.cli.words import Complaint, looks_secret, moment, platforms, said, settings, show
from app.config import Settings
from app.errors import BadRequest
from app.pool.choice import Wanted, choose, verdict
from app.pool.pool import Pool
from app.storage.licences import Licence, Licences
from app.upstream.names import Named, read_groups


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--platform", required=True, metavar="NAME", help="what would be called")
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME",
        help="as a caller writes it, with |[group] or without",
    )
    parser.add_argument("--licence", default="", metavar="NAME", help="its name or number")
    parser.add_argument(
        "--groups", default="", metavar="NAMES", help="as in the header x-tokens-custom-group"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = (
        "Of several that are ready, whose turn it is and who is least busy each worker knows for "
        "itself; the one marked here is the one a worker begins with."
    )


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    named = _named(chosen, options)
    licence = _licence(chosen, options.licence) if options.licence else None
    if licence is not None:
        _check(licence, options.platform, named)
    groups = named.groups or _groups(options.groups)
    wanted = Wanted(named.model, groups, licence.groups if licence else ())
    with looking(chosen) as pool:
        for group in groups:
            if not pool.knows_group(group):
                raise Complaint(f"there is no group {said(group)}; callers are told so with a 400")
        rows = explained(pool, options.platform, wanted)
    show(rows, as_json=options.json, if_none=f"{options.platform} has no credential")
    return 0 if any(row["serves"] for row in rows) else 1


def explained(pool: Pool, platform: str, wanted: Wanted) -> list[dict[str, Any]]:
    """A line for each credential: whether it could serve, why or why not, and until when."""
    now = pool.clock.now()
    candidates = pool.candidates(platform, wanted)
    first = choose(candidates, wanted, now)
    candidates.sort(key=lambda one: (-one.credential.priority, one.turn, one.order))
    rows = []
    for one in candidates:
        found = verdict(one, wanted, now)
        rows.append(
            {
                "credential": one.credential.id,
                "label": one.credential.label,
                "priority": one.credential.priority,
                "weight": one.credential.weight,
                "groups": list(one.credential.groups),
                "ready": found.ready,
                "serves": one is first,
                "reason": found.reason,
                "until": moment(int(found.until + 0.999)) if found.until else None,
            }
        )
    return rows


def _named(chosen: Settings, options: argparse.Namespace) -> Named:
    known = platforms(chosen)
    if options.platform not in known:
        name = said(options.platform)
        raise Complaint(f"there is no platform {name}; there are {', '.join(known)}")
    if looks_secret(options.model):
        raise Complaint("--model should be the name of a model; this looks like a key")
    try:
        return known[options.platform].catalogue.names.read(options.model)
    except BadRequest as error:
        raise Complaint(str(error)) from error


def _groups(text: str) -> tuple[str, ...]:
    groups = read_groups(text) if text else ()
    if text and not groups:
        raise Complaint("--groups should be names of groups, separated by commas")
    return groups


def _licence(chosen: Settings, name: str) -> Licence:
    found = None
    if is_there(chosen):
        with opened(chosen) as database:
            found = Licences(database).find(name)
    if found is None:
        raise Complaint(f"there is no licence {said(name)}; `tokens licence list` shows all")
    return found


def _check(licence: Licence, platform: str, named: Named) -> None:
    """Complains where the call would not come as far as to a credential."""
    if licence.platforms and platform not in licence.platforms:
        raise Complaint(f"the licence {licence.name} does not cover the platform {platform}")
    if named.groups and licence.groups and set(named.groups).isdisjoint(licence.groups):
        raise Complaint(
            f"the licence {licence.name} does not cover the group {', '.join(named.groups)}"
        )
