"""A gateway and a worker in the background that die of signal 9 at named points of a call.

Nothing of this is in `app`: gunicorn is told by GUNICORN_CMD_ARGS to take a worker class of the tests,
and `python -m tests.soak.mortal` is `tokens worker`. Where a note with a point's name lies in the
folder, who gets to that point takes the note away and dies; without notes they live like any other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import app.storage.ledger  # noqa: E402
from app.ledger.ledger import Entry, Ledger  # noqa: E402
from app.services import media_work  # noqa: E402
from app.services.chat import ChatRelay, Exchange  # noqa: E402
from app.storage.ledger import LedgerTable  # noqa: E402
from app.storage.tasks import Tasks  # noqa: E402
from app.web.worker import LeanWorker  # noqa: E402

FOLDER = "MORTAL_FOLDER"
MIDDLE = 5  # pieces that are told before it is the middle
LEASE_SECONDS = 0.5  # until the next worker goes on with a dead one's film


@dataclass(frozen=True, slots=True)
class Point:
    """Before or after a function, if `when` it is called like this."""

    of: Any
    name: str
    after: bool
    when: Callable[..., bool] = lambda *words, **named: True


def _closes(_: Any, openings: Any, closings: Any) -> bool:
    return bool(closings)


def _is_over(_: Any, task: Any, state: str, *words: Any, **named: Any) -> bool:
    return state == "completed"


POINTS = {
    "before the row is opened": Point(Ledger, "open", False),
    "the row is open": Point(Ledger, "open", True),
    "before the platform is asked": Point(ChatRelay, "open", False),
    "the platform has accepted": Point(ChatRelay, "open", True),
    "the platform has counted": Point(Entry, "charge", False),
    "the end is written but not committed": Point(app.storage.ledger, "_close", True),
    "the end is committed but nobody knows": Point(LedgerTable, "write", True, _closes),
    "the end is known but not told": Point(Entry, "charge", True),
    "a film's end is written but not committed": Point(Ledger, "settle", True),
    "a film's end is committed but nobody knows": Point(Tasks, "move", True, _is_over),
}
FIRST, MIDST, LAST = (
    "the first words are told",
    "in the middle of the words",
    "the end is told",
)


def die(point: str) -> None:
    """The end of this process, if there is a note that says so; the next one lives on."""
    try:
        os.unlink(Path(os.environ[FOLDER]) / point)
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _mortal(name: str, point: Point) -> None:
    call = getattr(point.of, point.name)

    def met(*words: Any, **named: Any) -> Any:
        if not point.after and point.when(*words, **named):
            die(name)
        done = call(*words, **named)
        if point.after and point.when(*words, **named):
            die(name)
        return done

    setattr(point.of, point.name, met)


def make_mortal() -> None:
    for name, point in POINTS.items():
        _mortal(name, point)
    stream = Exchange.stream

    def told(exchange: Exchange) -> Any:
        relayed = stream(exchange)
        assert not isinstance(relayed.body, bytes)
        return replace(relayed, body=_counted(relayed.body))

    Exchange.stream = told  # type: ignore[method-assign]


def _counted(body: Iterator[bytes]) -> Iterator[bytes]:
    """Whoever asks for the next piece has sent the one before."""
    for number, piece in enumerate(body, 1):
        yield piece
        if number == 1:
            die(FIRST)
        if number == MIDDLE:
            die(MIDST)


class MortalWorker(LeanWorker):
    """gunicorn's worker, whose process is the only one that changes."""

    def init_process(self) -> None:
        make_mortal()
        super().init_process()

    def handle_request(self, *words: Any) -> None:
        super().handle_request(*words)
        die(LAST)


if __name__ == "__main__":
    import app.worker

    make_mortal()
    media_work.LEASE_SECONDS = LEASE_SECONDS
    sys.exit(app.worker.main())
