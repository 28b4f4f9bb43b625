"""Work that is done again and again beside the calls."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.errors import GatewayError

log = logging.getLogger(__name__)


class Rounds:
    """A round every so many seconds, the first one at once, in a greenlet that ends with its process. What
    cannot be done in one round is done in the next: `trouble` is what the log says of it.
    """

    def __init__(self, seconds: float, work: Callable[[], object], trouble: str) -> None:
        self._seconds = seconds
        self._work = work
        self._trouble = trouble
        self._bell = Event()
        self._ended = False

    def start(self) -> gevent.Greenlet:
        return gevent.spawn(self._run)

    def ring(self) -> None:
        """Something is to be done: the next round begins as soon as it can."""
        self._bell.set()

    def end(self) -> None:
        """The round that runs is the last one."""
        self._ended = True
        self._bell.set()

    def once(self) -> None:
        """A round, whatever becomes of it."""
        try:
            self._work()
        except (GatewayError, OSError) as error:
            log.error(self._trouble, extra={"why": str(error)})
        except (
            Exception
        ) as error:  # noqa: B902  # nobody foresaw it, and it must not be the last round
            log.error(self._trouble, exc_info=error)

    def _run(self) -> None:
        while not self._ended:
            self._bell.clear()  # who rings from here on is heard when the round is over
            self.once()
            self._bell.wait(self._seconds)
