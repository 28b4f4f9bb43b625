"""The simulated Cursor: agents, runs, streams that can be taken up again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from app.simulators.mishaps import Mishap
from app.simulators.serving import Running

Json = dict[str, Any]
AGENT = "bc-00000000-0000-0000-0000-000000000001"


class Account:
    """What a key can do."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        given = {"authorization": "Bearer crsr_sim", **headers}
        return requests.request(method, self.url + path, json=body, headers=given, timeout=10)

    def start(self, text: str, **more: Any) -> tuple[str, str]:
        """A new agent and its first run."""
        told = self.call("POST", "/v1/agents", {"prompt": {"text": text}, **more})
        assert told.status_code == 201, told.text
        return told.json()["agent"]["id"], told.json()["run"]["id"]

    def stream(self, agent: str, run: str, **headers: str) -> list[tuple[str, str, Json]]:
        """The events: id, name, data."""
        told = self.call("GET", f"/v1/agents/{agent}/runs/{run}/stream", **headers)
        assert told.status_code == 200, told.text
        found = []
        for block in told.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
        return found


@pytest.fixture
def account(running: Running) -> Account:
    return Account(running.url("cursor"))


def _names(events: list[tuple[str, str, Json]]) -> list[str]:
    return [name for _, name, _ in events if name != "heartbeat"]


def test_a_run_streams_to_its_result(account: Account) -> None:
    agent, run = account.start("simulate: say one two", model={"id": "claude-4.6-sonnet-thinking"})
    events = account.stream(agent, run)
    text = "".join(data["text"] for _, name, data in events if name == "assistant")

    assert list(dict.fromkeys(_names(events))) == [
        "status",
        "thinking",
        "assistant",
        "result",
        "done",
    ]
    assert text == "one two" == events[-2][2]["text"]
    assert account.call("GET", f"/v1/agents/{agent}/runs/{run}").json()["result"] == text


def test_a_stream_is_taken_up_after_the_last_event(account: Account, running: Running) -> None:
    agent, run = account.start("simulate: words=6")
    running.simulators["cursor"].mishaps.queue(Mishap("cut", after=2))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        account.stream(agent, run)
    events = account.stream(agent, run, **{"last-event-id": f"{run}:2"})

    assert events[0][1:] == ("status", {"runId": run, "status": "RUNNING"})
    text = "".join(data["text"] for _, name, data in events if name == "assistant")
    assert text == " word3 word4 word5 word6"
    path = f"/v1/agents/{agent}/runs/{run}/stream"
    foreign = account.call("GET", path, **{"last-event-id": "run-x:1"})
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (400, "invalid_last_event_id")


def test_one_run_at_a_time_on_an_agent_that_remembers(account: Account) -> None:
    agent, run = account.start("simulate: busy\nsimulate: say Hi", agentId=AGENT)
    assert agent == AGENT
    follow = {"prompt": {"text": "simulate: say Again"}}
    again = account.call("POST", "/v1/agents", {"prompt": {"text": "x"}, "agentId": AGENT})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "agent_id_conflict")

    busy = account.call("POST", f"/v1/agents/{agent}/runs", follow)
    second = account.call("POST", f"/v1/agents/{agent}/runs", follow)
    assert (busy.json()["error"]["code"], second.status_code) == ("agent_busy", 201)
    account.call("POST", f"/v1/agents/{agent}/archive")
    kept = account.call("POST", f"/v1/agents/{agent}/runs", follow)
    assert kept.json()["error"]["code"] == "agent_archived"
    account.call("DELETE", f"/v1/agents/{agent}")
    gone = account.call("GET", f"/v1/agents/{agent}/runs/{run}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "agent_not_found")


def test_a_cancelled_run_is_over(account: Account) -> None:
    agent, run = account.start("hello")
    path = f"/v1/agents/{agent}/runs/{run}"

    assert account.call("POST", f"{path}/cancel").json() == {"id": run}
    assert account.call("GET", path).json()["status"] == "CANCELLED"
    assert account.call("POST", f"{path}/cancel").json()["error"]["code"] == "run_not_cancellable"


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "validation_error"),
        ({"prompt": {"text": ""}}, "validation_error"),
        ({"prompt": {"text": "x"}, "temperature": 1}, "validation_error"),
        ({"prompt": {"text": "x"}, "tools": []}, "validation_error"),
        ({"prompt": {"text": "x", "images": [{"data": "eA=="}]}}, "validation_error"),
        (
            {"prompt": {"text": "x", "images": [{"url": "https://a/b", "mimeType": "image/png"}]}},
            "validation_error",
        ),
        ({"prompt": {"text": "x"}, "model": {"id": "gpt-1"}}, "invalid_model"),
        (
            {
                "prompt": {"text": "x"},
                "model": {"id": "gpt-5.5", "params": [{"id": "fast", "value": "true"}]},
            },
            "validation_error",
        ),
        ({"prompt": {"text": "simulate: demanding"}}, "repository_required"),
        ({"prompt": {"text": "x"}, "repos": [{"url": "ftp://x"}]}, "validation_error"),
        ({"prompt": {"text": "x"}, "mode": "ask"}, "validation_error"),
    ],
)
def test_what_cursor_does_not_take_is_refused(account: Account, body: Json, code: str) -> None:
    told = account.call("POST", "/v1/agents", body)

    assert (told.status_code, told.json()["error"]["code"]) == (400, code)


def test_usage_is_counted_by_run_and_not_for_everybody(account: Account) -> None:
    agent, run = account.start("simulate: words=7")
    usage = account.call("GET", f"/v1/agents/{agent}/usage?runId={run}").json()["runs"][0]["usage"]
    other, _ = account.start("simulate: unmetered")
    refused = account.call("GET", f"/v1/agents/{other}/usage")

    assert usage["outputTokens"] == 7 and usage["inputTokens"] > 0
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "feature_unavailable")


def test_a_duplicate_shares_the_id_of_what_it_repeats(account: Account) -> None:
    agent, run = account.start("simulate: doubled\nsimulate: say one two")
    events = account.stream(agent, run)
    shared = [mark for mark, name, _ in events if name == "interaction_update"]

    assert shared == [mark for mark, name, _ in events if name == "assistant"] and len(shared) == 2


def test_a_run_can_fail_and_be_looked_at_instead_of_read(account: Account) -> None:
    agent, run = account.start("simulate: failed after=1\nsimulate: say one two")
    assert _names(account.stream(agent, run))[-3:] == ["assistant", "result", "done"]
    assert account.call("GET", f"/v1/agents/{agent}/runs/{run}").json()["status"] == "ERROR"

    agent, run = account.start("simulate: say one two")
    looks = [account.call("GET", f"/v1/agents/{agent}/runs/{run}").json() for _ in range(2)]
    assert [look["status"] for look in looks] == ["RUNNING", "FINISHED"]
    assert looks[1]["result"] == "one two"


def test_the_models_and_the_key(account: Account, running: Running) -> None:
    items = account.call("GET", "/v1/models").json()["items"]
    assert "composer-2" in [item["id"] for item in items]
    assert account.call("GET", "/v1/me").json()["apiKeyName"]
    bare = requests.get(running.url("cursor") + "/v1/me", timeout=10)
    assert (bare.status_code, bare.json()["error"]["code"]) == (401, "unauthorized")
