"""What the model a caller names means here, and what the answer says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response

from app.access.caller import check_scope
from app.errors import BadRequest
from app.upstream.names import Named, read_groups
from app.upstream.platform import Platform
from app.web.current import this_call, this_request

GROUPS = "x-tokens-custom-group"
MODEL = "x-tokens-model"
NOTE = "x-tokens-model-note"
DROPPED = "x-tokens-dropped"


def read_name(platform: Platform, asked: str) -> Named:
    """The model that is meant, as far as the caller may ask for it. Groups in the name win over
    groups in the header (C-150).
    """
    named = platform.catalogue.names.read(asked)
    check_scope(this_call().caller, platform.name, named.base, named.model)
    if named.groups or not (words := this_request().headers.get(GROUPS, "")):
        return named
    groups = read_groups(words)
    if not groups:
        raise BadRequest("{field} must be a list of groups", param=GROUPS, field=GROUPS)
    return replace(named, groups=groups)


def explain(named: Named, record: Mapping[str, Any], response: Response) -> None:
    """Says which model answered, where it is not the one that was named, and how it differs; and
    which fields of the request it never heard of. The access log's `record` knows both.
    """
    if dropped := record.get("dropped"):
        response.headers[DROPPED] = ", ".join(dropped)
    model = record["model"]
    if model != named.base or named.sets:
        response.headers[MODEL] = model
    if named.note:
        response.headers[NOTE] = named.note
