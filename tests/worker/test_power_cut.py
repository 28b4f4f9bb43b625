"""Gateway and worker killed in the same moment, with jobs in every state that is no end; the platforms go
on, and so does a client in the middle of its polling (C-208; R-081, R-082).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
import sqlalchemy as sa

from app.canonical.media import VideoJob
from app.media.job import Folders, written
from app.simulators.films import film
from app.storage.database import Database
from app.storage.tasks import Task, Tasks, new_id
from tests.conftest import STUDIO
from tests.sdk.pictures import PAINTERS
from tests.services.film_maker import watch_settling
from tests.stack import PATIENCE, Json, Simulators, Stack, until

MP4 = film(1280, 720, 4, "")
MODELS = {"sora": "sora-2", "grok": "grok-imagine-video", "flow": "veo_3_1"}
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")


@pytest.fixture
def stack(simulators: Simulators, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(simulators, tmp_path / "own", **STUDIO)
    stack.work()
    yield stack
    stack.stop()


class House:
    """The stack and its database, as another process sees it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.database = Database(stack.environ["TOKENS_DATABASE_URL"])
        self.tasks = Tasks(self.database)
        self.headers = {"Authorization": f"Bearer {stack.licence}"}

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        url = self.stack.url() + path
        return requests.request(method, url, headers=self.headers, timeout=PATIENCE, **more)

    def begun(self, platform: str, words: str) -> str:
        wish = {"model": MODELS[platform], "prompt": words}
        answer = self.call("POST", f"/{platform}/v1/videos", json=wish)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def drawn(self, words: str) -> str:
        wish = {"model": PAINTERS["chatgpt"].model, "prompt": words, "async": True}
        answer = self.call("POST", "/chatgpt/v1/images/generations", json=wish)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def waiting(self, owner: str) -> str:
        """A film whose row was written, and nothing more."""
        name, now = new_id("video"), time.time()
        folder = Folders(self.stack.environ["TOKENS_SPOOL_FOLDER"]).of(name)
        wish = VideoJob(model=MODELS["sora"], prompt="Waits", seconds=4, size="1280x720")
        job = written(wish, folder)
        facts = {"platform": "sora", "engine": "sora", "model": MODELS["sora"], "owner": owner}
        times = {"created_at": now, "deadline": now + 900}
        self.tasks.add(Task(id=name, kind="video", job=job, **facts, **times))  # type: ignore
        return name

    def state(self, name: str) -> str:
        found = self.tasks.find(name)
        assert found is not None
        return found.state

    def let_time_pass(self) -> None:
        """As if all leases of the dead had run out."""
        words = sa.text(
            "UPDATE tasks SET lease_until = 0, due_at = 0, put_at = 0 WHERE settled = ''"
        )
        self.database.write(lambda connection: connection.execute(words))

    def shown(self, platform: str, name: str) -> Json:
        what = name.partition("_")[0] + "s"
        told: Json = self.call("GET", f"/{platform}/v1/{what}/{name}").json()
        return told

    def ended(self, platform: str, name: str) -> Json:
        until(lambda: self.shown(platform, name)["status"] in ("completed", "failed"), 60)
        return self.shown(platform, name)


def begun_at(stack: Stack, platform: str, route: str, words: str) -> int:
    """How often the platform was asked to make this."""
    asked = stack.simulators.journal(platform)
    return sum(
        one["method"] == "POST" and one["path"].endswith(route) and words in str(one["body"])
        for one in asked
    )


def test_what_was_in_any_state_comes_to_its_end_once(stack):
    house = House(stack)
    settled = watch_settling(house.database)
    for name in ("sora", "grok", "flow", "chatgpt"):
        stack.simulators.clear(name)
    running = {one: house.begun(one, f"Runs\nsimulate: takes=600 {one}") for one in MODELS}
    storing = house.begun("grok", "Stored\nsimulate: download=slow seconds=60")
    drawing = house.drawn("Drawn\nsimulate: slow seconds=60")
    gone = threading.Thread(target=_hangs_up, args=(house, "Asked\nsimulate: slow seconds=60"))
    gone.start()
    assert until(lambda: house.state(storing) == "storing", 30)
    assert until(lambda: house.state(drawing) == "submitting", 30)
    assert until(lambda: house.tasks.counts().get("submitting", 0) == 2, 30)
    assert {house.state(one) for one in running.values()} == {"running"}
    (asked,) = [one.id for one in house.tasks.listed(("submitting",), 9) if one.kind == "video"]

    owner = house.tasks.find(storing).owner
    stack.crash()
    queued = [house.waiting(owner), house.waiting(owner)]
    gone.join(PATIENCE)
    for platform in MODELS:
        stack.simulators.forward(platform, 600)
    house.let_time_pass()
    stack.revive()

    for platform, name in [*running.items(), ("grok", storing), *(("sora", one) for one in queued)]:
        told = house.ended(platform, name)
        assert told["status"] == "completed", told
        assert house.call("GET", f"/{platform}/v1/videos/{name}/content").content == MP4
    told = house.ended("chatgpt", drawing)
    assert (told["status"], told["error"]["code"]) == ("failed", "task_lost")
    assert until(lambda: house.state(asked) == "lost", 30)

    everything = [*running.values(), storing, drawing, asked, *queued]
    assert settled() == {one: 1 for one in everything}
    for platform in MODELS:
        assert begun_at(stack, platform, "", f"takes=600 {platform}") == 1
    assert begun_at(stack, "grok", "", "Stored") == 1
    assert begun_at(stack, "chatgpt", "/images/generations", "Drawn") == 1
    assert begun_at(stack, "sora", "/videos", "Asked") == 1
    assert begun_at(stack, "sora", "/videos", "Waits") == 2
    listed = stack.tokens("task", "list", "--state", "lost")
    assert drawing in listed and asked in listed


def _hangs_up(house: House, words: str) -> None:
    with pytest.raises(requests.ConnectionError):
        house.begun("sora", words)


def test_a_client_that_polls_goes_on_polling(stack):
    """OpenAI's SDK repeats what it could not ask, and the film is there when the gateway is."""
    client = openai.OpenAI(
        base_url=f"{stack.url('sora')}/v1", api_key=stack.licence, max_retries=12, timeout=20
    )
    ends: list[Any] = []

    def poll() -> None:
        ends.append(
            client.videos.create_and_poll(
                model="sora-2", prompt="Polled\nsimulate: takes=600", poll_interval_ms=100
            )
        )

    polling = threading.Thread(target=poll)
    polling.start()
    tasks = Tasks(Database(stack.environ["TOKENS_DATABASE_URL"]))
    assert until(lambda: tasks.counts().get("running", 0) == 1, 30)
    stack.crash()
    stack.simulators.forward("sora", 600)
    stack.revive()
    polling.join(90)

    assert [one.status for one in ends] == ["completed"]
    assert client.videos.download_content(ends[0].id).read() == MP4
