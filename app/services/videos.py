"""Films: begun while the caller waits, so that a refusal is one, and looked after by the worker from
then on.

A row is kept before the platform is asked, and the platform's name for the job before anything else
is done with it: so nothing is lost and nothing is sent twice, whenever the process dies. Who brought
a token has it kept nowhere: such a film is looked after whenever its owner asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from app.access.caller import Caller
from app.canonical.endings import UNKNOWN
from app.canonical.media import File, Progress, VideoJob
from app.canonical.task import State
from app.clock import Clock
from app.credential import Credential
from app.errors import (
    GatewayError,
    ModelNotFound,
    NotFound,
    NotOffered,
    outcome_of,
)
from app.ledger.ledger import Entry, Ledger, Purchase
from app.ledger.units import film_units
from app.media.job import Folders, written
from app.media.task import length_of, size_of
from app.services.attempts import until_one_works
from app.services.films import still_of
from app.services.images import Errands, MediaCall
from app.services.sources import Brought, Pinned, Source, Sources
from app.spool import Spool
from app.storage.tasks import BROUGHT, Task, Tasks, new_id
from app.upstream.answer import Answering
from app.upstream.media import Errand, VideoEngine
from app.upstream.platform import Platform

log = logging.getLogger(__name__)

LEASE_SECONDS = 900.0  # longer than any platform takes to accept


@dataclass(frozen=True, slots=True)
class Order:
    """A film that is wanted. It is seen under `platform` and made by `maker`, which are mostly the
    same; one that is made of another comes from the same credential.
    """

    platform: Platform
    maker: Platform
    job: VideoJob
    of: Task | None = None
    webhook: str = ""


class VideoDesk:
    """Takes orders for films."""

    def __init__(
        self,
        tasks: Tasks,
        folders: Folders,
        errands: Errands,
        sources: Sources,
        ledger: Ledger,
        queue: Callable[[str], None],
        clock: Clock,
        job_seconds: float,
        first_look: float,
    ) -> None:
        self._tasks = tasks
        self._folders = folders
        self._errands = errands
        self._sources = sources
        self._ledger = ledger
        self._queue = queue
        self._clock = clock
        self._job_seconds = job_seconds
        self._first_look = first_look

    def begin(self, call: MediaCall, order: Order, spool: Spool) -> Task:
        """The task, as soon as the platform has taken the job. `order.job` is as the engine has
        `fitted` it.
        """
        source = self._source(call, order)
        entry = self._ledger.open(_purchase(call, order))
        try:
            task = self._added(call, order, entry)
        except BaseException as error:
            entry.end(call.record, None, outcome_of(error))
            raise
        try:
            held = self._submitted(call, order, task, source, spool)
        except BaseException as error:
            self._give_up(task, error)
            raise
        if held.credential != BROUGHT:
            self._queue(held.id)
        return held

    def look(self, task: Task, platform: Platform, caller: Caller, spool: Spool) -> Task:
        """The task as it stands. One whose token only the caller has is asked after now."""
        if task.credential != BROUGHT or task.is_over or caller.brought is None:
            return task
        now = self._clock.now()
        held = self._tasks.lease(task.id, now, LEASE_SECONDS, early=True)
        if held is None:
            return self._tasks.find(task.id) or task
        try:
            found = engine_of(platform).look(self._errand(platform, caller, spool), held.upstream)
        except BaseException:
            self._tasks.move(held, held.state, self._clock.now(), lease_until=0.0)
            raise
        return self._noted(held, found)

    def fetch(
        self,
        task: Task,
        platform: Platform,
        caller: Caller,
        spool: Spool,
        part: Mapping[str, str] = MappingProxyType({}),
    ) -> Answering:
        """The film of a caller who brought the token, straight from the platform; or the part of it
        that these headers want, where the platform gives parts.
        """
        errand = replace(self._errand(platform, caller, spool), part=part)
        return engine_of(platform).fetch(errand, str(task.result["result"]))

    def fetch_still(
        self, task: Task, platform: Platform, caller: Caller, spool: Spool, variant: str
    ) -> File | None:
        """The same for a picture of it; None where the platform has no such picture."""
        source = platform.stills
        if source is None or variant not in source.variants:
            return None
        errand = self._errand(platform, caller, spool)
        return still_of(source.still(errand, task.upstream, variant), errand)

    def stop(self, task: Task, platform: Platform, caller: Caller, spool: Spool) -> None:
        """Stops the film of a caller who brought the token, where the platform can: nobody else has the
        token. It is not wanted any more, whatever the platform says to that.
        """
        if task.credential != BROUGHT or task.state != "running" or caller.brought is None:
            return
        try:
            engine_of(platform).cancel(self._errand(platform, caller, spool), task.upstream)
        except GatewayError as error:
            log.warning("a platform's job could not be stopped", extra={"why": str(error)})

    # ------------------------------------------------------------ the pieces

    def _source(self, call: MediaCall, order: Order) -> Source:
        if order.of is None or call.caller.brought is not None:
            return self._sources.for_call(
                call.caller,
                order.maker.name,
                call.attempts + 1,
                model=order.job.model,
                groups=call.groups,
                session=call.session,
            )
        credential = self._sources.pool.credential(order.maker.name, order.of.credential)
        if credential is None:
            raise NotFound("the film can no longer be changed: the key that made it is gone")
        return Pinned(credential)

    def _added(self, call: MediaCall, order: Order, entry: Entry) -> Task:
        now, name = self._clock.now(), new_id("video")
        job = order.job
        brought = call.caller.brought is not None
        # A film of ours is sent along once; the worker has no use for it.
        kept = replace(_as_it_will_be(job, order), references=())
        task = Task(
            id=name,
            kind="video",
            platform=order.platform.name,
            engine=order.maker.name,
            owner=call.caller.name,
            model=call.model,
            created_at=now,
            deadline=now + self._job_seconds,
            shape=job.shape,
            job=written(kept, self._folders.of(name)),
            credential=BROUGHT if brought else "",
            source=order.of.id if order.of else "",
            webhook=order.webhook,
            groups=call.groups,
            ledger=entry.id,
        )
        self._tasks.add(task)
        entry.hand_over()
        held = self._tasks.lease(name, self._clock.now(), LEASE_SECONDS, early=True)
        if held is None:
            raise GatewayError()  # nobody else knows of it yet
        return held

    def _submitted(
        self, call: MediaCall, order: Order, task: Task, source: Source, spool: Spool
    ) -> Task:
        engine = engine_of(order.maker)
        brought = call.caller.brought is not None
        held = task

        def attempt(credential: Credential) -> str:
            nonlocal held
            name = BROUGHT if brought else credential.id
            held = self._moved(held, "submitting", credential=name)
            errand = self._errands.errand(
                order.maker,
                credential,
                spool,
                engine.read_error,
                model=call.model,
                leash=call.leash,
                brought=brought,
            )
            return engine.begin(errand, order.job)

        upstream, _ = until_one_works(source, call.record, attempt)
        now = self._clock.now()
        due_at = held.deadline if brought else now + self._first_look
        taken = self._tasks.submitted(held, upstream, now=now, due_at=due_at, lease_until=0.0)
        if taken is None:
            raise GatewayError()  # the lease is far longer than this takes
        return taken

    def _moved(self, held: Task, state: State, **changes: object) -> Task:
        moved = self._tasks.move(held, state, self._clock.now(), **changes)
        if moved is None:
            raise GatewayError()  # the lease is far longer than this takes
        return moved

    def _give_up(self, task: Task, error: BaseException) -> None:
        """The caller hears of it now, so there is nothing to look up; only the operator sees a job of
        which nobody knows whether the platform has taken it.
        """
        now = self._clock.now()
        held = self._tasks.find(task.id)
        if held is None or held.is_over:
            return
        unknown = held.state == "submitting" and not _is_refusal(error)
        code = error.code if isinstance(error, GatewayError) else "internal_error"
        self._tasks.move(held, "lost" if unknown else "failed", now, code=code, message=str(error))
        self._tasks.remove(task.id, now)

    def _errand(self, platform: Platform, caller: Caller, spool: Spool) -> Errand:
        source = self._sources.for_call(caller, platform.name, 1)
        assert isinstance(source, Brought)
        engine = engine_of(platform)
        return self._errands.errand(
            platform, source.credential, spool, engine.read_error, brought=True
        )

    def _noted(self, held: Task, found: Progress) -> Task:
        """What the platform said, in the row."""
        now, looks = self._clock.now(), held.looks + 1
        match found.state:
            case "done":
                stored = self._moved(held, "storing", progress=99, looks=looks)
                result = {"result": found.result, "seconds": found.seconds, "size": found.size}
                moved = self._tasks.move(stored, "completed", now, result=result)
            case "failed":
                words = {"code": found.code, "message": found.message}
                moved = self._tasks.move(held, "failed", now, looks=looks, **words)
            case "gone":
                words = {"code": "video_not_found", "message": UNKNOWN}
                moved = self._tasks.move(held, "failed", now, **words)
            case _:
                changes = {"progress": found.percent, "lease_until": 0.0, "looks": looks}
                moved = self._tasks.move(held, held.state, now, **changes)
        return moved or self._tasks.find(held.id) or held


def _purchase(call: MediaCall, order: Order) -> Purchase:
    job = _as_it_will_be(order.job, order)
    return Purchase(
        id=call.id,
        caller=call.caller,
        platform=order.platform.name,
        maker=order.maker.name,
        kind="video",
        model=job.model,
        asked=call.model,
        spoken="openai_videos",
        units=film_units(job.seconds, {"size": job.size, "resolution": job.resolution}),
    )


def _as_it_will_be(job: VideoJob, order: Order) -> VideoJob:
    """What is told of the film until the platform says otherwise: one that is made of another is as
    long and as large.
    """
    of = order.of
    if job.shape == "create":
        return replace(job, size=job.size or order.maker.catalogue.facts(job.model).usual_size)
    if of is None or job.shape == "extend":
        return job
    return replace(job, seconds=job.seconds or length_of(of), size=job.size or size_of(of))


def _is_refusal(error: BaseException) -> bool:
    """Whether the platform has certainly not taken the job (R-081)."""
    return isinstance(error, GatewayError) and not error.may_be_done


def engine_of(platform: Platform) -> VideoEngine:
    if platform.videos is None:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)
    return platform.videos


def maker_of(
    platforms: Mapping[str, Platform], platform: Platform, model: str
) -> tuple[Platform, str]:
    """Who makes the films of this platform, and what it calls the model: the operator may have chosen
    another's engine, which stands in for the platform's own models and for no others.
    """
    catalogue = platform.catalogue
    if not platform.engine or catalogue.facts(model).makes != "video":
        return platform, model
    other = platforms[platform.engine]
    if other.catalogue.facts(model).makes == "video":
        return other, model
    if not catalogue.names.knows(model):
        raise ModelNotFound("there is no model {model} here", param="model", model=model[:200])
    return other, usual_film(other)


def usual_film(platform: Platform) -> str:
    """The model for films of who names none."""
    catalogue = platform.catalogue
    films = (one.id for one in catalogue.models if catalogue.facts(one.id).makes == "video")
    if (found := next(films, None)) is None:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)
    return found


def as_promised(job: VideoJob, platform: Platform, model: str) -> VideoJob:
    """A job for `model` of this platform, wherever it is made: as long as the model's own films are
    where nobody says how long.
    """
    if job.shape != "create" or job.seconds:
        return job
    return replace(job, seconds=platform.catalogue.facts(model).usual_length)
