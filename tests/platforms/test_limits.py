"""What licences may use, as callers find it at a gateway of several workers, and of two hosts."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.models import MODELS
from tests.platforms.callers import CALLERS, Caller, Chat, Generate, Heard
from tests.platforms.remains import processes
from tests.redis_server import RedisServer
from tests.stack import Json, Stack, compact, until

SAY = "simulate: say Hello over there"
GONE = "at a part of each"
WAIT = "simulate: stall seconds=30"
PLATFORM = "chatgpt"
CHAT = Chat()
# Reliability asks for fifty: set SOAK_ROUNDS. The processes' own test has them always.
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "8"))
Start = Callable[..., Stack]


@pytest.fixture(scope="module", params=["fixed", "sliding"])
def wide(gateway: Start, request: pytest.FixtureRequest) -> Stack:
    """Four workers."""
    return gateway(TOKENS_WORKERS="4", TOKENS_MINUTE_WINDOW=request.param)


@pytest.fixture(scope="module", params=["fixed", "sliding"])
def pair(
    gateway: Start, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Pair]:
    pair = Pair(gateway, tmp_path_factory.mktemp("pair"), request.param)
    yield pair
    pair.redis.kill()


class Pair:
    """Two hosts with two workers each, a database and a Redis, which a test may do anything to."""

    def __init__(self, gateway: Start, folder: Path, window: str) -> None:
        self.redis = RedisServer(folder)
        shared = {
            "TOKENS_DATABASE_URL": f"sqlite:///{folder / 'tokens.db'}",
            "TOKENS_REDIS_URL": self.redis.url,
            "TOKENS_WORKERS": "2",
            "TOKENS_MINUTE_WINDOW": window,
        }
        self.hosts = [
            gateway(**shared, TOKENS_COUNTERS_FILE=str(folder / name)) for name in ("one", "two")
        ]

    def misses(self) -> int:
        """How often a worker had no answer from Redis in time, as where the machine is too busy for both."""
        return sum(stack.noise.count("alone for a moment") for stack in self.hosts)

    def call(self, crowd: Crowd, text: str, *words: str) -> Counter[int]:
        """What a crowd was told in a round in which Redis answered everybody."""
        while True:
            licence, before = self.hosts[0].new_licence(*words), self.misses()
            full_minute(self.hosts[0], 5)
            told = crowd.call(licence, text)
            if self.misses() == before:
                return told


def full_minute(stack: Stack, seconds: float = 20.0) -> None:
    """Waits for the next minute where this one ends before a test could, and minutes have an end."""
    left = 60 - time.time() % 60
    if left < seconds and stack.environ.get("TOKENS_MINUTE_WINDOW") != "sliding":
        threading.Event().wait(left)


def call(stack: Stack, licence: str, text: str = SAY, caller: Caller = CHAT, **more) -> Heard:
    asked = caller.ask(MODELS[PLATFORM].plain, text, stream=more.pop("stream", False))
    asked = asked[0], {**asked[1], **more.pop("body", {})}
    return caller.call(stack.url(PLATFORM), asked, licence, **more)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "caller, more",
    [
        (CHAT, {"n": 8, "max_tokens": 100}),
        (Generate(), {"generationConfig": {"candidateCount": 8, "maxOutputTokens": 100}}),
    ],
    ids=["chat", "gemini"],
)
def test_several_answers_cost_no_more_than_there_is(
    stack: Stack, caller: Caller, more: Json, stream: bool
) -> None:
    """R-060: tokens of the day, of which room is for a few answers of a few words."""
    platform = {"openai_chat": PLATFORM, "gemini_generate": "gemini"}[caller.name]
    licence = stack.new_licence("--tpd", "300")
    asked = caller.ask(MODELS[platform].plain, "simulate: words=100", stream=stream)
    asked = asked[0], {**asked[1], **more}
    assert caller.call(stack.url(platform), asked, licence).status == 200
    used = requests.get(
        f"{stack.url()}/v1/usage", headers={"authorization": f"Bearer {licence}"}, timeout=30
    ).json()["today"]

    assert 0 < used["output"] and used["input"] + used["output"] <= 300 + used["input"]


# ---------------------------------------------------------------- exactness


class Crowd:
    """Two hundred connections, all of which ask before any hears an answer."""

    def __init__(self, *stacks: Stack, size: int = 200) -> None:
        self._lines = []
        for number in range(size):
            port = int(stacks[number % len(stacks)].environ["TOKENS_PORT"])
            self._lines.append(socket.create_connection(("127.0.0.1", port), timeout=60))

    def call(self, licence: str, text: str, **more: object) -> Counter[int]:
        """How often there was which status."""
        path, body = CHAT.ask(MODELS[PLATFORM].plain, text)
        data = compact(body | more)
        head = (
            f"POST /{PLATFORM}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {licence}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        for line in self._lines:
            line.sendall(head.encode() + data)
        return Counter(map(_status, self._lines))

    def close(self) -> None:
        for line in self._lines:
            line.close()


def _status(line: socket.socket) -> int:
    """Of the next answer, which is read to its end."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(line)
    head, _, body = got.partition(b"\r\n\r\n")
    names = dict(one.lower().split(b": ", 1) for one in head.split(b"\r\n")[1:])
    while len(body) < int(names[b"content-length"]):
        body += _more(line)
    return int(head.split(b" ", 2)[1])


def _more(line: socket.socket) -> bytes:
    data = line.recv(65536)
    assert data, "the gateway hung up"
    return data


def test_ten_of_two_hundred_at_once_time_and_again(wide: Stack) -> None:
    """R-059, C-240: room for ten is room for ten, whichever worker is asked."""
    licences = [wide.new_licence("--rpm", "10") for _ in range(ROUNDS)]
    crowd = Crowd(wide)
    for licence in licences:
        full_minute(wide, 5)
        assert crowd.call(licence, SAY) == {200: 10, 429: 190}
    crowd.close()


def test_ten_calls_at_a_time_of_two_hundred(wide: Stack) -> None:
    """C-240. The ten take longer than all others together."""
    licence = wide.new_licence("--concurrency", "10")
    crowd = Crowd(wide, size=100)
    for _ in range(2):
        assert crowd.call(licence, "simulate: stall seconds=3") == {200: 10, 429: 90}
    crowd.close()


def test_two_hosts_with_a_redis_are_one(pair: Pair) -> None:
    """R-059 across hosts."""
    crowd = Crowd(*pair.hosts)
    for _ in range(ROUNDS // 4):
        assert pair.call(crowd, SAY, "--rpm", "10") == {200: 10, 429: 190}
    crowd.close()
    crowd = Crowd(*pair.hosts, size=100)
    told = pair.call(crowd, "simulate: stall seconds=3", "--concurrency", "10")
    assert told == {200: 10, 429: 90}
    crowd.close()


# ---------------------------------------------------------------- what goes wrong


def kill(redis: RedisServer) -> None:
    redis.kill()


def freeze(redis: RedisServer) -> None:
    redis.freeze()


@pytest.mark.parametrize("fail", [kill, freeze])
def test_without_redis_there_is_neither_an_error_nor_no_limit(pair: Pair, fail) -> None:
    """R-143: each of two hosts gives half of ten."""
    licence = pair.hosts[0].new_licence("--rpm", "10")
    crowd = Crowd(*pair.hosts, size=100)
    assert pair.call(crowd, SAY, "--rpm", "10") == {200: 10, 429: 90}
    full_minute(pair.hosts[0])
    before = [stack.noise.count(GONE) for stack in pair.hosts]
    fail(pair.redis)
    try:
        assert crowd.call(licence, SAY) == {200: 10, 429: 90}
        alarms = until(lambda: _new(pair, before) and _new(pair, before))
        assert alarms and max(alarms) <= 2  # one a worker, if it has been asked
    finally:
        if fail is kill:
            pair.redis.start()  # with nothing in it
        else:
            pair.redis.thaw()
    back = "counted by all hosts together again"
    assert until(
        lambda: all(one.noise.count(back) >= one.noise.count(GONE) > 0 for one in pair.hosts)
    )
    assert pair.call(crowd, SAY, "--rpm", "10") == {200: 10, 429: 90}
    crowd.close()


def _new(pair: Pair, before: list[int]) -> list[int] | None:
    counts = [stack.noise.count(GONE) for stack in pair.hosts]
    new = [after - had for after, had in zip(counts, before, strict=True)]
    return new if min(new) >= 1 else None


def test_calls_of_a_worker_that_was_killed_make_room(gateway: Start) -> None:
    """R-143's neighbour: what dies takes nothing with it."""
    stack = gateway(TOKENS_WORKERS="2", TOKENS_RETRY_WAIT_SECONDS="2.125")
    licence = stack.new_licence("--concurrency", "3")
    stack.simulators.clear(PLATFORM)
    with ThreadPoolExecutor() as threads:
        calls = [threads.submit(_ended, stack, licence) for _ in range(3)]
        assert until(lambda: len(stack.simulators.journal(PLATFORM)) == 3)
        assert call(stack, licence).status == 429
        for pid in processes(stack.pid)[1:]:
            os.kill(pid, signal.SIGKILL)
        assert [one.result() for one in calls] == ["cut"] * 3
    assert until(lambda: _status_of(stack, licence) == 200)


def _ended(stack: Stack, licence: str) -> str:
    try:
        return str(call(stack, licence, WAIT).status)
    except OSError:
        return "cut"


def _status_of(stack: Stack, licence: str) -> int:
    try:
        return call(stack, licence).status
    except OSError:
        return 0


# ---------------------------------------------------------------- what callers are told


@pytest.mark.parametrize("stream", [False, True])
def test_answers_say_what_is_left(stack: Stack, stream: bool) -> None:
    """C-243."""
    licence = stack.new_licence("--rpm", "5", "--tpm", "100000")
    full_minute(stack, 10)
    for left in (4, 3):
        headers = call(stack, licence, stream=stream).headers
        assert headers["x-ratelimit-limit-requests"] == "5"
        assert headers["x-ratelimit-remaining-requests"] == str(left)
        assert 0 < _seconds(headers["x-ratelimit-reset-requests"]) <= 60
        assert headers["x-ratelimit-limit-tokens"] == "100000"
        assert 0 < int(headers["x-ratelimit-remaining-tokens"]) < 100000


def _seconds(span: str) -> int:
    minutes, _, seconds = span.removesuffix("s").rpartition("m")
    return int(minutes or 0) * 60 + int(seconds)


def test_ours_take_the_place_of_the_platforms(stack: Stack) -> None:
    """What the platform leaves the operator is nobody else's business, where there is a limit of ours."""
    licence = stack.new_licence("--rpm", "77")
    model = MODELS["codex"].plain
    responses = CALLERS[1]
    for key, told in ((licence, "77"), (stack.licence, None)):
        heard = responses.call(stack.url("codex"), responses.ask(model, SAY), key)
        assert (heard.headers.get("x-ratelimit-limit-requests") == told) is (told is not None)


REFUSALS = {
    "rpm": (("--rpm", "1"), "每分钟最多允许 1 次请求"),
    "tpm": (("--tpm", "1"), "每分钟最多允许 1 个 token"),
}


@pytest.mark.parametrize("limit", REFUSALS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_in_every_dialect(stack: Stack, caller: Caller, limit: str, stream: bool) -> None:
    """C-240, C-186: the code, when to come again, in the caller's dialect and language."""
    words, chinese = REFUSALS[limit]
    licence = stack.new_licence(*words)
    full_minute(stack, 10)
    assert call(stack, licence, caller=caller, stream=stream).status == 200
    heard = call(stack, licence, caller=caller, stream=stream)
    assert heard.status == 429
    assert 1 <= int(heard.headers["retry-after"]) <= 60
    assert heard.headers.get("x-should-retry") is None
    assert (
        "requests a minute" in heard.content.decode() or "tokens a minute" in heard.content.decode()
    )
    _check_code(caller, heard.json, f"{limit}_exceeded")
    told = call(stack, licence, caller=caller, headers={"Accept-Language": "zh-CN"})
    assert chinese in caller.message(told.json)


def _check_code(caller: Caller, body: Json, code: str) -> None:
    """Where the dialect has a place for it; Anthropic's and Google's have kinds of their own."""
    wanted = {"anthropic_messages": "rate_limit_error", "gemini_generate": "RESOURCE_EXHAUSTED"}
    assert caller.code(body) == wanted.get(caller.name, code)


@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
def test_too_many_at_a_time_in_every_dialect(stack: Stack, caller: Caller) -> None:
    """C-240. A stream counts until its last piece."""
    licence = stack.new_licence("--concurrency", "1")
    stack.simulators.clear(PLATFORM)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(
            call, stack, licence, "simulate: words=30 stall seconds=2", caller, stream=True
        )
        assert until(lambda: stack.simulators.journal(PLATFORM))
        heard = call(stack, licence, caller=caller)
        assert heard.status == 429 and heard.headers["retry-after"] == "1"
        _check_code(caller, heard.json, "concurrency_exceeded")
        told = call(stack, licence, caller=caller, headers={"Accept-Language": "zh"})
        assert "同时最多允许 1 个调用" in caller.message(told.json)
        assert caller.is_whole(first.result())
    assert call(stack, licence, caller=caller).status == 200


def test_who_hangs_up_makes_room(stack: Stack) -> None:
    licence = stack.new_licence("--concurrency", "1")
    asked = CHAT.ask(MODELS[PLATFORM].plain, "simulate: words=30 stall seconds=60", stream=True)
    with CHAT.send(stack.url(PLATFORM), asked, licence) as first:
        next(first.iter_content(None))
        assert call(stack, licence).status == 429
    assert until(lambda: call(stack, licence).status == 200)


def test_a_call_that_failed_has_used_no_tokens(stack: Stack) -> None:
    licence = stack.new_licence("--tpm", "600")
    full_minute(stack, 10)
    for _ in range(3):
        assert call(stack, licence, "simulate: error", query="retry_attempt=0").status == 502
    assert call(stack, licence).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_held_is_made_good_by_what_was_used(stack: Stack, stream: bool) -> None:
    """1,500 are held and few are used, so there is room for another; and what is used is counted."""
    licence = stack.new_licence("--tpm", "2000")
    full_minute(stack, 10)
    lefts = []
    for _ in range(3):
        heard = call(stack, licence, stream=stream, body={"max_tokens": 1500})
        assert heard.status == 200
        lefts.append(int(heard.headers["x-ratelimit-remaining-tokens"]))
        line = stack.line(heard.headers["x-request-id"])
        used = line["tokens_in"] + line["tokens_out"]
    assert lefts[0] - lefts[1] == used == lefts[1] - lefts[2]


# ---------------------------------------------------------------- lengths


def test_a_request_above_the_context(stack: Stack) -> None:
    """C-241: before anybody is asked, and not counted."""
    licence = stack.new_licence("--context", "200", "--rpm", "1")
    full_minute(stack, 10)
    stack.simulators.clear(PLATFORM)
    for caller in CALLERS:
        heard = call(stack, licence, "word " * 2000, caller)
        assert heard.status == 400 and "maximum context length" in caller.message(heard.json)
        if caller.name.startswith("openai"):
            assert caller.code(heard.json) == "context_length_exceeded"
    assert stack.simulators.journal(PLATFORM) == []
    assert call(stack, licence).status == 200


def test_a_picture_counts_as_one_and_not_by_its_bytes(stack: Stack) -> None:
    licence = stack.new_licence("--context", "3000")
    url = "data:image/png;base64," + "A" * 400_000
    said = [{"type": "text", "text": SAY}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"messages": [{"role": "user", "content": said}]}
    assert b"context_length_exceeded" not in call(stack, licence, body=body).content
    said[0]["text"] = url
    assert b"context_length_exceeded" in call(stack, licence, body=body).content


FIELDS = {
    "openai_chat": ("max_completion_tokens", lambda body: body["max_completion_tokens"]),
    "openai_responses": ("max_output_tokens", lambda body: body["max_output_tokens"]),
    "anthropic_messages": ("max_tokens", lambda body: body["max_tokens"]),
    "gemini_generate": (
        "generationConfig",
        lambda body: body["generationConfig"]["maxOutputTokens"],
    ),
}
NATIVES = {
    "openai_chat": "chatgpt",
    "openai_responses": "codex",
    "anthropic_messages": "claude_api",
    "gemini_generate": "gemini",
}


@pytest.mark.parametrize("asks", [5000, None, 20])
@pytest.mark.parametrize("platform", NATIVES.values())
@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
def test_no_road_lets_an_answer_be_longer(
    stack: Stack, caller: Caller, platform: str, asks: int | None
) -> None:
    """C-241: untouched, patched and translated; also where nothing is asked for."""
    licence = stack.new_licence("--output", "300")
    path, body = caller.ask(MODELS[platform].plain, SAY)
    name = FIELDS[caller.name][0]
    body.pop("max_tokens", None)
    if asks is not None:
        body[name] = {"maxOutputTokens": asks} if name == "generationConfig" else asks
    stack.simulators.clear(platform)
    heard = caller.call(stack.url(platform), (path, body), licence)
    assert heard.status == 200, heard.content
    (asked,) = stack.simulators.journal(platform)
    native = next(one for one, where in NATIVES.items() if where == platform)
    found = asked["body"]
    most = found.get("max_tokens") if native == "openai_chat" else None
    assert (most or FIELDS[native][1](found)) == min(asks or 300, 300)


def test_a_limit_given_twice_is_none_twice(stack: Stack) -> None:
    """A platform might read the first of two."""
    licence = stack.new_licence("--output", "300")
    stack.simulators.clear("claude_api")
    raw = (
        b'{"model": "%s", "max_tokens": 9000, "max_tokens": 100,'
        b' "messages": [{"role": "user", "content": "simulate: say Hello"}]}'
    ) % MODELS["claude_api"].plain.encode()
    answer = requests.post(
        stack.url("claude_api") + "/v1/messages",
        data=raw,
        headers={"x-api-key": licence, "content-type": "application/json"},
        timeout=20,
    )
    assert answer.status_code == 200
    (asked,) = stack.simulators.journal("claude_api")
    assert asked["body"]["max_tokens"] == 100
    assert int(asked["headers"]["content-length"]) == len(compact(asked["body"]))


def test_thoughts_fit_into_the_answer(stack: Stack) -> None:
    """Anthropic wants room behind the budget; where there is none, there are no thoughts."""
    messages = CALLERS[2]
    for output, budget in (("4000", 2000), ("500", None)):
        licence = stack.new_licence("--output", output)
        model = "claude-sonnet-4-5"
        path, body = messages.ask(model, SAY)
        body |= {"max_tokens": 16000, "thinking": {"type": "enabled", "budget_tokens": 8000}}
        stack.simulators.clear("claude_api")
        heard = messages.call(stack.url("claude_api"), (path, body), licence)
        assert heard.status == 200, heard.content
        (asked,) = stack.simulators.journal("claude_api")
        assert asked["body"]["max_tokens"] == int(output)
        assert asked["body"].get("thinking", {}).get("budget_tokens") == budget


@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
def test_more_output_than_allowed_is_refused_where_the_operator_says_so(
    stack: Stack, caller: Caller
) -> None:
    licence = stack.new_licence("--output", "300", "--refuse-excess")
    name = FIELDS[caller.name][0]
    for asks, status in ((301, 400), (300, 200)):
        value = {"maxOutputTokens": asks} if name == "generationConfig" else asks
        body = {name: value}
        heard = call(stack, licence, caller=caller, body=body)
        assert heard.status == status, heard.content
        if status == 400:
            assert "300" in caller.message(heard.json)
            if caller.name.startswith("openai"):
                assert caller.code(heard.json) == "output_length_exceeded"


# ---------------------------------------------------------------- every route


ROUTES: dict[str, tuple[str, Json]] = {
    "/chatgpt/v1/images/generations": ("chatgpt", {"model": "gpt-image-2", "prompt": "a cat"}),
    "/grok/v1/videos": ("grok", {"model": "grok-imagine-video", "prompt": "a cat"}),
    "/v1/chat/completions": (
        "chatgpt",
        {"model": "chatgpt/gpt-4o", "messages": [{"role": "user", "content": SAY}]},
    ),
    "/claude_api/v1/messages/count_tokens": (
        "claude_api",
        {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "a"}]},
    ),
}


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_that_calls_a_model_counts(stack: Stack, path: str) -> None:
    platform, body = ROUTES[path]
    licence = stack.new_licence("--rpm", "1", "--concurrency", "1")
    full_minute(stack, 10)
    headers = {"Authorization": f"Bearer {licence}"}

    def ask() -> requests.Response:
        return requests.post(stack.url() + path, json=body, headers=headers, timeout=30)

    first, second = ask(), ask()
    assert first.status_code == 200, first.content
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert second.status_code == 429
    error = second.json()["error"]
    assert (
        error["type"] == "rate_limit_error" and error.get("code", "rpm_exceeded") == "rpm_exceeded"
    )
    looked = requests.get(stack.url(platform) + "/v1/models", headers=headers, timeout=30)
    assert looked.status_code == 200 and "x-ratelimit-limit-requests" not in looked.headers
