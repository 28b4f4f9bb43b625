"""Making pictures and films at a platform: what an engine is, and what it is given for one attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from app.canonical.events import Trouble
from app.canonical.media import Character, File, ImageJob, Partial, Pictures, Progress, VideoJob
from app.credential import Credential
from app.errors import BadReply, Verbatim
from app.lift import lifted
from app.spool import Pieces, Spool
from app.upstream.leash import Leash
from app.upstream.refusals import refusal
from app.upstream.transport import Answer, Transport

ERROR_BYTES = 1 << 20
TICK_SECONDS = 0.6

ReadError = Callable[[int, Any], Trouble]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One attempt at something. Who brought the credential hears the platform's refusals `verbatim`,
    and is called for once and no more. Files go into `spool`. `part` are the headers that say how
    much of a film is wanted; engines send them along where they fetch one.
    """

    base_url: str
    credential: Credential
    transport: Transport
    spool: Spool
    model: str  # as the caller calls it
    leash: Leash
    seconds: float
    answer_bytes: int
    verbatim: bool
    now: Callable[[], float]
    read_error: ReadError
    part: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return self.credential.token.reveal()

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Pieces | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """The answer of a platform that has accepted; every other is raised as what it means."""
        if body is not None:
            headers = {**headers, "content-type": content_type}
        answer = self.transport.open(
            method,
            url,
            headers,
            body,
            leash=self.leash,
            first_byte_seconds=self.seconds,
            repeat_stale=method == "GET" and not self.verbatim,
        )
        return self.accepted(answer)

    def accepted(self, answer: Answer) -> Answer:
        """The answer again; unless it is a refusal, which is raised as what it means."""
        if 200 <= answer.status < 300:
            return answer
        try:
            if 300 <= answer.status < 400:
                raise BadReply("the platform answered with status {status}", status=answer.status)
            raw = answer.read(ERROR_BYTES, self.seconds)
        finally:
            answer.close()
        if self.verbatim:
            raise Verbatim(answer.status, answer.headers, raw)
        trouble = self.read_error(answer.status, _parsed(raw))
        status = trouble.status or answer.status
        raise refusal(status, answer.headers, trouble, model=self.model, now=self.now())

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Pieces | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """The JSON that the platform answers with; long base64 texts in it are files."""
        answer = self.open(method, url, headers, body, content_type)
        try:
            return lifted(self._arriving(answer), self.spool)
        except ValueError as error:
            raise BadReply("the platform sent an answer that is not JSON") from error
        finally:
            answer.close()

    def save(self, answer: Answer, path: Any) -> int:
        """The body of an answer, in a file; and how long it is."""
        with open(path, "wb") as file:
            return sum(map(file.write, self._arriving(answer)))

    def _arriving(self, answer: Answer) -> Iterator[bytes]:
        size = 0
        while True:
            data = answer.next(self.seconds)
            if data is None:
                continue  # the answer itself knows when it has taken too long
            if not data:
                return
            size += len(data)
            if size > self.answer_bytes:
                raise BadReply("the platform's answer is too large")
            yield data


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        return None


class ImageEngine(Protocol):
    """Makes pictures. `fitted` is the job as the platform will do it, or a `BadRequest` that says
    what it cannot do; nothing has been asked by then. A job `takes` the caller's fields of these names
    as far as the platform hears of them; sides and ratios need not be among them. `varies_with` is the
    model of variations for callers who name none; empty where there are no variations.
    """

    @property
    def read_error(self) -> ReadError: ...

    @property
    def varies_with(self) -> str: ...

    def fitted(self, job: ImageJob) -> ImageJob: ...

    def takes(self, job: ImageJob) -> Set[str]: ...

    def make(self, errand: Errand, job: ImageJob) -> Pictures: ...

    def stream(self, errand: Errand, job: ImageJob) -> Iterator[Partial | Pictures]:
        """Pictures on their way, and at last what `make` gives."""


class VideoEngine(Protocol):
    """Makes films, which takes minutes: a job is begun, looked after and fetched. All three need the
    same credential. `begin` gives the platform's name for the job.
    """

    @property
    def read_error(self) -> ReadError: ...

    def fitted(self, job: VideoJob) -> VideoJob: ...

    def takes(self, job: VideoJob) -> Set[str]: ...

    def begin(self, errand: Errand, job: VideoJob) -> str: ...

    def look(self, errand: Errand, name: str) -> Progress: ...

    def fetch(self, errand: Errand, result: str) -> Answer:
        """The film, to be read piece by piece."""

    def cancel(self, errand: Errand, name: str) -> None:
        """Stops the job where the platform can; otherwise does nothing."""


class StillSource(Protocol):
    """Has pictures of a film that is done, beside it: one for each of its `variants`. `name` is the
    platform's name for the job.
    """

    @property
    def variants(self) -> tuple[str, ...]: ...

    def still(self, errand: Errand, name: str, variant: str) -> Answer:
        """Whatever the platform has for it; only what says that it is a picture is one."""


class CharacterSource(Protocol):
    """Keeps characters that films show again. Only the credential that made one knows it."""

    @property
    def read_error(self) -> ReadError: ...

    def make(self, errand: Errand, film: File, name: str) -> Character: ...

    def find(self, errand: Errand, id: str) -> Character: ...
