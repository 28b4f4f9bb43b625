"""`tokens doctor`: what is wrong, and what to do about it. It looks and changes nothing."""

from __future__ import annotations

import argparse
import errno
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from app.canonical.task import LIVE
from app.cli import places, way
from app.cli.database import check_usable, named, why
from app.cli.finding import Finding
from app.cli.price_rows import unknown
from app.cli.probe import make_transport, tried
from app.cli.serve import check_log, check_port, place_of
from app.cli.way_probe import Way
from app.cli.words import Complaint, file_said, platforms, prices, settings, show
from app.config import BadSetting, Settings, check_url
from app.credential import Credential
from app.platforms import PLATFORMS
from app.pool.vault import credential
from app.seal import BadKeyFile, CannotOpen, Seal
from app.storage.credentials import Credentials, Kept
from app.storage.database import HEAD, Database, DatabaseTrouble
from app.storage.tasks import Tasks
from app.storage.webhooks import Hooks
from app.storage.workers import Workers

T = TypeVar("T")

CLOCK_SECONDS = 60
SILENCE = 65  # seconds that pass for --url, since nginx waits for 60 if it is not told otherwise
LONGEST_SILENCE = 3600
MOST_NAMED = 6  # models in one finding
NO_KEY = "no key"
WORKER_SECONDS = 60  # without a word from it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--offline", action="store_true", help="do not call the platforms")
    parser.add_argument("--url", help="look at the way to a gateway that runs, and at nothing else")
    parser.add_argument("--licence", help="for --url; or in the environment, as LICENCE")
    parser.add_argument("--ca-file", metavar="FILE", help="for --url: whose certificates to trust")
    parser.add_argument(
        "--silence", metavar="SECONDS", type=int, default=SILENCE, help=f"for --url; {SILENCE}"
    )


def run(options: argparse.Namespace) -> int:
    if options.url is not None:
        return _reported(way.examine(_way(options), options.silence), as_json=options.json)
    if options.licence or options.ca_file:
        raise Complaint("--licence and --ca-file mean nothing without --url")
    try:
        chosen = settings()
    except Complaint as complaint:
        findings = [
            Finding("settings", "wrong", str(complaint), "correct the environment variable")
        ]
    else:
        findings = list(examine(chosen, offline=options.offline))
    return _reported(findings, as_json=options.json)


def _reported(found: Iterable[Finding], *, as_json: bool) -> int:
    findings = list(found)
    shown = findings if as_json else _gathered(findings)
    show([asdict(finding) for finding in shown], as_json=as_json)
    return int(any(finding.state == "wrong" for finding in findings))


def _gathered(findings: Sequence[Finding]) -> Sequence[Finding]:
    """For people: several platforms without a key in one line, lest they bury the rest."""
    keyless = [one for one in findings if (one.state, one.what) == ("note", NO_KEY)]
    if len(keyless) < 2:
        return findings
    do = f"set TOKENS_NAME_KEYS to use one: {', '.join(one.check for one in keyless)}"
    line = Finding("keys", "note", f"none for {len(keyless)} platforms", do)
    place = findings.index(keyless[0])
    return [*findings[:place], line, *(one for one in findings[place:] if one not in keyless)]


def _way(options: argparse.Namespace) -> Way:
    """The way to the gateway with this address, for whoever has the licence."""
    try:
        check_url("--url", options.url)
    except BadSetting as error:  # whose words repeat what may be a licence in the wrong place
        raise Complaint(
            "--url should be the http(s) address of a gateway, without a query"
        ) from error
    licence = options.licence or os.environ.get("LICENCE", "")
    if not licence.isascii() or not licence.isprintable() or not licence.strip():
        raise Complaint("a licence is needed: put it into the environment as LICENCE")
    if options.ca_file and not os.access(options.ca_file, os.R_OK):
        raise Complaint(f"{file_said(options.ca_file)} cannot be read")
    if options.ca_file:
        try:
            ssl.create_default_context(cafile=options.ca_file)
        except OSError as error:
            what = f"{file_said(options.ca_file)} has no certificate in it, as PEM"
            raise Complaint(f"--ca-file: {what}") from error
    if not 1 <= options.silence <= LONGEST_SILENCE:
        raise Complaint(f"--silence should be a number of seconds from 1 to {LONGEST_SILENCE}")
    return Way(options.url, licence.strip(), options.ca_file)


def examine(chosen: Settings, *, offline: bool = False) -> Iterator[Finding]:
    """Looks at everything a gateway with these settings needs."""
    yield Finding("settings", "ok", "all names and values make sense")
    yield from _database(chosen)
    yield _log(chosen)
    yield _port(chosen)
    yield places.folder("media folder", Path(chosen.media_folder), "TOKENS_MEDIA_FOLDER")
    yield places.folder("spool folder", Path(chosen.spool_folder), "TOKENS_SPOOL_FOLDER")
    yield from places.bucket(chosen, offline=offline)
    yield places.links(chosen)
    yield places.webhooks(chosen, _read(chosen, lambda database: Hooks(database).all()) or [])
    yield from _jobs(chosen)
    kept = _read(chosen, lambda database: Credentials(database).all()) or []
    opened: list[tuple[str, Credential]] = []
    yield from _sealed(chosen, kept, opened.append)
    stored = {one.platform for one in kept if one.enabled}
    yield from _keys(chosen, stored)
    yield from _prices(chosen, stored)
    if not offline:
        yield from _platforms(chosen, opened)


def _database(chosen: Settings) -> Iterator[Finding]:
    """How the database stands, and whether there is room for it. Nothing is made or changed."""
    try:
        database = named(chosen, read_only=True)
    except Complaint as complaint:
        yield Finding("database", "wrong", str(complaint), "correct the environment variable")
        return
    yield _version(database)
    yield _place(database.file)
    database.close()


def _version(database: Database) -> Finding:
    if database.file and not os.path.exists(database.file):
        do = "nothing: `tokens serve` or `tokens licence add` creates it"
        return Finding("database", "note", f"{database.file} is not there yet", do)
    try:
        version = check_usable(database)
    except DatabaseTrouble as trouble:
        do = "check TOKENS_DATABASE_URL, and that what it names is there and may be used"
        return Finding("database", "wrong", f"cannot be used: {why(trouble)}", do)
    except Complaint as complaint:
        what, _, do = str(complaint).partition("; ")
        return Finding("database", "wrong", what, do)
    if version is None:
        do = "nothing: `tokens serve` will do it"
        return Finding("database", "note", "not prepared yet", do)
    newer = ", of a newer program, which this one can use" if version > HEAD else ""
    return Finding("database", "ok", f"at migration {version}{newer}")


def _place(file: Path | None) -> Finding:
    if file is None:
        return Finding("write access", "ok", "nothing is kept on this machine")
    file = file.resolve()
    return places.folder("write access", file.parent, "TOKENS_DATABASE_URL", [file])


def _log(chosen: Settings) -> Finding:
    try:
        check_log(chosen)
    except Complaint as complaint:
        what, _, do = str(complaint).partition("; ")
        return Finding("access log", "wrong", what, do)
    where = "standard output" if chosen.log_file == "-" else chosen.log_file
    return Finding("access log", "ok", f"goes to {where}")


def _port(chosen: Settings) -> Finding:
    try:
        check_port(chosen)
    except Complaint as complaint:
        what, _, do = str(complaint).partition("; ")
        if getattr(complaint.__cause__, "errno", None) != errno.EADDRINUSE:
            return Finding("port", "wrong", what, do)
        return Finding("port", "note", what, f"nothing if it is the gateway itself; otherwise {do}")
    return Finding("port", "ok", f"{place_of(chosen)} is free")


def _read(chosen: Settings, look: Callable[[Database], T]) -> T | None:
    """What is to be seen in the database; None where it cannot be read, which has been told by then."""
    database: Database | None = None
    try:
        database = named(chosen, read_only=True)
        there = not database.file or os.path.exists(database.file)
        return look(database) if there and check_usable(database) else None
    except (Complaint, DatabaseTrouble):
        return None
    finally:
        if database is not None:
            database.close()


def _jobs(chosen: Settings) -> Iterator[Finding]:
    """Whether anybody works on what is to be done in the background, and what was lost of it."""
    found = _read(chosen, lambda one: (Tasks(one).counts(), Workers(one).seen()))
    if found is None:
        return
    (counts, seen), now = found, time.time()
    at_work = sum(now - last < WORKER_SECONDS for last in seen.values())
    waiting = sum(counts.get(state, 0) for state in LIVE)
    if at_work:
        yield Finding("worker", "ok", f"{at_work} at work, {waiting} jobs in hand or waiting")
    else:
        last = f"none for {int(now - max(seen.values()))} s" if seen else "none was ever seen"
        what = f"{last}; {waiting} jobs wait"
        yield Finding("worker", "wrong" if waiting else "note", what, "start `tokens worker`")
    if lost := counts.get("lost"):
        do = "see `tokens task list --state lost` and docs/tasks.md"
        yield Finding("lost jobs", "note", f"{lost}, each of which a platform may have made", do)


# ---------------------------------------------------------------- platforms


def _sealed(
    chosen: Settings, kept: Sequence[Kept], take: Callable[[tuple[str, Credential]], None]
) -> Iterator[Finding]:
    """Whether the key file opens them; those that are on and can be opened are taken."""
    if not kept:
        yield places.seals(chosen)
        return
    file = Path(chosen.seal_file)
    try:
        seal = Seal.load(file)
    except BadKeyFile as error:
        do = "put the right file in its place, or give each credential its token again"
        yield Finding("key file", "wrong", str(error), do)
        return
    lost = []
    for one in kept:
        try:
            opened = credential(one, seal.open(one.name, one.sealed))
        except CannotOpen:
            lost.append(one.name)
            continue
        if one.enabled:
            take((one.platform, opened))
    if lost:
        do = "put the right file in its place, or give them their tokens again"
        yield Finding("key file", "wrong", f"{file} does not open {', '.join(lost)}", do)
    elif file.stat().st_mode & 0o077:
        yield Finding("key file", "wrong", f"others may read {file}", f"chmod 400 {file}")
    else:
        yield Finding("key file", "ok", f"{file} opens all {len(kept)} credentials")


def _keys(chosen: Settings, kept: Set[str]) -> Iterator[Finding]:
    """The platforms that have no key and therefore are not called."""
    keyless = [
        name for name, one in sorted(chosen.platforms.items()) if not one.keys and name not in kept
    ]
    if len(keyless) == len(chosen.platforms):
        do = (
            "set one for a platform, or `tokens credential add` one; "
            "`make run` needs none: it plays every platform with a simulator"
        )
        yield Finding("keys", "wrong", "no platform has a key", do)
    for name in keyless:
        settings = [f"TOKENS_{name.upper()}_KEYS", *PLATFORMS[name].key_variables]
        yield Finding(name, "note", NO_KEY, f"set {' or '.join(settings)} to use it")


def _prices(chosen: Settings, kept: Set[str]) -> Iterator[Finding]:
    """The models without a price, of the platforms that have a key."""
    try:
        files = prices(chosen).files
    except Complaint as complaint:
        do = "correct the file or take it away; gateways that run keep the former prices"
        yield Finding("prices", "wrong", str(complaint), do)
        return
    used = [name for name, one in sorted(chosen.platforms.items()) if one.keys or name in kept]
    known, now = platforms(chosen), time.time()
    missing = {name: unknown(known[name], files[name], now) for name in used}
    for name in used:
        if names := missing[name]:
            do = f"for limits in money, write them: docs/prices.md, `tokens prices list --platform {name}`"
            yield Finding(f"prices of {name}", "note", f"none for {_few(names)}", do)
    if used and not any(missing.values()):
        yield Finding("prices", "ok", "known for every model that is listed")


def _few(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _platforms(chosen: Settings, kept: Sequence[tuple[str, Credential]]) -> Iterator[Finding]:
    transport, clocks = make_transport(chosen), list[float]()
    given = [(name, key) for name, one in sorted(chosen.platforms.items()) for key in one.keys]
    try:
        for name, key in (*given, *kept):
            base_url = chosen.platforms[name].base_url
            found = tried(PLATFORMS[name], base_url, key, transport, clocks.append)
            yield Finding(key.label, found.state, found.what, found.do)
    finally:
        transport.close()
    if clocks:
        yield _clock(min(clocks, key=abs))


def _clock(skew: float) -> Finding:
    if abs(skew) > CLOCK_SECONDS:
        way = "ahead" if skew > 0 else "behind"
        return Finding(
            "clock", "wrong", f"{abs(skew):.0f} s {way} of the platforms", "switch NTP on"
        )
    return Finding("clock", "ok", "agrees with the platforms")
