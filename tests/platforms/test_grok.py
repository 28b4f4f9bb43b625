"""What is Grok's own: its counting, its errors in disguise, its search, its wishes before a chat."""

from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.callers import CALLERS, NATIVE, Caller
from tests.platforms.conftest import ONCE, Pair
from tests.stack import Json, Stack

THINKS = "grok-4.3"


@pytest.fixture(params=CALLERS, ids=lambda caller: caller.name)
def grok(request: pytest.FixtureRequest, stack: Stack) -> Pair:
    stack.simulators.clear("grok")
    return Pair("grok", request.param, stack)


@pytest.fixture
def chat(stack: Stack) -> Pair:
    stack.simulators.clear("grok")
    return Pair("grok", NATIVE["openai_chat"], stack)


def _chat(pair: Pair, text: str, model: str = THINKS, **more: Any) -> Any:
    asked = pair.caller.ask(model, text, **more)
    return pair.caller.call(pair.base, asked, pair.stack.licence)


def _sent(pair: Pair) -> Json:
    body: Json = pair.asked[-1]["body"]
    return body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_thoughts_are_counted_as_everybody_counts_them(grok: Pair, stream: bool) -> None:
    """C-092: among what was said."""
    caller: Caller = grok.caller
    heard = _chat(grok, "simulate: say Hi", stream=stream)
    line = grok.stack.line(heard.headers["x-request-id"])
    _, said = caller.stream_usage(heard) if stream else caller.usage(heard.json)

    assert line["tokens_reasoning"] > 0
    assert line["tokens_out"] == said == line["tokens_reasoning"] + 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_error_with_the_status_of_success_is_an_error(grok: Pair, stream: bool) -> None:
    """R-012: before the caller's stream has begun, and worth another attempt."""
    asked = grok.caller.ask(THINKS, "simulate: sick", stream=stream)
    heard = grok.caller.call(grok.base, asked, grok.stack.licence, query="retry_attempt=1")

    assert (heard.status, len(grok.asked)) == (502, 2)
    assert grok.caller.message(heard.json)


def test_what_breaks_the_rules_is_the_callers_doing_and_not_the_keys(grok: Pair) -> None:
    heard = _chat(grok, "simulate: moderated")

    assert (heard.status, len(grok.asked)) == (400, 1)
    assert "usage guidelines" in grok.caller.message(heard.json)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_deepsearch_searches(grok: Pair, stream: bool) -> None:
    """C-156: through the endpoint where search lives."""
    heard = _chat(grok, "simulate: search", f"{THINKS}-deepsearch", stream=stream)

    assert heard.status == 200, heard.content
    assert grok.asked[-1]["path"] == "/v1/responses"
    assert [tool["type"] for tool in _sent(grok)["tools"]] == ["web_search", "x_search"]
    assert heard.headers["x-tokens-model"] == THINKS
    if grok.caller.name != "gemini_generate":
        assert b"https://example.com/simulated" in heard.content


def test_links_at_the_top_become_citations(chat: Pair) -> None:
    heard = _chat(chat, "simulate: cited")
    notes = heard.json["choices"][0]["message"]["annotations"]

    assert [note["url_citation"]["url"] for note in notes][0] == "https://example.com/simulated"


def test_only_documented_fields_are_sent(chat: Pair) -> None:
    """wire rules: what the vendor has no schema for is left out, and what it names otherwise is renamed."""
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "object", "additionalProperties": False}},
        "additionalProperties": False,
    }
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": parameters}}
    more = {
        "tools": [tool],
        "max_tokens": 50,
        "top_p": 0,
        "logit_bias": {"1": 1},
        "store": True,
        "metadata": {"a": "b"},
        "presence_penalty": 0,
        "service_tier": "flex",
        "user": "somebody",
        "prompt_cache_key": "conversation-1",
    }
    heard = _chat(chat, "simulate: say Hi", **more)
    sent = _sent(chat)

    assert heard.status == 200, heard.content
    assert (sent["max_completion_tokens"], sent["top_p"], sent["user"]) == (50, 0.01, "somebody")
    assert chat.asked[-1]["headers"]["x-grok-conv-id"] == "conversation-1"
    assert sent.keys() & more.keys() == {"tools", "top_p", "user"}
    assert sent["tools"][0]["function"] == {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"type": "object"}}},
    }


def test_stop_sequences_are_seen_to_here_where_the_model_refuses_them(chat: Pair) -> None:
    """C-074."""
    heard = _chat(chat, "simulate: say one two three", stop=["two"])

    assert chat.caller.text(heard.json).strip() == "one"
    assert "stop" not in _sent(chat)


def test_a_wrong_key_is_400_there_and_gives_way_to_the_next(gateway: Any) -> None:
    """C-126."""
    stack = gateway(TOKENS_GROK_KEYS="xai-revoked,xai-good")
    stack.simulators.clear("grok")
    pair = Pair("grok", NATIVE["openai_chat"], stack)

    assert pair.call("hello").status == 200
    assert len(pair.asked) == 2


@pytest.mark.parametrize("mishap", ["refuse", "overload"])
def test_what_is_wrong_with_an_upload_is_wrong_with_the_chat(chat: Pair, mishap: str) -> None:
    chat.mishap(mishap)
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    content = [{"type": "text", "text": "hello"}, {"type": "file", "file": file}]
    body = {"model": THINKS, "messages": [{"role": "user", "content": content}]}
    asked = ("/v1/chat/completions", body)
    heard = chat.caller.call(chat.base, asked, chat.stack.licence, query=ONCE)

    assert heard.status == (503 if mishap == "refuse" else 502)
    assert [entry["path"] for entry in chat.asked] == ["/v1/files"]
