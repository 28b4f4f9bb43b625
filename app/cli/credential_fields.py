"""What can be said of a credential, on the command line or in a file: each field with what it may be."""

from __future__ import annotations

import calendar
import datetime
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from app.cli import licence_limits
from app.cli.licence_limits import LENGTHS, MONEY, NONE
from app.cli.numbers import whole
from app.cli.words import Complaint, looks_secret
from app.config import BadSetting, check_url
from app.days import DAY, FIRST
from app.limits import RATES, Allowance
from app.money import micro
from app.upstream.names import read_groups

LONGEST = {
    "label": 200,
    "note": 2000,
    "base_url": 2000,
}  # characters; a label is what its column holds
LONGEST_TOKEN = 4096
LEAST_LOOKED_FOR = 6  # shorter ones are parts of common words, and in earnest there are none
LONGEST_PROXY = 2000
MOST_GROUPS = 64
MOST_WEIGHT = 1000
MOST_PRIORITY = 1000
MOST_LIMIT = 10**15
LIMITS = (*RATES, *LENGTHS, *MONEY, "credit_until")
_TOKEN = re.compile(r"[!-~]+")
FIELDS = ("label", "groups", "weight", "priority", "base_url", *LIMITS, "note", "enabled")
NUMBERS = ("weight", "priority", *RATES, *LENGTHS)
SECRETS = ("token", "proxy")
_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of others, line ends


def read_fields(given: Mapping[str, str]) -> dict[str, Any]:
    """Columns from words, but for the limits among them, which `changed` takes; a limit of `none` is
    none.
    """
    values = {name: _read(name, given[name]) for name in given if name in FIELDS}
    limits = {MONEY.get(name, name): values.pop(name) for name in LIMITS if name in values}
    return values | ({"limits": limits} if limits else {})


def changed(before: Allowance, given: Mapping[str, int | None]) -> Allowance:
    """The limits, with those that were given."""
    after = before.changed(given)
    if after.credit is not None or after.credit_until is None:
        return after
    if given.get("credit_until") is not None:
        raise Complaint("credit_until needs a credit")
    return after.changed({"credit_until": None})


def told(allowance: Allowance) -> dict[str, Any]:
    """The limits that there are, by their fields."""
    found = licence_limits.told(replace(allowance, credit_until=None))
    if (until := allowance.credit_until) is not None:
        found["credit_until"] = str(FIRST + datetime.timedelta(seconds=until - DAY))
    return found


def read_token(text: str) -> str:
    """The token, or a complaint that does not repeat it."""
    token = text.strip()
    if not token:
        raise Complaint("there is no token; put it on the first line")
    if not _TOKEN.fullmatch(token) or any(char in token for char in "|,"):
        raise Complaint("a token is printable ASCII without spaces, commas and bars; this is not")
    if len(token) > LONGEST_TOKEN:
        raise Complaint(f"a token has at most {LONGEST_TOKEN} characters")
    return token


def read_proxy(text: str) -> str:
    """The address of a proxy, or a complaint that does not repeat it: there may be a password in it."""
    address = text.strip()
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(address) > LONGEST_PROXY or _is_unshown(address) or " " in address:
        raise Complaint("a proxy should be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")
    return address


def check_unsealed(secrets: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Complains of a token that stands in a field that is kept as it is, and not only in the seal."""
    token = secrets.get("token", "")
    if len(token) < LEAST_LOOKED_FOR:
        return
    for name in ("label", "note", "base_url", "groups"):
        value = values.get(name, "")
        if any(token in one for one in ([value] if isinstance(value, str) else value)):
            raise Complaint(f"{name} holds the token, which only its own field keeps sealed")


def _read(name: str, text: str) -> Any:
    if name in ("label", "note", "groups") and looks_secret(text):
        raise Complaint(
            f"{name} holds what looks like a token, which only its own field keeps sealed"
        )
    if len(text) > LONGEST.get(name, len(text)):
        raise Complaint(f"a {name} has at most {LONGEST[name]} characters")
    if name == "groups":
        return _groups(text)
    if name == "weight":
        return _whole(name, text, 1, MOST_WEIGHT)
    if name == "priority":
        return _whole(name, text, -MOST_PRIORITY, MOST_PRIORITY)
    if name in LIMITS:
        return None if text.strip() in ("", NONE) else _limit(name, text)
    if name == "base_url":
        return _base_url(text)
    if name == "enabled":
        return _boolean(text)
    if _is_unshown(text):
        raise Complaint(f"{name} holds a line end or another character that no list can show")
    return text


def _limit(name: str, text: str) -> int:
    if name == "credit_until":
        return _day_ends(name, text.strip())
    if name not in MONEY:
        return _whole(name, text, 1, MOST_LIMIT)
    try:
        return micro(text)
    except ValueError as error:
        raise Complaint(f"{name} {error}") from error


def _day_ends(name: str, text: str) -> int:
    """When a day is over, in UTC."""
    try:
        day = datetime.datetime.strptime(text, "%Y-%m-%d")
    except ValueError as error:
        raise Complaint(f"{name} should be a day, such as 2026-12-31, or none") from error
    return calendar.timegm(day.timetuple()) + DAY


def _is_unshown(text: str) -> bool:
    return any(unicodedata.category(char) in _UNSHOWN for char in text)


def _groups(text: str) -> tuple[str, ...]:
    groups = read_groups(text) if text.strip() else ()
    if text.strip() and not groups:
        raise Complaint("groups are words of letters, digits and . _ : - separated by commas")
    if len(groups) > MOST_GROUPS:
        raise Complaint(f"there are at most {MOST_GROUPS} groups")
    return tuple(dict.fromkeys(groups))


def _whole(name: str, text: str, least: int, most: int) -> int:
    try:
        return whole(text.strip(), least, most)
    except ValueError as error:
        raise Complaint(f"{name} {error}") from error


def _base_url(text: str) -> str:
    url = text.strip().rstrip("/")
    if url:
        try:
            check_url("base_url", url)
        except BadSetting as error:
            # Its words would repeat the address, and a token may stand in its place.
            raise Complaint("base_url should be an http(s) address without a query") from error
    return url


def _boolean(text: str) -> bool:
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
        text.strip().lower()
    )
    if found is None:
        raise Complaint("enabled should be true or false")
    return found
