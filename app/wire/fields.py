"""Reading fields of foreign JSON, so that a wrong type is told by its name and never becomes a
crash.

Every dialect's request reader uses these. A caller's number may come as text where that is
unambiguous (form-based clients send "0.7"); a boolean is never a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from app.canonical.events import Trouble
from app.errors import BadRequest

_MOST = 2**53  # beyond this, JSON numbers are not exact
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def in_own_words(trouble: Trouble, error: Any) -> Trouble:
    """The trouble with the platform's own object for it, where it has one."""
    trouble.own = error if error and isinstance(error, Mapping) else None
    return trouble


def is_whole(payload: bytes) -> bool:
    """Whether what a transfer ended in is an event without its blank line, and not half an one."""
    if payload.startswith(b"[DONE]"):
        return True
    try:
        orjson.loads(payload)
    except ValueError:
        return False
    return True


def required(body: Mapping[str, Any], name: str, param: str = "") -> Any:
    """The field's value; it must be there and not null."""
    value = body.get(name)
    if value is None:
        raise BadRequest("{field} is required", param=param or name, field=param or name)
    return value


def an_object(value: Any, param: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRequest("{field} must be an object", param=param, field=param)
    return value


def a_list(value: Any, param: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest("{field} must be an array", param=param, field=param)
    return value


def a_list_or_text(value: Any, param: str) -> list[Any]:
    """The list; told as what may be text too, which the caller has looked for already."""
    if not isinstance(value, list):
        raise BadRequest("{field} must be a string or an array", param=param, field=param)
    return value


def text(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise BadRequest("{field} must be a string", param=param, field=param)
    return value


def optional_text(body: Mapping[str, Any], name: str, param: str = "") -> str:
    """The field's text, or an empty one where it is missing or null."""
    value = body.get(name)
    return "" if value is None else text(value, param or name)


def optional_bool(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise BadRequest("{field} must be true or false", param=name, field=name)


def optional_number(body: Mapping[str, Any], name: str) -> float | None:
    value = body.get(name)
    if isinstance(value, str):
        value = _number(value, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise BadRequest("{field} must be a number", param=name, field=name)
    if abs(value) > _MOST:
        raise _too_large(name)
    return value


def optional_int(body: Mapping[str, Any], name: str, least: int | None = None) -> int | None:
    value = optional_number(body, name)
    if value is None:
        return None
    if value != int(value):
        raise BadRequest("{field} must be a whole number", param=name, field=name)
    if least is not None and value < least:
        raise BadRequest("{field} must be at least {least}", param=name, field=name, least=least)
    return int(value)


def texts(value: Any, param: str) -> tuple[str, ...]:
    """A list of strings; a single string counts as a list of one, null as none."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    items = enumerate(a_list_or_text(value, param))
    return tuple(text(item, f"{param}[{i}]") for i, item in items)


def _number(value: str, param: str) -> float:
    if not _NUMBER.fullmatch(value.strip()):  # float() takes "1_0", "nan" and digits of any script
        raise BadRequest("{field} must be a number", param=param, field=param)
    number = float(value)
    if abs(number) > _MOST:
        raise _too_large(param)
    return int(number) if number == int(number) else number


def _too_large(param: str) -> BadRequest:
    return BadRequest("{field} is too large", param=param, field=param)


def is_count(value: Any) -> bool:
    """Whether an upstream can mean this as a number of tokens (R-016)."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**12


def count(value: Any) -> int:
    """A token count as an upstream gives it; anything absurd counts as nothing (R-016)."""
    return int(value) if is_count(value) else 0
