"""OpenAI's Responses: `POST /v1/responses` and everything that hangs on a stored response.

Responses are stored unless the caller says `store: false`. A stored one can be continued, read,
listed and deleted. A background run is queued when created, in progress when first looked at and
finished when looked at again, so that tests need no clock; its events can be replayed from any
number on. There is no `[DONE]`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.openai_checks import Refused
from app.simulators.openai_house import OpenaiSimulator, Route, read_json
from app.simulators.openai_images import PATHS, Images, prompt_of
from app.simulators.openai_stored import page
from app.simulators.responses_ask import OUTPUTS, ask_of, items_of, last_user_text
from app.simulators.responses_events import GARBAGE, frame
from app.simulators.responses_rules import COMPACTED, MEASURED, accept
from app.simulators.responses_turn import Turn, usage
from app.simulators.script import BYTES_PER_TOKEN, count, say
from app.simulators.simulator import EPOCH

PATH = "/v1/responses"
KEPT = 200
CALLS = ("function_call", "custom_tool_call")
PREFIXES = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "reasoning": "rs_",
    "compaction": "cmp_",
}
EVENT_STREAM = "text/event-stream; charset=utf-8"

Json = dict[str, Any]


@dataclass(slots=True)
class Stored:
    """A response that can be read back. `shown` is what a reader sees now."""

    turn: Turn
    shown: Json
    items: list[Json]
    background: bool
    tokens: int


class CodexSimulator(OpenaiSimulator):
    """Responses as the vendor serves them."""

    name = "codex"

    def __init__(self) -> None:
        super().__init__()
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._images = Images(self.mint)

    def prompt(self, call: Call) -> str:
        if call.path in PATHS:
            return prompt_of(call)
        body = call.body() if call.path == PATH else None
        return last_user_text(items_of(body.get("input"))) if isinstance(body, dict) else ""

    def routes(self, call: Call) -> dict[str, Route]:
        if found := self._images.routes(call):
            return found
        fixed: dict[str, dict[str, Route]] = {
            PATH: {"POST": self._create},
            f"{PATH}/input_tokens": {"POST": self._measure},
            f"{PATH}/compact": {"POST": self._compact},
        }
        name, _, action = call.path.removeprefix(f"{PATH}/").partition("/")
        if call.path in fixed or name in ("", call.path):
            return fixed.get(call.path, {})
        owned: dict[str, dict[str, Route]] = {
            "": {"GET": lambda call: self._read(call, name), "DELETE": lambda _: self._drop(name)},
            "cancel": {"POST": lambda _: self._cancel(name)},
            "input_items": {"GET": lambda call: self._input_items(call, name)},
        }
        return owned.get(action, {})

    # Making one.

    def _create(self, call: Call) -> Reply:
        body = accept(read_json(call))
        items = items_of(body.get("input"))
        before = self._continued(body, items)
        turn = Turn(self.mint, body, ask_of(body, len(call.raw) + before * BYTES_PER_TOKEN))
        background = bool(body.get("background"))
        shown = turn.opened("queued") if background else turn.closed()
        if body.get("store") is not False:
            self._keep(Stored(turn, shown, self._named(items), background, before))
        headers = {"openai-model": body["model"]}
        if not body.get("stream"):
            return Reply(200, as_json(shown), headers)
        return self._told(turn, headers)

    def _told(self, turn: Turn, headers: Json, after: int = -1) -> Reply:
        frames: list[Frame] = [frame(event, at) for at, event in enumerate(turn.events())]
        told = Stream(frames[after + 1 :], GARBAGE, turn.error_frames)
        return Reply(200, told, {"cache-control": "no-cache", **headers}, EVENT_STREAM)

    def _keep(self, stored: Stored) -> None:
        stored.tokens += (stored.turn.closed()["usage"] or {}).get("total_tokens", 0)
        self._kept[stored.turn.id] = stored
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _named(self, items: list[Json]) -> list[Json]:
        """The items as they are read back: in their long form, each with an id."""
        return [self._long_form(item) for item in items]

    def _long_form(self, item: Json) -> Json:
        kind = item.get("type", "message")
        name = item.get("id") or self.mint(PREFIXES.get(kind, "item_"), 48)
        if kind != "message":
            return {**item, "id": name}
        content = item["content"]
        if isinstance(content, str):
            part = "output_text" if item["role"] == "assistant" else "input_text"
            content = [{"type": part, "text": content}]
        return {"type": kind, "status": "completed", **item, "id": name, "content": content}

    def _continued(self, body: Json, items: list[Json]) -> int:
        """How many tokens the conversation so far was; what it left open must be answered."""
        self._require_references(items)
        name = body.get("previous_response_id")
        if not name:
            return 0
        if name not in self._kept:
            raise Refused(
                f"Previous response with id '{name}' not found.",
                "previous_response_id",
                "previous_response_not_found",
            )
        before = self._kept[name]
        made = {item["call_id"] for item in before.shown["output"] if item["type"] in CALLS}
        made |= {item["call_id"] for item in items if item.get("type") in CALLS}
        answered = {item["call_id"] for item in items if item.get("type") in OUTPUTS}
        for call_id in sorted(made - answered):
            raise Refused(f"No tool output found for function call {call_id}.", "input")
        for call_id in sorted(answered - made):
            raise Refused(
                f"No tool call found for function call output with call_id {call_id}.", "input"
            )
        return before.tokens

    def _require_references(self, items: list[Json]) -> None:
        wanted = [item["id"] for item in items if item.get("type") == "item_reference"]
        kept = {item.get("id") for stored in self._kept.values() for item in stored.turn.output}
        for name in wanted:
            if name not in kept:
                raise Refused(f"Item with id '{name}' not found.", "input", status=404)

    # What hangs on one.

    def _found(self, name: str) -> Stored:
        if name not in self._kept:
            raise Refused(f"Response with id '{name}' not found.", status=404)
        return self._kept[name]

    def _read(self, call: Call, name: str) -> Reply:
        stored = self._found(name)
        if call.parameter("stream") == "true":
            if not stored.background:
                raise Refused("Only background responses can be streamed again.", "stream")
            after = call.parameter("starting_after") or "-1"
            if not after.lstrip("-").isdecimal():
                raise Refused("Invalid 'starting_after'.", "starting_after", "invalid_value")
            stored.shown = stored.turn.closed()
            return self._told(stored.turn, {}, max(-1, int(after)))
        if stored.background:
            stored.shown = _next(stored)
        return Reply(200, as_json(stored.shown))

    def _cancel(self, name: str) -> Reply:
        stored = self._found(name)
        if not stored.background:
            raise Refused("Cannot cancel a synchronous response.")
        if stored.shown["status"] in ("queued", "in_progress"):
            stored.shown = stored.turn.opened("cancelled")
        return Reply(200, as_json(stored.shown))

    def _drop(self, name: str) -> Reply:
        self._found(name)
        del self._kept[name]
        return Reply(200, as_json({"id": name, "object": "response", "deleted": True}))

    def _input_items(self, call: Call, name: str) -> Reply:
        return Reply(200, as_json(page(self._found(name).items, call, order="desc")))

    # Beside it.

    def _measure(self, call: Call) -> Reply:
        accept(read_json(call), MEASURED)
        tokens = count(call.raw.decode("utf-8", "replace"))
        return Reply(200, as_json({"object": "response.input_tokens", "input_tokens": tokens}))

    def _compact(self, call: Call) -> Reply:
        body = accept(read_json(call), COMPACTED)
        items = items_of(body.get("input"))
        turn = Turn(self.mint, {**body, "input": []}, ask_of(body, len(call.raw)))
        users = [item for item in self._named(items) if item.get("role") == "user"]
        told = {
            "id": turn.id,
            "object": "response.compaction",
            "created_at": EPOCH,
            "output": [*users, turn.compaction()],
            "usage": usage(say(ask_of(body, len(call.raw)))),
        }
        return Reply(200, as_json(told))


def _next(stored: Stored) -> Json:
    """A background run moves one step each time it is looked at."""
    steps = {"queued": stored.turn.opened, "in_progress": stored.turn.closed}
    step = steps.get(stored.shown["status"])
    return step() if step else stored.shown
