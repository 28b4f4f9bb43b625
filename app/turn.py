"""Giving way in the middle of work that goes on for a while (R-048)."""

from __future__ import annotations

import gevent

LARGE = 65536  # bytes; a step over fewer is done in no time
_FIRST = 2  # of the loop's priorities, the highest: our own turn comes back each round


def give_way() -> None:
    """Lets everybody else go on who can, those too who wait for a connection. `gevent.sleep(0)` would not
    do: up to fifty rounds of it may pass before the loop looks at connections again.
    """
    gevent.idle(_FIRST)


def give_way_over(body: bytes) -> None:
    """Between two steps over a body, each of which takes a moment if it is large."""
    if len(body) > LARGE:
        give_way()
