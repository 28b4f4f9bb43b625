"""What is done from time to time about all tasks: those that are due are told to the queue, and what
is over for long is cleared away. Any number of processes may do it at once.
"""

from __future__ import annotations

from collections.abc import Callable

from app.clock import Clock
from app.media.job import FOLDER_SECONDS, Folders
from app.media.store import Store
from app.storage.tasks import Tasks

MOST_DUE = 500
PUT_AGAIN_SECONDS = 30.0  # after which a task that nobody took is told to the queue again


class Sweep:
    """`put` tells the queue of a task. Tasks that are over are remembered for so many `seconds`."""

    def __init__(
        self,
        tasks: Tasks,
        folders: Folders,
        store: Store,
        clock: Clock,
        put: Callable[[str], None],
        seconds: float,
    ) -> None:
        self._tasks = tasks
        self._folders = folders
        self._store = store
        self._clock = clock
        self._put = put
        self._seconds = seconds

    def put_due(self) -> int:
        """Also what a worker dropped, and what is past its deadline: the next step ends it."""
        names = self._tasks.due(self._clock.now(), MOST_DUE, PUT_AGAIN_SECONDS)
        for name in names:
            self._put(name)
        return len(names)

    def tidy(self) -> None:
        """Results whose time is up, rows of long ago, and folders that nobody needs any more."""
        now = self._clock.now()
        self._store.sweep(now)
        self._tasks.forget(now - self._seconds)
        old = list(self._folders.older(now - FOLDER_SECONDS))
        for at in range(0, len(old), MOST_DUE):
            for name in self._tasks.unknown(old[at : at + MOST_DUE]):
                self._folders.remove(name)
