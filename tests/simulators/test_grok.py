"""The simulated xAI, with what sets it apart from OpenAI."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests

from app.simulators.mishaps import Mishap
from app.simulators.serving import Running

Json = dict[str, Any]
Post = Callable[..., requests.Response]
PLAIN = "grok-4.20-0309-non-reasoning"
THINKS = "grok-4.3"
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def body_of(text: str = "hello", model: str = THINKS, **more: Any) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def post(running: Running) -> Post:
    def send(
        body: Json, path: str = "/chat/completions", key: str = "xai-sim"
    ) -> requests.Response:
        headers = {"authorization": f"Bearer {key}"}
        return requests.post(running.url("grok") + path, json=body, headers=headers, timeout=10)

    return send


def chunks(answer: requests.Response) -> list[Json]:
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(one) for one in data[:-1]]


def test_thoughts_are_told_and_not_counted_among_the_completion_tokens(post: Post) -> None:
    told = post(body_of()).json()
    usage = told["usage"]
    thoughts = usage["completion_tokens_details"]["reasoning_tokens"]

    assert told["choices"][0]["message"]["reasoning_content"] and thoughts > 0
    assert usage["prompt_tokens"] + usage["completion_tokens"] + thoughts == usage["total_tokens"]


def test_the_stream_begins_with_words_and_says_no_finish_reason_before_the_end(post: Post) -> None:
    found = chunks(post(body_of(stream=True, stream_options={"include_usage": True})))
    first, *middle, end, counted = found

    assert {"role", "reasoning_content"} <= first["choices"][0]["delta"].keys()
    assert all("finish_reason" not in one["choices"][0] for one in (first, *middle))
    assert end["choices"][0]["finish_reason"] == "stop"
    assert counted["choices"] == [] and counted["usage"]["total_tokens"] > 0


def test_a_call_comes_whole_in_one_chunk(post: Post) -> None:
    found = chunks(post(body_of(stream=True, tools=[WEATHER], tool_choice="required")))
    calls = [one for one in found if one["choices"][0]["delta"].get("tool_calls")]

    assert len(calls) == 1
    function = calls[0]["choices"][0]["delta"]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"])["city"]


@pytest.mark.parametrize(
    "more, status, words",
    [
        ({"stop": []}, 400, "does not support parameter stop"),
        ({"presence_penalty": 0}, 400, "does not support parameter presencePenalty"),
        ({"reasoning_effort": "xhigh"}, 400, "Invalid reasoning effort"),
        ({"model": PLAIN, "reasoning_effort": "none"}, 400, "parameter reasoningEffort"),
        ({"search_parameters": {"mode": "auto"}}, 410, "deprecated"),
        ({"tools": []}, 400, "tools"),
        ({"logit_bias": {}}, 422, "Failed to deserialize"),
        ({"top_logprobs": 9}, 422, "Failed to deserialize"),
        ({"messages": [{"role": "developer", "content": "x"}]}, 422, "Failed to deserialize"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "at least one content element"),
        ({"model": "grok-2"}, 404, "does not exist"),
    ],
)
def test_what_it_refuses_is_told_flat(post: Post, more: Json, status: int, words: str) -> None:
    answer = post(body_of(**{"model": THINKS, **more}))

    assert answer.status_code == status
    assert answer.json().keys() == {"code", "error"} and words in answer.json()["error"]


def test_a_wrong_key_is_400(post: Post) -> None:
    answer = post(body_of(), key="xai-revoked")

    assert answer.status_code == 400 and "API key" in answer.json()["error"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_may_come_with_the_status_of_success(post: Post, stream: bool) -> None:
    answer = post(body_of("simulate: sick", stream=stream))

    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == "The service is currently unavailable"


def test_responses_search_and_cite(post: Post) -> None:
    body = {"model": THINKS, "input": "simulate: search", "tools": [{"type": "web_search"}]}
    told = post(body, "/responses").json()
    message = next(item for item in told["output"] if item["type"] == "message")

    assert any(item["type"] == "web_search_call" for item in told["output"])
    assert message["content"][0]["annotations"][0]["type"] == "url_citation"


def test_responses_refuse_what_is_not_theirs(post: Post) -> None:
    body = {"model": THINKS, "input": "hello", "metadata": {"a": "b"}}

    assert post(body, "/responses").status_code == 422


def test_models_and_the_key_are_described(running: Running) -> None:
    def get(path: str) -> Json:
        headers = {"authorization": "Bearer xai-sim"}
        told: Json = requests.get(running.url("grok") + path, headers=headers, timeout=10).json()
        return told

    assert THINKS in {one["id"] for one in get("/models")["data"]}
    assert get("/models/grok-4.20")["id"] == "grok-4.20-0309-reasoning"
    assert "grok-latest" in get("/language-models/grok-4.7")["aliases"]
    assert get("/api-key")["api_key_disabled"] is False
    assert get("/models/nothing").keys() == {"code", "error"}


def test_the_official_sdk_of_openai_gets_an_answer(running: Running) -> None:
    client = openai.OpenAI(base_url=running.url("grok"), api_key="xai-sim", max_retries=0)
    told = client.chat.completions.create(**body_of("simulate: say Hello", PLAIN))

    assert told.choices[0].message.content == "Hello"


@pytest.mark.parametrize("kind, status", [("throttle", 429), ("overload", 503), ("fail", 500)])
def test_mishaps_speak_its_language(running: Running, post: Post, kind: str, status: int) -> None:
    running.simulators["grok"].mishaps.queue(Mishap(kind, seconds=3))
    answer = post(body_of())

    assert (answer.status_code, answer.json().keys()) == (status, {"code", "error"})
