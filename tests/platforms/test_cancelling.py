"""Jobs that are not wanted any more, taken back over HTTP: while they wait, while they are made, and
when they are done (R-085). The database itself counts how often each is settled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.storage.database import Database
from app.storage.tasks import Task, Tasks
from tests.conftest import STUDIO
from tests.platforms.test_videos import Screen
from tests.services.film_maker import watch_settling
from tests.stack import PATIENCE, Json, Simulators, Stack, until

FILM = {"model": "veo_3_1"}
SLOW = "Slow\nsimulate: takes=60"
BROUGHT = "brought-cancelled-token-3c"


class Books:
    """What stands in a gateway's database."""

    def __init__(self, stack: Stack) -> None:
        database = Database(stack.environ["TOKENS_DATABASE_URL"])
        self._tasks = Tasks(database)
        self._settled = watch_settling(database)

    def row(self, name: str) -> Task:
        found = self._tasks.find(name)
        assert found is not None
        return found

    def closed(self, name: str, state: str, settled: str) -> Task:
        """The row of a job, when it has come to this end, once."""
        until(lambda: self.row(name).is_over, 30)
        row = self.row(name)
        assert (row.state, row.settled, self._settled()[name]) == (state, settled, 1)
        return row


@pytest.fixture(scope="module")
def stack(gateway: Callable[..., Stack]) -> Stack:
    """A gateway of its own, whose database may be watched."""
    started = gateway(**STUDIO, TOKENS_JOB_SECONDS="500")
    started.work()
    return started


@pytest.fixture(scope="module")
def books(stack: Stack) -> Books:
    return Books(stack)


def cancels(simulators: Simulators) -> list[str]:
    """The paths by which the platform was asked to stop something."""
    asked = simulators.journal("flow")
    return [one["path"] for one in asked if one["path"].endswith("/cancel")]


def taken_back(screen: Screen, name: str) -> None:
    """It is deleted, and from then on as if there had been none, whichever way one looks."""
    answer = screen.call("DELETE", f"/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": name, "object": "video.deleted", "deleted": True}
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert screen.call(method, f"/{name}{path}").status_code == 404, (method, path)
    again = screen.call("POST", f"/{name}/remix", json={"prompt": "again", **FILM})
    assert again.status_code == 404
    assert name not in {one["id"] for one in screen.call("GET").json()["data"]}


# ---------------------------------------------------------------- films


def test_a_film_that_is_being_made_is_stopped_by_its_own_name(stack: Stack, books: Books) -> None:
    """R-085: the one beside it goes on."""
    screen = Screen(stack, "flow")
    other, name = screen.begun(SLOW, **FILM), screen.begun(SLOW, **FILM)
    stack.simulators.clear("flow")
    taken_back(screen, name)

    row = books.closed(name, "cancelled", "released")
    assert (row.code, row.webhook) == ("cancelled", "")
    assert cancels(stack.simulators) == [f"/v1beta/interactions/{row.upstream}/cancel"]
    assert screen.show(other)["status"] in ("queued", "in_progress")


def test_a_film_whose_platform_cannot_stop_it_is_let_go_of(stack: Stack, books: Books) -> None:
    """R-085: OpenAI's protocol has no way to stop a job, so nobody is asked to."""
    screen = Screen(stack)
    name = screen.begun(SLOW)
    stack.simulators.clear("sora")
    taken_back(screen, name)

    books.closed(name, "cancelled", "released")
    assert {one["method"] for one in stack.simulators.journal("sora")} <= {"GET"}


def test_a_film_that_is_done_stays_paid_for(stack: Stack, books: Books) -> None:
    """R-085, R-089: and its link opens nothing any more."""
    screen = Screen(stack, "flow")
    name = screen.made(**FILM)
    stack.simulators.clear("flow")
    taken_back(screen, name)

    row = books.closed(name, "completed", "charged")
    assert row.removed and cancels(stack.simulators) == []


def test_the_film_of_a_brought_token_is_stopped_with_it(stack: Stack, books: Books) -> None:
    """R-085, C-042: nobody else could, and the next look of the worker finds it over."""
    screen = Screen(stack, "flow", token=BROUGHT)
    name = screen.begun(SLOW, **FILM)
    upstream = books.row(name).upstream
    stack.simulators.clear("flow")
    taken_back(screen, name)

    assert cancels(stack.simulators) == [f"/v1beta/interactions/{upstream}/cancel"]
    books.closed(name, "cancelled", "released")
    assert len(cancels(stack.simulators)) == 1


# ---------------------------------------------------------------- pictures


def call(stack: Stack, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {more.pop('licence', stack.licence)}"}
    url = f"{stack.url('chatgpt')}/v1/images{path}"
    return requests.request(method, url, headers=headers, timeout=PATIENCE, **more)


def asked_for(stack: Stack, prompt: str, **more: Any) -> str:
    wish = {"model": "gpt-image-2", "prompt": prompt, "async": True, **more}
    answer = call(stack, "POST", "/generations", json=wish)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def picture_taken_back(stack: Stack, name: str) -> None:
    other = stack.tokens("licence", "add", "--label", "somebody else").strip()
    assert call(stack, "DELETE", f"/{name}", licence=other).status_code == 404
    answer = call(stack, "DELETE", f"/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": name, "object": "image.task.deleted", "deleted": True}
    for method in ("GET", "DELETE"):
        assert call(stack, method, f"/{name}").status_code == 404


def test_pictures_that_wait_are_never_asked_for(gateway: Callable[..., Stack]) -> None:
    """R-085: it is over at once, and a worker that comes later has nothing to do with it."""
    stack = gateway(**STUDIO, TOKENS_JOB_SECONDS="501")
    books = Books(stack)
    stack.simulators.clear("chatgpt")
    name = asked_for(stack, "A kite that nobody wants")
    picture_taken_back(stack, name)
    assert books.row(name).state == "cancelled"

    stack.work()
    later = asked_for(stack, "A kite")
    until(lambda: call(stack, "GET", f"/{later}").json()["status"] == "completed", 60)
    books.closed(later, "completed", "charged")
    books.closed(name, "cancelled", "released")
    prompts = [one["body"]["prompt"] for one in stack.simulators.posts("chatgpt")]
    assert prompts == ["A kite"]


def test_pictures_that_are_being_made_are_let_go_of(stack: Stack, books: Books) -> None:
    """R-085: the call to the platform is ended; it is not asked again."""
    stack.simulators.clear("chatgpt")
    name = asked_for(stack, "A kite\nsimulate: slow seconds=60")
    assert until(lambda: books.row(name).state == "submitting", 30)
    picture_taken_back(stack, name)

    books.closed(name, "cancelled", "released")
    assert len(stack.simulators.posts("chatgpt")) == 1


def test_pictures_that_are_done_are_gone_and_stay_paid_for(stack: Stack, books: Books) -> None:
    """R-085, R-089."""
    name = asked_for(stack, "A kite", response_format="url")

    def done() -> Json:
        told: Json = call(stack, "GET", f"/{name}").json()
        return told if told["status"] == "completed" else {}

    (one,) = until(done, 60)["data"]
    assert requests.get(one["url"], timeout=PATIENCE).status_code == 200
    picture_taken_back(stack, name)

    assert requests.get(one["url"], timeout=PATIENCE).status_code == 404
    books.closed(name, "completed", "charged")


def test_a_film_whose_caller_hangs_up_while_it_is_asked_for_may_have_been_begun(
    stack: Stack,
) -> None:
    """R-081: who brought a token would look for it in vain; the operator sees a job of which nothing is
    known.
    """
    stack.simulators.clear("sora")
    stack.simulators.mishap("sora", "slow", seconds=20.0)
    headers = {"Authorization": f"Bearer {BROUGHT}", "Tokens-Authorization": stack.licence}
    body = {"model": "sora-2", "prompt": "A kite", "seconds": "4"}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(stack.url("sora") + "/v1/videos", json=body, headers=headers, timeout=1)

    assert len(stack.simulators.posts("sora")) == 1
    assert until(lambda: "caller_gone" in stack.tokens("task", "list", "--state", "lost"))
