"""What every step of a task needs: a credential, an errand, a place for files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from app.access.caller import Caller
from app.canonical.media import File
from app.clock import Clock
from app.credential import Credential
from app.errors import CallerGone, GatewayError, NoAccess, OutOfFiles, UpstreamError
from app.media.job import Folders
from app.media.store import Store
from app.services.hand import Hand
from app.services.sources import Lent, Sources
from app.spool import Spool
from app.storage.licences import Licence
from app.storage.media import Kept
from app.storage.tasks import Task, Tasks
from app.upstream.media import Errand, ReadError
from app.upstream.transport import Transport

log = logging.getLogger(__name__)

OPEN = "open"  # what callers without a licence are called
KEEP_TIMES = 6
KEEP_GAPS = (1.0, 3.0, 10.0, 30.0, 60.0)  # seconds between them
KEEP_SECONDS = 600.0  # what is made has so long to be fetched and kept, whatever its deadline was

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a platform, in seconds: to make something, and to say how far it is; and
    how long it is left alone before it is first asked how far.
    """

    make: float = 600.0
    look: float = 60.0
    first_look: float = 3.0


@dataclass(frozen=True, slots=True)
class Asking(Generic[T]):
    """`ask` asks the platform to take a job, and `take` is given what it says. `doubt` hears of what
    may have been taken all the same, which is never asked for again (R-081).
    """

    ask: Callable[[Credential], T]
    take: Callable[[T], None]
    doubt: Callable[[GatewayError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """`licence` finds the one of a name."""

    tasks: Tasks
    folders: Folders
    store: Store
    sources: Sources
    transport: Transport
    base_urls: Mapping[str, str]
    licence: Callable[[str], Licence | None]
    clock: Clock
    attempts: int
    answer_bytes: int
    patience: Patience = Patience()

    def pinned(self, task: Task) -> Credential | None:
        """The credential that the task was begun with: nobody else's knows of it (C-209)."""
        return self.sources.pool.credential(task.engine, task.credential)

    @contextmanager
    def errand(
        self, hand: Hand, credential: Credential, read_error: ReadError, seconds: float
    ) -> Iterator[Errand]:
        """What one attempt is given. Its files are gone afterwards."""
        with Spool(self.folders.make(hand.task.id)) as spool:
            yield self.errand_with(spool, hand, credential, read_error, seconds)

    def errand_with(
        self,
        spool: Spool,
        hand: Hand,
        credential: Credential,
        read_error: ReadError,
        seconds: float,
    ) -> Errand:
        task = hand.task
        return Errand(
            base_url=credential.base_url or self.base_urls[task.engine],
            credential=credential,
            transport=self.transport.through(credential.proxy.reveal()),
            spool=spool,
            model=task.model,
            leash=hand.leash,
            seconds=seconds,
            answer_bytes=self.answer_bytes,
            verbatim=False,
            now=self.clock.now,
            read_error=read_error,
        )

    def until_taken(self, hand: Hand, asking: Asking[T]) -> None:
        """Asks with one credential after the other until the platform takes the job. That it is going
        to be asked is saved first, and that it refused is saved before another is tried.
        """
        task, last = hand.task, None
        try:
            source = self.sources.for_call(
                self._caller(task),
                task.engine,
                self.attempts,
                model=task.job["model"],
                groups=task.groups,
            )
        except GatewayError as error:
            return hand.fail(error)
        for lent in source.candidates():
            try:
                began = self.clock.now()
                hand.move("submitting", credential=lent.credential.id, started_at=began)
                if hand.task.cancelling:
                    return hand.cancelled()
                last = _asked(hand, lent, asking)
            finally:
                lent.give_back()
            if last is None:
                return
        hand.postpone(source.ended(last))

    def _caller(self, task: Task) -> Caller:
        if task.owner == OPEN:
            return Caller(None)
        licence = self.licence(task.owner)
        if licence is None or not licence.is_live(self.clock.now()):
            raise NoAccess("the licence has expired or was revoked")
        return Caller(licence)

    def keep(self, hand: Hand, file: File) -> Kept:
        task = hand.task
        return self.store.keep(file, owner=task.owner, platform=task.platform, task=task.id)

    def keep_again(self, hand: Hand, error: GatewayError) -> None:
        """Later, unless that has been tried often enough."""
        misses = hand.task.misses + 1
        if misses >= KEEP_TIMES or hand.is_overdue:
            return hand.fail(error)
        hand.again(KEEP_GAPS[misses - 1], misses=misses, code=error.code, message=str(error))

    def drop(self, kept: Kept) -> None:
        """For what was kept to no avail. If that fails, its time comes all the same."""
        try:
            self.store.remove(kept)
        except GatewayError as error:
            log.warning("a file could not be removed", extra={"why": str(error)})

    def folder(self, task: Task) -> Path:
        return self.folders.make(task.id)


def _asked(hand: Hand, lent: Lent, asking: Asking[T]) -> UpstreamError | None:
    """Why another credential may be tried; None where none is to be."""
    try:
        given = asking.ask(lent.credential)
    except UpstreamError as error:
        lent.failed(error)
        if error.may_be_done:
            asking.doubt(error)
        elif error.verdict == "stop":
            hand.fail(error)
        else:
            hand.move("queued", credential="")
            return error
    except CallerGone as error:
        asking.doubt(error)
    except OutOfFiles as error:
        hand.move("queued", credential="")
        hand.postpone(error)
    except GatewayError as error:
        hand.fail(error)
    else:
        lent.accepted()
        lent.give_back()
        asking.take(given)
    return None


def shown(kept: Kept) -> dict[str, Any]:
    """What a task's row says of a result."""
    return {"id": kept.id, "media_type": kept.media_type, "size": kept.size}
