"""The streaming grammar of Responses: from finished output items to the events that tell them.

Every event has a `sequence_number` from 0 on. An item is announced empty, told in deltas, closed
part by part and at last repeated in full. What is announced early may differ from what is final:
the `encrypted_content` of a reasoning item does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.simulators.exchange import Frame, as_json
from app.simulators.script import cuts, pieces

Json = dict[str, Any]

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
GARBAGE = b'event: response.output_text.delta\ndata: {"type": "response.outp\n\n'


def item_events(index: int, item: Json, late: bool = False) -> Iterator[Json]:
    """All events of one item; `late` tells arguments in `output_item.done` alone."""
    yield {"type": "response.output_item.added", "output_index": index, "item": _announced(item)}
    told = _TELLERS.get(item["type"], _nothing)
    if not (late and item["type"].endswith("_call")):
        for event in told(item):
            yield {
                "type": event.pop("type"),
                "item_id": item["id"],
                "output_index": index,
                **event,
            }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def framed(event: Json, number: int) -> bytes:
    """One event as it goes over the wire."""
    kind: str = event["type"]
    numbered = {"type": kind, "sequence_number": number, **event}
    return b"event: " + kind.encode() + b"\ndata: " + as_json(numbered) + b"\n\n"


def frame(event: Json, number: int) -> Frame:
    kind = event["type"]
    return Frame(framed(event, number), kind.endswith(".delta"), kind in TERMINAL)


def _announced(item: Json) -> Json:
    """The item as it is first shown, before it has any content."""
    bare: Json = {}
    if "status" in item:
        bare["status"] = "in_progress"
    match item["type"]:
        case "message":
            bare["content"] = []
        case "function_call":
            bare["arguments"] = ""
        case "custom_tool_call":
            bare["input"] = ""
        case "reasoning":
            bare["summary"] = []
            if item.get("encrypted_content"):
                bare["encrypted_content"] = "gAAAAprovisional"
        case "image_generation_call":
            bare["result"] = None
    return {**item, **bare}


def _message(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["content"]):
        at = {"content_index": index}
        tell = _refusal if part["type"] == "refusal" else _text
        empty = (
            {"type": "refusal", "refusal": ""}
            if part["type"] == "refusal"
            else {**part, "text": "", "annotations": [], "logprobs": []}
        )
        yield {"type": "response.content_part.added", **at, "part": empty}
        for event in tell(part):
            yield {**event, **at}
        yield {"type": "response.content_part.done", **at, "part": part}


def _text(part: Json) -> Iterator[Json]:
    entries = part["logprobs"]
    for place, piece in enumerate(pieces(part["text"])):
        own = entries[place : place + 1]
        yield {"type": "response.output_text.delta", "delta": piece, "logprobs": own}
    for place, annotation in enumerate(part["annotations"]):
        yield {
            "type": "response.output_text.annotation.added",
            "annotation_index": place,
            "annotation": annotation,
        }
    yield {"type": "response.output_text.done", "text": part["text"], "logprobs": entries}


def _refusal(part: Json) -> Iterator[Json]:
    for piece in pieces(part["refusal"]):
        yield {"type": "response.refusal.delta", "delta": piece}
    yield {"type": "response.refusal.done", "refusal": part["refusal"]}


def _reasoning(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["summary"]):
        at = {"summary_index": index}
        empty = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": empty}
        for piece in pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}


def _function_call(item: Json) -> Iterator[Json]:
    for piece in cuts(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", "delta": piece}
    yield {"type": "response.function_call_arguments.done", "arguments": item["arguments"]}


def _custom_call(item: Json) -> Iterator[Json]:
    for piece in cuts(item["input"]):
        yield {"type": "response.custom_tool_call_input.delta", "delta": piece}
    yield {"type": "response.custom_tool_call_input.done", "input": item["input"]}


def _search(_item: Json) -> Iterator[Json]:
    for state in ("in_progress", "searching", "completed"):
        yield {"type": f"response.web_search_call.{state}"}


def _picture(item: Json) -> Iterator[Json]:
    yield {"type": "response.image_generation_call.in_progress"}
    yield {"type": "response.image_generation_call.generating"}
    yield {
        "type": "response.image_generation_call.partial_image",
        "partial_image_index": 0,
        "partial_image_b64": item["result"],
    }
    yield {"type": "response.image_generation_call.completed"}


def _nothing(_item: Json) -> Iterator[Json]:
    return iter(())


_TELLERS: dict[str, Callable[[Json], Iterator[Json]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
    "web_search_call": _search,
    "image_generation_call": _picture,
}
