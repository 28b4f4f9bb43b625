"""Pictures made at once, while the caller waits. Jobs that nobody waits for are another desk's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.access.caller import Caller
from app.canonical.media import ImageJob, Partial, Pictures
from app.clock import Clock
from app.credential import Credential
from app.errors import EmptyReply, NotOffered
from app.services.attempts import until_one_works
from app.services.sources import Sources
from app.spool import Spool
from app.upstream.leash import Leash
from app.upstream.media import Errand, ImageEngine, ReadError
from app.upstream.platform import Platform
from app.upstream.transport import Transport

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class MediaCall:
    """What a caller asks of an engine, apart from the job. `model` is what it calls the model."""

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

    def __init__(self, errands: Errands, sources: Sources) -> None:
        self._errands = errands
        self._sources = sources

    def make(self, platform: Platform, call: MediaCall, job: ImageJob, spool: Spool) -> Pictures:
        """`job` as the engine has `fitted` it."""
        engine = engine_of(platform)
        made = self._run(platform, call, job, spool, lambda errand: engine.make(errand, job))
        if not made.pictures:
            raise EmptyReply("the platform gave an empty answer")
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

        first, rest = self._run(platform, call, job, spool, begin)
        yield first
        yield from rest

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


def engine_of(platform: Platform) -> ImageEngine:
    if platform.images is None:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)
    return platform.images
