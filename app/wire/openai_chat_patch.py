"""Chat completions passed on to a caller who speaks them too: patched, not translated.

The contract promises a shape, so a few things change: the id has our prefix (C-087), the model is
the one asked for (C-090), `created` is the same throughout (C-103), the first delta is the role
alone (C-099), and the usage chunk, which we always ask for, goes no further if the caller did not
ask (C-104). Every field we do not know passes untouched.

A stream's chunks all begin with the same bytes up to the text, and those that are nothing but text
end alike too. Once both are learned, the head is replaced in all such chunks of a read at a time;
only frames that are not plain text deltas are parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.canonical.events import Trouble, Usage
from app.canonical.model import ModelFacts
from app.errors import BadReply, BrokenTransfer
from app.wire import fields
from app.wire.dialect import Telling
from app.wire.openai_chat_request import LIMITS, OWN, UNDERSTOOD, drop_refused, read_options
from app.wire.openai_chat_stream import (
    DONE,
    FINISH_REASONS,
    ID_PREFIX,
    LONGEST_PIECE,
    REASONS,
    ChatWriter,
    in_pieces,
    read_error,
    read_usage,
    write_usage,
)
from app.wire.sse import Frames, frame

_TEXT = b'"choices":[{"index":0,"delta":{"content":"'
_GOING_ON = b'"finish_reason":null'
_NOT_PLAIN = (
    b'"usage":{',
    b'"reasoning',
    b'"tool_calls"',
    b'"content":""',
    b'"refusal":"',
    b'"role"',
    b'"error"',
    b"\r",
)
_NAMED = frozenset({"id", "object", "created", "model"})  # what we change in every chunk
_SPOKEN = (b'"delta":{"content":"', b'"reasoning_content":"', b'"tool_calls"')
_PLAIN_MESSAGE = frozenset({"role", "content", "name", "tool_call_id", "tool_calls"})
_PLAIN_CALL = frozenset({"id", "type", "function", "custom", "index"})
_TRANSLATED = frozenset(
    {"functions", "function_call", "thinking", "enable_thinking", "thinking_budget", "top_k"}
)
_PASSED = (UNDERSTOOD | OWN) - _TRANSLATED - {"max_output_tokens"}


# ---------------------------------------------------------------- requests


def patch_request(body: Mapping[str, Any], model: str, facts: ModelFacts) -> dict[str, Any] | None:
    """The body as it should go upstream, or None where it needs more than patching."""
    if not all(_is_plain(message) for message in body["messages"]):
        return None
    if any(body.get(name) is not None for name in _TRANSLATED):
        return None
    patched = {name: value for name, value in body.items() if name in _PASSED and value is not None}
    if not _patch_stop(patched, facts) or not _patch_effort(patched, facts):
        return None
    patched["model"] = model
    _patch_limit(patched, body, facts)
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        if isinstance(patched.get(name), str):
            patched[name] = fields.optional_number(patched, name)
    if not patched.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            patched.pop(name, None)
    options = read_options(patched)
    if patched.get("stream"):
        patched["stream_options"] = (
            {"include_obfuscation": False} | options | {"include_usage": True}
        )
    else:
        patched.pop("stream_options", None)
    return drop_refused(patched, facts)


def _is_plain(message: Any) -> bool:
    """Whether a message is spelled the way OpenAI spells it, as almost all are."""
    if not isinstance(message, dict) or not message.keys() <= _PLAIN_MESSAGE:
        return False
    content, calls = message.get("content"), message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(map(_is_plain_call, calls)):
        return False
    if isinstance(content, str):
        return True
    if content is None:
        return bool(calls) and message.get("role") == "assistant"
    return isinstance(content, list) and bool(content) and all(map(_is_plain_part, content))


def _is_plain_call(call: Any) -> bool:
    return isinstance(call, dict) and call.keys() <= _PLAIN_CALL


def _is_plain_part(part: Any) -> bool:
    match part:
        case {"type": "text", "text": str(), **rest}:
            return not rest
        case {"type": "image_url", "image_url": {"url": str(url), **more}, **rest}:
            return not rest and more.keys() <= {"detail"} and _is_plain_url(url)
        case _:
            return False


def _is_plain_url(url: str) -> bool:
    return url.startswith(("https://", "data:image/png;base64,", "data:image/jpeg;base64,"))


def _patch_stop(patched: dict[str, Any], facts: ModelFacts) -> bool:
    """Whether the upstream can do all the stopping; if not, the answer has to be cut on its way
    through (C-074).
    """
    stop = patched.get("stop")
    if stop in (None, [], ""):
        patched.pop("stop", None)
        return True
    if "stop" in facts.refuses | facts.refuses_thinking:
        return False
    return isinstance(stop, str) or (
        isinstance(stop, list)
        and len(stop) <= 4
        and all(isinstance(one, str) and one for one in stop)
    )


def _patch_effort(patched: dict[str, Any], facts: ModelFacts) -> bool:
    """`reasoning: {effort}` is another server's spelling; an effort the model lacks needs the
    writer's table.
    """
    if "reasoning" in patched:
        return False
    effort = patched.get("reasoning_effort")
    return effort is None or not facts.efforts or effort in facts.efforts


def _patch_limit(patched: dict[str, Any], body: Mapping[str, Any], facts: ModelFacts) -> None:
    limit = None
    for name in LIMITS:
        patched.pop(name, None)
        if limit is None:
            limit = fields.optional_int(body, name, least=1)
    if limit is not None:
        limit = min(limit, facts.max_output or limit)
        patched["max_completion_tokens" if facts.modern_limit else "max_tokens"] = limit


# ---------------------------------------------------------------- answers


def patch_reply(body: dict[str, Any], telling: Telling) -> dict[str, Any]:
    """The platform's answer with our id and the model that was asked for, and nothing a client
    would trip over.
    """
    body["id"] = ID_PREFIX + telling.id
    body["object"] = "chat.completion"
    body["model"] = telling.model
    body["created"] = (
        body.get("created") if isinstance(body.get("created"), int) else telling.created
    )
    body.pop("error", None)
    try:
        for choice in body["choices"]:
            message = choice["message"]
            if message.get("content") is None and not message.get("tool_calls"):
                message["content"] = ""
            choice["finish_reason"] = _finish_reason(choice, bool(message.get("tool_calls")))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error
    return body


def _finish_reason(choice: Mapping[str, Any], called: bool) -> str:
    """One of the four that clients know (C-093); a call is a call, whatever the platform says (K-076)."""
    reason = FINISH_REASONS[REASONS.get(choice.get("finish_reason"), "stop")]  # type: ignore[arg-type]
    return "tool_calls" if called and reason == "stop" else reason


class _Alike:
    """Chunks of nothing but text that all begin and end in the same way."""

    __slots__ = ("tail", "_begin", "_end", "_joint", "_void", "_quotes")

    def __init__(self, start: bytes, tail: bytes) -> None:
        self.tail = tail
        self._begin = b"data: " + start
        self._end = tail + b"\n\n"
        self._joint = self._end + self._begin
        self._void = self._begin + self._end  # says nothing, so it is not passed on
        self._quotes = self._joint.count(b'"')

    def bytes_of(self, data: bytes) -> int:
        """How many bytes, from the first on, are whole ones of them. A text with a quotation mark in it
        is looked at more closely elsewhere.
        """
        if not data.startswith(self._begin):
            return 0
        size = data.rfind(self._end) + len(self._end)
        frames = data.count(self._joint, 0, size) + 1
        plain = (
            len(self._end) < size <= 6 * LONGEST_PIECE
            and data.count(b"\n", 0, size) == 2 * frames
            and data.count(b'"', 0, size) == self._quotes * frames
            and data.find(self._void, 0, size) < 0
            and data.find(b"\r", 0, size) < 0
        )
        return size if plain else 0


class ChatPatch:
    """A chat stream on its way through: `feed` it what came, send what it gives."""

    __slots__ = (
        "cut_short",
        "done",
        "spoke",
        "usage",
        "trouble",
        "_telling",
        "_frames",
        "_old",
        "_new",
        "_start",
        "_alike",
        "_writer",
        "_open",
        "_ended",
        "_called",
        "_usage",
    )

    def __init__(self, telling: Telling) -> None:
        self.done = False
        self.spoke = False
        self.cut_short = False  # ended for want of tokens, or withheld: may well be empty
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None
        self._telling = telling
        self._frames = Frames()
        self._old = b""  # how every chunk of this answer begins, once known
        self._new = b""  # what that beginning becomes
        self._start = b""  # how a chunk of plain text begins, without the frame
        self._alike: _Alike | None = None  # what chunks of plain text have in common, once known
        self._writer = ChatWriter(telling)
        self._open: set[int] = set()  # choices that have begun
        self._ended: set[int] = set()  # choices that have their finish reason
        self._called: set[int] = set()  # choices with tool calls
        self._usage = b""  # the chunk that goes before the end, for who asked

    def open(self) -> bytes:
        return self._writer.open()

    @property
    def has_finished(self) -> bool:
        """Whether the platform has said that, and why, the answer ends; `[DONE]` may still come."""
        return self.done or (bool(self._ended) and not self._open)

    def feed(self, data: bytes) -> bytes:
        if self.done:
            return b""
        out: list[bytes] = []
        if self._alike is None or self._frames.pending:
            data = self._feed_first(data, out)
        if self._alike is not None and not self.done and (plain := self._alike.bytes_of(data)):
            self.spoke = True
            out.append(data[:plain].replace(self._old, self._new))
            data = data[plain:]
        if data:
            self._feed_each(data, out)
        return b"".join(out)

    def _feed_first(self, data: bytes, out: list[bytes]) -> bytes:
        """Takes a frame at a time, three at most, until chunks of plain text are known and one could
        follow; gives what is left.
        """
        for _ in range(3):
            at = data.find(b"\n\n") + 2
            if at < 2:
                break
            self._feed_each(data[:at], out)
            data = data[at:]
            if self._alike is not None:
                break
        return data

    def _feed_each(self, data: bytes, out: list[bytes]) -> None:
        for _, payload in self._frames.feed(data):
            if self.done:
                break
            if self._start and payload.startswith(self._start) and _is_plain_text(payload):
                self.spoke = True
                out += (self._new, payload[len(self._old) - 6 :], b"\n\n")
                if self._alike is None or not payload.endswith(self._alike.tail):
                    self._alike = _alike(payload, self._start)
            else:
                self._frame(payload, out)

    def finish(self) -> bytes:
        """What remains at the end of the transfer; `BrokenTransfer` if the answer was not
        complete.
        """
        out: list[bytes] = []
        for _, payload in self._frames.finish():
            if not self.done and fields.is_whole(payload):
                self._frame(payload, out)
        if not self.done:
            if self._open or not self._ended:
                raise BrokenTransfer("the platform's answer ended before it was complete")
            self._end(out)
        return b"".join(out)

    def _end(self, out: list[bytes]) -> None:
        """The end as the contract wants it, also where the platform gave no reason for it (R-003)."""
        self.done = True
        for place in sorted(self._open):
            choice = {"index": place, "delta": {}, "finish_reason": None}
            choice["finish_reason"] = _finish_reason(choice, place in self._called)
            out.append(frame(orjson.dumps(self._ours({"choices": [choice]}))))
        out += (self._usage, DONE)

    def with_usage(self, out: bytes, usage: Usage) -> bytes:
        """The end of a stream whose platform counted nothing, with a usage for a caller who asked."""
        if not self._telling.usage:
            return out
        chunk = self._ours({"choices": [], "usage": write_usage(usage)})
        return out.removesuffix(DONE) + frame(orjson.dumps(chunk)) + DONE

    def _frame(self, payload: bytes, out: list[bytes]) -> None:
        if payload.startswith(b"[DONE]"):
            self._end(out)
            return
        try:
            chunk = orjson.loads(payload)
            if chunk.get("error"):
                self.done = True
                self.trouble = fields.in_own_words(read_error(0, chunk), chunk["error"])
                return
            self._learn(payload)
            self._patch(chunk, out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an event that cannot be read") from error

    def _learn(self, payload: bytes) -> None:
        """Remembers how chunks begin, if all that we change stands there and not behind the choices."""
        head, found, _ = payload.partition(b'"choices":[{"index":0,"delta":{')
        if not found or self._old == b"data: " + head:
            return
        try:
            fixed = orjson.loads(head + b'"choices":[]}')
        except ValueError:
            return
        del fixed["choices"]
        if not fixed.keys() >= _NAMED or "error" in fixed:
            return
        self._old = b"data: " + head
        self._alike = None
        self._start = head + _TEXT
        self._new = b"data: " + orjson.dumps(self._ours(fixed))[:-1] + b","

    def _ours(self, chunk: dict[str, Any]) -> dict[str, Any]:
        telling = self._telling
        named = {"id": ID_PREFIX + telling.id, "object": "chat.completion.chunk"}
        return named | chunk | named | {"created": telling.created, "model": telling.model}

    def _patch(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        chunk.pop("error", None)  # K-079: not even as null
        if chunk.get("usage") is not None:
            if (usage := read_usage(chunk["usage"])) is not None:
                self.usage = usage
                if self._telling.usage:
                    self._usage = frame(orjson.dumps(self._ours(chunk | {"choices": []})))
            del chunk["usage"]
        for choice in chunk.get("choices") or ():
            for piece in self._pieces(choice):
                out.append(frame(orjson.dumps(self._ours(chunk | {"choices": [piece]}))))

    def _pieces(self, choice: dict[str, Any]) -> list[dict[str, Any]]:
        """One choice as the deltas our contract allows: the role alone, one kind of content each,
        an empty last one.
        """
        place = int(choice.get("index") or 0)
        delta = dict(choice.get("delta") or {})
        delta.pop("role", None)
        kept = {name: value for name, value in delta.items() if value not in (None, "", [])}
        deltas = _parts(kept)
        self.spoke = self.spoke or bool(deltas)
        if "tool_calls" in kept:
            self._called.add(place)
        if place not in self._open | self._ended:
            self._open.add(place)
            deltas = [{"role": "assistant"}, *deltas] if place else deltas
        pieces = [choice | {"index": place, "delta": one, "finish_reason": None} for one in deltas]
        if choice.get("finish_reason") and place not in self._ended:
            pieces.append(choice | {"index": place, "delta": {}} | self._finished(choice, place))
        for piece in pieces[1:]:
            if "logprobs" in piece:
                piece["logprobs"] = None  # told with the first
        return pieces

    def _finished(self, choice: dict[str, Any], place: int) -> dict[str, str]:
        self._open.discard(place)
        self._ended.add(place)
        reason = _finish_reason(choice, place in self._called)
        self.cut_short = self.cut_short or reason in ("length", "content_filter")
        return {"finish_reason": reason}


def _is_plain_text(payload: bytes) -> bool:
    """Whether a frame that begins like plain text goes on and ends like it."""
    if _GOING_ON not in payload or len(payload) > 6 * LONGEST_PIECE:
        return False
    for mark in _NOT_PLAIN:
        if mark in payload:
            return False
    return True


def _alike(payload: bytes, start: bytes) -> _Alike | None:
    """What this frame of plain text has in common with others, if the end of its text is plain too."""
    end = payload.index(b'"', len(start))
    if payload[end - 1 : end] == b"\\" or b"\n" in payload:
        return None
    return _Alike(start, payload[end:])


def _parts(delta: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for name, value in delta.items():
        if name == "tool_calls":
            parts.extend({"tool_calls": [piece]} for call in value for piece in _call_pieces(call))
        elif isinstance(value, str):
            parts.extend({name: piece} for piece in in_pieces(value))
        else:
            parts.append({name: value})
    return parts


def _call_pieces(call: dict[str, Any]) -> list[dict[str, Any]]:
    """A call whose arguments would make a line too long, as a head and more of the same."""
    for kind, name in (("function", "arguments"), ("custom", "input")):
        words = (call.get(kind) or {}).get(name)
        if isinstance(words, str) and len(words) > LONGEST_PIECE:
            first, *more = in_pieces(words)
            rest = [{"index": call.get("index", 0), kind: {name: piece}} for piece in more]
            return [call | {kind: call[kind] | {name: first}}, *rest]
    return [call]


class ChatTap:
    """Listens to a chat stream that passes byte for byte."""

    __slots__ = ("done", "spoke", "usage", "trouble", "_frames")

    def __init__(self) -> None:
        self.done = self.spoke = False
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None
        self._frames = Frames()

    def feed(self, data: bytes) -> None:
        for _, payload in self._frames.feed(data):
            if payload.startswith(b"[DONE]") or b'"finish_reason":"' in payload:
                self.done = True
            if any(mark in payload for mark in _SPOKEN):
                self.spoke = True
            if b'"usage":{' in payload or b'"error":' in payload:
                self._look(payload)

    def _look(self, payload: bytes) -> None:
        try:
            chunk = orjson.loads(payload)
        except ValueError:
            return
        if not isinstance(chunk, dict):
            return
        if chunk.get("error"):
            self.done, self.trouble = True, read_error(0, chunk)
        self.usage = read_usage(chunk.get("usage")) or self.usage
