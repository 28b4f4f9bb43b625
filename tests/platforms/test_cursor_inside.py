"""The gateway in this process, with an agent of Cursor's behind it: what the end-to-end tests prove of
processes of their own, looked at from inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.config import PlatformSettings, Settings
from app.credential import Credential
from app.factory import create_app
from app.platforms import cursor
from app.secret import Secret
from app.storage.database import Database
from app.storage.licences import Licences
from app.storage.schema import prepare
from tests.platforms.test_cursor import CALL, REPOSITORY, TOOL
from tests.sdk.scenes import PNG_URL
from tests.stack import KEY, Json, Simulators

WORDS = "word1 word2 word3"
OPTIONS = {
    "REPOSITORY": REPOSITORY,
    "REF": "main",
    "REPOSITORIES": (f"{REPOSITORY}*",),
    "MODE": "agent",
    "WRITES": True,
    "TOOLS": True,
}


class Inside:
    """A licence's calls, made without a network between."""

    def __init__(self, client: FlaskClient, licence: str, simulators: Simulators) -> None:
        self._client = client
        self._licence = licence
        self.simulators = simulators

    def ask(self, *turns: str, brought: str = "", **more: Any) -> Any:
        """The answer to a chat whose turns are the user's and the agent's by turns; with a token
        that is `brought`, if there is one.
        """
        roles = ("user", "assistant")
        messages: list[Json] = [
            {"role": roles[i % 2], "content": text} for i, text in enumerate(turns)
        ]
        body = {"model": "composer-2", "messages": messages, **more}
        headers = {"authorization": f"Bearer {self._licence}"}
        if brought:
            headers = {"tokens-authorization": self._licence, "authorization": brought}
        return self._client.post("/cursor/v1/chat/completions", json=body, headers=headers)

    def get(self, path: str) -> Any:
        return self._client.get(path, headers={"authorization": f"Bearer {self._licence}"})

    @property
    def asked(self) -> list[str]:
        found = self.simulators.journal("cursor")
        return [f"{one['method']} {one['path'].rpartition('/')[2]}" for one in found]


@pytest.fixture
def inside(simulators: Simulators, tmp_path: Path) -> Iterator[Inside]:
    simulators.clear("cursor")
    url = f"sqlite:///{tmp_path}/tokens.db"
    database = Database(url)
    prepare(database)
    licence, _ = Licences(database).add(0.0)
    keys = (Credential("cursor#1", Secret(KEY)),)
    one = PlatformSettings(simulators.bases["cursor"], keys, options=OPTIONS)
    settings = Settings(
        database_url=url, log_file=str(tmp_path / "access.log"), platforms={"cursor": one}
    )
    app = create_app(settings, platforms=(cursor.PLATFORM,), blueprints=(cursor.bp,))
    yield Inside(app.test_client(), licence, simulators)
    database.close()


def _text(answer: Any) -> str:
    assert answer.status_code == 200, answer.data
    return str(answer.json["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    "trouble", ["", "cut after=2\n", "cut after=2\nsimulate: expired\n", "doubled\n", "unmetered\n"]
)
def test_a_run_is_followed_to_its_end(inside: Inside, trouble: str) -> None:
    order = f"simulate: {trouble}simulate: words=3" if trouble else "simulate: words=3"

    assert _text(inside.ask(order)) == WORDS
    streamed = inside.ask(order, stream=True)
    assert b"word3" in streamed.data and streamed.data.endswith(b"data: [DONE]\n\n")
    assert inside.asked.count("POST agents") == 2


@pytest.mark.parametrize("brought, asked", [("", 1), ("crsr_brought", 2)])
def test_that_usage_is_not_told_is_remembered_of_our_own_keys_only(
    inside: Inside, brought: str, asked: int
) -> None:
    """C-049, R-077: not even by a digest of the token."""
    for _ in range(2):
        assert inside.ask("simulate: unmetered\nsimulate: words=3", brought=brought).json["usage"]

    assert inside.asked.count("GET usage") == asked


def test_who_goes_on_finds_the_agent_and_who_names_it_too(inside: Inside) -> None:
    first = inside.ask("simulate: say Inside")
    agent = first.headers["x-tokens-agent"]
    assert _text(inside.ask("simulate: say Inside", "Inside", "simulate: say Again")) == "Again"
    named = inside.ask("simulate: say Named", metadata={"cursor_agent_id": agent})
    foreign = inside.ask("hello", metadata={"cursor_agent_id": "bc-foreign"})

    assert _text(named) == "Named" and foreign.status_code == 404
    assert [one for one in inside.asked if one.startswith("POST")] == [
        "POST agents",
        "POST runs",
        "POST runs",
    ]


def test_orders_carry_what_the_caller_wants(inside: Inside) -> None:
    metadata = {
        "cursor_pr_url": f"{REPOSITORY}/pull/7",
        "cursor_auto_create_pr": "true",
        "cursor_mode": "plan",
    }
    picture = {"type": "image_url", "image_url": {"url": PNG_URL}}
    answer = inside.ask(
        metadata=metadata,
        response_format={"type": "json_object"},
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [picture]},
        ],
    )
    body = inside.simulators.journal("cursor")[0]["body"]

    assert answer.status_code == 200
    assert (body["mode"], body["autoCreatePR"]) == ("plan", True)
    assert body["repos"] == [{"url": REPOSITORY, "prUrl": f"{REPOSITORY}/pull/7"}]
    assert len(body["prompt"]["images"]) == 1 and "JSON" in body["prompt"]["text"]


def test_tools_in_words_are_calls(inside: Inside) -> None:
    answer = inside.ask(f"simulate: say Look. {CALL}", tools=[TOOL])
    (call,) = answer.json["choices"][0]["message"]["tool_calls"]

    assert call["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}


@pytest.mark.parametrize(
    "order, status",
    [
        ("simulate: failed", 502),
        ("simulate: failed after=1", 502),
        ("simulate: throttle", 429),
        ("simulate: working\nsimulate: pulled\nsimulate: words=3", 200),
    ],
)
def test_what_becomes_of_a_run(inside: Inside, order: str, status: int) -> None:
    answer = inside.ask(order, retry_attempt=0)

    assert answer.status_code == status, answer.data
    if status == 200:
        assert "word1 word2\n\nword3\n\n[Pull request](" in _text(answer)


def test_models_are_the_accounts(inside: Inside) -> None:
    for _ in range(2):
        listed = [one["id"] for one in inside.get("/cursor/v1/models").json["data"]]
        assert "composer-latest" in listed
    assert inside.asked == ["GET models"]
