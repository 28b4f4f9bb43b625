"""Keys that rest, seen from outside: by what the platform is asked, and by what callers are told."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.models import MODELS
from tests.platforms.callers import CALLERS, Chat, Heard
from tests.stack import ROOT, TOKENS, Stack, free_port, key_settings, missing, until

SAY = "simulate: say Hello over there"
PLATFORM = "chatgpt"
RESTING = {"TOKENS_REST_SECONDS": "3600", "TOKENS_RETRY_PERCENT": "20"}
# Reliability asks for a thousand: set SOAK_CALLS.
CALLS = int(os.environ.get("SOAK_CALLS", "200"))
Start = Callable[..., Stack]


class Client:
    """Calls one platform through one gateway."""

    def __init__(self, stack: Stack, *, model: str = "gpt-4o") -> None:
        self.stack = stack
        self.model = model
        stack.simulators.clear(PLATFORM)

    def call(self, text: str = SAY, *, stream: bool = False, query: str = "", **more: Any) -> Heard:
        caller = Chat()
        asked = caller.ask(self.model, text, stream=stream)
        return caller.call(self.stack.url(PLATFORM), asked, self.stack.licence, query=query, **more)

    def mishap(self, kind: str, times: int = 1, **more: Any) -> None:
        self.stack.simulators.mishap(PLATFORM, kind, times, **more)

    @property
    def asked(self) -> int:
        return len(self.stack.simulators.journal(PLATFORM))


@pytest.fixture
def fresh(gateway: Start) -> Callable[..., Client]:
    """A gateway whose keys have done nothing yet; each call of the test's name its own."""
    count = [0]

    def make(keys: str = "sim-a", **settings: str) -> Client:
        count[0] += 1
        return Client(gateway(**RESTING, TOKENS_CHATGPT_KEYS=keys, **settings))

    return make


def test_a_throttled_key_is_left_alone_until_its_time(fresh: Callable[..., Client]) -> None:
    """R-069, R-072: the caller is told when, and the platform is not bothered."""
    client = fresh("sim-throttled-key")
    client.mishap("throttle", seconds=30)
    first = client.call()
    seconds = [client.call() for _ in range(5)]

    assert first.status == 429 and first.headers["x-tokens-attempts"] == "1"
    assert [heard.status for heard in seconds] == [429] * 5
    assert {int(heard.headers["retry-after"]) for heard in seconds} <= {29, 30}
    assert client.asked == 1


def test_a_short_rest_is_waited_for(fresh: Callable[..., Client]) -> None:
    """`Retry-After` is honoured: the call goes out again when it is over."""
    client = fresh("sim-short-rest")
    client.mishap("throttle", seconds=1)
    began = time.monotonic()
    heard = client.call()

    assert (heard.status, client.asked) == (200, 2)
    assert time.monotonic() - began >= 1
    assert heard.headers["x-tokens-attempts"] == "2"


def test_attempts_are_listed_in_the_one_line_of_a_call(fresh: Callable[..., Client]) -> None:
    """R-068: one request, one entry, all attempts."""
    client = fresh("sim-first,sim-second")
    client.mishap("throttle", seconds=30)
    heard = client.call()
    line = client.stack.line(heard.headers["x-request-id"])

    assert heard.status == 200
    assert line["attempts"] == 2
    assert [one["outcome"] for one in line["failed"]] == ["rate_limit_exceeded"]
    assert line["failed"][0]["credential"].startswith("chatgpt#1-")
    assert line["credential"].startswith("chatgpt#2-")


def test_a_refused_key_is_not_tried_in_a_loop(fresh: Callable[..., Client]) -> None:
    """R-075."""
    client = fresh("sim-revoked")
    heard = [client.call() for _ in range(20)]

    assert {one.status for one in heard} == {503}
    assert client.asked <= 3


def test_what_one_worker_learns_all_others_know_within_a_second(
    fresh: Callable[..., Client],
) -> None:
    """R-071: four workers; at most one stray call for each of them."""
    client = fresh("sim-many-workers", TOKENS_WORKERS="4")
    client.mishap("throttle", seconds=60)
    assert client.call().status == 429
    until(lambda: False, 1.0)  # a second passes
    client.stack.simulators.clear(PLATFORM)
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: client.call().status, range(60)))

    assert set(statuses) == {429}
    assert client.asked == 0


def test_a_hundred_who_wait_do_not_come_back_at_once(fresh: Callable[..., Client]) -> None:
    """R-073: one probe, then more and more."""
    client = fresh("sim-herd", TOKENS_RETRY_WAIT_SECONDS="10")
    client.mishap("throttle", seconds=2)
    arrivals: list[float] = []
    lock = threading.Lock()

    def one(_: int) -> int:
        heard = client.call()
        with lock:
            arrivals.append(time.monotonic())
        return heard.status

    with ThreadPoolExecutor(100) as threads:
        herd = threads.map(one, range(1))  # meets the limit, for all
        until(lambda: client.asked)
        statuses = [*threads.map(one, range(99)), *herd]
    first = min(arrivals)

    assert statuses.count(200) == 100
    assert sum(1 for at in arrivals if at - first <= 0.1) <= 2
    assert sum(1 for at in arrivals if at - first <= 0.45) <= 3


def test_sessions_stay_with_their_key_in_all_workers(fresh: Callable[..., Client]) -> None:
    """C-232: whatever says which session it is."""
    keys = ",".join(f"sim-s{i}" for i in range(8))
    client = fresh(keys, TOKENS_WORKERS="4")
    used = set()
    for i in range(24):
        heard = (
            client.call(headers={"x-session-id": "one conversation"}) if i % 2 else _by_body(client)
        )
        used.add(client.stack.line(heard.headers["x-request-id"])["credential"])

    assert len(used) == 1
    spread = {
        client.stack.line(client.call(headers={"x-session-id": f"c{i}"}).headers["x-request-id"])[
            "credential"
        ]
        for i in range(16)
    }
    assert len(spread) > 3


def _by_body(client: Client) -> Heard:
    """The same session, told in the body (C-235)."""
    caller = Chat()
    asked = caller.ask(client.model, SAY)
    asked[1]["session_id"] = "one conversation"
    return caller.call(client.stack.url(PLATFORM), asked, client.stack.licence)


def test_what_is_known_of_keys_survives_a_restart(
    simulators: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A key that rests for an hour still does when the gateway comes back."""
    folder = tmp_path_factory.mktemp("restart")
    settings = {**RESTING, "TOKENS_CHATGPT_KEYS": "sim-restarted"}
    before = Stack(simulators, folder, **settings)
    client = Client(before)
    client.mishap("throttle", seconds=600)
    assert client.call().status == 429
    until(lambda: False, 0.6)
    before.stop()
    after = Stack(simulators, folder, **settings)
    try:
        client = Client(after)
        heard = client.call()
        assert (heard.status, client.asked) == (429, 0)
        assert int(heard.headers["retry-after"]) > 550
    finally:
        after.stop()


def test_the_group_of_a_call_is_its_choice_of_keys(fresh: Callable[..., Client]) -> None:
    """C-147, C-150, C-151."""
    client = fresh("sim-g1|pro,sim-g2|team,sim-g3")
    for selector, label in (("|[pro]", "chatgpt#1"), ("|[team]", "chatgpt#2")):
        client.model = "gpt-4o" + selector
        heard = client.call()
        assert client.stack.line(heard.headers["x-request-id"])["credential"].startswith(label)
    client.model = "gpt-4o"
    heard = client.call(headers={"x-tokens-custom-group": "team"})
    assert client.stack.line(heard.headers["x-request-id"])["credential"].startswith("chatgpt#2")


@pytest.mark.parametrize(
    "platform, dialect, more",
    [
        ("claude_api", "anthropic_messages", {"metadata": {"user_id": "someone"}}),  # C-233
        ("codex", "openai_responses", {"prompt_cache_key": "someone"}),  # C-234
        ("codex", "openai_chat", {"session_id": "someone"}),  # C-235
        ("gemini", "gemini_generate", {"session_id": "someone"}),  # C-237
    ],
)
def test_each_dialect_has_a_place_for_a_session(
    gateway: Start, platform: str, dialect: str, more: dict[str, Any]
) -> None:
    keys = ",".join(f"sim-k{i}" for i in range(8))
    stack = gateway(**RESTING, **key_settings(keys))
    stack.simulators.clear(platform)
    caller = next(one for one in CALLERS if one.name == dialect)
    used = set()
    for _ in range(6):
        path, body = caller.ask(MODELS[platform].plain, SAY)
        heard = caller.call(stack.url(platform), (path, body | more), stack.licence)
        assert heard.status == 200, heard.content
        used.add(stack.line(heard.headers["x-request-id"])["credential"])

    assert len(used) == 1
    asked = stack.simulators.journal(platform)[-1]["body"]
    assert "session_id" not in asked
    if platform == "codex":
        assert asked["prompt_cache_key"] == "someone"


def test_two_hosts_with_one_redis_know_of_each_others_keys(
    simulators: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each has a database of its own."""
    address = "redis://127.0.0.1:6379/11"
    try:
        redis.Redis.from_url(address, socket_connect_timeout=1).ping()
    except redis.RedisError:
        missing("Redis")
    key = f"sim-shared-{uuid.uuid4().hex}"
    settings = {**RESTING, "TOKENS_CHATGPT_KEYS": key, "TOKENS_REDIS_URL": address}
    one, other = (Stack(simulators, tmp_path_factory.mktemp("host"), **settings) for _ in range(2))
    try:
        client = Client(one)
        client.mishap("throttle", seconds=60)
        assert client.call().status == 429
        until(lambda: False, 1.0)  # a second passes
        assert (Client(other).call().status, client.asked) == (429, 0)
    finally:
        one.stop()
        other.stop()


def test_a_key_that_is_taken_away_in_the_middle_of_a_stream_finishes_it(
    simulators: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """R-078: the next call uses another, and there is no error."""
    folder = tmp_path_factory.mktemp("removed")
    stack = Stack(simulators, folder, **RESTING, TOKENS_CHATGPT_KEYS="")
    try:
        names = [
            _added(stack, token, "--priority", str(priority))
            for priority, token in ((9, "sim-first"), (1, "sim-next"))
        ]
        client = Client(stack)
        assert until(lambda: client.call().status == 200)
        caller = Chat()
        asked = caller.ask(
            client.model, "simulate: stall seconds=1.5 after=2\nsimulate: words=9", stream=True
        )
        with caller.send(stack.url(PLATFORM), asked, stack.licence) as answer:
            pieces = answer.iter_content(None)
            first = next(pieces)
            stack.tokens("credential", "remove", names[0], "--yes")
            whole = first + b"".join(pieces)
        assert whole.rstrip().endswith(b"data: [DONE]") and b'"error"' not in whole
        heard = client.call()
        assert heard.status == 200
        assert stack.line(heard.headers["x-request-id"])["credential"] == names[1]
    finally:
        stack.stop()


def test_nothing_is_repeated_once_a_word_has_gone_out(gateway: Start) -> None:
    """R-014: with other keys free."""
    client = Client(gateway(**key_settings("sim-w1,sim-w2,sim-w3")))
    say = "simulate: error after=2 pace=0.01\nsimulate: say one two three four five"
    with ThreadPoolExecutor(8) as threads:
        heard = list(threads.map(lambda _: client.call(say, stream=True), range(CALLS)))

    assert client.asked == CALLS
    assert {each.headers["x-tokens-attempts"] for each in heard} == {"1"}
    texts = {Chat().texts(each) for each in heard}
    assert all("one two three four five".startswith(text) and text for text in texts), texts


def _added(stack: Stack, token: str, *words: str) -> str:
    """The name of a credential that is now kept in the gateway's database."""
    done = subprocess.run(
        [TOKENS, "credential", "add", PLATFORM, "--json", *words],
        env=stack.environ,
        cwd=ROOT,
        input=token,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)[0]["name"])


def test_a_credential_may_have_an_address_a_proxy_and_limits_of_its_own(
    simulators: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The platform's own address leads nowhere here; what is kept of a credential leads on."""
    folder = tmp_path_factory.mktemp("own")
    nowhere = f"http://127.0.0.1:{free_port()}"
    settings = {"TOKENS_CHATGPT_BASE_URL": nowhere, "TOKENS_CHATGPT_KEYS": "sim-nowhere|none"}
    stack = Stack(simulators, folder, **(RESTING | settings))
    try:
        base = simulators.bases[PLATFORM]
        (folder / "proxy").write_text(nowhere)
        _added(stack, "sim-address", "--base-url", base, "--groups", "address", "--rpd", "2")
        _added(
            stack,
            "sim-proxy",
            "--base-url",
            base,
            "--groups",
            "proxy",
            "--proxy-file",
            str(folder / "proxy"),
        )
        client = Client(stack, model="gpt-4o|[address]")
        assert until(lambda: client.call().status == 200)
        client.call()
        heard = client.call()
        assert (heard.status, heard.json["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 0 < int(heard.headers["retry-after"]) <= 86400
        assert "rpd, 2 of 2 used" in stack.tokens("explain", "--platform", PLATFORM)

        client.model = "gpt-4o|[proxy]"

        def code() -> str:
            return str(client.call(query="retry_attempt=0").json["error"]["code"])

        assert until(lambda: code() == "upstream_unreachable")  # the worker hears of it in its time
        licence = json.loads(stack.tokens("licence", "add", "--groups", "address", "--json"))
        asked = Chat().ask("gpt-4o|[proxy]", SAY)
        heard = Chat().call(stack.url(PLATFORM), asked, licence["licence"])
        assert (heard.status, heard.json["error"]["code"]) == (403, "forbidden")
    finally:
        stack.stop()


def test_a_credential_may_have_budgets_and_limits_of_length(fresh: Callable[..., Client]) -> None:
    """C-238: two workers, of which one charges and the other hears of it."""
    client = fresh("sim-other|other", TOKENS_WORKERS="2")
    poor = _added(client.stack, "sim-poor", "--groups", "poor", "--budget-day", "0.000001")
    short = ("--groups", "short", "--context", "100", "--output", "50")
    _added(client.stack, "sim-short", *short)

    client.model = "gpt-4o|[poor]"
    assert until(lambda: client.call().status == 200)
    assert until(lambda: {client.call().status for _ in range(8)} == {503})
    heard = client.call()
    assert heard.json["error"]["code"] == "no_available_key"
    assert "has spent its budget" in heard.json["error"]["message"]
    assert 0 < int(heard.headers["retry-after"]) <= 86400
    assert heard.headers["x-should-retry"] == "false"
    assert "budget_day" in client.stack.tokens("credential", "why", poor)
    client.stack.tokens("credential", "edit", poor, "--budget-day", "none")
    assert until(lambda: {client.call().status for _ in range(8)} == {200})
    client.stack.tokens("credential", "edit", poor, "--budget-total", "0.000001")
    assert until(lambda: {client.call().status for _ in range(8)} == {503})
    assert "retry-after" not in client.call().headers

    def said(text: str, **more: Any) -> tuple[int, str]:
        asked = Chat().ask("gpt-4o|[short]", text, **more)
        heard = Chat().call(client.stack.url(PLATFORM), asked, client.stack.licence)
        return heard.status, heard.json.get("error", {}).get("code", "")

    assert said(SAY, max_tokens=50) == (200, "")
    assert said(SAY, max_tokens=51) == said(SAY) == (400, "output_length_exceeded")
    assert said(SAY + " and more" * 100, max_tokens=50) == (400, "context_length_exceeded")
    client.model = "gpt-4o|[short]"
    client.stack.tokens("credential", "edit", "2", "--output", "500")
    assert until(lambda: {said(SAY)[0] for _ in range(8)} == {200})


def test_without_its_redis_a_gateway_serves_and_says_so(
    simulators: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """R-143: no call fails for it, and the log has it once, not twice a second."""
    address = f"redis://127.0.0.1:{free_port()}"
    stack = Stack(simulators, tmp_path_factory.mktemp("alone"), **RESTING, TOKENS_REDIS_URL=address)
    try:
        client = Client(stack)
        assert {client.call().status for _ in range(20)} == {200}
        until(lambda: False, 1.2)
        assert stack.noise.count("the pool works alone") == 1
    finally:
        stack.stop()
