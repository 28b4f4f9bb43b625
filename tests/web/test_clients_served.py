"""What clients do that nobody documents, and what they trip over."""

from __future__ import annotations

import time

import pytest
import requests

from tests.models import DIRECT, EVERY
from tests.platforms.callers import CALLERS, NATIVE
from tests.platforms.conftest import ONCE, Pair
from tests.stack import Stack

CHAT = NATIVE["openai_chat"]
NOT_FOR_CHATS = "ada davinci curie babbage tts whisper dall-e embedding moderation".split()


@pytest.fixture(params=EVERY)
def chat(request: pytest.FixtureRequest, stack: Stack) -> Pair:
    stack.simulators.clear(request.param)
    return Pair(request.param, CHAT, stack)


@pytest.mark.parametrize("prefix", ["", *(f"/{name}" for name in EVERY)])
def test_model_lists_are_quick_whole_and_of_the_right_types(call, prefix: str) -> None:
    """K-028 to K-031: for one bad entry strict clients drop the list, and they do not wait."""
    began = time.monotonic()
    answer = call("GET", f"{prefix}/v1/models")
    took = time.monotonic() - began
    models = answer.json()["data"]

    assert answer.status_code == 200 and models and took < 1
    for model in models:
        assert isinstance(model["id"], str) and isinstance(model["name"], str)
        assert isinstance(model["created"], int) and model["created"] > 0
        for limit in {"context_length", "max_output_tokens"} & model.keys():
            assert isinstance(model[limit], int) and model[limit] > 0
        name = model["id"].rpartition("/")[2]
        assert not [word for word in NOT_FOR_CHATS if word in name.split("-")]


def test_model_lists_need_no_platform(gateway) -> None:
    """K-028: trouble there never makes them fail."""
    stack = gateway(TOKENS_CHATGPT_BASE_URL="http://127.0.0.1:9/v1")
    headers = {"authorization": f"Bearer {stack.licence}"}
    answer = requests.get(stack.url("chatgpt") + "/v1/models", headers=headers, timeout=5)

    assert answer.status_code == 200 and answer.json()["data"]


def test_turns_in_any_order_are_understood(chat: Pair) -> None:
    """K-046, C-068: repaired where the platform wants turns to alternate."""
    roles = ("assistant", "assistant", "user", "user", "assistant", "user")
    messages = [{"role": role, "content": f"part {i}"} for i, role in enumerate(roles)]
    body = {"model": chat.model, "messages": messages}
    heard = CHAT.call(chat.base, ("/v1/chat/completions", body), chat.stack.licence)

    assert heard.status == 200, heard.content


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/event-stream", "text/html"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_a_client_accepts_does_not_matter(stack: Stack, accept: str, stream: bool) -> None:
    """K-050."""
    heard = Pair("claude", CHAT, stack).call("hello", stream=stream, headers={"accept": accept})
    kind = "text/event-stream" if stream else "application/json"

    assert heard.status == 200 and heard.headers["content-type"].startswith(kind)


def test_several_answers_are_given_or_refused_and_never_one_in_silence(chat: Pair) -> None:
    """K-052."""
    heard = CHAT.call(chat.base, chat.ask("hello", n=2), chat.stack.licence)

    if heard.status == 200:
        assert len(heard.json["choices"]) == 2
    else:
        assert (heard.status, heard.json["error"]["param"]) == (400, "n")


@pytest.mark.parametrize("chat", DIRECT, indirect=True)
@pytest.mark.parametrize("mishap", ["truncate", "cut"])
def test_what_would_cost_twice_is_not_to_be_tried_again(chat: Pair, mishap: str) -> None:
    """K-088: the answer that broke off has been paid for."""
    heard = chat.call(f"simulate: {mishap}\nsimulate: words=9", query=ONCE)

    assert heard.status == 502
    if heard.json["error"]["code"] == "upstream_truncated":
        assert heard.headers["x-should-retry"] == "false"


def test_a_platform_that_is_too_slow_is_not_to_be_tried_again(gateway) -> None:
    """K-088."""
    stack = gateway(TOKENS_ANSWER_SECONDS="0.5", TOKENS_FIRST_BYTE_SECONDS="0.5")
    heard = Pair("claude", CHAT, stack).call("simulate: slow seconds=3", query=ONCE)

    assert (heard.status, heard.headers["x-should-retry"]) == (504, "false")


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_what_clients_tell_of_themselves_harms_nothing(stack: Stack, caller) -> None:
    """K-115: and it does not reach the platform."""
    stack.simulators.clear("chatgpt")
    pair = Pair("chatgpt", caller, stack)
    told = {
        "x-openwebui-user-id": "u-1",
        "x-openwebui-user-email": "a@example.com",
        "http-referer": "https://example.com",
        "x-title": "A client",
        "x-stainless-lang": "js",
    }

    assert pair.call("hello", headers=told).status == 200
    assert not pair.asked[0]["headers"].keys() & told.keys()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_model_in_the_answer_is_the_one_that_was_named(stack: Stack, stream: bool) -> None:
    """K-118, C-090: suffixes included, groups removed, the same in every chunk."""
    pair = Pair("codex", CHAT, stack)
    heard = CHAT.call(
        pair.base, CHAT.ask("gpt-5.2-high|[ours]", "hello", stream=stream), stack.licence
    )
    assert heard.status == 400  # nobody knows that group here
    heard = CHAT.call(pair.base, CHAT.ask("gpt-5.2-high", "hello", stream=stream), stack.licence)
    models = {one["model"] for one in heard.data} if stream else {heard.json["model"]}

    assert models == {"gpt-5.2-high"}
