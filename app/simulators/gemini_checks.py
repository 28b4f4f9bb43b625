"""Readers from which the tables of what Gemini accepts are built, in the words of its refusals.

A reader is called with a value and the place it stands at (`contents[0].parts`) and gives the
value back with its names in camel case, or raises `Refused`. Both `maxOutputTokens` and
`max_output_tokens` are understood, places are always told in snake case, null is as good as
absent, and whole numbers may come as strings: that is how protocol buffers read JSON.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

Reader = Callable[[Any, str], Any]
Json = dict[str, Any]

RPC = "type.googleapis.com/google.rpc."
STATUS_CODES: dict[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")


class Refused(Exception):
    """The request breaks a rule; carries what the error body shows."""

    def __init__(
        self, message: str, status: str = "INVALID_ARGUMENT", details: tuple[Json, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details

    @property
    def code(self) -> int:
        return STATUS_CODES[self.status]

    def envelope(self, code: int = 0) -> Json:
        """The body; details are left out when there are none."""
        error: Json = {"code": code or self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


def snake(name: str) -> str:
    return _HUMP.sub(r"_\1", name).lower()


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def within(at: str, name: str) -> str:
    """The place of a member."""
    return f"{at}.{snake(name)}" if at else snake(name)


def violation(field: str, why: str) -> Refused:
    """A refusal that names the field, as the front end words it."""
    listed = {"field": field, "description": why} if field else {"description": why}
    detail = {"@type": f"{RPC}BadRequest", "fieldViolations": [listed]}
    return Refused(why, details=(detail,))


def invalid(at: str, kind: str, value: Any) -> NoReturn:
    shown = f'"{value}"' if isinstance(value, str) else value
    raise violation(at, f"Invalid value at '{at}' ({kind}), {shown}")


def missing(at: str) -> NoReturn:
    raise Refused(f"* GenerateContentRequest.{at}: must be specified")


def string(value: Any, at: str) -> str:
    if not isinstance(value, str):
        invalid(at, "TYPE_STRING", value)
    return value


def boolean(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        invalid(at, "TYPE_BOOL", value)
    return value


def integer(value: Any, at: str) -> int:
    """A 32-bit number; a string of digits and 5.0 will do."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        invalid(at, "TYPE_INT32", value)
    try:
        number = float(value)
    except ValueError:
        invalid(at, "TYPE_INT32", value)
    if not number.is_integer() or abs(number) >= 2**31:
        invalid(at, "TYPE_INT32", value)
    return int(number)


def real(value: Any, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        invalid(at, "TYPE_FLOAT", value)
    return value


def encoded(value: Any, at: str) -> str:
    """Base64 of either alphabet, with or without padding; given back in the standard form."""
    text = string(value, at)
    try:
        return base64.b64encode(decoded(text)).decode()
    except (binascii.Error, ValueError):
        raise violation(
            at, f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed for \"{text[:64]}\""
        ) from None


def decoded(text: str) -> bytes:
    """The bytes; ValueError when they are none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def duration(value: Any, at: str) -> str:
    if not _DURATION.fullmatch(string(value, at)):
        invalid(at, "type.googleapis.com/google.protobuf.Duration", value)
    return str(value)


def free(value: Any, at: str) -> Any:
    """A message the tables do not look into."""
    if not isinstance(value, dict):
        invalid(at, "type.googleapis.com/google.protobuf.Struct", value)
    return value


def anything(value: Any, _at: str) -> Any:
    return value


def enum(kind: str, *names: str) -> Reader:
    """One of these names; those of a schema type may be in lower case."""

    def read(value: Any, at: str) -> str:
        wanted = value.upper() if kind == "Type" and isinstance(value, str) else value
        if not isinstance(value, str) or wanted not in names:
            invalid(at, f"type.googleapis.com/google.ai.generativelanguage.v1beta.{kind}", value)
        return str(wanted)

    return read


def repeated(item: Reader) -> Reader:
    def read(value: Any, at: str) -> list[Any]:
        if not isinstance(value, list):
            invalid(at, "a list", value)
        return [item(each, f"{at}[{index}]") for index, each in enumerate(value)]

    return read


def keyed(item: Reader) -> Reader:
    """A map; its keys are the caller's own."""

    def read(value: Any, at: str) -> Json:
        free(value, at)
        return {
            name: item(member, f"{at}[{index}].value")
            for index, (name, member) in enumerate(value.items())
        }

    return read


def message(
    fields: Mapping[str, Reader],
    oneof: Collection[str] = (),
    required: Collection[str] = (),
) -> Reader:
    """An object with these members and no others, of which `oneof` exclude each other."""

    def read(value: Any, at: str) -> Json:
        if isinstance(value, list):
            raise violation(
                at,
                f'Invalid JSON payload received. Unknown name "{at}": Proto field is not '
                "repeating, cannot start list.",
            )
        free(value, at)
        found: Json = {}
        for name, member in value.items():
            known = camel(name)
            if known not in fields:
                _unknown(name, at)
            if member is not None:
                found[known] = fields[known](member, within(at, known))
        _exclusive(found, oneof, at)
        for name in required:
            if name not in found:
                missing(within(at, name))
        return found

    return read


def _unknown(name: str, at: str) -> NoReturn:
    place = f" at '{at}'" if at else ""
    raise violation(
        at, f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
    )


def _exclusive(found: Json, oneof: Collection[str], at: str) -> None:
    there = [name for name in found if name in oneof]
    if len(there) > 1:
        raise violation(
            at,
            f"Invalid value at '{at}' (oneof), oneof field 'data' is already set. "
            f"Cannot set '{there[1]}'",
        )
