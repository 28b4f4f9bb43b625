"""What every simulator does the same way: journal, control routes, mishaps on the wire.

Driven through the ChatGPT simulator, because one of them has to be.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from app.simulators.chatgpt import ChatgptSimulator
from app.simulators.journal import DOTS, KEPT, Entry, Journal
from app.simulators.mishaps import Mishap
from app.simulators.serving import Running
from app.simulators.simulator import EDGE_PAGE

KEY = {"authorization": "Bearer sk-sim-0123456789"}
ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "simulate: say one two three"}],
}
STREAMED = {**ASK, "stream": True, "stream_options": {"include_obfuscation": False}}


def post(running: Running, body: object = None, **headers: str) -> requests.Response:
    url = f"{running.url('chatgpt')}/chat/completions"
    return requests.post(url, json=body or ASK, headers={**KEY, **headers}, timeout=20)


def queue(running: Running, *mishaps: Mishap) -> None:
    running.simulators["chatgpt"].mishaps.queue(*mishaps)


def records(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


def test_the_journal_keeps_what_was_asked_without_the_credential(running: Running) -> None:
    post(running, ASK, **{"x-api-key": "sk-other", "x-plain": "seen"})
    entry = running.simulators["chatgpt"].journal.last()
    assert (entry.method, entry.path, entry.body) == ("POST", "/v1/chat/completions", ASK)
    assert entry.headers["authorization"] == f"Bearer {DOTS}"
    assert entry.headers["x-api-key"] == DOTS
    assert entry.headers["x-plain"] == "seen"


def test_a_key_in_the_query_is_redacted_and_the_rest_is_kept() -> None:
    journal = Journal()
    journal.note(Entry("GET", "/v1beta/models", "alt=sse&key=AIza&pageSize=3", {}, None))
    assert journal.last().query == f"alt=sse&key={DOTS}&pageSize=3"


def test_the_journal_forgets_the_oldest() -> None:
    journal = Journal()
    for number in range(KEPT + 2):
        journal.note(Entry("GET", f"/{number}", "", {}, None))
    assert [len(journal.entries()), journal.entries()[0].path] == [KEPT, "/2"]
    journal.clear()
    assert journal.entries() == []


def test_another_process_can_read_and_clear_the_journal(running: Running) -> None:
    post(running)
    url = f"{running.origin('chatgpt')}/_simulator/journal"
    listed = requests.get(url, timeout=5).json()
    assert [entry["body"] for entry in listed] == [ASK]
    assert requests.delete(url, timeout=5).json() == {"cleared": True}
    assert requests.get(url, timeout=5).json() == []


def test_another_process_can_queue_mishaps(running: Running) -> None:
    url = f"{running.origin('chatgpt')}/_simulator/mishaps"
    queued = requests.post(url, json=[{"kind": "html"}, {"kind": "fail"}], timeout=20)
    assert queued.json() == {"queued": 2}
    assert [post(running).status_code for _ in range(3)] == [502, 500, 200]
    wrong = requests.post(url, json=[{"kind": "flood"}], timeout=20)
    assert wrong.status_code == 400


def test_an_edge_answers_with_a_page(running: Running) -> None:
    queue(running, Mishap("html"))
    answer = post(running)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert answer.content == EDGE_PAGE


@pytest.mark.parametrize("body", [ASK, STREAMED])
def test_empty_is_a_success_with_nothing_in_it(running: Running, body: object) -> None:
    queue(running, Mishap("empty"))
    answer = post(running, body)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("kind", ["cut", "silence"])
@pytest.mark.parametrize("body", [ASK, STREAMED])
def test_a_broken_transfer_is_noticed(running: Running, kind: str, body: object) -> None:
    queue(running, Mishap(kind, after=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(running, body)


def test_a_cut_stream_has_sent_what_came_before(running: Running) -> None:
    queue(running, Mishap("cut", after=2))
    url = f"{running.url('chatgpt')}/chat/completions"
    got = b""
    with requests.post(url, json=STREAMED, headers=KEY, stream=True, timeout=20) as answer:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            for chunk in answer.iter_content(None):
                got += chunk
    assert (got.count(b'"content":"one"'), got.count(b'"content":" two"')) == (1, 1)
    assert got.count(b"three") == 0


def test_garbage_takes_one_record(running: Running) -> None:
    whole = records(post(running, STREAMED).text)
    queue(running, Mishap("garble", after=1))
    found = records(post(running, STREAMED).text)
    assert len(found) == len(whole) + 1
    assert found[2] == '{"id": "chatcm'


def test_a_truncated_stream_lacks_only_its_ending(running: Running) -> None:
    queue(running, Mishap("truncate"))
    found = records(post(running, STREAMED).text)
    assert len(found) == 4
    assert '"finish_reason":null' in found[-1] and "three" in found[-1]


@pytest.mark.parametrize("kind", ["stall", "slow"])
@pytest.mark.parametrize("body", [ASK, STREAMED])
def test_waiting_costs_time_and_nothing_else(running: Running, kind: str, body: object) -> None:
    queue(running, Mishap(kind, seconds=0.05, after=1))
    began = time.monotonic()
    answer = post(running, body)
    assert time.monotonic() - began >= 0.05
    assert answer.status_code == 200
    assert answer.text.count("three") == 1


def test_silence_comes_after_the_headers(running: Running) -> None:
    queue(running, Mishap("silence", seconds=0.3))
    url = f"{running.url('chatgpt')}/chat/completions"
    began = time.monotonic()
    with requests.post(url, json=STREAMED, headers=KEY, stream=True, timeout=20) as answer:
        assert answer.status_code == 200
        assert time.monotonic() - began < 0.3
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(answer.iter_content(None))


def test_a_reader_who_leaves_is_counted(running: Running) -> None:
    long = {**STREAMED, "messages": [{"role": "user", "content": "simulate: words=50000"}]}
    url = f"{running.url('chatgpt')}/chat/completions"
    with requests.post(url, json=long, headers=KEY, stream=True, timeout=20) as answer:
        next(answer.iter_content(64))
    hangups = f"{running.origin('chatgpt')}/_simulator/hangups"
    for _ in range(200):
        counted = requests.get(hangups, timeout=5).json()
        if counted["hangups"]:
            break
    assert counted == {"hangups": 1}


def test_a_chunked_request_is_read_to_its_end(running: Running) -> None:
    url = f"{running.url('chatgpt')}/chat/completions"
    parts = iter([b'{"model":"gpt-4o","messages":[{"role":', b'"user","content":"hi"}]}'])
    headers = {**KEY, "content-type": "application/json"}
    assert requests.post(url, data=parts, headers=headers, timeout=5).status_code == 200
    sent = running.simulators["chatgpt"].journal.last().body
    assert sent == {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def test_stopping_does_not_wait_for_a_silent_stream() -> None:
    with Running({"chatgpt": ChatgptSimulator()}) as own:
        queue(own, Mishap("silence", seconds=60))
        url = f"{own.url('chatgpt')}/chat/completions"
        answer = requests.post(url, json=STREAMED, headers=KEY, stream=True, timeout=20)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    answer.close()
    with pytest.raises(requests.exceptions.ConnectionError):
        post(own)


def test_every_simulator_is_called_what_it_is_registered_as(running: Running) -> None:
    assert {name: simulator.name for name, simulator in running.simulators.items()} == {
        name: name for name in running.simulators
    }
