"""What is written for Google is what Google takes: every kind of model, as far as the simulator
knows the rules.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from app.canonical.parts import Image, Inline, Opaque, Text, Thinking, ToolCall, ToolResult
from app.canonical.request import (
    ChatRequest,
    Effort,
    Format,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
    Turn,
)
from app.simulators.gemini_limits import accept
from app.simulators.gemini_models import resolved
from app.upstream.platform import Catalogue
from app.wire.gemini_generate import write_request

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "app/platforms/google.json")
MODELS = [model.id for model in CATALOGUE.models] + [
    "gemini-2.0-flash",
    "gemini-3-pro-preview",
    "gemini-3.1-flash-image",
    "gemini-3.5-flash",
    "gemma-3-27b-it",
]
FOREIGN = Opaque("anthropic_messages", {"signature": "sig"})
TURNS = (
    Turn("assistant", (Text("Hello."),)),
    Turn("user", (Text("Look."), Image(Inline("image/png", "AA==")))),
    Turn(
        "assistant",
        (
            Thinking("Hm", FOREIGN),
            ToolCall("a", "f", "{}"),
            ToolCall("b", "g", "[", opaque=FOREIGN),
        ),
    ),
    Turn("user", (ToolResult("b", (Text("2"),), is_error=True), Text("Well?"))),
    Turn("user", (ToolResult("a", (Text('{"n":1}'),)),)),
    Turn("assistant", (Text("Right."),)),
)
SCHEMA = {"type": "object", "properties": {"n": {"type": ["integer", "null"]}}, "$defs": {}}
TOOLS = (Tool("f", "does f", SCHEMA), Tool("g"), Tool("googleSearch"), Tool("p", kind="custom"))
SAMPLING = Sampling(1.0, 0.9, 40, 7, 0.5, 0.5, ("END",))
EFFORTS: list[Effort | None] = [None, "none", "minimal", "low", "medium", "high", "xhigh", "max"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_with_everything_in_it_is_accepted(model: str, stream: bool) -> None:
    request = ChatRequest(
        model,
        TURNS,
        system=(Text("Be brief."),),
        tools=TOOLS,
        tool_choice=ToolChoice("required", ("f",)),
        sampling=SAMPLING,
        format=Format("schema", schema=SCHEMA),
        max_output=10**6,
        stream=stream,
    )

    accept(write_request(request, CATALOGUE.facts(model)), resolved(model), stream)


@pytest.mark.parametrize("model", MODELS)
def test_every_wish_for_thinking_is_accepted(model: str) -> None:
    for effort, budget in product(EFFORTS, (None, -1, 0, 5, 9000, 10**6)):
        wish = Reasoning(effort, budget)
        request = ChatRequest(model, TURNS[1:2], reasoning=wish, max_output=99)
        accept(write_request(request, CATALOGUE.facts(model)), resolved(model), True)
