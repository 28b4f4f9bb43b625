"""The outer shape of what comes in; meaning is read by the dialects.

Messages are checked by one field written by hand: nested schemas cost a third of a millisecond at
fifty messages. In `error_messages` braces are doubled, because marshmallow fills in its own facts
first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing

from app.errors import BadRequest, let_go

MOST_MESSAGES = 10_000
MOST_TOOLS = 2_000


class Items(fields.Field):  # type: ignore[type-arg]
    """A list of objects that is not empty and not absurdly long. Hands the list on as it is."""

    def __init__(self, *, most: int, least: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._most = most
        self._least = least

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list):
            raise ValidationError("{field} must be an array")
        if len(value) < self._least:
            raise ValidationError("{field} must not be empty")
        if len(value) > self._most:
            raise ValidationError("{field} has too many entries")
        for item in value:
            if type(item) is not dict:
                raise ValidationError("{field} must be an array of objects")
        return value


def _model() -> fields.String:
    return fields.String(
        required=True,
        error_messages={
            "invalid": "{{field}} must be a string",
            "invalid_utf8": "{{field}} must be a string",
            "null": "{{field}} is required",
            "required": "{{field}} is required",
        },
    )


def _items(most: int, *, required: bool = True) -> Items:
    return Items(
        most=most,
        least=1 if required else 0,
        required=required,
        error_messages={"required": "{{field}} is required", "null": "{{field}} is required"},
    )


class ChatShape(Schema):
    """Chat Completions and Messages: a model and some messages; the rest is the dialect's
    business.
    """

    model = _model()
    messages = _items(MOST_MESSAGES)
    tools = Items(most=MOST_TOOLS, least=0, allow_none=True)
    stream = fields.Boolean(
        truthy={True},
        falsy={False},
        allow_none=True,
        error_messages={"invalid": "{{field}} must be true or false"},
    )


class ContentsShape(Schema):
    """generateContent: the model is in the path."""

    contents = fields.Raw(
        required=True,
        error_messages={"required": "{{field}} is required", "null": "{{field}} is required"},
    )
    tools = Items(most=MOST_TOOLS, least=0, allow_none=True)


class ResponsesShape(Schema):
    """Responses: `input` may be text or items, and may be absent where something else continues."""

    model = _model()
    tools = Items(most=MOST_TOOLS, least=0, allow_none=True)
    stream = fields.Boolean(
        truthy={True},
        falsy={False},
        allow_none=True,
        error_messages={"invalid": "{{field}} must be true or false"},
    )


def check(schema: Schema, body: Mapping[str, Any]) -> None:
    """Raises `BadRequest` for the first field that is wrong."""
    for name, field in schema.fields.items():
        try:  # a field at a time, which takes half as long as to load all of them
            field.deserialize(body.get(name, missing))
        except ValidationError as error:
            template = str(error.messages[0])
            let_go(error)  # its frames hold the whole call
            raise BadRequest(template, param=name, field=name) from error
