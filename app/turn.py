"""Giving way in the middle of work that goes on for a while (R-048)."""

from __future__ import annotations

import gevent

_FIRST = 2  # of the loop's priorities, the highest: our own turn comes back each round


def give_way() -> None:
    """Lets everybody else go on who can, those too who wait for a connection. `gevent.sleep(0)` would not
    do: up to fifty rounds of it may pass before the loop looks at connections again.
    """
    gevent.idle(_FIRST)
