"""JSON Schemas as far as Anthropic enforces them.

Every object has to be closed, and limits on numbers, lengths and lists are refused: they move into
the description, where the model at least reads them. A schema that refers to itself, or whose
objects have names nobody knows beforehand, cannot be enforced at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REFUSED = frozenset(
    """minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems
    minProperties maxProperties patternProperties propertyNames contains minContains maxContains prefixItems not
    if then else dependentRequired dependentSchemas unevaluatedProperties unevaluatedItems""".split()
)
FORMATS = frozenset("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())
LISTS = ("anyOf", "allOf", "oneOf")
NAMED = ("properties", "$defs", "definitions")
DEEPEST = 64
_HARD_PATTERN = re.compile(r"\(\?[=!<]|\\[1-9]")  # look-around, back references


class _Unenforceable(Exception):
    """No sanitising helps."""


def sanitised(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same schema without what would be refused; None where it cannot be enforced."""
    try:
        made = _inner(schema, 0)
        _follow(made, made, ())
    except _Unenforceable:
        return None
    return made if made.get("type") == "object" else None


def object_schema(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of a tool's arguments: always an object, and without alternatives at the top."""
    made = {name: value for name, value in (schema or {}).items() if value is not None}
    made["type"] = "object"
    properties = made.get("properties")
    merged = dict(properties) if isinstance(properties, Mapping) else {}
    for name in LISTS:
        for branch in _mappings(made.pop(name, None)):
            inner = branch.get("properties")
            merged = (dict(inner) if isinstance(inner, Mapping) else {}) | merged
    made["properties"] = merged
    return made


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _inner(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        raise _Unenforceable
    made: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in schema.items():
        if _is_refused(name, value):
            notes.append(f"{name}: {value}")
        elif name in NAMED and isinstance(value, Mapping):
            made[name] = {one: _inner(inner, depth + 1) for one, inner in value.items()}
        elif name in LISTS and isinstance(value, list):
            made["anyOf" if name == "oneOf" else name] = [_inner(one, depth + 1) for one in value]
        elif name == "items":
            made[name] = _inner(value, depth + 1)
        elif name != "$schema":
            made[name] = value
    _close(made)
    if notes:
        told = made.get("description")
        made["description"] = "; ".join([told, *notes] if isinstance(told, str) else notes)
    return made


def _is_refused(name: str, value: Any) -> bool:
    match name:
        case "minItems":
            return value not in (0, 1)
        case "format":
            return not isinstance(value, str) or value not in FORMATS
        case "pattern":
            return bool(_HARD_PATTERN.search(str(value)))
        case "enum":
            return not isinstance(value, list) or any(isinstance(v, (dict, list)) for v in value)
        case _:
            return name in REFUSED


def _close(made: dict[str, Any]) -> None:
    kind = made.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "object" not in kinds and "properties" not in made:
        return
    if isinstance(made.get("additionalProperties"), Mapping):
        raise _Unenforceable  # a dictionary: closed, it could only be empty
    made.setdefault("type", "object")
    made["additionalProperties"] = False


def _follow(schema: Any, root: dict[str, Any], through: tuple[str, ...]) -> None:
    """Raises for a reference that leads out of the schema, nowhere or back to itself."""
    if not isinstance(schema, Mapping) or len(through) > DEEPEST:
        raise _Unenforceable
    if "$ref" in schema:
        pointer = schema["$ref"]
        if not isinstance(pointer, str) or pointer in through:
            raise _Unenforceable
        _follow(_target(pointer, root), root, (*through, pointer))
    parts = [*_mappings(schema.get("anyOf")), *_mappings(schema.get("allOf"))]
    if any("$ref" in part for part in _mappings(schema.get("allOf"))):
        raise _Unenforceable
    properties = schema.get("properties")
    parts += properties.values() if isinstance(properties, Mapping) else ()
    if "items" in schema:
        parts.append(schema["items"])
    for part in parts:
        _follow(part, root, through)


def _target(pointer: str, root: dict[str, Any]) -> Any:
    if not pointer.startswith("#/"):
        raise _Unenforceable
    found: Any = root
    for step in pointer[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            raise _Unenforceable
        found = found[key]
    return found
