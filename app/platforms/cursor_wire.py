"""A chat as an order to one of Cursor's agents, and what the agent says as a chat.

An agent takes one prompt and remembers what it was told. So an order holds two prompts: one that
tells a new agent all of the conversation, and one for an agent that knows what went before. Which
of them goes out is decided where the agents are known, as is what goes over Cursor's wire: this
reads the events as `cursor_run` passes them on.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import orjson

from app.canonical.blocks import Blocks
from app.canonical.events import Event, Failed, Finished, Started, Trouble, Usage
from app.canonical.model import ModelFacts
from app.canonical.parts import (
    Document,
    Image,
    Inline,
    Link,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.canonical.reply import ChatReply, fold
from app.canonical.request import ChatRequest, Tool, ToolChoice, Turn
from app.errors import BadAttachment, BadRequest, BrokenTransfer, NoTools
from app.platforms import cursor_tools
from app.platforms.cursor_thread import begun, heard
from app.upstream.refusals import from_stream
from app.wire.dialect import StreamWriter, Tap, Telling
from app.wire.sse import Frames

Json = dict[str, Any]

MOST_IMAGES = 5
IMAGE_BYTES = 15 << 20
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_AGENT = re.compile(r"bc-[0-9A-Za-z-]{1,64}")
_DEVIOUS = re.compile(r"/\.|[\s\\?#%@]")  # an address that may lead elsewhere than it looks
SWITCHES = {"true": True, "false": False}
WRITES = {
    "cursor_auto_create_pr": "autoCreatePR",
    "cursor_branch_in_place": "workOnCurrentBranch",
}
ENDS = {  # of a run that did not finish
    "CANCELLED": "the agent's run was cancelled",
    "EXPIRED": "the agent's run took too long and was given up",
    "ERROR": "the agent's run ended with an error",
}


@dataclass(frozen=True, slots=True)
class Habits:
    """What the operator wants of agents. `repositories` are the patterns of those that callers may
    name, `writes` lets them ask for pull requests, `tools` has tools described in the prompt.
    """

    repository: str = ""
    ref: str = ""
    repositories: tuple[str, ...] = ()
    mode: str = "agent"
    writes: bool = False
    tools: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("agent", "plan"):
            raise ValueError(f"MODE should be agent or plan, not {self.mode!r}")


@dataclass(frozen=True, slots=True)
class CursorWire:
    """The dialect. `params` are those that the model's name asks for; `calls` says that the text
    of the answer may hold calls of the caller's tools.
    """

    habits: Habits = field(default_factory=Habits)
    params: Mapping[str, str] = field(default_factory=dict)
    calls: bool = False

    NAME = "cursor"
    INLINES = frozenset({"document", "audio", "video"})
    STREAM_TYPE = "text/event-stream"
    STREAM_END = b""
    STOP_FIELD = ""
    MOST_STOPS = 0

    # ------------------------------------------------------------ asking

    def write_request(self, request: ChatRequest, facts: ModelFacts) -> Json:
        """The order; see the module."""
        options = _options(request)
        mode = self._mode(options)
        repos = self._repos(options)
        has_tools = self._has_tools(request)
        head = _head(request, has_tools=has_tools)
        before, now = _split(request.turns)
        state = begun(request.model, mode, repos, head)
        for turn in before:
            state = heard(state, turn)
        until = state
        for turn in now:
            until = heard(until, turn)
        start: Json = {"prompt": _prompt(_whole(head, before, now), request.turns), "mode": mode}
        start |= self._model(request.model) | self._writes(options)
        if repos:
            start["repos"] = repos
        order: Json = {
            "start": start,
            "follow": {"prompt": _prompt(_words(now), now), "mode": mode},
            "before": state if before else "",
            "until": until,
        }
        if has_tools:
            choice = request.tool_choice or ToolChoice()
            order["tools"] = [tool.name for tool in request.tools if tool.kind != "hosted"]
            order["choice"] = {"mode": choice.mode, "names": list(choice.names)}
        if agent := options.get("cursor_agent_id"):
            if not _AGENT.fullmatch(agent):  # it becomes part of an address
                raise _wrong("cursor_agent_id", "bc-...")
            order["agent"] = agent
        if options and all(name.startswith("cursor_") for name in options):
            order["metadata"] = options
        return order

    def read_request(self, body: Mapping[str, Any]) -> ChatRequest:
        """The order as a chat again, as far as an agent is told of it."""
        prompt = body["start"]["prompt"]
        parts: list[Part] = [Text(prompt["text"])]
        for one in prompt.get("images", ()):
            data = one.get("data")
            source = Link(one["url"]) if data is None else Inline(one["mimeType"], data)
            parts.append(Image(source))
        choice = body.get("choice")
        return ChatRequest(
            model=body["model"],
            turns=(Turn("user", tuple(parts)),),
            tools=tuple(Tool(name) for name in body.get("tools", ())),
            tool_choice=ToolChoice(choice["mode"], tuple(choice["names"])) if choice else None,
        )

    def _model(self, name: str) -> Json:
        """The model; naming none leaves the choice to the account."""
        if name in ("", "default"):
            return {}
        params = [{"id": one, "value": value} for one, value in self.params.items()]
        return {"model": {"id": name, "params": params} if params else {"id": name}}

    def _has_tools(self, request: ChatRequest) -> bool:
        if not wants_tools(request):
            return False
        if not self.habits.tools:
            raise NoTools("the platform cannot call tools of yours", param="tools")
        return True

    def _mode(self, options: Json) -> str:
        mode = str(options.get("cursor_mode", self.habits.mode))
        if mode not in ("agent", "plan"):
            raise _wrong("cursor_mode", "agent, plan")
        return mode

    def _repos(self, options: Json) -> list[Json]:
        request = options.get("cursor_pr_url", "")
        url = options.get("cursor_repository", "") or request.partition("/pull/")[0]
        allowed = any(fnmatchcase(url, one) for one in self.habits.repositories)
        if url and (not allowed or _DEVIOUS.search(url)):
            name = "cursor_repository" if "cursor_repository" in options else "cursor_pr_url"
            raise BadRequest(
                "{field}: the operator has not allowed this repository",
                param=f"metadata.{name}",
                field=f"metadata.{name}",
            )
        if request and not request.startswith(f"{url}/"):
            raise _wrong("cursor_pr_url", f"{url}/pull/...")
        ref = options.get("cursor_ref", "")
        if not url:
            url, ref = self.habits.repository, ref or self.habits.ref
        if not url:
            return []
        found = {"url": url, "startingRef": ref, "prUrl": request}
        return [{name: value for name, value in found.items() if value}]

    def _writes(self, options: Json) -> Json:
        """What would change somebody's code."""
        asked: Json = {}
        for name, theirs in WRITES.items():
            value = options.get(name, "false")
            if value not in SWITCHES:
                raise _wrong(name, "true, false")
            if SWITCHES[value]:
                if not self.habits.writes:
                    raise BadRequest(
                        "{field}: the operator has not allowed agents to write",
                        param=f"metadata.{name}",
                        field=f"metadata.{name}",
                    )
                asked[theirs] = True
        return asked

    # ------------------------------------------------------------ answers

    def read_reply(self, body: Mapping[str, Any]) -> ChatReply:
        events = _Reader(calls=self.calls).told(body)
        failed = next((event for event in events if isinstance(event, Failed)), None)
        if failed is not None:
            raise from_stream(failed.trouble, model="")
        return fold(events)

    def read_stream(self) -> CursorReader:
        return CursorReader(calls=self.calls)

    def find_usage(self, body: Mapping[str, Any]) -> Usage | None:
        return _usage(body.get("usage"))

    def read_error(self, status: int, body: Any) -> Trouble:
        """Two shapes; and what is said by status alone elsewhere has a code here."""
        body = body if isinstance(body, dict) else {}
        error = body.get("error")
        if isinstance(error, dict):
            code, words = str(error.get("code") or ""), str(error.get("message") or "")
        else:
            code, words = "", str(body.get("message") or error or "")
        if code == "invalid_model":
            return Trouble(words, 404, "model_not_found")
        if code == "agent_busy":
            return Trouble(words, 429, code)
        if status == 404 or code == "repository_access":
            return Trouble(words, 400, code)
        return Trouble(words, status, code)

    # ------------------------------------------------------------ the half that nobody speaks

    def write_reply(self, reply: ChatReply, telling: Telling) -> Json:
        raise NotImplementedError("no caller speaks this")

    def write_stream(self, telling: Telling) -> StreamWriter:
        raise NotImplementedError("no caller speaks this")

    def write_error(self, trouble: Trouble) -> Json:
        raise NotImplementedError("no caller speaks this")

    def tap(self) -> Tap:
        raise NotImplementedError("no caller speaks this")


# ---------------------------------------------------------------- prompts


def wants_tools(request: ChatRequest) -> bool:
    """Whether the caller has tools to be called."""
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        return False
    return any(tool.kind != "hosted" for tool in request.tools)


def _options(request: ChatRequest) -> Json:
    """What the caller's `metadata` says to us."""
    extras = request.extras.value if request.extras is not None else {}
    metadata = extras.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    for name, value in metadata.items():
        if str(name).startswith("cursor_") and not isinstance(value, str):
            raise BadRequest(
                "{field} must be a string", param=f"metadata.{name}", field=f"metadata.{name}"
            )
    return dict(metadata)


def _wrong(name: str, choices: str) -> BadRequest:
    return BadRequest(
        "{field} must be one of {choices}",
        param=f"metadata.{name}",
        field=f"metadata.{name}",
        choices=choices,
    )


def _head(request: ChatRequest, *, has_tools: bool) -> list[str]:
    """What goes before the conversation."""
    head = [text.text for text in request.system if text.text]
    if request.format is not None:
        head.append(_form(request))
    if has_tools:
        head.append(cursor_tools.described(request.tools, request.tool_choice))
    return head


def _split(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """The turns up to the last answer, and what the caller has said since."""
    spoken = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    end = spoken[-1] + 1 if spoken else 0
    return turns[:end], turns[end:]


def _whole(head: list[str], before: tuple[Turn, ...], now: tuple[Turn, ...]) -> str:
    """All that a new agent has to know. A single question stays as it was asked."""
    pieces = list(head)
    if before:
        told = "\n\n".join(f"{_SPEAKERS[turn.role]}: {_words((turn,))}" for turn in before)
        pieces.append(f"Our conversation so far:\n\n{told}")
        pieces.append("Now go on from there." if not now else "What I say now:")
    elif head and now:
        pieces.append("What I say:")
    if now:
        pieces.append(_words(now))
    return "\n\n".join(pieces)


_SPEAKERS = {"user": "I said", "assistant": "You said", "system": "You were told"}


def _words(turns: tuple[Turn, ...]) -> str:
    """The turns in words; never nothing, which is refused."""
    said = (_worded(part) for turn in turns for part in turn.parts)
    return "\n\n".join(filter(None, said)) or "(See the image.)"


def _worded(part: Part) -> str:
    match part:
        case Text(text) | Refusal(text):
            return text
        case ToolCall():
            return cursor_tools.written(part.name, part.arguments)
        case ToolResult():
            kind = "failed" if part.is_error else "answered"
            words = "\n".join(filter(None, (_worded(one) for one in part.content)))
            return f"[The tool {part.name or part.call_id} {kind}:]\n{words}"
        case Document(Inline(media_type, data)) if media_type.startswith("text/"):
            return base64.b64decode(data).decode("utf-8", "replace")
        case Image() | Thinking():
            return ""
        case _ if hasattr(part, "source"):
            raise BadAttachment(
                "{field}: the platform takes images and texts, but no other files",
                param="messages",
                field="messages",
            )
    return ""


def _prompt(text: str, turns: tuple[Turn, ...]) -> Json:
    """The prompt with the newest images; there is room for a few."""
    images = [_image(image) for image in _images(turns)][-MOST_IMAGES:]
    return {"text": text, "images": images} if images else {"text": text}


def _images(turns: tuple[Turn, ...]) -> Iterator[Image]:
    for turn in turns:
        for part in turn.parts:
            for one in part.content if isinstance(part, ToolResult) else (part,):
                if isinstance(one, Image):
                    yield one


def _image(image: Image) -> Json:
    source = image.source
    if isinstance(source, Link):
        return {"url": source.url}
    if not isinstance(source, Inline) or source.media_type not in IMAGE_TYPES:
        raise _bad_image("{field}: the platform takes png, jpeg, gif and webp images")
    if len(source.base64) * 3 // 4 > IMAGE_BYTES:
        raise _bad_image("{field}: the platform takes images of up to 15 MB")
    return {"data": source.base64, "mimeType": source.media_type}


def _bad_image(template: str) -> BadAttachment:
    return BadAttachment(template, param="messages", field="messages")


def _form(request: ChatRequest) -> str:
    wanted = "Answer with one JSON object and nothing else, not even a code fence."
    schema = request.format.schema if request.format is not None else None
    return f"{wanted} It must fit this schema:\n{json.dumps(schema)}" if schema else wanted


# ---------------------------------------------------------------- events


class _Reader:
    """What a run says, to events; shared by both forms of an answer."""

    def __init__(self, *, calls: bool) -> None:
        self._blocks = Blocks()
        self._calls = cursor_tools.Calls() if calls else None

    def told(self, body: Mapping[str, Any]) -> list[Event]:
        """The whole answer at once."""
        events: list[Event] = [Started(body["id"], "")]
        if body["thinking"]:
            events += self.thought(body["thinking"])
        return events + self.text(body["text"]) + self.end(body)

    def thought(self, text: str) -> list[Event]:
        return self._blocks.append("thinking", "thinking", text)

    def text(self, text: str) -> list[Event]:
        shown = text if self._calls is None else self._calls.feed(text)
        return self._blocks.append("text", "text", shown) if shown else []

    def end(self, body: Mapping[str, Any]) -> list[Event]:
        if body["status"] != "FINISHED":
            words = str(body.get("message") or ENDS.get(body["status"], ENDS["ERROR"]))
            code = str(body.get("code") or body["status"].lower())
            own = {name: body[name] for name in ("code", "message") if name in body}
            return [Failed(Trouble(words, 0, code, final=True, own=own or None))]
        rest, calls = ("", []) if self._calls is None else self._calls.finish()
        events = self._blocks.append("text", "text", rest) if rest else []
        for place, (name, arguments) in enumerate(calls):
            mark = f"call_{body['id']}_{place}".replace("run-", "")
            events += self._blocks.append(place, "tool_call", arguments, mark, name)
        events += self._blocks.close_all()
        if (usage := _usage(body.get("usage"))) is not None:
            events.append(usage)
        return [*events, Finished("tool_calls" if calls else "stop")]


class CursorReader:
    """The stream of a run, as `cursor_run` passes it on."""

    def __init__(self, *, calls: bool) -> None:
        self.done = False
        self._frames = Frames()
        self._reader = _Reader(calls=calls)

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for name, body in self._frames.feed(data):
            told = orjson.loads(body)
            match name:
                case b"started":
                    events.append(Started(told["id"], ""))
                case b"thinking":
                    events += self._reader.thought(told["text"])
                case b"assistant":
                    events += self._reader.text(told["text"])
                case b"end":
                    self.done = True
                    events += self._reader.end(told)
        return events

    def finish(self) -> list[Event]:
        if self.done:
            return []
        raise BrokenTransfer("the platform's answer ended before it was complete")


def _usage(counted: Any) -> Usage | None:
    if not isinstance(counted, Mapping):
        return None
    names = ("inputTokens", "cacheReadTokens", "cacheWriteTokens", "outputTokens")
    fresh, read, written, said = (int(counted.get(name) or 0) for name in names)
    return Usage(fresh + read + written, said, cached=read, cache_write=written)
