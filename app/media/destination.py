"""A caller's URL, read so strictly that no two parsers could disagree about where it leads.

The parser that decides is urllib3's, because urllib3 is what connects. On
`http://1.1.1.1\\@127.0.0.1/` it and `urlsplit` name different hosts, and each can be led astray the
other way round. Hence: characters that parsers quarrel over are refused first, then both parse, and
any difference between them is a refusal. Nothing here touches the network, and nothing here says
whether the host is a good one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2048
LONGEST_HOST = 253  # in bytes, measured before IDNA, whose cost grows with the square of the length

_LONGEST_AUTHORITY = LONGEST_HOST + len(":65535")
_QUARRELSOME = re.compile(r"[\s\\\x00-\x20\x7f-\x9f\ud800-\udfff]")
_OPENING = re.compile(r"(?:https?)://(?P<authority>[^/?#@]+)(?P<rest>[/?].*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")


class Refusal(Exception):
    """Why the guard will not go there. For the log: the caller is told one neutral sentence."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URL leads. `host` is lower case, in ASCII, without brackets; a final dot is kept."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def name(self) -> str:
        """The host as certificates and servers know it: without the dot of a full name."""
        return self.host.removesuffix(".")

    @property
    def authority(self) -> str:
        """What goes into the Host header."""
        host = f"[{self.name}]" if ":" in self.name else self.name
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def read_destination(url: str) -> Destination:
    """Read an absolute http or https URL, or raise `Refusal`."""
    _check_text(url)
    try:
        ours, theirs = parse_url(url), urlsplit(url)
        _check_agreement(ours, theirs)
    except (
        LocationParseError,
        ValueError,
    ) as error:  # urlsplit and its `port` raise plain ValueError
        raise Refusal("not a URL") from error
    scheme = ours.scheme or ""
    host = _check_host(ours.host or "")
    port = PORTS[scheme] if ours.port is None else ours.port
    return Destination(scheme, host, port, ours.request_uri)


def read_redirect(here: Destination, location: str) -> Destination:
    """Read what a `Location` header points at; a relative one starts from `here`."""
    try:
        text = location.encode("latin-1").decode(
            "utf-8"
        )  # servers write UTF-8, http.client reads Latin-1
    except UnicodeError as error:
        raise Refusal("unreadable redirect") from error
    if len(text) > LONGEST_URL or _QUARRELSOME.search(text):
        raise Refusal("redirect with characters that have no business there")
    if text.startswith("//"):
        return read_destination(f"{here.scheme}:{text}")
    if _SCHEME.match(text):  # `urljoin` would take `http:x` for a path
        return read_destination(text)
    return read_destination(urljoin(here.url, text))


def _check_text(url: str) -> None:
    if len(url) > LONGEST_URL:
        raise Refusal("longer than any URL we fetch")
    if _QUARRELSOME.search(url):
        raise Refusal("whitespace, control character or backslash")
    opening = _OPENING.fullmatch(url)
    if opening is None:
        raise Refusal("no http(s) host, or one with userinfo or a fragment on it")
    if len(opening["authority"].encode()) > _LONGEST_AUTHORITY:
        raise Refusal("host too long")
    rest = opening["rest"] or ""
    # Some parsers look for `@` beyond `?` or `#`: where it could end an authority there, do not go.
    if "@" in rest.partition("#")[2] or ("@" in rest and not rest.startswith("/")):
        raise Refusal("an @ where some would see userinfo")


def _check_agreement(ours: Url, theirs: SplitResult) -> None:
    if ours.auth is not None or "@" in theirs.netloc:
        raise Refusal("userinfo")
    if (ours.scheme, ours.port) != (theirs.scheme, theirs.port) or ours.scheme not in PORTS:
        _disagree()
    if bool(ours.fragment) != bool(theirs.fragment) or bool(ours.query) != bool(theirs.query):
        _disagree()
    host = theirs.hostname or ""
    if not host.isascii():  # the same IDNA rules for both, so that only the cut is compared
        host = parse_url(f"http://{host}").host or ""
    if (ours.host or "").strip("[]").lower() != host:
        _disagree()


def _disagree() -> NoReturn:
    raise Refusal("parsers disagree")


def _check_host(host: str) -> str:
    if host.startswith("["):
        inner = host.strip("[]").lower()
        if "%" in inner:
            raise Refusal("zone in an address")
        try:
            return str(IPv6Address(inner))
        except ValueError as error:
            raise Refusal("not an address") from error
    host = host.lower()
    if len(host) > LONGEST_HOST or not _NAME.fullmatch(host):
        raise Refusal("not a host name")
    return host
