"""Where requests end, whatever they were: once each, with their limits given back, counted, and told in
one line of the access log.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from app.errors import GatewayError
from app.web.gate import Ticket
from app.web.gateway import Gateway
from app.web.limits import leave

log = logging.getLogger(__name__)


def over(hub: Gateway, record: dict[str, Any], ticket: Ticket | None, *, answered: bool) -> None:
    """The answer is over. What was not `answered` has come to nothing. Saying so again changes nothing."""
    began = record.pop("began", None)
    if began is None:
        return
    leave(ticket, record, answered=answered)
    seconds = hub.clock.ticks() - began
    record["total_ms"] = int(seconds * 1000)
    hub.meter.over(record, seconds)
    if hub.traces is not None and (trail := record.pop("trail", None)) is not None:
        hub.traces.over(trail, record, seconds)
    hub.log.write(record)


def unread(hub: Gateway, request_id: str, error: GatewayError) -> None:
    """A request that never became one of ours, because it cannot be read, has a line too."""
    hub.meter.begun()
    record = {
        "request": request_id,
        "method": "",
        "path": "",
        "began": hub.clock.ticks(),
        "status": error.status,
        "outcome": error.code,
    }
    over(hub, record, None, answered=False)


class Streamed:
    """A body that goes out piece by piece, with the end of the request tied to its own, however that
    comes. A broken answer breaks the transfer too: only that shows every kind of client that something
    is missing.
    """

    def __init__(
        self,
        hub: Gateway,
        body: Iterator[bytes],
        record: dict[str, Any],
        ticket: Ticket | None = None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._hub = hub
        self._body = body
        self._record = record
        self._ticket = ticket
        self._then = then
        self._is_over = False
        hub.meter.streaming()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except Exception as error:  # noqa: B902  # nobody may take it for a good end
            if not (isinstance(error, GatewayError) and error.breaks):
                self._record["outcome"] = GatewayError.code
                about = {"request_id": self._record["request"]}
                log.error("an answer failed on its way", exc_info=error, extra=about)
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error
        finally:
            self.close()

    def close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        try:
            if close := getattr(self._body, "close", None):
                close()
        finally:
            self._then()
            self._hub.meter.streamed()
            answered = "first_ms" in self._record
            over(self._hub, self._record, self._ticket, answered=answered)
