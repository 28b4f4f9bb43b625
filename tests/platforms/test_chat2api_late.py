"""Chat2API mode where a platform refuses only after the stream to the caller has begun (C-048)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from tests.models import EVERY
from tests.platforms.callers import CALLERS, Heard, hear
from tests.platforms.conftest import Pair, all_of, side_by_side
from tests.platforms.test_chat2api_routes import TOKEN, Teapot, tokens_in
from tests.stack import Stack, key_settings

pytestmark = pytest.mark.slow

OWN = {
    "message": "no tea here",
    "type": "teapot",
    "code": "no_tea",
    "param": None,
    "leaves": [1, 2],
}
REFUSALS = {
    "object": b'{"error":{"message":"no tea here","type":"teapot","code":"no_tea","param":null,"leaves":[1,2]}}',
    "words": b'{"error":"no tea here"}',
    "page": b"<html>no tea here</html>",
}


class House(ThreadingHTTPServer):
    """A server to which all come at once."""

    request_queue_size = 128


@pytest.fixture(scope="module")
def late() -> Iterator[Any]:
    """A platform that says nothing until its gate is opened."""
    handler: Any = type("Late", (Teapot,), {"asked": [], "gate": threading.Event()})
    server = House(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", handler=handler)
    handler.gate.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hasty(late: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway that lets streams begin at once."""
    upstream: Any = SimpleNamespace(bases={name: f"{late.url}/{name}" for name in EVERY})
    folder = tmp_path_factory.mktemp("hasty")
    running = Stack(upstream, folder, **key_settings("pooled"), TOKENS_GRACE_SECONDS="0")
    yield running
    running.stop()


def _token(pair: Pair) -> str:
    """One for each, so that it can be seen who asked how often."""
    return f"{TOKEN}-{pair.caller.name}-{pair.platform}"


def _begun(pair: Pair) -> requests.Response:
    """A stream that has begun, while the platform has not said a word."""
    headers = {
        "tokens-authorization": pair.stack.licence,
        "authorization": f"Bearer {_token(pair)}",
    }
    return pair.caller.send(pair.base, pair.ask("hello", stream=True), "", headers=headers)


def _tells(pair: Pair, refusal: str, heard: Heard) -> bool:
    """Whether the refusal is told in the way there is for it."""
    failure = pair.caller.failure(heard)
    if failure is None:
        return False
    if refusal != "object":
        return {"words": "no tea here", "page": "418"}[refusal] in pair.caller.message(failure)
    details = failure["error"].get("details", [failure["error"]])
    once = sum("no tea here" in str(one) for one in heard.data) == 1
    return once and OWN in details + [one.get("value") for one in details]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_late_refusal_is_one_event_with_the_platforms_own_object(
    hasty: Stack, late: Any, refusal: str
) -> None:
    """C-048, R-001: on each of the roads. Where there is no object there are the platform's words,
    or else its status.
    """
    late.handler.gate.clear()
    late.handler.asked.clear()
    late.handler.refusal = REFUSALS[refusal]
    pairs = [Pair(platform, caller, hasty) for platform in EVERY for caller in CALLERS]
    with ExitStack() as opened:
        begun = side_by_side(pairs, lambda pair: opened.enter_context(_begun(pair)))
        late.handler.gate.set()
        heard = side_by_side(pairs, lambda pair: hear(begun[pair.name]))

    def judged(pair: Pair) -> tuple[int, bool, bool]:
        one = heard[pair.name]
        return one.status, _tells(pair, refusal, one), pair.caller.is_whole(one)

    assert {pair.name: judged(pair) for pair in pairs} == all_of(pairs, (200, True, False))
    asked = Counter(token for _, _, headers in late.handler.asked for token in tokens_in(headers))
    assert asked == dict.fromkeys(map(_token, pairs), 1)
