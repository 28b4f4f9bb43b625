"""The simulated Responses: shapes and streaming grammar, driven with the official SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
import requests

from app.simulators.serving import Running

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
WX: Any = {"type": "function", "name": "wx", "parameters": PARAMETERS, "strict": False}
CLOCK: Any = {"type": "function", "name": "clock", "parameters": None, "strict": False}
GREP: Any = {"type": "custom", "name": "grep"}
KEY = {"authorization": "Bearer sk-sim-0123456789"}
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}


@pytest.fixture
def client(running: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=running.url("codex"), api_key="sk-sim", max_retries=0)


def post(running: Running, text: str, /, **more: Any) -> requests.Response:
    sent = {"model": "gpt-4.1", "input": text, **more}
    return requests.post(f"{running.url('codex')}/responses", json=sent, headers=KEY, timeout=5)


def events(running: Running, text: str, /, **more: Any) -> list[Any]:
    """The events of a stream, their framing and numbering checked."""
    answer = post(running, text, stream=True, **more)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for number, record in enumerate(answer.content.decode().removesuffix("\n\n").split("\n\n")):
        name, data = record.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert (name, event["sequence_number"]) == (f"event: {event['type']}", number)
        found.append(event)
    return found


def names(found: list[Any]) -> list[str]:
    """The types of the events, runs of the same delta told once, without `response.`."""
    types = [event["type"].removeprefix("response.") for event in found]
    return [kind for at, kind in enumerate(types) if at == 0 or kind != types[at - 1]]


MESSAGE = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]
CALL = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]
PART = [
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
]
OPENING = ["created", "in_progress"]


def test_a_response_has_every_member_the_vendor_sends(running: Running) -> None:
    answer = post(running, "simulate: say Hi there", store=False, metadata={"a": "b"}).json()
    [message] = answer["output"]
    assert answer.pop("id").startswith("resp_")
    assert message.pop("id").startswith("msg_")
    heard = answer["usage"]["input_tokens"]
    assert answer == {
        "object": "response",
        "created_at": 1795000000,
        "completed_at": 1795000001,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4.1",
        "output": [
            {
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": "Hi there",
                        "annotations": [],
                        "logprobs": [],
                    }
                ],
            }
        ],
        "usage": {
            "input_tokens": heard,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": heard + 2,
        },
        "reasoning": {"effort": None, "summary": None},
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "service_tier": "default",
        "billing": {"payer": "developer"},
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "safety_identifier": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }


def test_a_text_stream_follows_the_recorded_order(running: Running) -> None:
    found = events(running, "simulate: say one two three")
    assert names(found) == [*OPENING, *MESSAGE, "completed"]
    told = [event["delta"] for event in found if event["type"].endswith(".delta")]
    assert told == ["one", " two", " three"]
    last = found[-1]["response"]
    assert found[-2]["item"] == last["output"][0]
    assert found[2]["item"] == {**last["output"][0], "status": "in_progress", "content": []}
    assert found[3]["part"] == {
        "type": "output_text",
        "text": "",
        "annotations": [],
        "logprobs": [],
    }
    assert (found[0]["response"]["output"], found[0]["response"]["usage"]) == ([], None)


def test_reasoning_is_summarised_in_parts_when_asked(running: Running) -> None:
    sent = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    found = events(running, "hello", model="gpt-6-sol", **sent)
    item = ["output_item.added", *PART, *PART, "output_item.done"]
    assert names(found) == [*OPENING, *item, *MESSAGE, "completed"]
    shown = [e["item"] for e in found if e["type"].startswith("response.output_item")][:2]
    assert [part["text"] for part in shown[1]["summary"]] == [
        "The caller has sent 1 message.",
        "I will answer briefly.",
    ]
    assert shown[0]["summary"] == []
    assert shown[0]["encrypted_content"] != shown[1]["encrypted_content"]


def test_reasoning_without_a_summary_is_only_announced(running: Running) -> None:
    found = events(running, "hello", model="gpt-6-sol")
    assert names(found)[2:5] == ["output_item.added", "output_item.done", "output_item.added"]
    assert found[3]["item"]["summary"] == []
    assert "encrypted_content" not in found[3]["item"]
    assert found[-1]["response"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 10}


def test_parallel_calls_are_told_one_after_the_other(running: Running) -> None:
    found = events(running, "wx for Ålesund, clock", tools=[WX, CLOCK])
    assert names(found) == [*OPENING, *CALL, *CALL, "completed"]
    calls = found[-1]["response"]["output"]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("wx", {"city": "Ålesund"}),
        ("clock", {}),
    ]
    for index, call in enumerate(calls):
        own = [e for e in found if e.get("item_id") == call["id"]]
        assert {event["output_index"] for event in own} == {index}
        assert "".join(e.get("delta", "") for e in own) == call["arguments"]
        assert call["id"].startswith("fc_") and call["call_id"].startswith("call_")


def test_arguments_may_be_cut_inside_an_escape(running: Running) -> None:
    found = events(running, "wx for Åååålesund. simulate: escaped", tools=[WX])
    pieces = [event["delta"] for event in found if event["type"].endswith("arguments.delta")]
    assert json.loads("".join(pieces)) == {"city": "Åååålesund"}
    assert "".join(pieces).isascii()
    broken = [piece for piece in pieces if "\\u" in piece[-5:]]
    assert broken


def test_arguments_may_come_in_the_finished_item_alone(running: Running) -> None:
    found = events(running, "wx for Oslo. simulate: late", tools=[WX])
    assert names(found) == [*OPENING, "output_item.added", "output_item.done", "completed"]
    assert [event["item"]["arguments"] for event in found[2:4]] == ["", '{"city": "Oslo"}']


def test_a_custom_tool_takes_free_text(running: Running) -> None:
    found = events(running, "grep Oslo", tools=[GREP])
    assert names(found)[2:6] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    call = found[-1]["response"]["output"][0]
    assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "grep", "Oslo")


def test_a_remark_before_a_call_is_commentary(running: Running) -> None:
    sent = {"model": "gpt-5.5", "tools": [WX], "reasoning": {"effort": "none"}}
    first = post(running, "wx for Oslo. simulate: commentary", **sent).json()["output"]
    assert [(item["type"], item.get("phase")) for item in first] == [
        ("message", "commentary"),
        ("function_call", None),
    ]
    result = {"type": "function_call_output", "call_id": first[1]["call_id"], "output": "3C"}
    history = [{"role": "user", "content": "wx for Oslo"}, *first, result]
    second = post(running, "", **{**sent, "input": history}).json()["output"]
    assert [item["phase"] for item in second] == ["final_answer"]
    assert second[0]["content"][0]["text"].endswith('The tools answered "3C".')


def test_a_limit_may_strike_in_the_middle_of_arguments(running: Running) -> None:
    schema = {"type": "object", "properties": {}, "required": [f"p{n}" for n in range(30)]}
    tool = {"type": "function", "name": "wide", "parameters": schema}
    found = events(running, "wide", tools=[tool], max_output_tokens=16)
    last = found[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    call = last["response"]["output"][0]
    assert call["status"] == "incomplete"
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(call["arguments"])
    assert last["response"]["usage"]["output_tokens"] == 16


def test_a_refusal_has_its_own_events(running: Running) -> None:
    found = events(running, "simulate: refusal")
    assert names(found)[2:8] == [
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    [message] = found[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["refusal"]


def test_a_filter_makes_it_incomplete(running: Running) -> None:
    answer = post(running, "simulate: content_filter").json()
    assert (answer["status"], answer["incomplete_details"]) == (
        "incomplete",
        {"reason": "content_filter"},
    )


@pytest.mark.parametrize(
    ("prompt", "types", "code"),
    [
        ("error", ["error", "response.failed"], "server_error"),
        ("error quota", ["error", "response.failed"], "insufficient_quota"),
    ],
)
def test_a_nested_error_is_followed_by_the_failed_response(
    running: Running, prompt: str, types: list[str], code: str
) -> None:
    found = events(running, f"simulate: {prompt} after=2")
    assert [event["type"] for event in found[-2:]] == types
    assert found[-2]["error"]["code"] == code
    assert found[-1]["response"]["status"] == "failed"
    assert found[-1]["response"]["error"]["code"] == code
    assert [event["type"] for event in found].count("response.output_text.delta") == 2


def test_a_flat_error_comes_alone(running: Running) -> None:
    found = events(running, "simulate: error flat after=1")
    assert {name: found[-1][name] for name in ("type", "code", "param")} == {
        "type": "error",
        "code": "server_error",
        "param": None,
    }
    assert TERMINAL.isdisjoint(event["type"] for event in found)


def test_a_failed_response_may_come_with_status_200(running: Running) -> None:
    answer = post(running, "simulate: failed code=context_length_exceeded")
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    found = events(running, "simulate: failed")
    assert names(found) == [*OPENING, "failed"]


def test_an_event_nobody_knows_may_come(running: Running) -> None:
    assert names(events(running, "simulate: unknown"))[2] == "simulated.novelty"


def test_hosted_tools_are_used_when_offered(running: Running) -> None:
    tools = [{"type": "web_search"}, {"type": "image_generation"}]
    found = events(running, "simulate: search picture", tools=tools)
    last = found[-1]["response"]["output"]
    assert [item["type"] for item in last] == [
        "web_search_call",
        "image_generation_call",
        "message",
    ]
    assert last[2]["content"][0]["annotations"][0]["type"] == "url_citation"
    for kind in ("web_search_call.searching", "image_generation_call.partial_image"):
        assert kind in names(found)
    bare = post(running, "simulate: search picture").json()["output"]
    assert [item["type"] for item in bare] == ["message"]


def test_structured_output_fits_its_schema(running: Running) -> None:
    form = {"type": "json_schema", "name": "place", "schema": PARAMETERS}
    answer = post(running, "name Oslo", text={"format": form}).json()
    assert json.loads(answer["output"][0]["content"][0]["text"]) == {"city": "Oslo"}
    assert answer["text"]["format"] == form


def test_logprobs_come_when_included(running: Running) -> None:
    sent = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}
    part = post(running, "simulate: say Hi", **sent).json()["output"][0]["content"][0]
    entry = {"token": "Hi", "logprob": -0.125, "bytes": [72, 105]}
    assert part["logprobs"] == [{**entry, "top_logprobs": [entry]}]


def test_the_sdks_stream_helper_accepts_the_grammar(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="gpt-6-sol",
        input="simulate: commentary. wx for Oslo, clock, grep Bergen",
        tools=[WX, CLOCK, GREP],
        reasoning={"summary": "auto"},
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert [item.type for item in final.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "custom_tool_call",
    ]


def test_a_response_can_be_continued(client: openai.OpenAI) -> None:
    first = client.responses.create(model="gpt-4.1", input="wx in Oslo", tools=[WX])
    [call] = first.output
    assert call.type == "function_call"
    second = client.responses.create(
        model="gpt-4.1",
        previous_response_id=first.id,
        tools=[WX],
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "3C"}],
    )
    assert second.output_text.endswith('The tools answered "3C".')
    assert first.usage and second.usage
    assert second.usage.input_tokens > first.usage.total_tokens
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        client.responses.create(model="gpt-4.1", previous_response_id=first.id, input="hello")


def test_a_stored_response_can_be_read_and_deleted(client: openai.OpenAI) -> None:
    made = client.responses.create(model="gpt-4.1", input="hello")
    assert client.responses.retrieve(made.id) == made
    items = client.responses.input_items.list(made.id)
    assert [item.to_dict() for item in items] == [
        {
            "id": items.data[0].id,
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "hello"}],
        }
    ]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_response_that_is_not_stored_is_gone(client: openai.OpenAI) -> None:
    made = client.responses.create(model="gpt-4.1", input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="gpt-4.1", previous_response_id=made.id, input="on")
    assert caught.value.code == "previous_response_not_found"


def test_a_background_run_moves_on_each_time_it_is_looked_at(client: openai.OpenAI) -> None:
    made = client.responses.create(model="gpt-4.1", input="hello", background=True)
    looked = [client.responses.retrieve(made.id).status for _ in range(3)]
    assert [made.status, *looked] == ["queued", "in_progress", "completed", "completed"]


def test_a_background_run_can_be_cancelled(client: openai.OpenAI) -> None:
    made = client.responses.create(model="gpt-4.1", input="hello", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).status == "cancelled"
    plain = client.responses.create(model="gpt-4.1", input="hello")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(plain.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel("resp_unknown")


def test_a_background_stream_can_be_resumed(client: openai.OpenAI) -> None:
    stream = client.responses.create(model="gpt-4.1", input="hello", background=True, stream=True)
    whole = list(stream)
    assert [event.type for event in whole[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    name = whole[0].response.id  # type: ignore[union-attr]
    rest = list(client.responses.retrieve(name, stream=True, starting_after=4))
    assert [event.to_dict() for event in rest] == [event.to_dict() for event in whole[5:]]


def test_tokens_can_be_counted_beforehand(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="gpt-4.1", input="hello" * 40)
    assert (counted.object, counted.input_tokens > 50) == ("response.input_tokens", True)


def test_a_conversation_can_be_compacted_and_go_on(client: openai.OpenAI) -> None:
    made = client.responses.compact(model="gpt-6-sol", input=[{"role": "user", "content": "hi"}])
    assert [item.type for item in made.output] == ["message", "compaction"]
    again: Any = [made.output[1].to_dict(), {"role": "user", "content": "and now"}]
    assert "and now" in client.responses.create(model="gpt-6-sol", input=again).output_text
    trigger: Any = [{"role": "user", "content": "hi"}, {"type": "compaction_trigger"}]
    compacted = client.responses.create(model="gpt-6-sol", input=trigger).output
    assert [item.type for item in compacted] == ["reasoning", "compaction"]
