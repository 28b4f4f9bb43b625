"""Whether something is a JSON schema at all, before anybody asks whether it is supported.

Known keywords must have the right type; unknown ones may be anything, as JSON Schema says. Very
deep schemas count as malformed, which keeps every later walk through one short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DEEPEST = 64
TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})

_Check = Callable[[Any, int], bool]


def well_formed(schema: Any, depth: int = 0) -> bool:
    """True for an object whose keywords have the types that draft 2020-12 gives them."""
    return (
        isinstance(schema, dict)
        and depth < DEEPEST
        and all(
            _KEYWORDS[name](value, depth + 1) for name, value in schema.items() if name in _KEYWORDS
        )
    )


def _schema(value: Any, depth: int) -> bool:
    return isinstance(value, bool) or well_formed(value, depth)


def _schemas(value: Any, depth: int) -> bool:
    return isinstance(value, list) and bool(value) and all(_schema(each, depth) for each in value)


def _named(value: Any, depth: int) -> bool:
    return isinstance(value, dict) and all(_schema(each, depth) for each in value.values())


def _type(value: Any, _depth: int) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return bool(kinds) and all(isinstance(kind, str) and kind in TYPES for kind in kinds)


def _text(value: Any, _depth: int) -> bool:
    return isinstance(value, str)


def _texts(value: Any, _depth: int) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _list(value: Any, _depth: int) -> bool:
    return isinstance(value, list)


def _number(value: Any, _depth: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(value: Any, depth: int) -> bool:
    return _number(value, depth) and value >= 0 and float(value).is_integer()


_KEYWORDS: dict[str, _Check] = {
    "type": _type,
    "enum": _list,
    "required": _texts,
    **{name: _named for name in ("properties", "patternProperties", "$defs", "definitions")},
    **{name: _schemas for name in ("anyOf", "oneOf", "allOf", "prefixItems")},
    **{name: _schema for name in ("items", "additionalProperties", "not", "contains")},
    **{name: _schema for name in ("if", "then", "else", "propertyNames")},
    **{name: _text for name in ("$ref", "$id", "$schema", "title", "description")},
    **{name: _text for name in ("format", "pattern")},
    **{name: _number for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
    **{name: _count for name in ("minLength", "maxLength", "minItems", "maxItems")},
    **{name: _count for name in ("minProperties", "maxProperties")},
}
