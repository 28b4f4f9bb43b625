"""The simulated Messages API, driven by the vendor's own SDK and by raw requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.simulators.mishaps import Mishap
from app.simulators.serving import Running

Json = dict[str, Any]
Post = Callable[..., requests.Response]

OLD = "claude-haiku-4-5"
NEW = "claude-sonnet-5"
NEWEST = "claude-opus-5-5"
WEATHER: Json = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TIME: Json = {"name": "clock", "input_schema": {"type": "object"}}
BUDGET: Json = {"type": "enabled", "budget_tokens": 1024}
SUMMARIZED: Json = {"type": "adaptive", "display": "summarized"}


def said(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def body_of(text: str = "hello", **more: Any) -> Json:
    return {"model": NEW, "max_tokens": 4000, "messages": said(text), **more}


@pytest.fixture
def client(running: Running) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=running.url("claude_api"), api_key="sk-sim", max_retries=0, timeout=10
    )


@pytest.fixture
def post(running: Running) -> Post:
    def send(
        body: Json, path: str = "/v1/messages", key: str = "sk-sim", **headers: str
    ) -> requests.Response:
        sent = {"anthropic-version": "2023-06-01", "x-api-key": key}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value}
        return requests.post(running.url("claude_api") + path, json=body, headers=sent, timeout=10)

    return send


def events(response: requests.Response) -> list[Json]:
    """The stream's events, each known to be named as its data says."""
    found: list[Json] = []
    for record in response.content.decode().split("\n\n"):
        if record:
            name, data = record.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found


def kinds(response: requests.Response) -> list[str]:
    return [each["type"] for each in events(response) if each["type"] != "ping"]


# Answers.


def test_a_plain_answer_has_the_whole_shape_of_a_message(post: Post) -> None:
    answer = post(body_of("simulate: say Hello!", thinking={"type": "disabled"})).json()

    assert answer.pop("id").startswith("msg_")
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": NEW,
        "content": [{"type": "text", "text": "Hello!"}],  # the AI SDK takes no null beside it
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": 15,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"thinking_tokens": 0},
            "server_tool_use": None,
            "service_tier": "standard",
            "inference_geo": "not_available",
        },
    }


def test_a_stream_follows_the_grammar(post: Post) -> None:
    response = post(body_of("simulate: say One two", thinking=SUMMARIZED, stream=True))

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    deltas = [
        (each["index"], each["delta"]["type"])
        for each in events(response)
        if each["type"] == "content_block_delta"
    ]
    assert deltas == [
        *[(0, "thinking_delta")] * 10,
        (0, "signature_delta"),
        (1, "text_delta"),
        (1, "text_delta"),
    ]
    assert kinds(response) == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 11,
        "content_block_stop",
        "content_block_start",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"thinking": SUMMARIZED},
        {"thinking": {"type": "disabled"}},
        {"tools": [WEATHER, TIME], "thinking": SUMMARIZED},
        {"max_tokens": 12},
        {"stop_sequences": ["simulator"]},
    ],
)
def test_a_stream_adds_up_to_the_answer_in_one_piece(
    client: anthropic.Anthropic, asked: Json
) -> None:
    body: Any = body_of("Grüße 🌍, weather and clock in Århus? simulate: interleave", **asked)
    whole = client.messages.create(**body)
    with client.messages.stream(**body) as stream:
        streamed = stream.get_final_message()

    assert shown(streamed) == shown(whole)


def shown(message: anthropic.types.Message) -> Json:
    plain = message.model_dump()
    for each in plain["content"]:
        each.pop("id", None)
    return {name: plain[name] for name in ("content", "stop_reason", "stop_sequence", "usage")}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60))
def test_any_text_comes_through_a_stream_unharmed(post: Post, text: str) -> None:
    spoken = f"<{text}>"
    response = post(body_of(f"simulate: say {spoken}", stream=True))
    texts = [
        each["delta"]["text"]
        for each in events(response)
        if each.get("delta", {}).get("type") == "text_delta"
    ]

    assert "".join(texts) == spoken


def test_text_and_tools_interleave_in_separate_blocks(post: Post) -> None:
    tools = [WEATHER, TIME]
    asked = body_of(
        "weather, clock in Rome simulate: interleave", tools=tools, model="claude-sonnet-4-6"
    )
    content = post(asked).json()["content"]

    assert [each["type"] for each in content] == ["text", "tool_use", "text", "tool_use"]
    assert content[1].pop("id").startswith("toolu_")
    assert content[1] == {
        "type": "tool_use",
        "name": "weather",
        "input": {"city": "Rome"},
        "caller": {"type": "direct"},
    }


def test_tool_input_is_cut_anywhere_even_in_an_escape(post: Post) -> None:
    asked = body_of("weather in Århus", tools=[WEATHER], stream=True)
    fragments = [
        each["delta"]["partial_json"]
        for each in events(post(asked))
        if each.get("delta", {}).get("type") == "input_json_delta"
    ]

    assert fragments[0] == ""
    assert json.loads("".join(fragments)) == {"city": "Århus"}
    assert "\\u00c5" in "".join(fragments)
    assert not any("\\u00c5" in each for each in fragments)


def test_a_tool_without_arguments_streams_only_an_empty_fragment(post: Post) -> None:
    stream = events(post(body_of("clock", tools=[TIME], stream=True)))
    deltas = [each["delta"] for each in stream if each["type"] == "content_block_delta"]

    assert deltas[-1] == {"type": "input_json_delta", "partial_json": ""}


def test_a_limit_may_cut_a_call_in_the_middle(post: Post) -> None:
    long = {"name": "note", "input_schema": json.loads(json.dumps(WEATHER["input_schema"]))}
    long["input_schema"]["properties"]["city"]["minLength"] = 400
    asked = body_of("note simulate: unclosed", tools=[long], model=OLD, max_tokens=3, stream=True)
    stream = events(post(asked))
    written = "".join(
        each["delta"].get("partial_json", "")
        for each in stream
        if "index" in each and "delta" in each
    )

    assert written.startswith('{"city":')
    with pytest.raises(ValueError):
        json.loads(written)
    assert [each["type"] for each in stream][-3:] == [
        "content_block_delta",
        "message_delta",
        "message_stop",
    ]
    assert stream[-2]["delta"]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "auto"}, []),
        ({"type": "any"}, ["weather"]),
        ({"type": "tool", "name": "clock"}, ["clock"]),
        ({"type": "none"}, []),
    ],
)
def test_tool_choice_is_obeyed(post: Post, choice: Json, called: list[str]) -> None:
    asked = body_of("hello", tools=[WEATHER, TIME], tool_choice=choice)
    content = post(asked).json()["content"]

    assert [each["name"] for each in content if each["type"] == "tool_use"] == called


def test_one_call_at_most_when_parallel_calls_are_off(post: Post) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    asked = body_of("weather and clock", tools=[WEATHER, TIME], tool_choice=choice)
    calls = [each for each in post(asked).json()["content"] if each["type"] == "tool_use"]

    assert [each["name"] for each in calls] == ["weather"]


def test_tool_results_are_read_back(client: anthropic.Anthropic) -> None:
    asked: Any = body_of("weather in Rome", tools=[WEATHER], thinking=SUMMARIZED)
    first = client.messages.create(**asked)
    call = first.content[-1]
    assert call.type == "tool_use"
    asked["messages"] += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "20 degrees"}],
        },
    ]
    second = client.messages.create(**asked)

    assert second.stop_reason == "end_turn"
    assert '"20 degrees"' in second.content[-1].to_json().replace('\\"', '"')


def test_structured_output_is_json_that_fits(post: Post) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"enum": ["big", "small"]}},
        "required": ["size"],
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    answer = post(body_of(output_config=config)).json()

    assert json.loads(answer["content"][-1]["text"]) == {"size": "big"}


def test_a_search_is_made_and_cited_by_the_server(client: anthropic.Anthropic) -> None:
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    body: Any = body_of("do a web_search", tools=[search], thinking={"type": "disabled"})
    with client.messages.stream(**body) as stream:
        message = stream.get_final_message()

    assert [each.type for each in message.content] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
        "text",
    ]
    cited = message.content[2]
    assert cited.type == "text" and cited.citations
    assert cited.citations[0].type == "web_search_result_location"
    assert message.usage.server_tool_use and message.usage.server_tool_use.web_search_requests == 1


@pytest.mark.parametrize(
    ("order", "reason", "blocks"),
    [
        ("refusal", "refusal", []),
        ("pause", "pause_turn", ["text"]),
        ("window", "model_context_window_exceeded", ["text"]),
    ],
)
def test_rare_stops_come_on_request(post: Post, order: str, reason: str, blocks: list[str]) -> None:
    asked = body_of(f"simulate: {order}", thinking={"type": "disabled"})
    answer, stream = post(asked).json(), events(post({**asked, "stream": True}))

    assert answer["stop_reason"] == stream[-2]["delta"]["stop_reason"] == reason
    assert [each["type"] for each in answer["content"]] == blocks
    assert (answer["stop_details"] is not None) == (order == "refusal")


def test_manners_of_a_stream_change_nothing_in_it(client: anthropic.Anthropic) -> None:
    texts = []
    for order in ("", " pings=1 padding"):
        body: Any = body_of(f"simulate: words=9{order}")
        with client.messages.stream(**body) as stream:
            texts.append(stream.get_final_text())

    assert texts[0] == texts[1] == " ".join(f"word{n}" for n in range(1, 10))


# Thinking.


@pytest.mark.parametrize(
    ("model", "thinking", "blocks"),
    [
        (OLD, None, ["text"]),
        (OLD, BUDGET, ["thinking", "text"]),
        (NEW, None, ["thinking", "text"]),
        (NEW, {"type": "disabled"}, ["text"]),
        (NEWEST, None, ["thinking", "text"]),
        ("claude-sonnet-5-5", {"type": "between_tools"}, ["text"]),
        ("claude-opus-4-7", None, ["text"]),
        ("claude-opus-4-7", {"type": "adaptive"}, ["thinking", "text"]),
    ],
)
def test_a_model_thinks_when_its_row_says_so(
    post: Post, model: str, thinking: Json | None, blocks: list[str]
) -> None:
    more: Json = {"thinking": thinking} if thinking else {}
    asked = body_of(model=model, **more)

    assert [each["type"] for each in post(asked).json()["content"]] == blocks


@pytest.mark.parametrize(
    ("model", "thinking", "visible"),
    [
        (OLD, BUDGET, True),
        (OLD, {**BUDGET, "display": "omitted"}, False),
        (NEW, {"type": "adaptive"}, False),
        (NEW, SUMMARIZED, True),
    ],
)
def test_thoughts_are_shown_or_omitted_but_always_signed(
    post: Post, model: str, thinking: Json, visible: bool
) -> None:
    block = post(body_of(model=model, thinking=thinking)).json()["content"][0]

    assert bool(block["thinking"]) == visible
    assert block["signature"]


def replayed(block: Json, model: str = NEW, **more: Any) -> Json:
    turns = [*said("hi"), {"role": "assistant", "content": [block]}, *said("go on")]
    return {"model": model, "max_tokens": 100, "messages": turns, **more}


@pytest.mark.parametrize("order", ["", "simulate: redacted"])
def test_thinking_that_comes_back_as_it_was_is_accepted(post: Post, order: str) -> None:
    block = post(body_of(f"hi {order}", thinking=SUMMARIZED)).json()["content"][0]

    assert block["type"] == ("redacted_thinking" if order else "thinking")
    assert post(replayed(block)).status_code == 200


@pytest.mark.parametrize(
    ("order", "field", "change", "message"),
    [
        ("", "thinking", "!", "Invalid `signature` in `thinking` block"),
        ("", "signature", "AAAA", "Invalid `signature` in `thinking` block"),
        ("", "signature", "\u00e9", "Invalid `signature` in `thinking` block"),
        ("simulate: redacted", "data", "AAAA", "Invalid `data` in `redacted_thinking` block"),
    ],
)
def test_altered_thinking_is_refused(
    post: Post, order: str, field: str, change: str, message: str
) -> None:
    block = post(body_of(f"hi {order}", thinking=SUMMARIZED)).json()["content"][0]
    answer = post(replayed({**block, field: block[field] + change}))

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"messages.1.content.0: {message}"


def test_thinking_of_a_bound_model_is_refused_by_another(post: Post) -> None:
    block = post(body_of(model=NEWEST)).json()["content"][0]

    assert post(replayed(block, NEWEST)).status_code == 200
    assert post(replayed(block, NEW)).status_code == 400


# Caching and counting.


def test_a_marked_prefix_is_written_once_and_read_afterwards(post: Post) -> None:
    text = "a long and unchanging instruction " * 200
    mark = {"type": "ephemeral", "ttl": "1h"}
    asked = body_of(system=[{"type": "text", "text": text, "cache_control": mark}])
    first, second = (post(asked).json()["usage"] for _ in range(2))
    written = first["cache_creation_input_tokens"]

    assert written > 1700 and first["cache_read_input_tokens"] == 0
    assert first["cache_creation"] == {
        "ephemeral_5m_input_tokens": 0,
        "ephemeral_1h_input_tokens": written,
    }
    assert (second["cache_creation_input_tokens"], second["cache_read_input_tokens"]) == (
        0,
        written,
    )
    assert first["input_tokens"] == second["input_tokens"] < 50


def test_a_short_prefix_is_not_cached(post: Post) -> None:
    mark = {"type": "ephemeral"}
    asked = body_of(system=[{"type": "text", "text": "short", "cache_control": mark}])
    usages = [post(asked).json()["usage"] for _ in range(2)]

    assert [each["cache_creation_input_tokens"] for each in usages] == [0, 0]
    assert [each["cache_read_input_tokens"] for each in usages] == [0, 0]


def test_cached_on_request_leaves_the_total_as_it_was(post: Post) -> None:
    plain = post(body_of("count me xxxxxxxx: cached")).json()["usage"]
    usage = post(body_of("count me simulate: cached")).json()["usage"]

    assert usage["cache_read_input_tokens"] > 0
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == plain["input_tokens"]


def test_counting_agrees_with_the_bill(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": NEW, "messages": said("héllo"), "system": "Be brief."}
    counted = client.messages.count_tokens(**asked)
    billed = client.messages.create(max_tokens=100, **asked)

    assert counted.input_tokens == billed.usage.input_tokens


# Models.


def test_all_models_are_listed_page_by_page(client: anthropic.Anthropic) -> None:
    ids = [model.id for model in client.models.list(limit=4)]

    assert len(ids) == len(set(ids)) == 15
    assert NEWEST in ids


def test_an_alias_is_answered_with_the_dated_id(client: anthropic.Anthropic) -> None:
    assert client.models.retrieve(OLD).id == "claude-haiku-4-5-20251001"
    message = client.messages.create(**body_of(model=OLD))
    assert message.model == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize("model", ["gpt-6", "claude-opus-4-1", "claude-opus-4-1-20250805"])
def test_a_model_that_is_not_there_is_not_found(client: anthropic.Anthropic, model: str) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(**body_of(model=model))

    assert caught.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": f"model: {model}"},
        "request_id": caught.value.request_id,
    }


# Credentials, mishaps and the journal.


@pytest.mark.parametrize(
    ("key", "status", "kind"),
    [
        ("", 401, "authentication_error"),
        ("sk-revoked", 401, "authentication_error"),
        ("sk-throttled", 429, "rate_limit_error"),
        ("sk-broke", 400, "invalid_request_error"),
    ],
)
def test_a_credential_decides_its_fate(post: Post, key: str, status: int, kind: str) -> None:
    answer = post(body_of(), key=key)

    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert answer.headers["x-should-retry"] == ("true" if status == 429 else "false")


def test_two_credentials_at_once_are_refused(post: Post) -> None:
    assert post(body_of(), authorization="Bearer sk-sim").status_code == 401


@pytest.mark.parametrize(("beta", "status"), [("", 401), ("oauth-2025-04-20,other", 200)])
def test_an_oauth_token_needs_its_beta(post: Post, beta: str, status: int) -> None:
    answer = post(body_of(), key="", authorization="Bearer sk-ant-oat-1", anthropic_beta=beta)

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("order", "status", "kind"),
    [
        ("throttle seconds=3", 429, "rate_limit_error"),
        ("refuse", 401, "authentication_error"),
        ("forbid", 403, "permission_error"),
        ("overload", 529, "overloaded_error"),
        ("fail", 500, "api_error"),
        ("error", 500, "api_error"),
    ],
)
def test_a_mishap_speaks_the_vendors_words(post: Post, order: str, status: int, kind: str) -> None:
    answer = post(body_of(f"simulate: {order}"))

    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("error after=1", ["message_start", "content_block_start", "content_block_delta", "error"]),
        ("error early", ["message_start", "error"]),
        ("truncate after=1", ["message_start", "content_block_start", "content_block_delta"]),
    ],
)
def test_a_stream_ends_where_the_mishap_strikes(
    post: Post, order: str, expected: list[str]
) -> None:
    assert kinds(post(body_of(f"simulate: {order}", model=OLD, stream=True))) == expected


def test_a_truncated_stream_lacks_only_its_ending(post: Post) -> None:
    asked = body_of("simulate: truncate", model=OLD, stream=True)

    assert kinds(post(asked))[-2:] == ["content_block_delta", "content_block_stop"]


def test_a_queued_cut_breaks_the_transfer(running: Running, client: anthropic.Anthropic) -> None:
    running.simulators["claude_api"].mishaps.queue(Mishap("cut", after=2))
    texts: list[str] = []
    with pytest.raises(httpx2.RemoteProtocolError):
        with client.messages.stream(**body_of(model=OLD)) as stream:
            texts.extend(stream.text_stream)

    assert len(texts) == 2


def test_the_house_is_on_every_reply(post: Post) -> None:
    for answer in (post(body_of()), post({})):
        assert answer.headers["request-id"].startswith("req_")
        assert answer.headers["anthropic-organization-id"]
        assert answer.headers["anthropic-ratelimit-input-tokens-remaining"] == "1999000"


def test_the_journal_keeps_no_key(running: Running, post: Post) -> None:
    post(body_of("who goes there"), key="sk-very-secret")
    entry = running.simulators["claude_api"].journal.last()

    assert "secret" not in repr(entry)
    assert entry.body == body_of("who goes there")


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_a_probe_needs_no_key(running: Running, path: str) -> None:
    assert requests.head(running.url("claude_api") + path, timeout=10).status_code == 200
