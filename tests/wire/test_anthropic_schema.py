"""JSON Schemas as far as Anthropic enforces them: what is closed, what moves into words, what cannot
be enforced at all.
"""

from __future__ import annotations

from typing import Any

import pytest

from app.wire.anthropic_schema import object_schema, sanitised

TEXT = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = TEXT
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "given, made",
    [
        (TEXT | {"format": "date"}, TEXT | {"format": "date"}),
        (TEXT | {"format": "phone"}, TEXT | {"description": "format: phone"}),
        (TEXT | {"pattern": "^a+$"}, TEXT | {"pattern": "^a+$"}),
        (TEXT | {"pattern": "(?=a)"}, TEXT | {"description": "pattern: (?=a)"}),
        (TEXT | {"pattern": r"(a)\1"}, TEXT | {"description": r"pattern: (a)\1"}),
        ({"enum": ["a", 1, None]}, {"enum": ["a", 1, None]}),
        ({"enum": [{"a": 1}]}, {"description": "enum: [{'a': 1}]"}),
        (
            {"type": "array", "items": TEXT, "minItems": 1},
            {"type": "array", "items": TEXT, "minItems": 1},
        ),
        (
            {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 3},
            {"type": "array", "items": TEXT, "description": "minItems: 2; maxItems: 3"},
        ),
        (
            {"type": "integer", "minimum": 1, "description": "How many."},
            {"type": "integer", "description": "How many.; minimum: 1"},
        ),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}),
        ({"properties": {"b": TEXT}}, closed(b=TEXT)),
        (
            {"type": ["object", "null"], "properties": {}},
            {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
        ),
    ],
    ids=str,
)
def test_a_field_keeps_what_is_enforced_and_tells_the_rest(
    given: dict[str, Any], made: dict[str, Any]
) -> None:
    root = {"$schema": "https://json-schema.org/draft/2020-12/schema", **closed(a=given)}

    assert sanitised(root) == closed(a=made)


def test_a_reference_that_ends_is_left_where_it_is() -> None:
    schema = closed(a={"$ref": "#/$defs/a~1b"}, b={"anyOf": [{"$ref": "#/$defs/a~1b"}, TEXT]})
    schema["$defs"] = {"a/b": TEXT}

    assert sanitised(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        TEXT,
        closed(a="text"),
        closed(a={"type": "object", "additionalProperties": TEXT}),
        closed(a={"$ref": "#"}),
        closed(a={"$ref": 7}),
        closed(a={"$ref": "https://example.com/schema"}),
        closed(a={"$ref": "#/$defs/none"}),
        closed(a={"$ref": "#/type"}),
        closed(a={"$ref": "#/properties/a/items"}, b=TEXT),
        closed(a={"allOf": [{"$ref": "#/properties/b"}]}, b=TEXT),
        closed(a={"type": "array", "items": {"$ref": "#/properties/a"}}),
        deep(65),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_what_nobody_can_close_is_not_enforced(schema: dict[str, Any]) -> None:
    assert sanitised(schema) is None


def test_arguments_of_a_tool_are_always_one_object() -> None:
    a, b = {"properties": {"a": TEXT}}, {"properties": {"a": {}, "b": TEXT}}

    assert object_schema(None) == {"type": "object", "properties": {}}
    assert object_schema({"type": None, "properties": "odd", "anyOf": "odd"}) == object_schema(None)
    assert object_schema({"oneOf": [a, b, {"required": ["a"]}, 7], "required": ["a"]}) == {
        "type": "object",
        "properties": {"a": TEXT, "b": TEXT},
        "required": ["a"],
    }
