"""Checks from which the tables of what Anthropic accepts are built, in the words of its refusals.

A check is called with a value and the place it stands at (`messages.0.content.1.text`) and raises
`Refused` when the value may not stand there. The place of a member of a tagged object carries the
tag, so that a message says `messages.0.content.1.text.text: Field required`. Null is refused
unless a check says otherwise, and a boolean never counts as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

Check = Callable[[Any, str], None]


class Refused(Exception):
    """The request breaks a rule; carries what the error body shows."""

    def __init__(
        self, message: str, status: int = 400, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind


def fail(at: str, why: str) -> NoReturn:
    raise Refused(f"{at}: {why}" if at else why)


def within(at: str, name: str) -> str:
    """The place of a member."""
    return f"{at}.{name}" if at else name


def anything(_value: Any, _at: str) -> None:
    """Accepts whatever stands there."""


def boolean(value: Any, at: str) -> None:
    if not isinstance(value, bool):
        fail(at, "Input should be a valid boolean")


def free_object(value: Any, at: str) -> None:
    """An object whose members are the caller's own."""
    if not isinstance(value, dict):
        fail(at, "Input should be a valid dictionary")


def null(check: Check) -> Check:
    """Null, or what the check accepts."""

    def checked(value: Any, at: str) -> None:
        if value is not None:
            check(value, at)

    return checked


def string(least: int = 0, most: int | None = None, pattern: str = "") -> Check:
    def checked(value: Any, at: str) -> None:
        if not isinstance(value, str):
            fail(at, "Input should be a valid string")
        if len(value) < least:
            fail(at, f"String should have at least {least} character{'s'[: least != 1]}")
        if most is not None and len(value) > most:
            fail(at, f"String should have at most {most} characters")
        if pattern and not re.fullmatch(pattern, value):
            fail(at, f"String should match pattern '^{pattern}$'")

    return checked


def integer(least: int | None = None) -> Check:
    def checked(value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            fail(at, "Input should be a valid integer")
        _bounded(value, at, least, None)

    return checked


def number(least: float, most: float) -> Check:
    def checked(value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            fail(at, "Input should be a valid number")
        _bounded(value, at, least, most)

    return checked


def one_of(*allowed: str) -> Check:
    def checked(value: Any, at: str) -> None:
        if not isinstance(value, str) or value not in allowed:
            fail(at, f"Input should be {_listed(allowed)}")

    return checked


def array(item: Check, least: int = 0, most: int | None = None) -> Check:
    def checked(value: Any, at: str) -> None:
        if not isinstance(value, list):
            fail(at, "Input should be a valid list")
        if len(value) < least:
            fail(at, f"List should have at least {least} item after validation, not {len(value)}")
        if most is not None and len(value) > most:
            fail(at, f"List should have at most {most} items after validation, not {len(value)}")
        for index, each in enumerate(value):
            item(each, within(at, str(index)))

    return checked


def record(
    required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None
) -> Check:
    """An object with these members and no others."""
    needed, known = required or {}, {**(required or {}), **(optional or {})}

    def checked(value: Any, at: str) -> None:
        free_object(value, at)
        for name, member in value.items():
            if name not in known:
                fail(within(at, name), "Extra inputs are not permitted")
            known[name](member, within(at, name))
        for name in needed:
            if name not in value:
                fail(within(at, name), "Field required")

    return checked


def typed(
    required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None
) -> Check:
    """A record with a `type`, which somebody else has looked at already."""
    return record({"type": anything, **(required or {})}, optional)


def tagged(shapes: Mapping[str, Check], tag: str = "type") -> Check:
    """An object whose shape depends on one of its members."""

    def checked(value: Any, at: str) -> None:
        free_object(value, at)
        if tag not in value:
            fail(within(at, tag), "Field required")
        found = value[tag]
        if not isinstance(found, str) or found not in shapes:
            fail(
                at,
                f"Input tag '{found}' found using '{tag}' does not match any of the expected "
                f"tags: {', '.join(repr(each) for each in shapes)}",
            )
        shapes[found](value, within(at, found))

    return checked


def either(shapes: Mapping[type, Check]) -> Check:
    """One of several JSON types, each with its own check."""

    def checked(value: Any, at: str) -> None:
        check = shapes.get(type(value))
        if check is None:
            fail(at, "Input should be a valid " + " or ".join(_NAMES[kind] for kind in shapes))
        check(value, at)

    return checked


_NAMES: dict[type, str] = {str: "string", list: "list", dict: "dictionary"}


def _listed(allowed: Sequence[str]) -> str:
    *most, last = (f"'{each}'" for each in allowed)
    return f"{', '.join(most)} or {last}" if most else last


def _bounded(value: float, at: str, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        fail(at, f"Input should be greater than or equal to {least}")
    if most is not None and value > most:
        fail(at, f"Input should be less than or equal to {most}")
