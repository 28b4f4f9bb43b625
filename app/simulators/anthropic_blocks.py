"""The content blocks of an answer, each in both of its forms: whole, and as stream events.

Tool input is streamed as JSON with its non-ASCII text escaped and cut by length alone, so that a
fragment may end inside an escape; the first fragment is empty, and a tool without arguments gets
no other. Thinking carries its signature in a delta of its own, right before the block ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.simulators.anthropic_thoughts import redacted, signature
from app.simulators.exchange import Frame, as_json
from app.simulators.script import pieces

Json = dict[str, Any]

FRAGMENT = 7  # short enough to cut an escape in two
SOURCE = "https://example.com/simulated"


@dataclass(frozen=True, slots=True)
class Block:
    """`start` is the block as its stream begins, `deltas` what is then added to it."""

    whole: Json
    start: Json
    deltas: tuple[Json, ...] = ()


def text_block(text: str, citations: tuple[Json, ...] = ()) -> Block:
    told = [{"type": "text_delta", "text": piece} for piece in pieces(text)]
    cited = [{"type": "citations_delta", "citation": each} for each in citations]
    return Block(
        {"type": "text", "text": text} | ({"citations": list(citations)} if citations else {}),
        {"type": "text", "text": ""} | ({"citations": []} if citations else {}),
        (*told, *cited),
    )


def thinking_block(model: str, thought: str, shown: bool) -> Block:
    text = thought if shown else ""
    signed = signature(model, text)
    told = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(text)]
    return Block(
        {"type": "thinking", "thinking": text, "signature": signed},
        {"type": "thinking", "thinking": "", "signature": ""},
        (*told, {"type": "signature_delta", "signature": signed}),
    )


def redacted_block(model: str, thought: str) -> Block:
    whole = {"type": "redacted_thinking", "data": redacted(model, thought)}
    return Block(whole, whole)


def tool_block(call_id: str, name: str, arguments: str, kind: str = "tool_use") -> Block:
    """A call; arguments that were cut short arrive in pieces, but are lost in the whole form."""
    head = {"type": kind, "id": call_id, "name": name}
    caller = {"caller": {"type": "direct"}}
    try:
        given = json.loads(arguments)
        written = "" if given == {} else json.dumps(given)
    except ValueError:
        given, written = {}, arguments
    fragments = ["", *(written[at : at + FRAGMENT] for at in range(0, len(written), FRAGMENT))]
    return Block(
        {**head, "input": given, **caller},
        {**head, "input": {}, **caller},
        tuple({"type": "input_json_delta", "partial_json": each} for each in fragments),
    )


def search_blocks(call_id: str, query: str) -> list[Block]:
    """A search the server makes by itself: the call, its result and a sentence that cites it."""
    found = {
        "type": "web_search_result",
        "url": SOURCE,
        "title": "A simulated page",
        "encrypted_content": "c2ltdWxhdGVk",
        "page_age": None,
    }
    result = {
        "type": "web_search_tool_result",
        "tool_use_id": call_id,
        "caller": {"type": "direct"},
        "content": [found],
    }
    citation = {
        "type": "web_search_result_location",
        "url": SOURCE,
        "title": "A simulated page",
        "encrypted_index": "MA==",
        "cited_text": "This page does not exist.",
    }
    arguments = json.dumps({"query": query})
    return [
        tool_block(call_id, "web_search", arguments, "server_tool_use"),
        Block(result, result),
        text_block("A simulated search found a simulated page.", (citation,)),
    ]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a stream is told; all of it within what the vendor does."""

    pings: int = 0  # one more after every so many deltas
    padded: bool = False  # spaces before the closing brace
    unclosed: bool = False  # the last block's stop is missing
    early: bool = False  # mishaps may strike before the first block


def event(value: Json, padded: bool = False) -> bytes:
    """One event as it goes over the wire."""
    data = as_json(value)
    if padded:
        data = data[:-1] + b"   }"
    return b"event: %s\ndata: %s\n\n" % (value["type"].encode(), data)


def block_frames(blocks: list[Block], manner: Manner) -> Iterator[Frame]:
    """The events of all blocks, one after the other, with the pings between them."""
    sent = 0
    for index, block in enumerate(blocks):
        start = {"type": "content_block_start", "index": index, "content_block": block.start}
        yield Frame(event(start, manner.padded), content=manner.early)
        if index == 0:
            yield Frame(event({"type": "ping"}))
        for delta in block.deltas:
            told = {"type": "content_block_delta", "index": index, "delta": delta}
            yield Frame(event(told, manner.padded), content=True)
            sent += 1
            if manner.pings and sent % manner.pings == 0:
                yield Frame(event({"type": "ping"}))
        if not (manner.unclosed and index == len(blocks) - 1):
            yield Frame(event({"type": "content_block_stop", "index": index}, manner.padded))
