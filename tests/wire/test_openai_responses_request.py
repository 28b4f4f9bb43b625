"""Requests of the Responses dialect as a whole: worked examples, and the way there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.canonical.parts import Opaque, Text, Thinking, ToolCall, ToolResult
from app.canonical.request import ChatRequest, Reasoning, Tool, ToolChoice, Turn
from app.upstream.platform import Catalogue
from app.wire import openai_chat
from app.wire.openai_responses import NAME, read_request, write_request

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "app/platforms/codex.json")
PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQ="
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}


def write(request: ChatRequest, model: str = "gpt-4.1") -> dict[str, Any]:
    return write_request(request, CATALOGUE.facts(model))


def test_a_chat_becomes_the_documented_request() -> None:
    """The example of the field-by-field table; nothing but the sealed thoughts is added."""
    chat = {
        "model": "gpt-6.1-sol",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Weather here?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_9",
                        "type": "function",
                        "function": {"name": "wx", "arguments": '{"city":"Oslo"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_9", "content": "3C"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "wx", "parameters": {"type": "object"}}}
        ],
        "tool_choice": "auto",
        "reasoning_effort": "low",
        "max_completion_tokens": 500,
    }

    written = write(openai_chat.read_request(chat), "gpt-6.1-sol")

    assert written == {
        "model": "gpt-6.1-sol",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Weather here?"},
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{PNG}",
                        "detail": "auto",
                    },
                ],
            },
            {
                "type": "function_call",
                "call_id": "call_9",
                "name": "wx",
                "arguments": '{"city":"Oslo"}',
            },
            {"type": "function_call_output", "call_id": "call_9", "output": "3C"},
        ],
        "tools": [
            {"type": "function", "name": "wx", "parameters": {"type": "object"}, "strict": False}
        ],
        "tool_choice": "auto",
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 500,
        "store": False,
        "stream": False,
    }


def test_what_codex_sends_is_read() -> None:
    """K-list 2.12: Codex CLI, its tools as an item, its thoughts sealed, free-text calls."""
    body = {
        "model": "gpt-6.1-sol",
        "instructions": "You are Codex.",
        "input": [
            {
                "type": "additional_tools",
                "role": "developer",
                "tools": [{"type": "function", "name": "shell", "parameters": {"type": "object"}}],
            },
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "Be safe."}],
            },
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Fix it"}],
            },
            SEALED,
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Looking."}],
                "phase": "commentary",
            },
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "***"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        ],
        "tools": [
            {"type": "web_search", "external_web_access": True},
            {
                "type": "custom",
                "name": "apply_patch",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
            },
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "high", "summary": "detailed"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "thread-1",
        "client_metadata": {"session_id": "s"},
        "text": {"verbosity": "low"},
    }

    assert read_request(body) == ChatRequest(
        model="gpt-6.1-sol",
        system=(Text("You are Codex."), Text("Be safe.")),
        turns=(
            Turn("user", (Text("Fix it"),)),
            Turn(
                "assistant",
                (
                    Thinking("", Opaque(NAME, SEALED)),
                    Text("Looking.", Opaque(NAME, {"phase": "commentary"})),
                    ToolCall("c1", "apply_patch", "***", custom=True),
                    Opaque(NAME, {"type": "web_search_call", "id": "ws_1", "status": "completed"}),
                ),
            ),
            Turn("user", (ToolResult("c1", (Text("ok"),), custom=True),)),
        ),
        tools=(
            Tool(
                "web_search",
                kind="hosted",
                opaque=Opaque(NAME, {"type": "web_search", "external_web_access": True}),
            ),
            Tool(
                "apply_patch",
                kind="custom",
                opaque=Opaque(
                    NAME,
                    {"format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
                ),
            ),
            Tool("shell", schema={"type": "object"}),
        ),
        tool_choice=ToolChoice("auto", parallel=False),
        reasoning=Reasoning(effort="high", visible=True),
        stream=True,
        cache_key="thread-1",
        verbosity="low",
        extras=Opaque(
            NAME,
            {
                "store": False,
                "include": ["reasoning.encrypted_content"],
                "client_metadata": {"session_id": "s"},
                "reasoning": {"summary": "detailed"},
            },
        ),
    )


def test_a_request_survives_reading_and_writing() -> None:
    body = {
        "model": "gpt-6-sol",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
                    {"type": "input_image", "file_id": "file-1", "detail": "auto"},
                    {"type": "input_file", "file_url": "https://x.test/a.pdf"},
                    {
                        "type": "input_file",
                        "filename": "a.pdf",
                        "file_data": f"data:application/pdf;base64,{PDF}",
                    },
                    {
                        "type": "input_text",
                        "text": "x",
                        "prompt_cache_breakpoint": {"mode": "explicit"},
                    },
                ],
            },
            SEALED,
            {"role": "assistant", "content": "Well", "phase": "final_answer"},
            {
                "type": "function_call",
                "call_id": "c1",
                "namespace": "n",
                "name": "f",
                "arguments": "{}",
            },
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "go"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "see"},
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{PNG}",
                        "detail": "auto",
                    },
                ],
            },
            {"role": "developer", "content": [{"type": "input_text", "text": "Now hurry"}]},
            {
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "I", "annotations": []},
                    {"type": "refusal", "refusal": "won't"},
                ],
            },
            {"type": "compaction", "encrypted_content": "gAA"},
            {"role": "user", "content": [{"type": "input_text", "text": "Go"}]},
        ],
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
                "defer_loading": True,
            },
            {"type": "custom", "name": "g", "description": "free"},
            {"type": "mcp", "server_label": "s", "server_url": "https://mcp.test"},
        ],
        "tool_choice": {"type": "mcp", "server_label": "s"},
        "parallel_tool_calls": True,
        "reasoning": {"effort": "high", "summary": "concise", "context": "all_turns"},
        "include": ["file_search_call.results", "reasoning.encrypted_content"],
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "description": "d",
                "schema": {"type": "object"},
                "strict": True,
            },
            "verbosity": "high",
        },
        "max_output_tokens": 900,
        "store": True,
        "metadata": {"a": "b"},
        "truncation": "auto",
        "safety_identifier": "me",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "stream": False,
    }

    assert write(read_request(body), "gpt-6-sol") == body
