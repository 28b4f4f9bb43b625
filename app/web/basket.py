"""What a caller's links lead to."""

from __future__ import annotations

from collections.abc import Callable

from app.media.inbound import Basket
from app.web.current import this_call, this_request
from app.web.gateway import Gateway


def basket_of(hub: Gateway) -> Callable[[], Basket]:
    """Makes an empty basket for this request. Links that we gave this caller are read from where the
    files lie: nobody is called, and nobody else's open anything.
    """
    owner, asked = this_call().caller.name, this_request()
    return lambda: hub.fetcher.basket(lambda url: hub.media.lent(url, owner, asked.host_url))
