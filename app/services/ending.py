"""How a stream of ours ends, whatever it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.errors import GatewayError, let_go


def all_well() -> str:
    return "ok"


def told_to_its_end(
    body: Iterator[bytes],
    record: dict[str, Any],
    fail: Callable[[GatewayError], bytes],
    end: bytes = b"",
    outcome: Callable[[], str] = all_well,
) -> Iterator[bytes]:
    """`body`, which always tells how it ended: by its last event, by an error event that `fail` makes and
    `end` follows, or by that and a broken transfer. The record says which.
    """
    record["outcome"] = "caller_gone"  # until we know better
    try:
        yield from body
        record["outcome"] = outcome()
    except GatewayError as error:
        let_go(error)
        if error.silent:
            return
        record["outcome"] = error.code
        yield fail(error)
        if error.breaks:
            raise
        if end:
            yield end
