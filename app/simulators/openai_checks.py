"""Checks from which the tables of what OpenAI accepts are built, and its words for a refusal.

A check is called with a value and the place it stands at (`messages[0].content`) and raises
`Refused` when the value may not stand there. Null is refused unless a check says otherwise. An
integral float counts as an integer nowhere, and a boolean never counts as a number.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

Check = Callable[[Any, str], None]

NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Refused(Exception):
    """The request breaks a rule. Carries everything the error envelope shows."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        self.kind = kind

    def envelope(self) -> dict[str, Any]:
        """The body; all four members are always there."""
        told = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": told}


def wrong_type(value: Any, at: str, expected: str) -> NoReturn:
    got = NAMES.get(type(value), "something else")
    raise Refused(
        f"Invalid type for '{at}': expected {expected}, but got {got} instead.", at, "invalid_type"
    )


def wrong_value(value: Any, at: str, allowed: Sequence[Any]) -> NoReturn:
    listed = ", ".join(f"'{each}'" for each in allowed)
    raise Refused(f"Invalid value: '{value}'. Supported values are: {listed}.", at, "invalid_value")


def missing(at: str) -> NoReturn:
    raise Refused(f"Missing required parameter: '{at}'.", at, "missing_required_parameter")


def anything(_value: Any, _at: str) -> None:
    """Accepts whatever stands there."""


def null(check: Check) -> Check:
    """Null, or what the check accepts."""

    def checked(value: Any, at: str) -> None:
        if value is not None:
            check(value, at)

    return checked


def boolean(value: Any, at: str) -> None:
    if not isinstance(value, bool):
        wrong_type(value, at, "a boolean")


def string(least: int = 0, most: int | None = None, pattern: str = "") -> Check:
    def checked(value: Any, at: str) -> None:
        if not isinstance(value, str):
            wrong_type(value, at, "a string")
        if most is not None and len(value) > most:
            _out_of_bounds(at, "string", "long", f"maximum length {most}", len(value), "above_max")
        if len(value) < least:
            _out_of_bounds(
                at, "string", "short", f"minimum length {least}", len(value), "below_min"
            )
        if pattern and not re.fullmatch(pattern, value):
            raise Refused(
                f"Invalid '{at}': string does not match pattern. Expected a string that matches "
                f"the pattern '^{pattern}$'.",
                at,
                "invalid_value",
            )

    return checked


def integer(least: int | None = None, most: int | None = None) -> Check:
    def checked(value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            wrong_type(value, at, "an integer")
        _within(value, at, "integer", least, most)

    return checked


def number(least: float | None = None, most: float | None = None) -> Check:
    def checked(value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            wrong_type(value, at, "a decimal")
        _within(value, at, "decimal", least, most)

    return checked


def one_of(*allowed: str) -> Check:
    def checked(value: Any, at: str) -> None:
        if not isinstance(value, str):
            wrong_type(value, at, f"one of {', '.join(repr(each) for each in allowed)}")
        if value not in allowed:
            wrong_value(value, at, allowed)

    return checked


def array(item: Check, least: int = 0, most: int | None = None) -> Check:
    def checked(value: Any, at: str) -> None:
        if not isinstance(value, list):
            wrong_type(value, at, "an array")
        if least and not value:
            raise Refused(
                f"Invalid '{at}': empty array. Expected an array with minimum length {least}, "
                "but got an empty array instead.",
                at,
                "empty_array",
            )
        if most is not None and len(value) > most:
            _out_of_bounds(at, "array", "long", f"maximum length {most}", len(value), "above_max")
        for index, each in enumerate(value):
            item(each, f"{at}[{index}]")

    return checked


def record(
    required: Mapping[str, Check] | None = None,
    optional: Mapping[str, Check] | None = None,
    more: bool = False,
) -> Check:
    """An object with these members; `more` lets it have others."""
    needed, known = required or {}, {**(required or {}), **(optional or {})}

    def checked(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            wrong_type(value, at, "an object")
        for name, member in value.items():
            place = f"{at}.{name}" if at else name
            if name in known:
                known[name](member, place)
            elif not more:
                raise Refused(f"Unknown parameter: '{place}'.", place, "unknown_parameter")
        for name in needed:
            if name not in value:
                missing(f"{at}.{name}" if at else name)

    return checked


def mapping(most: int, key: int, value_check: Check) -> Check:
    """An object with free keys, as `metadata` is."""

    def checked(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            wrong_type(value, at, "an object")
        if len(value) > most:
            raise Refused(
                f"Invalid '{at}': too many properties. Expected an object with at most {most} "
                f"properties, but got an object with {len(value)} properties instead.",
                at,
                "object_above_max_properties",
            )
        for name, member in value.items():
            string(most=key)(name, f"{at} key")
            value_check(member, f"{at}.{name}")

    return checked


def tagged(shapes: Mapping[str, Check], tag: str = "type") -> Check:
    """An object whose shape depends on one of its members."""

    def checked(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            wrong_type(value, at, "an object")
        if tag not in value:
            missing(f"{at}.{tag}")
        one_of(*shapes)(value[tag], f"{at}.{tag}")
        shapes[value[tag]](value, at)

    return checked


def either(shapes: Mapping[type, Check]) -> Check:
    """One of several JSON types, each with its own check."""

    def checked(value: Any, at: str) -> None:
        check = shapes.get(type(value))
        if check is None:
            wrong_type(value, at, f"one of {' or '.join(NAMES[kind] for kind in shapes)}")
        check(value, at)

    return checked


def base64_text(value: Any, at: str, code: str = "invalid_base64") -> None:
    """Standard base64 with its padding."""
    string(least=1)(value, at)
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(
            f"Invalid base64 data in '{at}'. Expected a base64-encoded value.", at, code
        ) from None


def data_url(value: str, at: str, accepted: Sequence[str], code: str) -> None:
    """`data:<media type>;base64,<data>` of an accepted media type."""
    head, comma, data = value.removeprefix("data:").partition(",")
    media, _, coding = head.partition(";")
    if not comma or coding.lower() != "base64":
        raise Refused(f"Invalid data URL in '{at}'. Expected a base64-encoded one.", at, code)
    if media.lower() not in accepted:
        raise Refused(
            f"Invalid MIME type in '{at}': '{media}'. Supported are {', '.join(accepted)}.",
            at,
            "unsupported_image_media_type" if "image/png" in accepted else "invalid_value",
        )
    base64_text(data, at, "invalid_base64_image" if "image/png" in accepted else code)


def _within(value: float, at: str, kind: str, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        raise Refused(
            f"Invalid '{at}': {kind} below minimum value. Expected a value >= {least}, "
            f"but got {value} instead.",
            at,
            f"{kind}_below_min_value",
        )
    if most is not None and value > most:
        raise Refused(
            f"Invalid '{at}': {kind} above maximum value. Expected a value <= {most}, "
            f"but got {value} instead.",
            at,
            f"{kind}_above_max_value",
        )


def _out_of_bounds(at: str, kind: str, too: str, bound: str, length: int, side: str) -> NoReturn:
    article = "an" if kind == "array" else "a"
    raise Refused(
        f"Invalid '{at}': {kind} too {too}. Expected {article} {kind} with {bound}, "
        f"but got {article} {kind} with length {length} instead.",
        at,
        f"{kind}_{side}_length",
    )
