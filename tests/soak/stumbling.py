"""A gunicorn worker in which calls fail by faults of ours: an error that nobody has thought of is raised
where the platform is to be asked, or in the middle of a stream. One in so many does.

Nothing of this is in `app`: gunicorn is told by GUNICORN_CMD_ARGS to take this class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from app.services.chat import ChatRelay, Exchange
from app.web.worker import LeanWorker

SETTING = "--worker-class tests.soak.stumbling.StumblingWorker"
EVERY = 7
_calls = count(1)


class Stumbled(Exception):
    """What nobody catches by its name."""


def _stumbles() -> bool:
    return next(_calls) % EVERY == 0


def stumble() -> None:
    open_, stream = ChatRelay.open, Exchange.stream

    def opened(*words: Any, **more: Any) -> Any:
        if _stumbles():
            raise Stumbled
        return open_(*words, **more)

    def streamed(exchange: Exchange) -> Any:
        relayed = stream(exchange)
        assert not isinstance(relayed.body, bytes)
        return replace(relayed, body=_broken(relayed.body) if _stumbles() else relayed.body)

    ChatRelay.open = opened  # type: ignore[method-assign]
    Exchange.stream = streamed  # type: ignore[method-assign]


def _broken(body: Iterator[bytes]) -> Iterator[bytes]:
    yield next(body)
    raise Stumbled


class StumblingWorker(LeanWorker):
    """gunicorn's worker, whose process is the only one that changes."""

    def init_process(self) -> None:
        stumble()
        super().init_process()
