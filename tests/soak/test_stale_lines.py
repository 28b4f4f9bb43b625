"""R-039, R-040: platforms that close connections when they are wanted again, or with a call in hand."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from tests.soak.crowd import PATH, crowd
from tests.stack import PATIENCE, Simulators, Stack
from tests.upstream.rawserver import (
    CHUNKED,
    LAST,
    Peer,
    RawServer,
    Request,
    chunk,
    ok,
    resets_after,
)

pytestmark = pytest.mark.slow
# Reliability asks for 5,000 calls, and for 1,000 that break off: set SOAK_REQUESTS.
REQUESTS = int(os.environ.get("SOAK_REQUESTS", "400"))
USED = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
SAID = {"role": "assistant", "content": "Hello!"}
Place = Callable[..., tuple[Stack, RawServer]]


def answer(asked: Request) -> bytes:
    """Of a chat, streamed or not."""
    if not orjson.loads(asked.body).get("stream"):
        choice = {"index": 0, "message": SAID, "finish_reason": "stop"}
        return ok(orjson.dumps(_told("chat.completion", choice)), "Content-Type: application/json")
    choice = {"index": 0, "delta": SAID, "finish_reason": "stop"}
    piece = orjson.dumps(_told("chat.completion.chunk", choice))
    return CHUNKED + chunk(b"data: " + piece + b"\n\ndata: [DONE]\n\n") + LAST


def _told(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    same = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o"}
    return {**same, "object": kind, "choices": [choice], "usage": USED}


def fickle(peer: Peer) -> None:
    """Serves some calls on a connection; then it closes while that is idle, or when the next has come."""
    chance = random.Random(peer.server.connections)
    while (asked := peer.request()) is not None:
        peer.send(answer(asked))
        end = chance.random()
        if end < 0.3:
            peer.hang_up()
            peer.wait_for_close()
            return
        if end < 0.6:
            if peer.request() is not None:
                peer.reset()
            return


@pytest.fixture
def place(simulators: Simulators, tmp_path: Path) -> Iterator[Place]:
    """A gateway before a platform that follows this script on every connection."""
    running: list[Any] = []

    def begin(script: Callable[[Peer], None]) -> tuple[Stack, RawServer]:
        server = RawServer(script)
        running.append(server)
        base = server.url.removesuffix("/chat")
        stack = Stack(simulators, tmp_path, TOKENS_CHATGPT_BASE_URL=base, TOKENS_SORA_BASE_URL=base)
        running.append(stack)
        return stack, server

    yield begin
    for one in reversed(running):
        one.stop()


def asked(stack: Stack, number: int, headers: dict[str, str]) -> requests.Response:
    """A call that can be told from all others."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"call {number}"}]}
    return requests.post(stack.url() + PATH, json=body, headers=headers, timeout=PATIENCE)


def seen(server: RawServer) -> Counter[str]:
    """How often the platform was asked each call."""
    return Counter(orjson.loads(one.body)["messages"][-1]["content"] for one in server.requests)


def test_a_connection_that_was_closed_meanwhile_is_nobodys_trouble(place: Place) -> None:
    """R-039."""
    stack, server = place(fickle)
    told = crowd(int(stack.environ["TOKENS_PORT"]), stack.licence, REQUESTS)

    again = len(server.requests) - REQUESTS
    print(f"{REQUESTS} calls, {server.connections} connections, {again} asked once more")
    assert told.others == Counter() and len(told.whole) == REQUESTS
    assert server.connections > REQUESTS // 4 and again > REQUESTS // 20


def test_who_brings_a_token_is_told_and_nothing_is_asked_twice(place: Place) -> None:
    """R-039 in Chat2API mode."""
    stack, server = place(fickle)
    headers = {"Authorization": "Bearer a-token", "Tokens-Authorization": stack.licence}
    with ThreadPoolExecutor(8) as callers:
        heard = list(callers.map(lambda number: asked(stack, number, headers), range(REQUESTS)))

    ends = Counter(one.status_code for one in heard)
    print(f"{REQUESTS} calls: {dict(ends)}")
    assert set(ends) == {200, 502} and ends[502] > REQUESTS // 20
    assert {one.headers["x-tokens-attempts"] for one in heard} == {"1"}
    assert set(seen(server).values()) == {1}
    codes = {one.json()["error"]["code"] for one in heard if one.status_code == 502}
    assert codes == {"upstream_connection_lost"}


def test_what_was_read_and_then_reset_is_never_asked_again(place: Place) -> None:
    """R-040: the platform may have acted on it."""
    stack, server = place(resets_after())
    headers = {"Authorization": f"Bearer {stack.licence}"}
    count = min(REQUESTS, 1000)
    with ThreadPoolExecutor(8) as callers:
        heard = list(callers.map(lambda number: asked(stack, number, headers), range(count)))

    print(f"{count} calls, {len(server.requests)} seen by the platform")
    assert {one.status_code for one in heard} == {502}
    assert len(seen(server)) == count and set(seen(server).values()) == {1}


def test_a_film_that_was_lost_with_its_connection_may_have_been_begun(
    place: Place, tmp_path: Path
) -> None:
    """R-039, R-081: nobody is asked again, and the operator sees a job of which nothing is known."""
    job = {"id": "video_1", "object": "video", "status": "queued", "progress": 0, "created_at": 1}
    made = ok(orjson.dumps(job | {"model": "sora-2", "seconds": "4", "size": "720x1280"}))

    def serves_once(peer: Peer) -> None:
        peer.request()
        peer.send(made)
        peer.request()
        peer.reset()

    stack, server = place(serves_once)
    headers = {"Authorization": "Bearer a-token", "Tokens-Authorization": stack.licence}
    body = {"model": "sora-2", "prompt": "a hat", "seconds": "4"}
    url = stack.url("sora") + "/v1/videos"
    heard = [requests.post(url, json=body, headers=headers, timeout=PATIENCE) for _ in range(2)]

    assert [one.status_code for one in heard] == [200, 502], heard[0].text
    assert heard[1].json()["error"]["code"] == "upstream_connection_lost"
    assert (server.connections, len(server.requests)) == (1, 2)
    with closing(sqlite3.connect(tmp_path / "tokens.db")) as database:
        rows = database.execute("select state from tasks order by created_at").fetchall()
    assert [state for (state,) in rows] == ["running", "lost"]
