"""Chat2API mode under many failures: each is asked for once and told as it was (R-076)."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.models import EVERY
from tests.platforms.breaking import ENDINGS, Plan, Upstream, plans, token
from tests.platforms.callers import NATIVE
from tests.stack import Stack, compact, key_settings

pytestmark = pytest.mark.slow

CALLS = int(os.environ.get("SOAK_CALLS", "1000"))  # reliability asks for 10,000
SEED = 76
CLIENTS = 12
SECONDS = 90.0
POOL_KEY = "pool-key-that-nobody-may-use"
PREFIXES = {"cursor": "", "claude": "", "claude_api": "", "gemini": "", "gemini_official": ""}
TIMEOUT = 30.0


@pytest.fixture(scope="module")
def planned() -> list[Plan]:
    return plans(CALLS, SEED)


@pytest.fixture(scope="module")
def upstream(planned: list[Plan]) -> Iterator[Upstream]:
    running = Upstream(planned)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def failing(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway that has keys for every platform, in front of nothing but failures."""
    bases = {name: f"{upstream.url}/{name}{PREFIXES.get(name, '/v1')}" for name in EVERY}
    stack = Stack(
        SimpleNamespace(bases=bases),  # type: ignore[arg-type]  # it only looks at the addresses
        tmp_path_factory.mktemp("failing"),
        **key_settings(f"{POOL_KEY},{POOL_KEY}-too|plus"),
        TOKENS_FIRST_BYTE_SECONDS="4",
        TOKENS_ANSWER_SECONDS="4",
        TOKENS_REST_SECONDS="3600",  # so that a failure that reached the pool would show there
    )
    upstream.secrets += [POOL_KEY, stack.licence]
    yield stack
    stack.stop()


class Client(threading.Thread):
    """Makes its share of the calls, one after the other, on a connection it keeps."""

    def __init__(self, stack: Stack, calls: list[Plan]) -> None:
        super().__init__(daemon=True)
        self.wrong: list[str] = []
        self.told: Counter[str] = Counter()
        self._stack = stack
        self._calls = calls
        self._line = http.client.HTTPConnection(
            "127.0.0.1", int(stack.environ["TOKENS_PORT"]), timeout=TIMEOUT
        )

    def run(self) -> None:
        with contextlib.closing(self._line):
            for plan in self._calls:
                try:
                    trouble = self._call(plan)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    self._line.close()
                    trouble = repr(error)
                if trouble:
                    self.wrong.append(f"{trouble}: {_short(plan)}")

    def _call(self, plan: Plan) -> str:
        """Makes the call; says what is wrong with the answer."""
        headers = {
            "tokens-authorization": self._stack.licence,
            "authorization": f"Bearer {token(plan.number)}",
            "content-type": "application/json",
            **plan.headers,
        }
        body = None if plan.body is None else compact(plan.body)
        self._line.request(plan.method, plan.path, body, headers)
        answer = self._line.getresponse()
        content = answer.read()
        self.told["verbatim" if plan.answered else f"own {answer.status}"] += 1
        return _verbatim(plan, answer, content) if plan.answered else _own(plan, answer, content)


def _short(plan: Plan) -> str:
    kind = f"{plan.ending}, {plan.status} {plan.kind} {plan.framing}, {len(plan.answer)} bytes"
    return f"call {plan.number} {plan.method} {plan.path} -> {kind}"


def _verbatim(plan: Plan, answer: http.client.HTTPResponse, content: bytes) -> str:
    """What is not as the platform said it."""
    if answer.status != plan.status:
        return f"status {answer.status}"
    if content != plan.answer:
        return f"body {content[:200]!r}"
    if answer.getheader("content-type") != plan.kind:
        return f"content type {answer.getheader('content-type')}"
    told = {name.lower(): value for name, value in answer.getheaders()}
    if lost := [name for name, value in plan.passed.items() if told.get(name) != value]:
        return f"lost {lost}"
    if any(value in plan.kept_back.values() for value in told.values()):
        return f"told too much: {told}"
    return ""


def _own(plan: Plan, answer: http.client.HTTPResponse, content: bytes) -> str:
    """What is wrong with our own error, in place of an answer that never came whole."""
    expected = 504 if plan.ending == "silence" else 502
    if answer.status != expected:
        return f"status {answer.status} {content[:300]!r}"
    body: Any = json.loads(content)
    caller = NATIVE[plan.dialect]
    if not (caller.code(body) and "platform" in caller.message(body)):
        return f"body {content[:200]!r}"
    if body["request_id"] != answer.getheader("x-request-id"):
        return "no request id"
    if answer.getheader("content-type") != "application/json":
        return f"content type {answer.getheader('content-type')}"
    return ""


def _reasons(stack: Stack) -> set[str]:
    """How the keys of the pool stand."""
    rows = (json.loads(stack.tokens("explain", "--platform", name, "--json")) for name in EVERY)
    return {row["reason"] for found in rows for row in found}


def test_failures_are_one_attempt_each_and_told_verbatim(
    failing: Stack, upstream: Upstream, planned: list[Plan]
) -> None:
    """C-042, C-043, C-044, C-049, R-076: all platforms, all dialects, streamed or whole, on pooled
    connections that are closed, reset or left silent at every moment there is. An answered failure
    comes back with its status, content type, body and allowed headers, and no others; one that
    never came whole is our own error, in the caller's dialect. No key of the pool is ever sent, and
    groups, sessions and `retry_attempt` change nothing.
    """
    clients = [Client(failing, planned[number::CLIENTS]) for number in range(CLIENTS)]
    began = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.monotonic() - began

    wrong = [one for client in clients for one in client.wrong]
    told = sum((client.told for client in clients), Counter())
    seen = upstream.seen
    once = sum(seen.attempts[plan.number] == 1 for plan in planned)
    more = [plan.number for plan in planned if seen.attempts[plan.number] != 1]
    stale = sum(
        plan.number in seen.reused
        for plan in planned
        if plan.ending in ("reset", "close", "unread")
    )
    said = (
        f"{once} of {CALLS} asked once, {len(wrong)} told wrongly, {stale} on connections that went"
        f" stale, in {seconds:.1f} s: {dict(told)}"
    )
    print(said)
    assert not wrong, (said, wrong[:20])
    assert once == CALLS, (said, more[:20])
    assert seen.strange == [], said
    assert _reasons(failing) == {"ready"}, said
    assert stale > CALLS // 50, said
    assert {plan.ending for plan in planned} == set(ENDINGS)
    assert seconds < SECONDS, said
