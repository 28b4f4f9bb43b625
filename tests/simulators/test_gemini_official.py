"""Google's endpoint for OpenAI's clients, simulated with its quirks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests

from app.simulators.image_sides import sides
from app.simulators.serving import Running

Json = dict[str, Any]
Post = Callable[..., requests.Response]
BASE = "/v1beta/openai"
NEW = "gemini-3.8-flash"
OLD = "gemini-2.5-flash"
BANANA = "gemini-nano-banana-2.1"
TOOL: Json = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


def body_of(text: str = "hello", model: str = OLD, **more: Any) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def post(running: Running) -> Post:
    def send(body: Json, key: str = "sim-key") -> requests.Response:
        return requests.post(
            running.url("gemini_official") + f"{BASE}/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {key}"},
            timeout=10,
        )

    return send


def chunks(answer: requests.Response) -> list[Json]:
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(one) for one in data[:-1]]


def test_thoughts_are_left_out_of_what_was_said(post: Post) -> None:
    usage = post(body_of(reasoning_effort="low")).json()["usage"]

    assert usage["total_tokens"] > usage["prompt_tokens"] + usage["completion_tokens"]


def test_thoughts_in_words_stand_in_the_text_between_tags(post: Post) -> None:
    more = {"extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}}
    text = post(body_of(**more)).json()["choices"][0]["message"]["content"]

    assert text.startswith("<thought>") and "</thought>" in text


def test_a_stream_with_calls_stops_and_numbers_them_all_alike(post: Post) -> None:
    tools = [
        TOOL,
        {"type": "function", "function": {"name": "date", "parameters": {"type": "object"}}},
    ]
    found = chunks(post(body_of(stream=True, tools=tools, tool_choice="required")))
    calls = [call for one in found for call in one["choices"][0]["delta"].get("tool_calls", ())]

    assert {call["index"] for call in calls} == {0}
    assert found[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_signed_call_must_come_back_with_its_signature(post: Post) -> None:
    body = body_of(model=NEW, tools=[TOOL], tool_choice="required")
    message = post(body).json()["choices"][0]["message"]
    call = message["tool_calls"][0]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "noon"}

    def again(call: Json) -> requests.Response:
        said = {"role": "assistant", "tool_calls": [call]}
        return post({**body, "tool_choice": "auto", "messages": [*body["messages"], said, result]})

    assert again(call).status_code == 200
    assert (
        again({**call, "extra_content": {"google": {"thought_signature": "eHl6"}}}).status_code
        == 400
    )
    assert again({name: call[name] for name in ("id", "type", "function")}).status_code == 400


@pytest.mark.parametrize(
    "more, words",
    [
        ({"logit_bias": {}}, 'Unknown name "logit_bias"'),
        ({"model": f"models/{OLD}"}, ""),
        (
            {"reasoning_effort": "low", "extra_body": {"google": {"thinking_config": {}}}},
            "together",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
                        ],
                    }
                ]
            },
            "inline",
        ),
        ({"messages": []}, "messages"),
    ],
)
def test_what_it_refuses_is_an_array_of_one_error(post: Post, more: Json, words: str) -> None:
    answer = post(body_of(**{"model": OLD, **more}))

    assert answer.status_code == 400
    (told,) = answer.json()
    assert told["error"]["status"] == "INVALID_ARGUMENT" and words in told["error"]["message"]


def test_a_wrong_key_is_told_in_an_array_too(post: Post) -> None:
    answer = post(body_of(), key="sim-revoked")

    assert answer.status_code in (400, 401) and isinstance(answer.json(), list)


def test_the_official_sdk_of_openai_gets_an_answer_and_the_models(running: Running) -> None:
    client = openai.OpenAI(
        base_url=running.url("gemini_official") + BASE, api_key="sim-key", max_retries=0
    )
    told = client.chat.completions.create(**body_of("simulate: say Hello", "gemini-2.5-flash-lite"))

    assert told.choices[0].message.content == "Hello"
    assert f"models/{OLD}" in {model.id for model in client.models.list()}


def test_the_native_api_is_there_as_well(running: Running) -> None:
    answer = requests.post(
        running.url("gemini_official") + f"/v1beta/models/{OLD}:generateContent",
        json={"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        headers={"x-goog-api-key": "sim-key"},
        timeout=10,
    )

    assert answer.status_code == 200 and answer.json()["candidates"]


# Pictures.


def drawn(running: Running, body: Json) -> requests.Response:
    return requests.post(
        running.url("gemini_official") + f"{BASE}/images/generations",
        json={"model": BANANA, "prompt": "a cat", **body},
        headers={"authorization": "Bearer sim-key"},
        timeout=10,
    )


def test_pictures_come_as_base64_and_what_is_unknown_is_dropped(running: Running) -> None:
    answer = drawn(running, {"n": 2, "size": "1792x1024", "style": "vivid", "quality": "hd"})
    files = [base64.b64decode(one["b64_json"]) for one in answer.json()["data"]]

    assert [sides(data) for data in files] == [(1376, 768)] * 2
    assert files[0] != files[1]


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": ""},
        {"n": 0},
        {"size": "large"},
        {"model": NEW},
        {"extra_body": {"aspect_ratio": "7:5"}},
        {"prompt": "simulate: finish=IMAGE_SAFETY"},
        {"prompt": "simulate: blocked"},
        {"prompt": "simulate: undrawn"},
    ],
)
def test_no_picture_is_an_array_of_one_error(running: Running, body: Json) -> None:
    answer = drawn(running, body)
    (told,) = answer.json()

    assert answer.status_code == told["error"]["code"] == 400 and told["error"]["message"]


def test_a_picture_meets_mishaps_by_its_prompt(running: Running) -> None:
    assert drawn(running, {"prompt": "simulate: throttle"}).status_code == 429


def test_the_official_sdk_of_openai_gets_a_picture(running: Running) -> None:
    client = openai.OpenAI(
        base_url=running.url("gemini_official") + BASE, api_key="sim-key", max_retries=0
    )
    told = client.images.generate(
        model=BANANA, prompt="a cat", extra_body={"extra_body": {"aspect_ratio": "9:16"}}
    )
    (one,) = told.data or []

    assert sides(base64.b64decode(one.b64_json or "")) == (768, 1376)


def test_films_are_made_on_the_same_host(running: Running) -> None:
    wish = {"model": "gemini-omni-1.1-flash", "input": "a fox", "background": True}
    answer = requests.post(
        running.url("gemini_official") + "/v1beta/interactions",
        json=wish,
        headers={"x-goog-api-key": "sim-key"},
        timeout=10,
    )

    assert answer.status_code == 200 and answer.json()["status"] == "queued"
