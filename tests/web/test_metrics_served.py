"""`/metrics` of a gateway with two workers, after traffic that was real."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import requests

from app.metrics.family import COUNTED, LOOKED
from tests.metrics.reading import Reading
from tests.stack import START_PATIENCE, Stack, program, until
from tests.web.conftest import CHAT, HELLO


@pytest.fixture(scope="module")
def stack(gateway) -> Stack:
    """One of its own: what others do would be counted too."""
    return gateway(TOKENS_WORKERS="2", TOKENS_RETRY_ATTEMPT="1")


def scraped(stack: Stack) -> str:
    answer = requests.get(stack.url() + "/metrics", timeout=20)  # on a connection of its own
    assert answer.status_code == 200
    return answer.text


def reading(stack: Stack) -> Reading:
    return Reading(scraped(stack))


def chat(
    stack: Stack, words: str = "hello", *, licence: str | None = None, **more
) -> requests.Response:
    body = {**HELLO, "messages": [{"role": "user", "content": words}], **more}
    headers = {"Authorization": f"Bearer {licence or stack.licence}"}
    return requests.post(
        stack.url() + CHAT, json=body, headers=headers, timeout=20, stream="stream" in more
    )


def chats(found: Reading) -> float:
    return found.total("tokens_requests_total", platform="chatgpt")


def settled(stack: Stack, more: float, before: Reading) -> Reading:
    """The metrics, once so many more chats are over."""
    assert until(lambda: chats(reading(stack)) == chats(before) + more)
    return reading(stack)


def test_both_workers_count_together(stack):
    before = reading(stack)
    for _ in range(10):
        assert chat(stack).status_code == 200
        assert chat(stack, stream=True).text.endswith("[DONE]\n\n")
    assert chat(stack, licence="wrong").status_code == 401
    assert chat(stack, "simulate: refuse").status_code == 503
    assert requests.get(stack.url() + "/nowhere", timeout=20).status_code == 404
    found = settled(stack, 22, before)

    def grown(name: str, **labels: str) -> float:
        return found.total(name, **labels) - before.total(name, **labels)

    assert grown("tokens_requests_total", platform="chatgpt", status="2xx") == 20
    assert grown("tokens_requests_total", dialect="openai_chat", status="2xx") == 20
    assert grown("tokens_first_byte_seconds_count", platform="chatgpt") == 20
    assert grown("tokens_request_seconds_count", platform="chatgpt", stream="true") == 10
    assert (
        grown("tokens_errors_total", platform="chatgpt", kind="invalid_api_key", blame="caller")
        == 1
    )
    assert (
        grown("tokens_errors_total", platform="chatgpt", kind="no_available_key", blame="gateway")
        == 1
    )
    assert grown("tokens_errors_total", platform="none", kind="not_found", blame="caller") == 1
    assert grown("tokens_failed_attempts_total", platform="chatgpt") >= 1
    lines = [line for line in stack.log if line.get("tokens_in") and line["platform"] == "chatgpt"]
    assert grown("tokens_used_total", of="input") == sum(line["tokens_in"] for line in lines)
    assert grown("tokens_used_total", of="output") == sum(line["tokens_out"] for line in lines)
    assert grown("tokens_ledger_rows_total") == 42  # each call opens one and closes it
    assert found.value("tokens_processes") == 2
    assert found.value("tokens_requests_in_flight") == 1  # this look
    assert found.value("tokens_streams_open") == 0


def test_every_family_is_told(stack):
    chat(stack, "simulate: refuse")
    stack.work()
    assert until(lambda: reading(stack).value("tokens_job_workers") == 1, START_PATIENCE)
    found = reading(stack)

    assert found.kinds == {one.name: one.kind for one in (*COUNTED, *LOOKED)}
    assert found.about == {one.name: one.about for one in (*COUNTED, *LOOKED)}
    assert found.total("tokens_looked_up") == 5
    assert found.value("tokens_database_up") == 1
    assert found.value("tokens_credentials", platform="chatgpt", state="ready") == 1


def test_prometheus_has_nothing_to_say_against_the_text(stack):
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=scraped(stack),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_nothing_that_a_caller_says_becomes_a_label(stack):
    """S-008, S-069."""
    canary = "canary-77aa01"
    before = reading(stack)
    chat(stack, canary, model=canary)
    chat(stack, canary, licence=f"sk-{canary}")
    chat(stack, f"{canary} simulate: error")
    requests.post(
        f"{stack.url()}/{canary}/v1/messages?key={canary}", json={canary: canary}, timeout=20
    )
    settled(stack, 3, before)
    text = scraped(stack)

    assert "canary" not in text and stack.licence not in text
    names = {line["licence"] for line in stack.log if "licence" in line}
    names |= {line["credential"] for line in stack.log if "credential" in line}
    assert names and not [one for one in names if one in text]


def workers(stack: Stack) -> list[int]:
    children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children").read_text().split()
    return list(map(int, children))


def test_a_worker_that_is_killed_takes_nothing_along_but_its_streams(stack):
    before, left = reading(stack), stack.simulators.hangups("chatgpt")
    with closing(chat(stack, "simulate: words=4000 pace=0.02", stream=True)) as stream:
        assert stream.status_code == 200
        assert until(lambda: reading(stack).value("tokens_streams_open") == 1)
        killed = workers(stack)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: len(set(workers(stack)) - set(killed)) == 2, 60)
    assert until(lambda: reading(stack).value("tokens_processes") >= 2, 60)
    found = reading(stack)

    assert found.value("tokens_streams_open") == 0
    assert found.value("tokens_requests_in_flight") == 1
    assert chats(found) == chats(before)  # the killed one never came to its end
    chat(stack)
    settled(stack, 1, before)
    assert until(lambda: stack.simulators.hangups("chatgpt") > left)  # others count them, too


def test_a_caller_who_hangs_up_is_counted_once(stack):
    before, left = reading(stack), stack.simulators.hangups("chatgpt")
    stream = chat(stack, "simulate: words=4000 pace=0.02", stream=True)
    assert until(lambda: reading(stack).value("tokens_streams_open") == 1)
    stream.close()
    found = settled(stack, 1, before)

    def gone(one: Reading) -> float:
        return one.value(
            "tokens_errors_total", platform="chatgpt", kind="caller_gone", blame="caller"
        )

    assert gone(found) == gone(before) + 1
    assert until(lambda: reading(stack).value("tokens_streams_open") == 0)
    assert until(lambda: stack.simulators.hangups("chatgpt") > left)
