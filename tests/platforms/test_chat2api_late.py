"""Chat2API mode where a platform refuses only after the stream to the caller has begun (C-048)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from tests.models import EVERY
from tests.platforms.callers import CALLERS, Caller, hear
from tests.platforms.conftest import Pair
from tests.platforms.test_chat2api_routes import TOKEN, Teapot
from tests.stack import Stack, key_settings

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


@pytest.fixture(scope="module")
def late() -> Iterator[Any]:
    """A platform that says nothing until its gate is opened."""
    handler: Any = type("Late", (Teapot,), {"asked": [], "gate": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
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


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
@pytest.mark.parametrize("platform", EVERY)
def test_a_late_refusal_is_one_event_with_the_platforms_own_object(
    hasty: Stack, late: Any, platform: str, caller: Caller, refusal: str
) -> None:
    """C-048, R-001: on each of the roads. Where there is no object there are the platform's words,
    or else its status.
    """
    late.handler.gate.clear()
    late.handler.asked.clear()
    late.handler.refusal = REFUSALS[refusal]
    pair = Pair(platform, caller, hasty)
    headers = {"tokens-authorization": hasty.licence, "authorization": f"Bearer {TOKEN}"}
    with caller.send(pair.base, pair.ask("hello", stream=True), "", headers=headers) as answer:
        late.handler.gate.set()
        heard = hear(answer)
    failure = caller.failure(heard)

    assert (heard.status, len(late.handler.asked)) == (200, 1)
    assert failure is not None and not caller.is_whole(heard)
    if refusal == "object":
        details = failure["error"].get("details", [failure["error"]])
        assert OWN in details + [one.get("value") for one in details]
        assert sum("no tea here" in str(one) for one in heard.data) == 1
    else:
        assert {"words": "no tea here", "page": "418"}[refusal] in caller.message(failure)
