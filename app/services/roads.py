"""The three ways from a caller to a platform and back.

`raw`: both speak the same native dialect; the caller's bytes go out, the platform's bytes come
back, a tap listens. `patched`: both speak chat completions; a few fields change, everything else
passes. `translated`: through the canonical form.

A road knows no HTTP. It gives the bytes to send, and turns what comes back into what the caller
reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import orjson

from app.canonical.cut import Cut
from app.canonical.events import Delta, Usage
from app.canonical.model import ModelFacts
from app.canonical.reply import fold, unfold
from app.canonical.request import ChatRequest, Reasoning
from app.canonical.sieve import Sieve
from app.errors import BadReply, BadRequest, EmptyReply
from app.media.inbound import Basket
from app.services.attachments import inlined
from app.services.call import ChatCall
from app.services.flows import ArrayFlow, Flow, PatchedFlow, RawFlow, TranslatedFlow
from app.services.losses import left_out, losses
from app.services.meter import estimated
from app.turn import give_way_over
from app.upstream.platform import Chat, Framing, Platform
from app.wire import openai_chat
from app.wire.dialect import Dialect, StreamWriter, Telling
from app.wire.names import given_twice
from app.wire.openai_chat_patch import patch_reply, patch_request

SMALL = 65536  # bytes; above, looking through the caller's costs as much as writing our own


class Road(Protocol):
    """`dropped` are the caller's fields that this road has no room for. `payload` is what the platform
    gets, and may be taken away once no other attempt can follow.
    """

    name: str
    chat: Chat
    framing: Framing
    dropped: tuple[str, ...]
    payload: bytes

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        """What the caller is told, and what it cost."""

    def flow(self) -> Flow: ...


def choose(platform: Platform, call: ChatCall, basket: Callable[[], Basket]) -> Road:
    """The shortest road that can carry this call."""
    chat, wanted = platform.chat, None
    if platform.pick is not None:
        wanted = _with_budget(call.spoken.read_request(call.body), call)
        chat = platform.pick(call.spoken, wanted, call.sets)
    facts = platform.catalogue.facts(call.model)
    if (most := call.most_output) is not None:
        facts = replace(facts, max_output=min(facts.max_output or most, most))
    # Bytes pass untouched to what the platform is first of all, and not to its second best.
    is_same = chat.dialect is call.spoken and chat is platform.chat and not call.sets
    if is_same and chat.dialect is not openai_chat:
        return RawRoad(call, chat)
    if is_same and call.telling.reasoning == "field" and call.thinking_budget is None:
        if (body := patch_request(call.body, call.model, facts)) is not None:
            return PatchedRoad(call, chat, body)
    give_way_over(call.raw)
    wanted = wanted or call.spoken.read_request(call.body)
    return TranslatedRoad(call, chat, wanted, facts, basket)


# ---------------------------------------------------------------- raw


class RawRoad:
    name = "raw"
    dropped: tuple[str, ...] = ()

    def __init__(self, call: ChatCall, chat: Chat) -> None:
        self.chat = chat
        self._call = call
        self._dialect = chat.dialect
        give_way_over(call.raw)
        if twice := given_twice(call.raw):
            raise BadRequest("{field} is given twice", param=twice, field=twice)
        self.payload = call.raw
        self.framing: Framing = "array" if call.array else "events" if call.stream else "whole"

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        usage = self._dialect.find_usage(_parsed(body))
        return body, usage or estimated(len(self.payload), len(body))

    def flow(self) -> Flow:
        writer = make_writer(self._call, self._call.telling)
        verbatim = self._call.caller.brought is not None
        if not self._call.array:
            return RawFlow(
                self._dialect.tap, writer, len(self.payload), array=False, verbatim=verbatim
            )
        native: Any = self._dialect
        if verbatim:
            return RawFlow(native.array_tap, writer, len(self.payload), array=True, verbatim=True)
        return ArrayFlow(native.array_tap, writer, len(self.payload))


def make_writer(call: ChatCall, telling: Telling) -> StreamWriter:
    """The caller's kind of stream; one dialect has two framings."""
    spoken: Any = call.spoken
    write = spoken.write_array_stream if call.array else spoken.write_stream
    writer: StreamWriter = write(telling)
    return writer


# ---------------------------------------------------------------- patched


class PatchedRoad:
    name = "patched"

    def __init__(self, call: ChatCall, chat: Chat, body: dict[str, Any]) -> None:
        self.chat = chat
        self._call = call
        self.dropped = left_out(call.body, body)
        is_same = len(call.raw) < SMALL and body == call.body and not given_twice(call.raw)
        self.payload = call.raw if is_same else orjson.dumps(body)
        self.framing: Framing = "events" if call.stream else "whole"

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        reply = patch_reply(_parsed(body), self._call.telling)
        message = reply["choices"][0]["message"] if reply["choices"] else {}
        said = message.get("content") or message.get("refusal") or ""
        if not (said or message.get("tool_calls") or message.get("audio")):
            if not reply["choices"] or reply["choices"][0].get("finish_reason") != "length":
                raise EmptyReply("the platform gave an empty answer")
        usage = openai_chat.find_usage(reply)
        if usage is None:
            usage = estimated(len(self.payload), len(said))
            reply["usage"] = openai_chat.write_usage(usage)
        return orjson.dumps(reply), usage

    def flow(self) -> Flow:
        return PatchedFlow(self._call.telling, len(self.payload))


# ---------------------------------------------------------------- translated


class TranslatedRoad:
    name = "translated"

    def __init__(
        self,
        call: ChatCall,
        chat: Chat,
        request: ChatRequest,
        facts: ModelFacts,
        basket: Callable[[], Basket],
    ) -> None:
        upstream = chat.dialect
        if request.variants > 1:
            raise BadRequest(
                "{field} must be 1 here: the platform gives one answer a call", param="n", field="n"
            )
        request = _quietened(_with_budget(_as_named(request, call), call), call)
        request = inlined(request, upstream, basket)
        self.chat = chat
        self._call = call
        self._upstream = upstream
        self._telling = call.telling
        if not request.reasoning.told:
            self._telling = replace(call.telling, reasoning="none")
        choice = request.tool_choice
        self._one_call = choice is not None and choice.parallel is False
        self._stops = _stops_to_cut(request, upstream, facts)
        if self._stops:
            request = replace(request, sampling=replace(request.sampling, stop=()))
        give_way_over(call.raw)
        written = upstream.write_request(
            replace(request, model=call.model, stream=call.stream), facts
        )
        give_way_over(call.raw)
        self.dropped = losses(request, call.body, upstream, written)
        give_way_over(call.raw)
        self.payload = _encoded(written)
        self.framing: Framing = "events" if call.stream else "whole"

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        events = unfold(self._upstream.read_reply(_parsed(body)))
        if (sieve := self._sieve()) is not None:
            events = sieve.pass_on(events)
        if self._stops:
            events = Cut(self._stops).pass_on(events)
        reply = fold(events)
        if not reply.parts and reply.reason in ("stop", "tool_calls"):
            raise EmptyReply("the platform gave an empty answer")
        if reply.usage is None:
            said = sum(len(event.text) for event in events if isinstance(event, Delta))
            reply = replace(reply, usage=estimated(len(self.payload), said))
        assert reply.usage is not None
        written = self._call.spoken.write_reply(reply, self._telling)
        return orjson.dumps(written), reply.usage

    def flow(self) -> Flow:
        writer = make_writer(self._call, self._telling)
        return TranslatedFlow(
            self._upstream, writer, self._stops, len(self.payload), sieve=self._sieve
        )

    def _sieve(self) -> Sieve | None:
        """What takes out of the answer what the caller does not want; mostly there is nothing."""
        thoughts = self._telling.reasoning != "none"
        if thoughts and not self._one_call:
            return None
        return Sieve(thoughts=thoughts, one_call=self._one_call)


def _as_named(request: ChatRequest, call: ChatCall) -> ChatRequest:
    """The request with the thinking that the model's name asks for, whatever the body says
    (C-146).
    """
    reasoning = request.reasoning
    if effort := call.sets.get("effort"):
        reasoning = Reasoning(effort=effort, visible=reasoning.visible, told=reasoning.told)
    elif call.sets.get("think"):
        budget = reasoning.budget if call.thinking_budget is None else call.thinking_budget
        if budget is None and reasoning.effort in (None, "none"):
            budget = call.usual_budget
        reasoning = Reasoning(
            effort=None if reasoning.effort == "none" else reasoning.effort,
            budget=budget,
            visible=True,
        )
    return replace(request, reasoning=reasoning)


def _quietened(request: ChatRequest, call: ChatCall) -> ChatRequest:
    """Thoughts the caller has closed off need not be asked for (C-127)."""
    if call.telling.reasoning != "none":
        return request
    return replace(request, reasoning=replace(request.reasoning, told=False))


def _with_budget(request: ChatRequest, call: ChatCall) -> ChatRequest:
    """`thinking_budget` as a parameter of the call counts where the body says nothing of thinking
    itself.
    """
    if call.thinking_budget is None or request.reasoning.budget is not None:
        return request
    return replace(request, reasoning=replace(request.reasoning, budget=call.thinking_budget))


def _stops_to_cut(request: ChatRequest, upstream: Dialect, facts: ModelFacts) -> tuple[str, ...]:
    """The stop sequences that are ours to see to, because the upstream has none or too few
    (C-074).
    """
    stops = request.sampling.stop
    refused = upstream.STOP_FIELD in facts.refuses | facts.refuses_thinking
    most = facts.most_stops or upstream.MOST_STOPS
    return stops if stops and (refused or len(stops) > most) else ()


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:  # arguments of a call may be deeper than the body
        raise BadRequest(
            "{field} is nested too deeply", param="messages", field="messages"
        ) from error


def _parsed(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise EmptyReply("the platform gave an empty answer")
    try:
        parsed = orjson.loads(body)
    except ValueError as error:
        raise BadReply("the platform sent an answer that is not JSON") from error
    if not isinstance(parsed, dict):
        raise BadReply("the platform sent an answer that cannot be read")
    return parsed
