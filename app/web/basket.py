"""What a caller's links lead to."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request

from app.media.inbound import Basket
from app.web.gateway import Gateway


def basket_of(hub: Gateway) -> Callable[[], Basket]:
    """Makes an empty basket for this request. Links that we gave this caller are read from where the
    files lie: nobody is called, and nobody else's open anything.
    """
    owner, asked = g.caller.name, request._get_current_object()  # type: ignore[attr-defined]
    return lambda: hub.fetcher.basket(lambda url: hub.media.lent(url, owner, asked.host_url))
