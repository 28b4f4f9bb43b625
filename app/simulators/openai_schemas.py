"""JSON schemas inside requests: whether they are schemas at all, and whether `strict` may be said.

With `strict` every object must be closed (`additionalProperties: false`) and require all of its
properties; that is the rule callers meet first when a schema of their own is passed on.
"""

from __future__ import annotations

from typing import Any

from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    array,
    boolean,
    either,
    integer,
    number,
    record,
    string,
)

DEEPEST = 32


def schema(value: Any, at: str) -> None:
    """A JSON schema: known keywords have the right type, unknown ones may be anything."""
    _SCHEMA(value, at)
    if at.count(".") > DEEPEST * 2:
        raise Refused(f"Invalid schema in '{at}': too deeply nested.", at, "invalid_value")


def _named(value: Any, at: str) -> None:
    record(more=True)(value, at)
    for name, member in value.items():
        _member(member, f"{at}.{name}")


_member = either({dict: schema, bool: anything})
_list = array(_member, least=1)
_number = number()
_KEYWORDS: dict[str, Check] = {
    "type": either({str: anything, list: array(string(least=1), least=1)}),
    "properties": _named,
    "$defs": _named,
    "definitions": _named,
    "required": either({list: array(string())}),
    "enum": array(anything, least=1),
    "items": _member,
    "prefixItems": _list,
    "anyOf": _list,
    "oneOf": _list,
    "allOf": _list,
    "additionalProperties": _member,
    "$ref": string(least=1),
    "format": string(),
    "pattern": string(),
    "description": string(),
    "title": string(),
    "nullable": boolean,
    "uniqueItems": boolean,
    **{name: _number for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
    "multipleOf": number(least=1e-9),
    **{name: integer(0) for name in ("minLength", "maxLength", "minItems", "maxItems")},
}
_SCHEMA = record({}, _KEYWORDS, more=True)


def require_object_schema(given: Any, at: str, owner: str, code: str) -> None:
    """Function parameters must describe an object."""
    if not given:
        return
    kind = given.get("type")
    if kind != "object" and not any(name in given for name in ("$ref", "anyOf", "allOf")):
        raise Refused(
            f"Invalid schema for {owner}: schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{kind}\"'.",
            at,
            code,
        )


def require_strict(given: Any, at: str, owner: str, code: str, path: tuple[str, ...] = ()) -> None:
    """With `strict`, objects must be closed and all of their properties required."""
    if not isinstance(given, dict):
        return
    properties = given.get("properties")
    if given.get("type") == "object" or isinstance(properties, dict):
        properties = properties or {}
        place = f"In context=({', '.join(repr(step) for step in path)})"
        if given.get("additionalProperties") is not False:
            raise Refused(
                f"Invalid schema for {owner}: {place}, 'additionalProperties' is required to be "
                "supplied and to be false.",
                at,
                code,
            )
        absent = [name for name in properties if name not in (given.get("required") or ())]
        if absent:
            raise Refused(
                f"Invalid schema for {owner}: {place}, 'required' is required to be supplied and "
                f"to be an array including every key in properties. Missing '{absent[0]}'.",
                at,
                code,
            )
        for name, member in properties.items():
            require_strict(member, at, owner, code, (*path, "properties", name))
    require_strict(given.get("items"), at, owner, code, (*path, "items"))
    for index, option in enumerate(given.get("anyOf") or ()):
        require_strict(option, at, owner, code, (*path, "anyOf", str(index)))
    for group in ("$defs", "definitions"):
        for name, member in (given.get(group) or {}).items():
            require_strict(member, at, owner, code, (*path, group, name))
