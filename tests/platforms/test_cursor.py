"""What is Cursor's own: agents that are gone on with, runs that are followed, repositories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests

from app.platforms.cursor_models import listed
from tests.platforms.callers import CALLERS, NATIVE, Heard
from tests.platforms.conftest import ONCE, Pair
from tests.platforms.test_agents import TOOLS
from tests.sdk.scenes import PNG_URL
from tests.stack import Json, Stack, until

WORDS = " ".join(f"word{number}" for number in range(1, 10))
REPOSITORY = "https://github.com/acme/shop"
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = '<tool_calls>[{"name": "weather", "arguments": {"city": "Oslo"}}]</tool_calls>'


@pytest.fixture
def cursor(stack: Stack) -> Pair:
    stack.simulators.clear("cursor")
    return Pair("cursor", NATIVE["openai_chat"], stack)


def _chat(pair: Pair, messages: list[Json], *, stream: bool = False, **more: Any) -> Heard:
    path, body = pair.ask("", stream=stream)
    query = more.pop("query", "")
    asked = (path, body | {"messages": messages} | more)
    return pair.caller.call(pair.base, asked, pair.stack.licence, query=query)


def _text(pair: Pair, heard: Heard) -> str:
    assert heard.status == 200, heard.content
    return pair.caller.texts(heard) if heard.events else pair.caller.text(heard.json)


def _user(text: str) -> Json:
    return {"role": "user", "content": text}


def _agent(text: str) -> Json:
    return {"role": "assistant", "content": text}


def _all(pair: Pair) -> list[tuple[str, str]]:
    """Every call of Cursor's API, with what is behind the agent's name."""
    found = pair.simulators.journal("cursor")
    return [(one["method"], one["path"].rpartition("/")[2]) for one in found]


def _prompt(entry: Json) -> str:
    text: str = entry["body"]["prompt"]["text"]
    return text


# Orders.


def test_a_single_question_goes_out_as_it_was_asked(cursor: Pair) -> None:
    cursor.call("simulate: say Hi")
    (order,) = cursor.asked

    assert order["body"] == {
        "agentId": order["body"]["agentId"],
        "prompt": {"text": "simulate: say Hi"},
        "mode": "agent",
        "model": {"id": "composer-2"},
    }


def test_a_new_agent_is_told_all_of_the_conversation(cursor: Pair) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        _user("First?"),
        _agent("Of course."),
        _user("simulate: say Hi"),
    ]
    heard = _chat(cursor, messages)
    told = _prompt(cursor.asked[0])
    pieces = ["Be brief.", "I said: First?", "You said: Of course.", "simulate: say Hi"]

    assert _text(cursor, heard) == "Hi"
    assert sorted(pieces, key=told.index) == pieces


def test_only_the_newest_pictures_go_out_and_the_rest_is_said_to_be_lost(cursor: Pair) -> None:
    parts = [{"type": "image_url", "image_url": {"url": PNG_URL}} for _ in range(6)]
    heard = _chat(cursor, [{"role": "user", "content": parts}])

    assert len(cursor.asked[0]["body"]["prompt"]["images"]) == 5
    assert heard.headers["x-tokens-dropped"] == "messages (image)"


def test_a_parameter_of_the_model_goes_where_cursor_wants_it(cursor: Pair) -> None:
    """C-138."""
    heard = _chat(cursor, [_user("simulate: say Hi")], model="composer-2-fast")

    assert _text(cursor, heard) == "Hi"
    model = cursor.asked[0]["body"]["model"]
    assert model == {"id": "composer-2", "params": [{"id": "fast", "value": "true"}]}


def test_the_accounts_own_model_is_asked_for_by_naming_none(cursor: Pair) -> None:
    _chat(cursor, [_user("hello")], model="default")

    assert "model" not in cursor.asked[0]["body"]


# Conversations.


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: str(caller.name))
def test_who_goes_on_with_a_chat_goes_on_with_the_agent(
    caller: Any, stack: Stack, stream: bool
) -> None:
    stack.simulators.clear("cursor")
    pair = Pair("cursor", caller, stack)
    mark = f"{caller.name} {stream}"
    first = f"simulate: say  Hello {mark}\n"
    heard = pair.call(first, stream=stream)
    said = pair.caller.texts(heard) if stream else pair.caller.text(heard.json)
    path, body = pair.ask("simulate: say Again", stream=stream)
    turns: Any
    if "contents" in body:
        own, other = (
            {"role": role, "parts": [{"text": text}]}
            for role, text in (("user", first), ("model", said.strip()))
        )
        body["contents"] = [own, other, *body["contents"]]
    else:
        name = "input" if "input" in body else "messages"
        turns = body[name] if name == "messages" else [_user(body[name])]
        body[name] = [_user(first), _agent(said.strip()), *turns]
    again = caller.call(pair.base, (path, body), stack.licence)

    assert again.status == 200, again.content
    start, follow = pair.asked
    assert (start["path"], follow["path"].endswith("/runs")) == ("/v1/agents", True)
    assert start["body"]["agentId"] in follow["path"]
    assert _prompt(follow) == "simulate: say Again"


def test_who_changes_the_past_gets_an_agent_of_their_own(cursor: Pair) -> None:
    """An agent cannot be led back: edited, asked again, or with another model."""
    first = _user("simulate: say One, in a test of its own")
    answer = _agent("One, in a test of its own")
    _chat(cursor, [first])
    _chat(cursor, [first, answer, _user("Two?")])
    assert cursor.asked[-1]["path"] != "/v1/agents"

    _chat(cursor, [first, answer, _user("Or rather three?")])
    _chat(cursor, [first, _agent("Another answer"), _user("Two?")])
    _chat(cursor, [first, answer, _user("Two?")], model="gpt-5.5")
    assert [order["path"] for order in cursor.asked[2:]] == ["/v1/agents"] * 3


def test_another_licence_does_not_find_the_agent(cursor: Pair) -> None:
    other = cursor.stack.tokens("licence", "add").strip()
    turns = [_user("simulate: say Mine"), _agent("Mine"), _user("More?")]
    heard = _chat(cursor, turns[:1])
    agent = heard.headers["x-tokens-agent"]
    path, body = cursor.ask("")
    for more in ({}, {"metadata": {"cursor_agent_id": agent}}):
        asked = (path, body | {"messages": turns} | more)
        told = cursor.caller.call(cursor.base, asked, other)

        assert told.status == (404 if more else 200)
    assert [order["path"] for order in cursor.asked] == ["/v1/agents"] * 2


def test_an_agent_is_gone_on_with_by_its_name(cursor: Pair) -> None:
    heard = _chat(cursor, [_user("simulate: busy\nsimulate: say Hi")])
    agent = heard.headers["x-tokens-agent"]
    assert heard.headers["x-tokens-agent-url"].endswith(agent) and heard.headers["x-tokens-run"]
    told = _chat(
        cursor, [_user("simulate: say Again")], metadata={"cursor_agent_id": agent}, stream=True
    )

    assert _text(cursor, told) == "Again"
    assert "x-tokens-dropped" not in told.headers
    assert [order["path"] for order in cursor.asked[1:]] == [f"/v1/agents/{agent}/runs"] * 2  # busy


def test_an_agent_put_away_is_woken(cursor: Pair) -> None:
    turns = [_user("simulate: say Sleep now"), _agent("Sleep now"), _user("simulate: say Awake")]
    agent = _chat(cursor, turns[:1]).headers["x-tokens-agent"]
    cursor.simulators.replay("cursor", _archiving(cursor, agent))

    assert _text(cursor, _chat(cursor, turns)) == "Awake"
    assert ("POST", "unarchive") in _all(cursor)


def test_an_agent_that_is_gone_gives_way_to_a_new_one(cursor: Pair) -> None:
    turns = [_user("simulate: say Going"), _agent("Going"), _user("And now?")]
    agent = _chat(cursor, turns[:1]).headers["x-tokens-agent"]
    _deleted(cursor, agent)

    assert _chat(cursor, turns).status == 200
    assert [one["path"].endswith("/agents") for one in cursor.asked] == [True, False, True]


def _archiving(pair: Pair, agent: str) -> Json:
    headers = {"content-length": "2", "authorization": ""}
    return {"path": f"/v1/agents/{agent}/archive", "query": "", "body": {}, "headers": headers}


def _deleted(pair: Pair, agent: str) -> None:
    url = f"{pair.simulators.bases['cursor']}/v1/agents/{agent}"
    told = requests.delete(url, headers={"authorization": "Bearer any"}, timeout=10)
    assert told.status_code == 200


# Runs.


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_run_whose_stream_is_gone_is_looked_at_instead(cursor: Pair, stream: bool) -> None:
    """The rest of its result is told, and nothing twice."""
    heard = cursor.call(
        "simulate: cut after=4\nsimulate: expired\nsimulate: words=9", stream=stream
    )

    assert _text(cursor, heard) == WORDS
    calls = _all(cursor)
    assert calls.count(("GET", "stream")) == 2 and len(cursor.asked) == 1


def test_stretches_with_work_between_them_are_a_blank_line_apart(cursor: Pair) -> None:
    heard = cursor.call("simulate: working\nsimulate: words=3", stream=True)

    assert _text(cursor, heard) == "word1 word2\n\nword3"


def test_a_duplicate_under_the_same_id_is_not_told_twice(cursor: Pair) -> None:
    heard = cursor.call("simulate: doubled\nsimulate: words=9", stream=True)

    assert _text(cursor, heard) == WORDS


def test_a_pull_request_is_told_at_the_end(cursor: Pair) -> None:
    heard = cursor.call("simulate: pulled\nsimulate: words=2")

    assert _text(cursor, heard) == (f"word1 word2\n\n[Pull request]({REPOSITORY}/pull/7)")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("after", [0, 2])
def test_a_run_that_fails_is_an_error_and_not_run_again(
    cursor: Pair, after: int, stream: bool
) -> None:
    """It has cost money."""
    heard = cursor.call(f"simulate: failed after={after}\nsimulate: words=9", stream=stream)

    assert len(cursor.asked) == 1
    if stream and (after or heard.status == 200):
        assert not cursor.caller.is_whole(heard)
        assert cursor.caller.failure(heard) is not None
    else:
        assert (heard.status, heard.headers["x-should-retry"]) == (502, "false")


def test_usage_that_is_not_told_is_estimated_and_not_asked_for_again(
    gateway: Callable[..., Stack],
) -> None:
    stack = gateway(TOKENS_CURSOR_KEYS="sim-unmetered")
    stack.simulators.clear("cursor")
    pair = Pair("cursor", NATIVE["openai_chat"], stack)
    for _ in range(2):
        heard = pair.call("simulate: unmetered\nsimulate: words=9")
        assert pair.caller.usage(heard.json)[1] > 0

    assert _all(pair).count(("GET", "usage")) == 1
    assert stack.line(heard.headers["x-request-id"])["tokens_estimated"] is True


def test_who_hangs_up_cancels_the_run(cursor: Pair) -> None:
    """C-110: it costs money for as long as it goes on."""
    asked = cursor.ask("simulate: words=400 pace=0.05", stream=True)
    with cursor.caller.send(cursor.base, asked, cursor.stack.licence) as answer:
        next(answer.iter_content(None))

    assert until(lambda: ("POST", "cancel") in _all(cursor))


def test_a_stop_sequence_ends_the_answer_and_cancels_the_run(cursor: Pair) -> None:
    """C-074."""
    told = "simulate: words=400 pace=0.02"
    heard = _chat(cursor, [_user(told)], stream=True, stop=["word7"])

    assert _text(cursor, heard).strip() == " ".join(WORDS.split()[:6])
    assert until(lambda: ("POST", "cancel") in _all(cursor))


def test_a_caller_with_a_token_of_their_own_leaves_no_trace(cursor: Pair) -> None:
    """C-049: so the next turn is a new agent's."""
    headers = {"tokens-authorization": cursor.stack.licence, "authorization": "crsr_brought"}
    turns = [_user("simulate: say Brought along"), _agent("Brought along"), _user("More?")]
    path, body = cursor.ask("")
    for part in (turns[:1], turns):
        asked = (path, body | {"messages": part})
        assert cursor.caller.call(cursor.base, asked, "", headers=headers).status == 200

    assert [order["path"] for order in cursor.asked] == ["/v1/agents"] * 2


@pytest.mark.parametrize("after", [0, 2])
def test_who_brought_a_token_hears_cursors_own_words(cursor: Pair, after: int) -> None:
    """C-048."""
    headers = {"tokens-authorization": cursor.stack.licence, "authorization": "crsr_brought"}
    text = f"simulate: error after={after}\nsimulate: words=9"
    heard = cursor.call(text, stream=True, headers=headers)

    assert heard.status == 200 and len(cursor.asked) == 1
    failure = cursor.caller.failure(heard)
    assert failure is not None and failure["error"]["message"] == "The agent stopped working."


# Models.


@pytest.mark.parametrize(
    "told",
    [
        {"items": [{"id": "a", "displayName": "A", "aliases": ["b"]}]},
        {"items": ["a", "b"]},
        {"models": ["b", "a"]},
    ],
)
def test_the_list_of_models_is_read_in_each_of_its_shapes(told: Json) -> None:
    assert sorted(model.id for model in listed(told)) == ["a", "b"]


def test_the_models_are_those_of_the_account_and_asked_for_now_and_then(
    gateway: Callable[..., Stack],
) -> None:
    stack = gateway(TOKENS_CURSOR_KEYS="sim-lister")
    stack.simulators.clear("cursor")
    client = openai.OpenAI(base_url=stack.url("cursor") + "/v1", api_key=stack.licence)
    names = [model.id for model in client.models.list()]

    assert {"auto", "composer-2", "composer-latest"} < set(names)
    assert client.models.retrieve("composer-latest").owned_by == "cursor"
    assert _all(Pair("cursor", CALLERS[0], stack)) == [("GET", "models")]


def test_what_cannot_be_listed_is_what_we_know(gateway: Callable[..., Stack]) -> None:
    stack = gateway(TOKENS_CURSOR_KEYS="sim-revoked")
    client = openai.OpenAI(base_url=stack.url("cursor") + "/v1", api_key=stack.licence)

    assert "composer-2" in [model.id for model in client.models.list()]


# What the operator decides.


def _with(gateway: Callable[..., Stack], **settings: str) -> Pair:
    stack = gateway(**{f"TOKENS_CURSOR_{name}": value for name, value in settings.items()})
    stack.simulators.clear("cursor")
    return Pair("cursor", NATIVE["openai_chat"], stack)


def test_an_account_that_needs_a_repository_can_be_given_one(
    cursor: Pair, gateway: Callable[..., Stack]
) -> None:
    text = "simulate: demanding\nsimulate: say Hi"
    refused = cursor.call(text)
    assert (refused.status, refused.json["error"]["code"]) == (400, "repository_required")

    pair = _with(gateway, REPOSITORY=REPOSITORY, REF="main", MODE="plan")
    assert _text(pair, pair.call(text)) == "Hi"
    body = pair.asked[0]["body"]
    assert body["repos"] == [{"url": REPOSITORY, "startingRef": "main"}]
    assert body["mode"] == "plan"


@pytest.mark.parametrize(
    "metadata, field",
    [
        ({"cursor_repository": REPOSITORY}, "cursor_repository"),
        ({"cursor_pr_url": f"{REPOSITORY}/pull/7"}, "cursor_pr_url"),
        ({"cursor_auto_create_pr": "true"}, "cursor_auto_create_pr"),
        ({"cursor_branch_in_place": "true"}, "cursor_branch_in_place"),
        ({"cursor_branch_in_place": "yes"}, "cursor_branch_in_place"),
        ({"cursor_mode": "wild"}, "cursor_mode"),
        ({"cursor_agent_id": "bc-1/../../me?"}, "cursor_agent_id"),
        ({"cursor_ref": 3}, "cursor_ref"),
    ],
)
def test_what_the_operator_has_not_allowed_is_refused(
    cursor: Pair, metadata: Json, field: str
) -> None:
    """No chat changes code, or even sees any, unless somebody wanted that."""
    heard = _chat(cursor, [_user("hello")], metadata=metadata)

    assert (heard.status, heard.json["error"]["param"]) == (400, f"metadata.{field}")
    assert cursor.asked == []


def test_what_the_operator_has_allowed_is_done(gateway: Callable[..., Stack]) -> None:
    pair = _with(gateway, REPOSITORIES="https://github.com/acme/*", WRITES="true")
    metadata = {
        "cursor_pr_url": f"{REPOSITORY}/pull/7",
        "cursor_ref": "main",
        "cursor_auto_create_pr": "true",
        "cursor_branch_in_place": "true",
        "cursor_mode": "plan",
    }
    heard = _chat(pair, [_user("simulate: say Hi")], metadata=metadata, query="strict=true")

    assert _text(pair, heard) == "Hi"
    body = pair.asked[0]["body"]
    assert body["repos"] == [
        {"url": REPOSITORY, "startingRef": "main", "prUrl": f"{REPOSITORY}/pull/7"}
    ]
    assert (body["autoCreatePR"], body["workOnCurrentBranch"], body["mode"]) == (True, True, "plan")
    for path in ("other/thing", "acme/../other/thing", "acme/%2e%2e/other", "acme/x?y"):
        foreign = {"cursor_repository": f"https://github.com/{path}"}
        assert _chat(pair, [_user("hello")], metadata=foreign).status == 400


def test_a_mode_that_is_none_stops_the_start(gateway: Callable[..., Stack]) -> None:
    with pytest.raises(AssertionError, match="TOKENS_CURSOR_MODE should be agent or plan"):
        _with(gateway, MODE="wild")


# Tools, where the operator wants them in words.


@pytest.fixture
def tooled(gateway: Callable[..., Stack]) -> Pair:
    stack = gateway(TOKENS_CURSOR_TOOLS="true")
    return Pair("cursor", NATIVE["openai_chat"], stack)


def test_tools_in_words_are_called_and_their_results_heard_by_the_same_agent(
    tooled: Pair,
) -> None:
    """With the official SDK: a call, its result, and the agent goes on."""
    tooled.simulators.clear("cursor")
    client = openai.OpenAI(base_url=f"{tooled.base}/v1", api_key=tooled.stack.licence)
    messages: list[Any] = [_user(f"simulate: say I will look.\n{CALL}")]
    tools: Any = [TOOL]
    first = client.chat.completions.create(model=tooled.model, messages=messages, tools=tools)
    choice = first.choices[0]
    (call,) = choice.message.tool_calls or ()
    assert call.type == "function" and call.id
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}')
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I will look.\n")
    assert "Tells the weather" in _prompt(tooled.asked[0])

    messages.append(choice.message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    second = client.chat.completions.create(model=tooled.model, messages=messages, tools=tools)
    follow = tooled.asked[1]
    assert follow["path"].endswith("/runs") and "sunny" in _prompt(follow)
    assert "sunny" in (second.choices[0].message.content or "")


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: str(caller.name))
def test_tools_in_words_stream_in_every_dialect(tooled: Pair, caller: Any) -> None:
    pair = Pair("cursor", caller, tooled.stack)
    path, body = pair.ask(f"simulate: say Look. {CALL}", stream=True)
    heard = caller.call(pair.base, (path, body | TOOLS[caller.name]), pair.stack.licence)

    assert heard.status == 200, heard.content
    assert caller.texts(heard).strip() == "Look." and caller.is_whole(heard)
    assert b"weather" in heard.content and b"Oslo" in heard.content
    assert b"<tool_calls>" not in heard.content


def test_words_that_only_look_like_calls_stay_words(tooled: Pair) -> None:
    text = "<tool_calls>not really"
    heard = _chat(tooled, [_user(f"simulate: say {text}")], tools=[TOOL], stream=True)
    assert _text(tooled, heard) == text
    plain = _chat(tooled, [_user(f"simulate: say {CALL}")])
    assert _text(tooled, plain) == CALL


def test_a_throttled_key_gives_way_to_another(gateway: Callable[..., Stack]) -> None:
    """C-125."""
    stack = gateway(TOKENS_CURSOR_KEYS="sim-throttled,sim-good", TOKENS_STICKY_SECONDS="0")
    stack.simulators.clear("cursor")
    pair = Pair("cursor", NATIVE["openai_chat"], stack)

    assert _text(pair, pair.call("simulate: say Hi")) == "Hi"
    assert pair.stack.log[-1]["attempts"] == 2


def test_the_simulators_failure_on_the_way_is_no_end(cursor: Pair) -> None:
    cursor.mishap("fail")
    heard = cursor.call("hello", query=ONCE)

    assert heard.status == 502
