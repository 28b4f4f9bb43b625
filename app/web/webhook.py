"""Where a caller wants to be told that something is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import g

from app.errors import BadRequest
from app.web.gateway import Gateway

FIELD = "webhook_url"


def webhook_of(hub: Gateway, fields: Mapping[str, Any]) -> str:
    """The address; empty if nobody is to be told. What a caller's own token makes is looked after by
    the caller, who then knows.
    """
    asked = fields.get(FIELD) or ""
    if not isinstance(asked, str):
        raise BadRequest("{field} must be text", param=FIELD, field=FIELD)
    if g.caller.brought is not None:
        if asked:
            raise BadRequest(
                "{field}: a token of your own is kept nowhere, so nobody could go on without you",
                param=FIELD,
                field=FIELD,
            )
        return ""
    return hub.webhooks.address(g.caller.name, asked)
