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
    owner, base_url = g.caller.name, request.host_url
    return lambda: hub.fetcher.basket(lambda url: hub.media.lent(url, owner, base_url))
