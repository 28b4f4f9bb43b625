"""`tokens doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from app.cli.serve import check_port
from app.cli.words import Complaint, settings, show
from app.config import Settings
from app.credential import Credential
from app.errors import GatewayError
from app.platforms import PLATFORMS
from app.storage.database import HEAD, Database
from app.upstream.platform import Platform
from app.upstream.transport import Deadlines, Transport

CLOCK_SECONDS = 60
LEAST_MEGABYTES = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, note or wrong; only wrong makes the command fail."""

    check: str
    state: str
    what: str
    do: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--offline", action="store_true", help="do not call the platforms")


def run(options: argparse.Namespace) -> int:
    try:
        chosen = settings()
    except Complaint as complaint:
        findings = [
            Finding("settings", "wrong", str(complaint), "correct the environment variable")
        ]
    else:
        findings = list(examine(chosen, offline=options.offline))
    show([asdict(finding) for finding in findings], as_json=options.json)
    return int(any(finding.state == "wrong" for finding in findings))


def examine(chosen: Settings, *, offline: bool = False) -> Iterator[Finding]:
    """Looks at everything a gateway with these settings needs."""
    yield Finding("settings", "ok", "all names and values make sense")
    yield _database(chosen)
    yield _disk(chosen)
    yield _port(chosen)
    if not any(one.keys for one in chosen.platforms.values()):
        yield Finding(
            "keys",
            "wrong",
            "no platform has a key",
            "set TOKENS_<PLATFORM>_KEYS, or use `tokens run`",
        )
    if not offline:
        yield from _platforms(chosen)


def _database(chosen: Settings) -> Finding:
    do = "check TOKENS_DATABASE_URL and who may write there"
    try:
        database = Database(chosen.database_url)
        database.make_place()
        version = database.version()
        database.close()
    except (GatewayError, OSError, ValueError) as error:
        return Finding("database", "wrong", f"cannot be opened: {error.__cause__ or error}", do)
    if version is None:
        return Finding("database", "note", "not prepared yet", "`tokens serve` will do it")
    if version != HEAD:
        return Finding(
            "database", "note", f"at {version}, newest is {HEAD}", "`tokens serve` will do it"
        )
    return Finding("database", "ok", f"at migration {version}")


def _disk(chosen: Settings) -> Finding:
    if not chosen.database_url.startswith("sqlite:///"):
        return Finding("write access", "ok", "nothing is kept on this machine")
    folder = Path(chosen.database_url.removeprefix("sqlite:///")).resolve().parent
    if not os.access(folder, os.W_OK):
        return Finding(
            "write access", "wrong", f"{folder} cannot be written", f"chown it to {_user()}"
        )
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize >> 20
    if free < LEAST_MEGABYTES:
        return Finding("write access", "wrong", f"{free} MB free in {folder}", "make room")
    return Finding("write access", "ok", f"{free} MB free in {folder}")


def _user() -> str:
    return os.environ.get("USER", str(os.getuid()))


def _port(chosen: Settings) -> Finding:
    try:
        check_port(chosen)
    except Complaint as complaint:
        return Finding("port", "note", str(complaint), "nothing, if it is the gateway itself")
    return Finding("port", "ok", f"{chosen.host}:{chosen.port} is free")


# ---------------------------------------------------------------- platforms


def _platforms(chosen: Settings) -> Iterator[Finding]:
    deadlines = Deadlines(connect_seconds=chosen.connect_seconds, first_byte_seconds=15)
    transport = Transport(deadlines, proxy=chosen.upstream_proxy, ca_file=chosen.upstream_ca_file)
    clocks: list[float] = []
    try:
        for name, one in sorted(chosen.platforms.items()):
            if not one.keys:
                yield Finding(name, "note", "no key", f"set TOKENS_{name.upper()}_KEYS to use it")
            for place, key in enumerate(one.keys, 1):
                credential = Credential(f"{name}#{place}", key)
                yield _platform(PLATFORMS[name], one.base_url, credential, transport, clocks.append)
    finally:
        transport.close()
    if clocks:
        yield _clock(min(clocks, key=abs))


def _platform(
    platform: Platform,
    base_url: str,
    credential: Credential,
    transport: Transport,
    note_clock: Callable[[float], None],
) -> Finding:
    """Lists the platform's models with the key, which costs nothing."""
    check = credential.label
    send = platform.chat.follow(base_url + platform.chat.probe, credential.token)
    try:
        answer = transport.open("GET", send.url, {**platform.chat.always, **send.headers}, None)
        answer.close()
    except (GatewayError, OSError, ssl.SSLError, socket.gaierror) as error:
        return Finding(check, "wrong", f"{base_url}: {error}", "check the address and the network")
    if date := answer.headers.get("date"):
        note_clock(time.time() - parsedate_to_datetime(date).timestamp())
    if answer.status in (400, 401, 403):
        return Finding(
            check, "wrong", f"the key is refused ({answer.status})", "put in another key"
        )
    if answer.status >= 300:
        return Finding(
            check, "wrong", f"{base_url} answers {answer.status}", "check the base address"
        )
    return Finding(check, "ok", f"{base_url} takes the key")


def _clock(skew: float) -> Finding:
    if abs(skew) > CLOCK_SECONDS:
        way = "ahead" if skew > 0 else "behind"
        return Finding(
            "clock", "wrong", f"{abs(skew):.0f} s {way} of the platforms", "switch NTP on"
        )
    return Finding("clock", "ok", "agrees with the platforms")
