"""Pictures made at once, while the caller waits. Jobs that nobody waits for are another desk's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

from app.access.caller import Caller
from app.canonical.media import ImageJob, Partial, Pictures
from app.clock import Clock
from app.credential import Credential
from app.errors import EmptyReply, NotOffered, outcome_of
from app.ledger.ledger import Entry, Ledger, Purchase, counted_usage
from app.ledger.units import picture_units
from app.services.attempts import until_one_works
from app.services.meter import estimated
from app.services.sources import Sources
from app.spool import Spool
from app.upstream.leash import Leash
from app.upstream.media import Errand, ImageEngine, ReadError
from app.upstream.platform import Platform
from app.upstream.transport import Transport

T = TypeVar("T")
PICTURE_TOKENS = 16384  # that one picture may come to, where pictures are counted so


@dataclass(slots=True, kw_only=True)
class MediaCall:
    """What a caller asks of an engine, apart from the job. `id` is the request's, `model` what the caller
    calls the model.
    """

    id: str
    caller: Caller
    model: str
    attempts: int
    groups: tuple[str, ...] = ()
    session: str = ""
    leash: Leash = field(default_factory=Leash)
    record: dict[str, Any] = field(default_factory=dict)


class Errands:
    """Makes ready what an engine needs for one attempt; one per process."""

    def __init__(
        self,
        transport: Transport,
        base_urls: Mapping[str, str],
        clock: Clock,
        seconds: float,
        answer_bytes: int,
    ) -> None:
        self._transport = transport
        self._base_urls = base_urls
        self._clock = clock
        self._seconds = seconds
        self._answer_bytes = answer_bytes

    def errand(
        self,
        platform: Platform,
        credential: Credential,
        spool: Spool,
        read_error: ReadError,
        *,
        model: str = "",
        leash: Leash | None = None,
        brought: bool = False,
    ) -> Errand:
        return Errand(
            base_url=credential.base_url or self._base_urls[platform.name],
            credential=credential,
            transport=self._transport.through(credential.proxy.reveal()),
            spool=spool,
            model=model,
            leash=leash or Leash(),
            seconds=self._seconds,
            answer_bytes=self._answer_bytes,
            verbatim=brought,
            now=self._clock.now,
            read_error=read_error,
        )


class ImageDesk:
    """Has pictures made by whichever credential can."""

    def __init__(self, errands: Errands, sources: Sources, ledger: Ledger) -> None:
        self._errands = errands
        self._sources = sources
        self._ledger = ledger

    def make(self, platform: Platform, call: MediaCall, job: ImageJob, spool: Spool) -> Pictures:
        """`job` as the engine has `fitted` it."""
        engine = engine_of(platform)
        with self._booked(platform, call, job) as entry:
            made = self._run(platform, call, job, spool, lambda errand: engine.make(errand, job))
            if not made.pictures:
                raise EmptyReply("the platform gave an empty answer")
            _charge(entry, call, job, made)
        return made

    def stream(
        self, platform: Platform, call: MediaCall, job: ImageJob, spool: Spool
    ) -> Iterator[Partial | Pictures]:
        """Pictures on their way, then all that was made. The first of them decides which credential
        it is.
        """
        engine = engine_of(platform)

        def begin(errand: Errand) -> tuple[Partial | Pictures, Iterator[Partial | Pictures]]:
            found = engine.stream(errand, job)
            return next(found), found

        with self._booked(platform, call, job, stream=True) as entry:
            first, rest = self._run(platform, call, job, spool, begin)
            for one in chain((first,), rest):
                if isinstance(one, Pictures):
                    _charge(entry, call, job, one)
                yield one

    def book(
        self, platform: Platform, call: MediaCall, job: ImageJob, *, stream: bool = False
    ) -> Entry:
        """The row of the ledger for pictures that are about to be asked for."""
        return self._ledger.open(
            Purchase(
                id=call.id,
                caller=call.caller,
                platform=platform.name,
                kind="image",
                model=job.model,
                asked=call.model,
                spoken="openai_images",
                stream=stream,
                input=estimated(len(job.prompt.encode()), 0).input,
                output=PICTURE_TOKENS * job.count,
                units=picture_units(job.count, _look(job)),
            )
        )

    @contextmanager
    def _booked(
        self, platform: Platform, call: MediaCall, job: ImageJob, *, stream: bool = False
    ) -> Iterator[Entry]:
        """The same, closed when the block is left. What was made and not charged has cost nothing."""
        entry = self.book(platform, call, job, stream=stream)
        try:
            yield entry
        except BaseException as error:
            entry.end(call.record, None, outcome_of(error))
            raise
        entry.end(call.record, None, EmptyReply.code)

    def _run(
        self,
        platform: Platform,
        call: MediaCall,
        job: ImageJob,
        spool: Spool,
        use: Callable[[Errand], T],
    ) -> T:
        source = self._sources.for_call(
            call.caller,
            platform.name,
            call.attempts + 1,
            model=job.model,
            groups=call.groups,
            session=call.session,
        )
        read_error = engine_of(platform).read_error
        brought = call.caller.brought is not None

        def attempt(credential: Credential) -> T:
            return use(
                self._errands.errand(
                    platform,
                    credential,
                    spool,
                    read_error,
                    model=call.model,
                    leash=call.leash,
                    brought=brought,
                )
            )

        return until_one_works(source, call.record, attempt)[0]


def _charge(entry: Entry, call: MediaCall, job: ImageJob, made: Pictures) -> None:
    usage = counted_usage(made.usage)
    call.record["usage"] = usage
    look = _look(job) | ({"size": made.size} if made.size else {})
    entry.charge(call.record, usage, picture_units(len(made.pictures), look))


def _look(job: ImageJob) -> dict[str, str]:
    """What prices of pictures go by."""
    return {"quality": job.quality, "size": job.size, "resolution": job.resolution}


def engine_of(platform: Platform) -> ImageEngine:
    if platform.images is None:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)
    return platform.images
