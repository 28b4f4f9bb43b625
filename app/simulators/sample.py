"""A value that fits a JSON schema, always the same one for the same schema and words.

Knows what the vendors' schemas use: references, combinations, enumerations, bounds, formats, and
the upper-case type names and `nullable` of Gemini's older form. Fills in required properties
only. Patterns are not solved: a text with a pattern may miss it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

_Maker = Callable[[Schema, int], Any]

DEEPEST = 12  # a schema that refers to itself without end is filled this far
LARGEST = 5000  # values in all, after which the rest is null
WORDS = ("sample",)

FORMATS: dict[str, str] = {
    "date-time": "2026-11-20T12:00:00Z",
    "date": "2026-11-20",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "sample@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Schema, words: Sequence[str] = WORDS) -> Any:
    """A value that is valid against the schema; texts are made of the given words."""
    return _Sampler(schema, words or WORDS).value(schema, 0)


class _Sampler:
    def __init__(self, root: Schema, words: Sequence[str]) -> None:
        self._root = root
        self._words = words
        self._used = 0
        self._made = 0

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping):
            return {}
        schema = self._plain(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        kind = _kind(schema)
        self._made += 1
        if depth > DEEPEST or self._made > LARGEST:
            return None
        makers: dict[str, _Maker] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": _integer,
            "number": _number,
            "boolean": _true,
            "null": _none,
        }
        maker: _Maker = makers.get(kind) or self._object
        return maker(schema, depth)

    def _plain(self, schema: Schema, depth: int) -> Schema:
        """The schema with its reference followed and its combinations merged."""
        for _ in range(DEEPEST):
            if "$ref" in schema:
                rest = {name: value for name, value in schema.items() if name != "$ref"}
                schema = {**self._referred(str(schema["$ref"])), **rest}
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = {**rest, **_choose(options, depth)}
            elif parts := schema.get("allOf"):
                rest = {name: value for name, value in schema.items() if name != "allOf"}
                schema = _merged([rest, *(self._plain(part, depth) for part in parts)])
            else:
                break
        return schema

    def _referred(self, pointer: str) -> Schema:
        found: Any = self._root
        for step in pointer.lstrip("#").strip("/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if key:
                found = found.get(key, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) else {}

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        return {name: self.value(properties.get(name, {}), depth + 1) for name in required}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        prefix = [self.value(each, depth + 1) for each in schema.get("prefixItems") or ()]
        least = int(schema.get("minItems") or 0)
        most = schema.get("maxItems")
        items = schema.get("items")
        wanted = max(least, 0 if prefix or items is None or depth >= DEEPEST // 2 else 1)
        if most is not None:
            wanted = min(wanted, int(most))
        more = [self.value(items or {}, depth + 1) for _ in range(wanted - len(prefix))]
        return prefix + more

    def _string(self, schema: Schema, depth: int) -> str:
        if text := FORMATS.get(str(schema.get("format", ""))):
            return text
        text = self._words[self._used % len(self._words)]
        self._used += 1
        least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
        while len(text) < least:
            text += "." + self._words[0]
        return text if most is None else text[: int(most)]


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next((each for each in kind if str(each).lower() != "null"), "null")
    if kind:
        return str(kind).lower()
    return "array" if "items" in schema or "prefixItems" in schema else "object"


def _choose(options: Sequence[Schema], depth: int) -> Schema:
    """The first option that says something, or null once the schema has grown too deep."""
    empty = [each for each in options if each.get("type") == "null"]
    if depth >= DEEPEST // 2 and empty:
        return empty[0]
    return next((each for each in options if each.get("type") != "null"), options[0])


def _merged(parts: Sequence[Schema]) -> Schema:
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name == "properties":
                merged[name] = {**merged.get(name, {}), **value}
            elif name == "required":
                merged[name] = [*merged.get(name, []), *value]
            else:
                merged[name] = value
    return merged


def _true(_schema: Schema, _depth: int) -> bool:
    return True


def _none(_schema: Schema, _depth: int) -> None:
    return None


def _integer(schema: Schema, _depth: int = 0) -> int:
    lowest = schema.get("minimum")
    above = schema.get("exclusiveMinimum")
    if above is not None and not isinstance(above, bool):
        lowest = max(math.floor(above) + 1, lowest if lowest is not None else -math.inf)
    highest = schema.get("maximum")
    below = schema.get("exclusiveMaximum")
    if below is not None and not isinstance(below, bool):
        highest = min(math.ceil(below) - 1, highest if highest is not None else math.inf)
    step = schema.get("multipleOf") or 1
    start = 1 if lowest is None or lowest <= 1 else math.ceil(lowest)
    if highest is not None and highest < start:
        start = math.floor(highest) if lowest is None else math.ceil(lowest)
    multiple = math.ceil(start / step) * step
    return int(multiple if highest is None or multiple <= highest else (highest // step) * step)


def _number(schema: Schema, _depth: int = 0) -> float:
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    given = [schema[name] for name in bounds if isinstance(schema.get(name), (int, float))]
    low = [schema[n] for n in ("minimum", "exclusiveMinimum") if n in schema]
    high = [schema[n] for n in ("maximum", "exclusiveMaximum") if n in schema]
    if schema.get("multipleOf") or not given:
        return _integer(schema) if schema.get("multipleOf") else 1.5
    if low and high:
        return float((max(low) + min(high)) / 2)
    return float(max(low) + 1) if low else float(min(high) - 1)
