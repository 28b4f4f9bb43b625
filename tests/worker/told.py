"""A gateway with a worker, a licence that wants to be told, and who is told."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from app.storage.database import Database
from app.storage.tasks import Task, Tasks
from tests.sdk.pictures import PAINTERS
from tests.stack import PATIENCE, ROOT, Json, Stack, until
from tests.worker.receiver import Receiver

FILM = ("sora", "/v1/videos", {"model": "sora-2"})
PICTURE = (
    "chatgpt",
    "/v1/images/generations",
    {"model": PAINTERS["chatgpt"].model, "async": True, "response_format": "url"},
)
CLAIMED = 60.0  # seconds: further off is no next attempt
KINDS = {"video": FILM, "image": PICTURE}


@dataclass(frozen=True, slots=True)
class Client:
    """A licence and the secret that its webhooks are signed with."""

    stack: Stack
    receiver: Receiver
    licence: str
    secret: str

    @classmethod
    def new(cls, stack: Stack, receiver: Receiver, *where: str) -> Client:
        """`where` are the words of `tokens licence webhook`."""
        told = stack.tokens("licence", "add", "--label", "told", "--json")
        made = json.loads(told)
        secret = stack.tokens("licence", "webhook", made["name"], *where).strip()
        return cls(stack, receiver, made["licence"], secret)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.licence}"}
        return requests.request(
            method, self.stack.url() + path, headers=headers, timeout=PATIENCE, **more
        )

    def ask(self, kind: str, words: str = "A boat leaves", **more: Any) -> requests.Response:
        platform, route, wish = KINDS[kind]
        return self.call("POST", f"/{platform}{route}", json={**wish, "prompt": words, **more})

    def begun(self, kind: str, words: str = "A boat leaves", **more: Any) -> str:
        answer = self.ask(kind, words, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def show(self, kind: str, name: str) -> Json:
        platform, route, _ = KINDS[kind]
        told: Json = self.call(
            "GET", f"/{platform}{route.removesuffix('/generations')}/{name}"
        ).json()
        return told


@contextmanager
def at_work(stack: Stack, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this command beside the gateway, ended with the block at the latest."""
    with (stack.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(command, env=stack.environ, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def rows(stack: Stack) -> Tasks:
    """The table of jobs, as another process sees it."""
    return Tasks(Database(stack.environ["TOKENS_DATABASE_URL"]))


def row(stack: Stack, name: str) -> Task:
    found = rows(stack).find(name)
    assert found is not None
    return found


def hurry(stack: Stack, name: str, after: int) -> float:
    """Brings the attempt after this many forward, as soon as the one before is over; and says how many
    seconds it would have been until then.
    """
    found = until(lambda: _put_off(row(stack, name), after), 30)
    assert found, row(stack, name)
    rows(stack).noticed(name, time.time())
    return found


def _put_off(task: Task, after: int) -> float:
    """For how long; 0 while an attempt is being made, for which the row is claimed two minutes."""
    if task.notices < after or task.notice_at is None:
        return 0.0
    left = task.notice_at - time.time()
    return left if left < CLAIMED else 0.0
