"""What must stay secret stays out of every log line and every answer (K-092)."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.models import EVERY
from tests.platforms.callers import CALLERS, Heard
from tests.platforms.conftest import ONCE, Pair
from tests.stack import KEY, Stack, until

BROUGHT = "brought-secret-4c1b"
FOREIGN = "someone-elses-licence-90ef"
MISHAPS = ("fail", "refuse", "html", "cut after=2", "error after=2", "garble after=2")


def _every_way(pair: Pair) -> list[Heard]:
    """Calls that work, fail, break off and are refused, in both modes."""
    both = {"tokens-authorization": pair.stack.licence, "authorization": f"Bearer {BROUGHT}"}
    heard = [
        pair.call("hello prompt-words", stream=stream, **more)
        for stream in (False, True)
        for more in (
            {"query": f"key={pair.stack.licence}"},
            {"licence": FOREIGN},
            {"headers": both},
            {"headers": both | {"authorization": f"{BROUGHT}-revoked"}},
        )
    ]
    for mishap in MISHAPS:
        prompt = f"simulate: {mishap}\nsimulate: words=9"
        heard.append(pair.call(prompt, stream=True, query=ONCE))
    return heard


def test_no_secret_and_no_prompt_is_in_any_log_line_or_metric(
    gateway: Callable[..., Stack],
) -> None:
    """C-035, C-039, C-187, S-008."""
    stack = gateway()
    pairs = [Pair(platform, caller, stack) for platform in EVERY for caller in CALLERS]
    with ThreadPoolExecutor(8) as pool:
        heard = [answer for answers in pool.map(_every_way, pairs) for answer in answers]
    assert until(lambda: len(stack.log) >= len(heard))

    assert "Traceback" not in stack.noise
    metrics = requests.get(stack.url() + "/metrics", timeout=20)
    assert metrics.status_code == 200 and "tokens_requests_total" in metrics.text
    written = json.dumps(stack.log) + stack.noise + metrics.text
    secrets = (stack.licence, KEY, BROUGHT, FOREIGN, "prompt-words")
    assert [secret for secret in secrets if secret in written] == []
    answers = b"".join(each.content + str(each.headers).encode() for each in heard).decode()
    assert [secret for secret in (stack.licence, KEY, FOREIGN) if secret in answers] == []
    assert {answer.status for answer in heard} >= {200, 401, 502, 503}
