"""The request that is being served, and what is known of it so far, as they are. Flask's `request` and `g`
stand in for them, and each look through those takes as long as a call: too long for what every request
looks at forty times.
"""

from __future__ import annotations

from typing import Any, cast

from flask import Request, g, request


def this_request() -> Request:
    return cast(Request, request._get_current_object())  # type: ignore[attr-defined]


def this_call() -> Any:
    return g._get_current_object()
