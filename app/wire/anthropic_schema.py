"""JSON Schemas as far as Anthropic enforces them.

Every object has to be closed, and limits on numbers, lengths and lists are refused: they move into the description, where
the model at least reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REFUSED = frozenset(
    """minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems
    minProperties maxProperties patternProperties propertyNames contains $schema""".split()
)
FORMATS = frozenset("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())
NESTED = ("items", "not")
LISTS = ("anyOf", "allOf", "oneOf")
NAMED = ("properties", "$defs", "definitions")


def sanitised(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema without what would be refused."""
    made: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in schema.items():
        if name in REFUSED or (name == "minItems" and value not in (0, 1)):
            notes.append(f"{name}: {value}")
        elif name == "format" and value not in FORMATS:
            notes.append(f"format: {value}")
        elif name in NAMED and isinstance(value, Mapping):
            made[name] = {one: _inner(inner) for one, inner in value.items()}
        elif name in LISTS and isinstance(value, list):
            made["anyOf" if name == "oneOf" else name] = [_inner(one) for one in value]
        elif name in NESTED:
            made[name] = _inner(value)
        else:
            made[name] = value
    if made.get("type") == "object" or "properties" in made:
        made["type"] = "object"
        made["additionalProperties"] = False
    if notes:
        made["description"] = "; ".join(filter(None, [made.get("description", ""), *notes]))
    return made


def _inner(value: Any) -> Any:
    return sanitised(value) if isinstance(value, Mapping) else value
