"""Which JSON schemas Anthropic can hold a model to: for structured outputs and strict tools.

Limits on values are refused, not ignored, and every object must say `additionalProperties: false`.
References may only point into the schema itself and may not come back to where they started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.simulators.anthropic_checks import fail

TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
FORMATS = frozenset(
    "date-time time date duration email hostname uri ipv4 ipv6 uuid".split()  # and no others
)
UNSUPPORTED = frozenset(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems "
    "uniqueItems contains minContains maxContains minProperties maxProperties patternProperties "
    "propertyNames prefixItems oneOf not if then else dependentRequired dependentSchemas "
    "unevaluatedProperties unevaluatedItems".split()
)
_HARD_PATTERN = re.compile(r"\(\?[=!<]|\\[1-9]")  # look-around, back references
_SCALARS = (str, int, float, bool, type(None))


def require_supported(schema: Any, at: str) -> None:
    """Raises for the first thing in the schema that cannot be compiled."""
    if not isinstance(schema, Mapping):
        fail(at, "Input should be a valid dictionary")
    _Walk(schema, at).visit(schema, ())


class _Walk:
    def __init__(self, root: Mapping[str, Any], at: str) -> None:
        self._root = root
        self._at = at
        self._checked: set[str] = set()

    def visit(self, schema: Any, through: tuple[str, ...]) -> None:
        """Looks at a schema that was reached through these references."""
        if not isinstance(schema, Mapping):
            self._fail("every schema must be an object")
        self._keywords(schema)
        if "$ref" in schema:
            self._reference(schema["$ref"], through)
        for part in schema.get("allOf") or ():
            if isinstance(part, Mapping) and "$ref" in part:
                self._fail("'allOf' with '$ref' is not supported")
        for inner in self._children(schema):
            self.visit(inner, through)

    def _keywords(self, schema: Mapping[str, Any]) -> None:
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        for kind in kinds:
            if kind not in TYPES:
                self._fail(f"type {kind!r} is not supported")
        found = sorted(UNSUPPORTED.intersection(schema))
        if found:
            named = kinds[0] if kinds else "any"
            self._fail(f"For '{named}' type, property '{found[0]}' is not supported")
        if ("object" in kinds or "properties" in schema) and (
            schema.get("additionalProperties") is not False
        ):
            self._fail("For 'object' type, 'additionalProperties' must be explicitly set to false")
        self._values(schema)

    def _values(self, schema: Mapping[str, Any]) -> None:
        if schema.get("minItems", 0) not in (0, 1):
            self._fail("For 'array' type, 'minItems' values other than 0 or 1 are not supported")
        if "format" in schema and schema["format"] not in FORMATS:
            self._fail(f"For 'string' type, format '{schema['format']}' is not supported")
        if _HARD_PATTERN.search(str(schema.get("pattern", ""))):
            self._fail("pattern: look-around and back references are not supported")
        if not all(isinstance(each, _SCALARS) for each in schema.get("enum") or ()):
            self._fail("enum: only strings, numbers, booleans and null are supported")

    def _reference(self, pointer: Any, through: tuple[str, ...]) -> None:
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            self._fail(f"external $ref {pointer!r} is not supported")
        if pointer in through:
            self._fail("recursive schemas are not supported")
        if pointer in self._checked:
            return
        target: Any = self._root
        for step in pointer.lstrip("#").strip("/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if key and (not isinstance(target, Mapping) or key not in target):
                self._fail(f"$ref {pointer!r} points to nothing")
            target = target[key] if key else target
        self.visit(target, (*through, pointer))
        self._checked.add(pointer)

    def _children(self, schema: Mapping[str, Any]) -> list[Any]:
        """The schemas inside, but not the definitions: those are looked at when referred to."""
        children = [*(schema.get("anyOf") or ()), *(schema.get("allOf") or ())]
        properties = schema.get("properties") or {}
        if isinstance(properties, Mapping):
            children += properties.values()
        if "items" in schema:
            children.append(schema["items"])
        return children

    def _fail(self, why: str) -> Any:
        fail(self._at, why)
