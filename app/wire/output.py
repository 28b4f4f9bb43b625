"""How many tokens a request lets its answer have: what each dialect asks for, and how to ask for less.

`output_limit` reads it for one answer, `answers` says how many there are to be, and `with_output_limit`
gives a body that asks for no more than so many, in every field that counts and also where nothing was
asked for. They are the dialect's own, made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.wire import fields


def one_answer(body: Mapping[str, Any]) -> int:
    """Of dialects in which there is no asking for more."""
    return 1


def asked_in(body: Mapping[str, Any], *names: str) -> int | None:
    """The number in the first of these fields that has one."""
    found = (fields.optional_int(body, name, least=1) for name in names)
    return next((value for value in found if value is not None), None)


def lowered(body: Mapping[str, Any], most: int, *names: str) -> dict[str, Any]:
    """The body with no more than that in these fields, and in the first of them if it was in none."""
    given = [name for name in names if asked_in(body, name) is not None] or names[:1]
    return {**body, **{name: min(asked_in(body, name) or most, most) for name in given}}
