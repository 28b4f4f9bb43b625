"""The simulated Chat Completions: shapes and grammar, driven with the official SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
import requests

from app.simulators.serving import Running

WX: Any = {
    "type": "function",
    "function": {
        "name": "wx",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CLOCK: Any = {"type": "function", "function": {"name": "clock"}}
GREP: Any = {"type": "custom", "custom": {"name": "grep"}}
KEY = {"authorization": "Bearer sk-sim-0123456789"}


@pytest.fixture
def client(running: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=running.url("chatgpt"), api_key="sk-sim", max_retries=0)


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": user(text), **more}


def post(running: Running, sent: Any, **headers: str) -> requests.Response:
    url = f"{running.url('chatgpt')}/chat/completions"
    return requests.post(url, json=sent, headers={**KEY, **headers}, timeout=5)


def chunks(running: Running, text: str, **more: Any) -> list[Any]:
    """The records of a stream, parsed; `[DONE]` stays text."""
    options = {"include_obfuscation": False, **more.pop("stream_options", {})}
    answer = post(running, body(text, stream=True, stream_options=options, **more))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    lines = answer.content.decode().removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") for line in lines)
    found = [line.removeprefix("data: ") for line in lines]
    return [each if each == "[DONE]" else json.loads(each) for each in found]


def deltas(records: list[Any]) -> list[Any]:
    return [record["choices"][0]["delta"] for record in records[:-1] if record["choices"]]


def test_an_answer_has_every_member_the_vendor_sends(running: Running) -> None:
    answer = post(running, body("simulate: say Hi there", metadata={"a": "b"})).json()
    assert answer.pop("id").startswith("chatcmpl-")
    prompt = answer["usage"]["prompt_tokens"]
    assert answer == {
        "object": "chat.completion",
        "created": 1795000000,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi there",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": 2,
            "total_tokens": prompt + 2,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": None,
        "metadata": {"a": "b"},
    }


def test_a_reply_carries_the_account_and_a_request_id(running: Running) -> None:
    headers = post(running, body("hello")).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-organization"].startswith("org-")
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-model"] == "gpt-4o"
    assert headers["x-ratelimit-limit-requests"] == "10000"
    assert headers["x-ratelimit-reset-requests"] == "6ms"


def test_a_text_stream_opens_tells_finishes_and_counts(running: Running) -> None:
    records = chunks(running, "simulate: say Hi there", stream_options={"include_usage": True})
    head = {name: records[0][name] for name in ("id", "object", "created", "model")}
    told = [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hi"},
        {"content": " there"},
        {},
    ]
    assert deltas(records) == told
    assert [r["choices"][0]["finish_reason"] for r in records[:4]] == [None, None, None, "stop"]
    assert [r["usage"] for r in records[:4]] == [None] * 4
    assert (records[4]["choices"], records[4]["usage"]["completion_tokens"]) == ([], 2)
    assert records[5:] == ["[DONE]"]
    assert all({name: r[name] for name in head} == head for r in records[:5])


def test_without_being_asked_no_chunk_speaks_of_usage(running: Running) -> None:
    assert not [r for r in chunks(running, "hello")[:-1] if "usage" in r]


def test_padding_comes_unless_it_is_declined(running: Running) -> None:
    padded = post(running, body("hello", stream=True)).text
    assert padded.count('"obfuscation"') == padded.count('"choices":[{')
    assert "obfuscation" not in json.dumps(chunks(running, "hello"))


def test_parallel_calls_stream_one_after_the_other(running: Running) -> None:
    records = chunks(running, "wx for Ålesund and clock", tools=[WX, CLOCK])
    calls = [delta["tool_calls"][0] for delta in deltas(records)[1:-1]]
    heads = [call for call in calls if "id" in call]
    assert deltas(records)[0] == {"role": "assistant", "content": None, "refusal": None}
    assert [(head["index"], head["type"], head["function"]) for head in heads] == [
        (0, "function", {"name": "wx", "arguments": ""}),
        (1, "function", {"name": "clock", "arguments": ""}),
    ]
    assert [call["index"] for call in calls] == sorted(call["index"] for call in calls)
    told = {
        place: "".join(c["function"]["arguments"] for c in calls if c["index"] == place)
        for place in (0, 1)
    }
    assert {place: json.loads(text) for place, text in told.items()} == {
        0: {"city": "Ålesund"},
        1: {},
    }
    assert all(set(call) == {"index", "function"} for call in calls if call not in heads)
    assert records[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_role_may_travel_with_the_first_call(running: Running) -> None:
    first = deltas(chunks(running, "simulate: merged wx", tools=[WX]))[0]
    assert first["role"] == "assistant"
    assert first["tool_calls"][0]["function"] == {"name": "wx", "arguments": ""}


def test_the_sdk_runs_a_whole_tool_loop(client: openai.OpenAI) -> None:
    turns = user("wx in Oslo")
    first = client.chat.completions.create(model="gpt-4o", messages=turns, tools=[WX])
    calls = first.choices[0].message.tool_calls or []
    assert [call.to_dict() for call in calls] == [
        {
            "id": calls[0].id,
            "type": "function",
            "function": {"name": "wx", "arguments": '{"city": "Oslo"}'},
        }
    ]
    assert first.choices[0].finish_reason == "tool_calls"
    turns.append({"role": "assistant", "tool_calls": [call.to_dict() for call in calls]})
    turns.append({"role": "tool", "tool_call_id": calls[0].id, "content": "3C"})
    second = client.chat.completions.create(model="gpt-4o", messages=turns, tools=[WX])
    assert (second.choices[0].message.content or "").endswith('The tools answered "3C".')


def test_the_sdks_stream_helper_accepts_the_grammar(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="gpt-4o", messages=user("wx in Oslo, clock"), tools=[WX, CLOCK], n=2
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert events.count("tool_calls.function.arguments.done") == 4
    assert [choice.finish_reason for choice in final.choices] == ["tool_calls", "tool_calls"]


def test_two_choices_interleave_and_cost_twice(running: Running) -> None:
    records = chunks(running, "simulate: say a b", n=2, stream_options={"include_usage": True})
    order = [record["choices"][0]["index"] for record in records[:-2]]
    assert order == [0, 1] * 4
    assert records[-2]["usage"]["completion_tokens"] == 4


def test_a_custom_tool_takes_free_text(running: Running) -> None:
    whole = post(running, body("grep Oslo", tools=[GREP])).json()
    call = whole["choices"][0]["message"]["tool_calls"][0]
    assert (call["type"], call["custom"]) == ("custom", {"name": "grep", "input": "Oslo"})
    told = deltas(chunks(running, "grep Oslo", tools=[GREP]))[1:-1]
    assert told[0]["tool_calls"][0]["custom"] == {"name": "grep", "input": ""}
    pieces = [delta["tool_calls"][0]["custom"]["input"] for delta in told[1:]]
    assert "".join(pieces) == "Oslo"


def test_the_old_way_of_calling_functions_still_works(running: Running) -> None:
    sent = {"functions": [{"name": "wx", "parameters": WX["function"]["parameters"]}]}
    choice = post(running, body("wx in Oslo", **sent)).json()["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "wx", "arguments": '{"city": "Oslo"}'}
    told = deltas(chunks(running, "wx in Oslo", **sent))[1:-1]
    assert told[0] == {"function_call": {"name": "wx", "arguments": ""}}
    assert "".join(d["function_call"]["arguments"] for d in told) == '{"city": "Oslo"}'


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", ["wx"]),
        ("required", ["wx"]),
        ({"type": "function", "function": {"name": "clock"}}, ["clock"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "clock"}}],
                },
            },
            ["clock"],
        ),
    ],
)
def test_the_tool_choice_decides(running: Running, choice: Any, names: list[str]) -> None:
    answer = post(running, body("wx", tools=[WX, CLOCK], tool_choice=choice)).json()
    calls = answer["choices"][0]["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == names


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ({"type": "json_object"}, {"answer": "sample"}),
        (
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "place",
                    "strict": True,
                    "schema": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                        "additionalProperties": False,
                    },
                },
            },
            {"city": "Oslo"},
        ),
    ],
)
def test_structured_output_fits_its_schema(running: Running, form: Any, value: Any) -> None:
    answer = post(running, body("name Oslo", response_format=form)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == value


def test_reasoning_shows_in_the_usage_alone(running: Running) -> None:
    sent = {**body("simulate: say Hi"), "model": "gpt-5.5"}
    answer = post(running, sent).json()
    assert set(answer["choices"][0]["message"]) == {"role", "content", "refusal", "annotations"}
    assert answer["usage"]["completion_tokens"] == 11
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 10
    still = post(running, {**sent, "reasoning_effort": "none", "temperature": 0.2}).json()
    assert still["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


def test_a_limit_cuts_the_answer(running: Running) -> None:
    choice = post(running, body("simulate: words=9", max_tokens=2)).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("word1 word2", "length")


def test_a_stop_sequence_ends_the_answer(running: Running) -> None:
    choice = post(running, body("simulate: words=9", stop=["word3"])).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("word1 word2 ", "stop")


def test_a_refusal_takes_the_place_of_the_content(running: Running) -> None:
    choice = post(running, body("simulate: refusal")).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "stop")
    told = deltas(chunks(running, "simulate: refusal"))[1:-1]
    assert "".join(delta["refusal"] for delta in told) == choice["message"]["refusal"]


def test_a_filter_leaves_half_an_answer(running: Running) -> None:
    records = chunks(running, "simulate: content_filter")
    assert records[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_logprobs_come_with_every_piece(running: Running) -> None:
    entry = {"token": "Hi", "logprob": -0.125, "bytes": [72, 105]}
    sent = {"logprobs": True, "top_logprobs": 1}
    whole = post(running, body("simulate: say Hi", **sent)).json()["choices"][0]
    expected = {"content": [{**entry, "top_logprobs": [entry]}], "refusal": None}
    assert whole["logprobs"] == expected
    told = chunks(running, "simulate: say Hi", **sent)
    assert [r["choices"][0]["logprobs"] for r in told[:-1]] == [None, expected, None]


def test_audio_is_spoken_when_asked_for(running: Running) -> None:
    sent = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    message = post(running, body("simulate: say Hi", **sent)).json()["choices"][0]["message"]
    assert (message["content"], message["audio"]["transcript"]) == (None, "Hi")
    assert message["audio"]["data"] == "SGk="


def test_attachments_are_named(running: Running) -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.webp?x=1"}},
        {"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
    ]
    sent = {"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}
    content = post(running, sent).json()["choices"][0]["message"]["content"]
    assert content.endswith("I also received image/png, image/webp, application/pdf, audio/mp3.")


def test_half_a_surrogate_pair_comes_back(running: Running) -> None:
    url = f"{running.url('chatgpt')}/chat/completions"
    raw = json.dumps(body("simulate: say \ud83d!")).encode()
    headers = {**KEY, "content-type": "application/json"}
    answer = requests.post(url, data=raw, headers=headers, timeout=5).json()
    assert answer["choices"][0]["message"]["content"] == "\ud83d!"


def test_a_failing_stream_tells_an_error_and_no_finish(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o", messages=user("simulate: error after=1"), stream=True
    )
    got: list[str | None] = []
    with pytest.raises(openai.APIError, match="The server had an error"):
        for chunk in stream:
            got.append(chunk.choices[0].finish_reason)
    assert got == [None, None]


def test_the_models_are_listed_and_described(client: openai.OpenAI) -> None:
    listed = {model.id: model.to_dict() for model in client.models.list()}
    assert listed["gpt-4o"]["shutdown_date"] == "2027-01-14"
    assert client.models.retrieve("gpt-5.1-codex").id == "gpt-5.1-codex"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("claude-5")
    assert caught.value.code == "model_not_found"


def test_a_stored_completion_can_be_read_changed_and_deleted(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(
        model="gpt-4.1-mini", messages=user("hello"), store=True, metadata={"a": "1"}
    )
    kept = client.chat.completions
    assert kept.retrieve(made.id) == made
    assert [each.id for each in kept.list(model="gpt-4.1-mini")] == [made.id]
    assert [each.content for each in kept.messages.list(made.id)] == ["hello"]
    assert kept.update(made.id, metadata={"a": "2"}).metadata == {"a": "2"}
    assert kept.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        kept.retrieve(made.id)
