"""One task in the hands of one worker, for one step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from app.canonical.endings import CANCELLED, LOST, TIMEOUT
from app.canonical.task import State
from app.clock import Clock
from app.errors import GatewayError, TimedOut
from app.media.job import Folders
from app.storage.database import DatabaseTrouble
from app.storage.tasks import Task, Tasks
from app.upstream.leash import Leash

log = logging.getLogger(__name__)

SAVE_PAUSES = (0.1, 0.5, 2.0, 5.0)  # seconds; all of them are over before the lease is
LONGEST_WAIT = 300.0  # seconds that a platform may ask us to wait


class Taken(Exception):
    """Somebody else has the task by now: nothing that is done to it here counts any more."""


class Hand:
    """`task` is how it stands. Pulling the `leash` ends whatever is being waited for."""

    def __init__(self, tasks: Tasks, folders: Folders, clock: Clock, task: Task) -> None:
        self._tasks = tasks
        self._folders = folders
        self._clock = clock
        self.task = task
        self.leash = Leash()

    @property
    def is_overdue(self) -> bool:
        return self._clock.now() >= self.task.deadline

    def move(self, to: State, **changes: Any) -> None:
        """Raises `Taken` where that is not for us to do any more."""
        self._take_in(self._tasks.move(self.task, to, self._clock.now(), **changes))

    def save(self, move: Callable[[float], Task | None]) -> None:
        """As `move`, for what must not be forgotten: the platform has been at work."""
        for pause in SAVE_PAUSES:
            try:
                return self._take_in(move(self._clock.now()))
            except DatabaseTrouble as trouble:
                log.warning("a task cannot be saved just now", extra=self.about(why=str(trouble)))
                self._clock.sleep(pause)
        self._take_in(move(self._clock.now()))

    def again(self, seconds: float, **changes: Any) -> None:
        """Lets go of it until later, but not for longer than it may take."""
        due_at = min(self._clock.now() + min(seconds, LONGEST_WAIT), self.task.deadline)
        self.move(self.task.state, due_at=due_at, lease_until=0.0, **changes)

    def end(self, to: State, **changes: Any) -> None:
        self.move(to, **changes)
        self._folders.remove(self.task.id)
        level = logging.ERROR if to == "lost" else logging.INFO
        log.log(level, "a task is over", extra=self.about(state=to, code=self.task.code))

    def fail(self, error: GatewayError) -> None:
        self.end("failed", code=error.code, message=str(error))

    def lose(self, error: GatewayError | None = None) -> None:
        """It is not known whether the platform took it, so it is not asked again."""
        code, message = (error.code, str(error)) if error else ("task_lost", LOST)
        self.end("lost", code=code, message=message)

    def time_out(self) -> None:
        self.end("failed", code="timeout", message=self.task.message or TIMEOUT)

    def cancelled(self) -> None:
        self.end("cancelled", code="cancelled", message=CANCELLED)

    def postpone(self, error: GatewayError) -> None:
        """Tries again when the platform may be asked again, if it said when."""
        wait = error.retry_after
        if wait is None or isinstance(error, TimedOut):
            return self.fail(error)
        if self._clock.now() + wait >= self.task.deadline:
            return self.fail(error)
        self.again(max(wait, 1.0), code=error.code, message=str(error))

    def about(self, **more: Any) -> dict[str, Any]:
        """What a log line says of it."""
        task = self.task
        return {
            "task": task.id,
            "platform": task.engine,
            "credential": task.credential,
            "upstream": task.upstream,
            **more,
        }

    def _take_in(self, task: Task | None) -> None:
        if task is None:
            raise Taken(self.task.id)
        self.task = task
