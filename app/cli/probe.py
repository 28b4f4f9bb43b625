"""Whether a platform takes a key: asked by listing its models, which costs nothing."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from app.config import Settings
from app.credential import Credential
from app.errors import GatewayError
from app.upstream.platform import Platform
from app.upstream.transport import Deadlines, Transport

SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Tried:
    """`state` is ok or wrong."""

    state: str
    what: str
    do: str = ""


def make_transport(chosen: Settings) -> Transport:
    deadlines = Deadlines(connect_seconds=chosen.connect_seconds, first_byte_seconds=SECONDS)
    return Transport(deadlines, proxy=chosen.upstream_proxy, ca_file=chosen.upstream_ca_file)


def tried(
    platform: Platform,
    base_url: str,
    credential: Credential,
    transport: Transport,
    note_clock: Callable[[float], None] = lambda skew: None,
) -> Tried:
    """What comes of listing the models with this key."""
    base_url = credential.base_url or base_url
    send = platform.chat.follow(base_url + platform.chat.probe, credential.token)
    through = transport.through(credential.proxy.reveal())
    try:
        answer = through.open("GET", send.url, {**platform.chat.always, **send.headers}, None)
        answer.close()
    except (GatewayError, OSError, ssl.SSLError, socket.gaierror) as error:
        return Tried("wrong", f"{base_url}: {error}", "check the address and the network")
    if date := answer.headers.get("date"):
        note_clock(time.time() - parsedate_to_datetime(date).timestamp())
    if answer.status in (400, 401, 403):
        return Tried("wrong", f"the key is refused ({answer.status})", "put in another key")
    if answer.status >= 300:
        return Tried("wrong", f"{base_url} answers {answer.status}", "check the base address")
    return Tried("ok", f"{base_url} takes the key")
