"""One run of an agent, followed to its end whatever becomes of the connection.

A stream that breaks is taken up again after the last event that came; where it cannot be, the run
is looked at now and then, and what had not been told of its result is told. Whoever reads this
reads events of our own: `started`, `thinking`, `assistant` and, at last, `end`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import gevent
import orjson

from app.errors import (
    BadReply,
    BrokenTransfer,
    GatewayError,
    OutOfFiles,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from app.platforms.cursor_desk import Desk, Json, Told
from app.upstream.answer import Answering
from app.wire.sse import frame

log = logging.getLogger(__name__)

RECONNECTS = 5
FIRST_PAUSE = 0.25  # seconds before a stream is taken up again; then twice as long each time
FIRST_LOOK, LAST_LOOK = 2.0, 5.0  # seconds between two looks at a run
ENDED = frozenset({"FINISHED", "ERROR", "CANCELLED", "EXPIRED"})
CANNOT_STREAM = frozenset({"stream_expired", "stream_unavailable"})
SIGN_OF_LIFE = b":\n\n"
WAIT = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run is found."""

    agent: str
    id: str
    url: str = ""

    @property
    def path(self) -> str:
        return f"/agents/{self.agent}/runs/{self.id}"


@dataclass(slots=True)
class Spoken:
    """What the run has said so far. `stretch` is the text since the agent last did something."""

    text: str = ""
    thought: str = ""
    stretch: str = ""
    parted: bool = False

    def more(self, text: str) -> str:
        """The text as the caller gets it: stretches are a blank line apart."""
        if self.parted and self.text and text:
            text, self.stretch = f"\n\n{text.lstrip()}", ""
        if text:
            self.parted = False
        self.text += text
        self.stretch += text
        return text

    def missing(self, final: str) -> str:
        """What of the run's result has not been said yet."""
        if not final or self.text.endswith(final):
            return ""
        for said in (self.stretch.lstrip(), self.text):
            if final.startswith(said):
                return final[len(said) :]
        self.parted = True  # another stretch, of which nothing has been heard
        return final


class Following:
    """The run as an answer that can be read. `metered` says what it cost; `finished` is told what
    was said, once all is.
    """

    def __init__(
        self,
        desk: Desk,
        run: Run,
        metered: Callable[[Run], Json | None],
        finished: Callable[[Run, str], None],
    ) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {
            "x-tokens-agent": run.agent,
            "x-tokens-agent-url": run.url,
            "x-tokens-run": run.id,
        }
        self._desk = desk
        self._run = run
        self._finished = finished
        self._metered = metered
        self._spoken = Spoken()
        self._out: list[bytes] = []
        self._started = False
        self._end: Json | None = None
        self._stream: Answering | None = None
        self._frames = Numbered()
        self._last = ""  # the id of the last event that came
        self._seen: dict[bytes, str] = {}  # the last id of each kind of event
        self._losses = 0
        self._looks = 0
        self._looking = False
        self._due = 0.0

    # ------------------------------------------------------------ being read

    def next(self, seconds: float) -> bytes | None:
        if not self._out and self._end is None:
            self._go_on(seconds)
        if self._out:
            out, self._out = b"".join(self._out), []
            if not self._started and out != SIGN_OF_LIFE:  # with words, so that errors can be first
                self._started = True
                out = _event("started", {"id": self._run.id}) + out
            return out
        return b"" if self._end is not None else None

    def read(self, limit: int, seconds: float) -> bytes:
        """The end of the run with all that was said, as JSON."""
        until = time.monotonic() + seconds
        while self._end is None:
            if time.monotonic() > until:
                raise TimedOut("the platform took too long to answer")
            self._go_on(WAIT)
        spoken = self._spoken
        told = {"text": spoken.text, "thinking": spoken.thought}
        return orjson.dumps(told | self._end)

    def close(self) -> None:
        """Lets go. A run nobody waits for any more is cancelled: it costs money."""
        self._hang_up()
        if self._end is None:
            self._end = {}
            gevent.spawn(cancel, self._desk, self._run)

    # ------------------------------------------------------------ following

    def _go_on(self, seconds: float) -> None:
        """One step, of about so many seconds at most."""
        if self._desk.leash.pulled:
            raise self._desk.leash.end()
        if (left := self._due - time.monotonic()) > 0:
            gevent.sleep(min(seconds, left))
        elif self._looking:
            self._look()
        else:
            self._listen(seconds)

    def _listen(self, seconds: float) -> None:
        try:
            if self._stream is None:
                self._connect()
                return
            data = self._stream.next(seconds)
        except (BrokenTransfer, Unreachable, OutOfFiles):
            self._lost()
            return
        if data == b"":
            self._lost()
        elif data:
            self._hear(data)

    def _connect(self) -> None:
        stream = self._desk.listen(f"{self._run.path}/stream", self._last)
        if stream.status == 200:
            self._stream, self._frames = stream, Numbered()
            return
        stream.close()
        self._look_instead()

    def _lost(self) -> None:
        """The stream broke off before it told the end."""
        self._hang_up()
        self._losses += 1
        if self._losses > RECONNECTS:
            self._look_instead()
        elif self._losses > 1:
            self._due = time.monotonic() + FIRST_PAUSE * 2.0 ** (self._losses - 2)

    def _look_instead(self) -> None:
        self._looking, self._due = True, 0.0

    def _look(self) -> None:
        """How the run stands; and if it is over, what was missed of it."""
        told = self._desk.ask("GET", self._run.path)
        if told.status != 200:
            raise UpstreamError("the platform answered with status {status}", status=told.status)
        run = told.json
        if run.get("status") in ENDED:
            self._over({**run, "text": run.get("result")})
            return
        self._looks += 1
        self._due = time.monotonic() + min(LAST_LOOK, FIRST_LOOK + self._looks / 2)
        self._out.append(SIGN_OF_LIFE)

    def _hear(self, data: bytes) -> None:
        heard = len(self._out)
        for mark, name, body in self._frames.feed(data):
            if mark:
                if self._seen.get(name) == mark:
                    continue
                self._last = self._seen[name] = mark
            try:
                told = orjson.loads(body)
            except ValueError as error:
                raise BadReply("the platform sent an event that is not JSON") from error
            self._heed(name, told)
            if self._end is not None:
                return
        if len(self._out) == heard:
            self._out.append(SIGN_OF_LIFE)  # the platform speaks, if not to the caller

    def _heed(self, name: bytes, told: Json) -> None:
        match name:
            case b"assistant":
                self._losses = 0
                self._say(str(told.get("text") or ""))
            case b"thinking":
                self._losses = 0
                self._spoken.thought += str(told.get("text") or "")
                self._out.append(_event("thinking", {"text": str(told.get("text") or "")}))
            case b"tool_call":
                self._spoken.parted = True
            case b"result":
                self._over(told)
            case b"error" if told.get("code") in CANNOT_STREAM:
                self._hang_up()
                self._look_instead()
            case b"error":
                self._over({"status": "ERROR", **told})

    def _say(self, text: str) -> None:
        if text := self._spoken.more(text):
            self._out.append(_event("assistant", {"text": text}))

    def _over(self, told: Json) -> None:
        """The run has ended, well or not."""
        self._hang_up()
        end: Json = {"id": self._run.id, "status": told.get("status"), "usage": None}
        if told.get("status") == "FINISHED":
            self._say(self._spoken.missing(str(told.get("text") or "")))
            self._say(self._requests(told))
            end["usage"] = self._metered(self._run)
            self._finished(self._run, self._spoken.text)
        else:
            end |= {name: told[name] for name in ("code", "message") if name in told}
        self._end = end
        self._out.append(_event("end", end))

    def _requests(self, told: Json) -> str:
        """A line for each pull request that came of the run."""
        branches = (told.get("git") or {}).get("branches") or ()
        links = [str(one["prUrl"]) for one in branches if one.get("prUrl")]
        if not links:
            return ""
        self._spoken.parted = True
        return "\n".join(f"[Pull request]({link})" for link in links)

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def cancel(desk: Desk, run: Run) -> Told | None:
    """Ends the run; one that has ended by itself is left as it is."""
    try:
        return desk.tell(f"{run.path}/cancel")
    except GatewayError as error:
        log.warning("a run that nobody waits for could not be cancelled: %s", error)
        return None


def _event(name: str, told: Json) -> bytes:
    return frame(orjson.dumps(told), name.encode())


@dataclass(slots=True)
class Numbered:
    """Events with their ids, out of what arrives."""

    _rest: bytes = field(default=b"")

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes, bytes]]:
        """Every event that `data` completes: id, name, data."""
        whole = self._rest + data
        held = b"\r" if whole.endswith(b"\r") else b""  # half of a line end
        whole = whole.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, rest = whole.split(b"\n\n")
        self._rest = rest + held
        for block in blocks:
            fields: dict[bytes, list[bytes]] = {}
            for line in block.split(b"\n"):
                name, _, value = line.partition(b":")
                fields.setdefault(name, []).append(value.removeprefix(b" "))
            if b"data" in fields:
                mark = fields.get(b"id", [b""])[-1].decode("utf-8", "replace")
                yield mark, fields.get(b"event", [b""])[-1], b"\n".join(fields[b"data"])
