"""Relaying a chat: one call of a caller, as many attempts as it takes, one answer.

Failover is invisible until the first content has gone by and impossible after it. What was sent by
then (headers, our own first chunk, comments) does not bind the call to one credential. The iterator
that a stream's answer is made of owns the upstream's answer: closing the one closes the other,
which is how a caller who hangs up is noticed on a write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from app.canonical.events import Trouble, Usage
from app.clock import Clock
from app.credential import Credential
from app.errors import (
    BadReply,
    BrokenTransfer,
    EmptyReply,
    GatewayError,
    RequestRefused,
    TimedOut,
    UpstreamError,
    Verbatim,
    outcome_of,
)
from app.ledger.ledger import Entry, Ledger, Purchase
from app.services.attempts import note_attempt, note_failure
from app.services.call import ChatCall
from app.services.ending import told_to_its_end
from app.services.estimate import LIKELY_OUTPUT, tokens_of
from app.services.flows import Flow
from app.services.losses import note
from app.services.roads import Road, choose
from app.services.sources import Lent, Source, Sources
from app.upstream.answer import Answering
from app.upstream.opening import Opening
from app.upstream.platform import Attempt, Platform
from app.upstream.refusals import from_stream, refusal
from app.upstream.transport import Transport
from app.wire.fields import in_own_words

T = TypeVar("T")

PEEK_SECONDS = (
    0.05  # how long the first event may hold up the headers, so that an error keeps its status
)
TICK_SECONDS = 0.6  # how often a silent stream is looked after
PROBE_SECONDS = 0.3  # the same, once the caller has stopped sending
ERROR_BYTES = 1 << 20
USUAL_OUTPUT = 32768  # tokens that a model may give of which nothing is known
PASSED_HEADERS = (
    "anthropic-ratelimit-",
    "openai-model",
    "openai-poll-after-ms",
    "openai-processing-ms",
    "request-id",
    "retry-after",
    "x-codex-",
    "x-ratelimit-",
    "x-should-retry",
)
OWN_HEADERS = ("x-tokens-agent", "x-tokens-run")  # said by a way of opening, not by a platform


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds."""

    first_byte: float = 120.0
    answer: float = 600.0
    silence: float = 120.0
    heartbeat: float = 10.0
    grace: float = 20.0


@dataclass(frozen=True, slots=True)
class Relayed:
    """What the caller gets: whole, or piece by piece."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes | Iterator[bytes]


class ChatRelay:
    """Serves chats; one per worker."""

    def __init__(
        self,
        transport: Transport,
        sources: Sources,
        ledger: Ledger,
        base_urls: Mapping[str, str],
        clock: Clock,
        patience: Patience,
        answer_bytes: int,
        *,
        ends_after_error: bool = True,
    ) -> None:
        self._transport = transport
        self._sources = sources
        self._ledger = ledger
        self._base_urls = base_urls
        self._clock = clock
        self._patience = patience
        self._answer_bytes = answer_bytes
        self.ends_after_error = ends_after_error  # with the dialect's end marker, if it has one

    def serve(self, platform: Platform, call: ChatCall) -> Relayed:
        road = self._road(platform, call)
        context, output = self._lengths(platform, call)
        source = self._sources.for_call(
            call.caller,
            platform.name,
            call.attempts + 1,
            model=call.model,
            groups=call.groups,
            session=call.session,
            tokens=self._tokens(platform, call),
            context=context,
            output=output,
        )
        entry = self._ledger.open(_purchase(platform, call))
        try:
            if entry.output is not None:
                call.limit_output(entry.output)
                road = self._road(platform, call)
            exchange = Exchange(self, platform, call, road, source, entry)
            call.let_go()
            return exchange.stream() if call.stream else exchange.whole()
        except BaseException as error:
            entry.end(call.record, None, outcome_of(error))
            raise

    def _road(self, platform: Platform, call: ChatCall) -> Road:
        road = choose(platform, call, call.basket)
        call.record["road"] = road.name
        note(call.record, road.dropped, strict=call.strict)
        return road

    def _tokens(self, platform: Platform, call: ChatCall) -> int:
        """What the call is thought to come to, where a credential has a limit of them."""
        if not self._sources.pool.counts_tokens(platform.name):
            return 0
        return tokens_of(call.body) + LIKELY_OUTPUT if call.tokens is None else call.tokens

    def _lengths(self, platform: Platform, call: ChatCall) -> tuple[int, int]:
        """Of the request and of the answer it asks for, in tokens, where a credential has a limit of them."""
        if not self._sources.pool.measures(platform.name):
            return 0, 0
        return tokens_of(call.body), call.spoken.output_limit(call.body) or LIKELY_OUTPUT

    def open(self, exchange: Exchange, credential: Credential) -> Answering:
        """One attempt, up to the platform's acceptance."""
        call, road, patience = exchange.call, exchange.road, self._patience
        attempt = Attempt(
            base_url=credential.base_url or self._base_urls[exchange.platform.name],
            credential=credential,
            caller=call.caller.name,
            model=call.model,
            framing=road.framing,
            headers=call.headers,
            payload=road.payload,
            leash=call.leash,
            seconds=patience.first_byte if call.stream else patience.answer,
            repeated=call.caller.brought is None,
        )
        opener = road.chat.opener or road.chat.post
        answer = opener(self._transport.through(credential.proxy.reveal()), attempt)
        if 200 <= answer.status < 300:
            return answer
        raise self._refused(exchange, answer)

    def _refused(self, exchange: Exchange, answer: Answering) -> GatewayError:
        """The error that an answer other than success stands for."""
        call, dialect = exchange.call, exchange.road.chat.dialect
        try:
            if 300 <= answer.status < 400:
                return BadReply("the platform answered with status {status}", status=answer.status)
            body = answer.read(ERROR_BYTES, self._patience.silence)
        finally:
            answer.close()
        if call.caller.brought is not None:
            return Verbatim(answer.status, answer.headers, body)
        trouble = dialect.read_error(answer.status, _json(body))
        error = refusal(
            trouble.status or answer.status,  # some say one thing and mean another
            answer.headers,
            trouble,
            model=call.telling.model,
            now=self._clock.now(),
        )
        if isinstance(error, RequestRefused) and exchange.road.name == "raw":
            return Verbatim(answer.status, answer.headers, body)
        return error

    @property
    def patience(self) -> Patience:
        return self._patience

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def answer_bytes(self) -> int:
        return self._answer_bytes


class Exchange:
    """One call on its road: the attempts, and what comes of them."""

    def __init__(
        self,
        relay: ChatRelay,
        platform: Platform,
        call: ChatCall,
        road: Road,
        source: Source,
        entry: Entry,
    ) -> None:
        self.relay = relay
        self.platform = platform
        self.call = call
        self.road = road
        self._source = source
        self._entry = entry
        self._candidates = source.candidates()
        self._attempts = 0
        self._lent: Lent | None = None  # to the attempt that runs, or to the answer that is told
        self._last: UpstreamError | None = None
        self._started = relay.clock.ticks()
        self._unsent = b""  # the beginning of a stream, made by an attempt that then failed

    # ------------------------------------------------------------ whole answers

    def whole(self) -> Relayed:
        answer, (body, usage) = self._until_one_works(self._read)
        self._note(usage)
        self._give_back(usage)
        self._entry.charge(self.call.record, usage)
        return Relayed(200, "application/json", self._passed(answer), body)

    def _read(self, answer: Answering) -> tuple[bytes, Usage]:
        try:
            body = answer.read(self.relay.answer_bytes, self.relay.patience.answer)
        finally:
            answer.close()
        self.call.record["first_ms"] = self._elapsed()
        return self.road.answer(body)

    # ------------------------------------------------------------ streams

    def stream(self) -> Relayed:
        flow = self.road.flow()
        opening = self._opening(flow)
        accepted = opening.is_over_within(self.relay.patience.grace, lambda: self.call.ear.closing)
        headers = self._passed(opening.result()[0]) if accepted else {}
        content_type = "application/json" if self.call.array else self.call.spoken.STREAM_TYPE
        return Relayed(200, content_type, headers, self._tell(flow, opening))

    def _opening(self, flow: Flow) -> Opening[tuple[Answering, bytes]]:
        """An accepted answer to come, and what its first event makes for the caller."""
        return Opening(lambda: self._until_one_works(lambda answer: self._peek(answer, flow)))

    def _peek(self, answer: Answering, flow: Flow) -> bytes:
        flow.restart()
        try:
            if data := answer.next(PEEK_SECONDS):
                self._unsent += flow.feed(data)
            elif data is not None:
                raise EmptyReply("the platform gave an empty answer")
            # Who brought a token hears the platform's own words, in the stream that it has begun.
            if flow.trouble is not None and not (flow.spoke or self._source.only_once):
                raise from_stream(flow.trouble, model=self.call.telling.model)
        except BaseException:
            answer.close()
            raise
        out, self._unsent = self._unsent, b""
        return out

    def _tell(self, flow: Flow, opening: Opening[tuple[Answering, bytes]]) -> Iterator[bytes]:
        record = self.call.record
        body = self._try_until_told(flow, opening)
        end = self.call.spoken.STREAM_END if self.relay.ends_after_error else b""
        try:
            yield from told_to_its_end(
                body,
                record,
                lambda error: self._failed(flow, error),
                end,
                lambda: UpstreamError.code if flow.is_ill else "ok",
            )
        finally:
            spent = flow.spent
            if spent is not None:
                self._note(spent)
            self._give_back(spent)
            self._entry.end(record, spent, record["outcome"])

    def _try_until_told(
        self, flow: Flow, opening: Opening[tuple[Answering, bytes]]
    ) -> Iterator[bytes]:
        """One attempt after the other, until one is told to its end or has said something."""
        head = flow.open()
        while True:
            answer = None
            try:
                while not opening.wait(PROBE_SECONDS if self.call.ear.closing else TICK_SECONDS):
                    yield head or flow.beat()
                    head = b""
                answer, out = opening.result()
                yield from self._pump(flow, answer, head + out)
                return
            except UpstreamError as error:
                if answer is None:
                    raise  # the opening has seen to its attempts
                self._put_down(error, final=flow.spoke)
            finally:
                opening.abandon()
                if answer is not None:
                    answer.close()
            head, opening = b"", self._opening(flow)

    def _pump(self, flow: Flow, answer: Answering, out: bytes) -> Iterator[bytes]:
        """What the platform says, until it has said all."""
        next_piece, feed = answer.next, flow.feed
        spoke = False
        if out:
            spoke = self._hear(flow)
            yield out
        self._check(flow)  # the first read may have held words and an error after them
        to_the_end = self.road.name == "raw"
        silent = beaten = 0.0
        while to_the_end or not flow.done:
            wait = PROBE_SECONDS if self.call.ear.closing else TICK_SECONDS
            data = next_piece(wait)
            if data:
                silent = 0.0
                if out := feed(data):
                    beaten = 0.0
                    if flow.done or not spoke:
                        spoke = self._hear(flow)
                    yield out
            elif data is None:
                silent, beaten = silent + wait, beaten + wait
                self._check_silence(silent)
                if beaten >= self.relay.patience.heartbeat or self.call.ear.closing:
                    beaten = 0.0
                    yield flow.beat()
            else:
                out = flow.finish()
                self._charge(flow)
                if out:
                    yield out
                break
            self._check(flow)
        if not to_the_end:
            answer.next(PEEK_SECONDS)  # the end of the transfer: the connection can serve again

    def _hear(self, flow: Flow) -> bool:
        """The caller is about to hear the first of it, or the last. Whether any of it are words."""
        self.call.record.setdefault("first_ms", self._elapsed())
        if flow.done:
            self._charge(flow)
        if flow.spoke:
            self.road.payload = b""  # no other attempt follows
        return flow.spoke

    def _check_silence(self, seconds: float) -> None:
        if seconds >= self.relay.patience.silence:
            raise TimedOut("the platform fell silent in the middle of its answer")

    def _charge(self, flow: Flow) -> None:
        """Closes the call's row, before the caller hears of the end."""
        if flow.trouble is None and not flow.is_ill:
            self._entry.charge(self.call.record, flow.spent)

    def _check(self, flow: Flow) -> None:
        """Raises what the platform said went wrong."""
        if flow.trouble is not None:
            raise from_stream(flow.trouble, model=self.call.telling.model)

    def _failed(self, flow: Flow, error: GatewayError) -> bytes:
        """The error in the caller's dialect; in Chat2API mode in the platform's own words
        (C-048).
        """
        said = self.call.say(error)
        if isinstance(error, Verbatim):  # too late to be handed on: the stream has begun
            return flow.fail(self._reworded(error) or said)
        if not self._source.only_once:
            return flow.fail(said)
        if self.road.name == "raw" and isinstance(error, BrokenTransfer):
            return flow.rest()  # the platform's bytes pass untouched, also when they end too early
        return flow.fail(flow.trouble or said)

    def _reworded(self, refusal: Verbatim) -> Trouble | None:
        """What the platform said, by its own object for it; None where that is nothing we can read."""
        told = _json(refusal.body)
        trouble = self.road.chat.dialect.read_error(refusal.status, told)
        error = told.get("error") if isinstance(told, dict) else None
        return in_own_words(trouble, error) if trouble.message else None

    # ------------------------------------------------------------ attempts

    def _until_one_works(self, use: Callable[[Answering], T]) -> tuple[Answering, T]:
        for self._lent in self._candidates:
            self._begin_attempt(self._lent)
            try:
                answer = self.relay.open(self, self._lent.credential)
                used = use(answer)
                self._lent.accepted()
                return answer, used
            except UpstreamError as error:
                self._put_down(error)
            except Verbatim:
                self._lent.accepted()  # at fault is the call
                raise
            except BaseException:
                self._give_back()
                raise
        raise self._source.ended(self._last)

    def _begin_attempt(self, lent: Lent) -> None:
        self._attempts += 1
        note_attempt(self.call.record, self._attempts, self._source, lent)

    def _put_down(self, error: UpstreamError, *, final: bool = False) -> None:
        """The attempt has failed and another may follow; where none may, raises the error."""
        assert self._lent is not None
        self._lent.failed(error)
        self._give_back()
        note_failure(self.call.record, self._source, self._lent, error)
        if final or error.verdict == "stop" or self._source.only_once:
            raise error
        self._last = error

    def _give_back(self, usage: Usage | None = None) -> None:
        if self._lent is not None:
            self._lent.give_back(usage.input + usage.output if usage else 0)

    def _passed(self, answer: Answering) -> dict[str, str]:
        """The platform's headers that mean something to a caller of its own dialect (S-029)."""
        wanted = PASSED_HEADERS if self.road.name == "raw" else OWN_HEADERS
        found = answer.headers.items()
        return {name: value for name, value in found if name.startswith(wanted)}

    def _elapsed(self) -> int:
        return int((self.relay.clock.ticks() - self._started) * 1000)

    def _note(self, usage: Usage | None) -> None:
        if usage is not None:
            self.call.record["usage"] = usage


def _purchase(platform: Platform, call: ChatCall) -> Purchase:
    wanted = Purchase(
        id=call.id,
        caller=call.caller,
        platform=platform.name,
        kind="chat",
        model=call.model,
        asked=call.telling.model,
        spoken=call.spoken.NAME,
        stream=call.stream,
    )
    licence = call.caller.licence
    if licence is None or not licence.allowance.keeps_account:
        return wanted
    spoken, body = call.spoken, call.body
    most = spoken.output_limit(body) or platform.catalogue.facts(call.model).max_output
    return replace(
        wanted,
        input=tokens_of(body),
        output=most or USUAL_OUTPUT,
        answers=spoken.answers(body),
    )


def _json(body: bytes) -> Any:
    """What the body of an error says; None where it is not JSON."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return None
    return parsed[0] if isinstance(parsed, list) and parsed else parsed  # as one vendor has it
