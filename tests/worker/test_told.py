"""Webhooks from end to end: a gateway, a worker and a server on loopback that is told, which checks what
it hears with standardwebhooks.com's own code.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import STUDIO
from tests.sdk.pictures import PAINTERS
from tests.stack import Simulators, Stack, until
from tests.worker.receiver import NEVER, Message, Receiver
from tests.worker.told import Client, at_work, hurry, row, rows

STANDING, REQUESTED = "/standing", "/requested"
SCHEDULE = (5, 30)  # seconds after the first failure and after the second


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def make_stack(
    simulators: Simulators, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Stack]]:
    """Starts gateways that may go to the receiver."""
    started: list[Stack] = []

    def make() -> Stack:
        allowed = {"TOKENS_FETCH_ALLOWED_HOSTS": receiver.host}
        started.append(Stack(simulators, tmp_path_factory.mktemp("told"), **STUDIO, **allowed))
        return started[-1]

    yield make
    for one in started:
        one.stop()


@pytest.fixture(scope="module")
def stack(make_stack: Callable[[], Stack]) -> Stack:
    """One with a worker."""
    stack = make_stack()
    stack.work()
    return stack


@pytest.fixture(scope="module")
def idle(make_stack: Callable[[], Stack]) -> Stack:
    """One without."""
    return make_stack()


@pytest.fixture(scope="module")
def standing(stack: Stack, receiver: Receiver) -> Client:
    """A licence that is always told at the same place."""
    return Client.new(stack, receiver, "--url", receiver.url(STANDING))


@pytest.fixture(scope="module")
def on_request(stack: Stack, receiver: Receiver) -> Client:
    """A licence whose requests say where."""
    return Client.new(stack, receiver, "--on-request")


def about(receiver: Receiver, path: str, name: str, many: int = 1) -> list[Message]:
    """What was told of this task there."""

    def told() -> list[Message]:
        return [one for one in receiver.heard(path) if one.task == name]

    found = until(lambda: len(told()) >= many, 30)
    assert found, (name, receiver.heard(path))
    return told()


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("where", ["licence", "request"])
def test_what_is_done_is_told_where_the_licence_or_the_request_says(
    kind, where, standing, on_request, receiver
):
    """As `GET` shows it, signed with the licence's own secret and no other's."""
    client, other = (standing, on_request) if where == "licence" else (on_request, standing)
    path = STANDING if where == "licence" else REQUESTED
    more = {} if where == "licence" else {"webhook_url": receiver.url(path)}

    name = client.begun(kind, **more)
    (message,) = about(receiver, path, name)

    told, shown = message.verified(client.secret), client.show(kind, name)
    assert told["type"] == f"{kind}.completed" and abs(message.stamp - time.time()) < 60
    assert (message.method, message.headers["content-type"]) == ("POST", "application/json")
    assert message.id == f"msg_{name}"
    for field in ("data", "usage", "created", "size", "quality", "background", "output_format"):
        if kind == "image":
            shown.pop(field, None)  # the pictures themselves are not sent around
    assert told["data"] == shown and shown["status"] == "completed"
    with pytest.raises(Exception, match="No matching signature"):
        message.verified(other.secret)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_where_a_request_says_goes_before_where_the_licence_says(kind, standing, receiver):
    name = standing.begun(kind, webhook_url=receiver.url("/this-once"))

    (message,) = about(receiver, "/this-once", name)
    assert message.verified(standing.secret)["data"]["id"] == name
    assert name not in {one.task for one in receiver.heard(STANDING)}


@pytest.mark.parametrize(
    "kind, words", [("video", "Sinks\nsimulate: failed"), ("image", PAINTERS["chatgpt"].refusal)]
)
def test_what_failed_is_told_with_its_reason(kind, words, standing, receiver):
    name = standing.begun(kind, words)
    (message,) = about(receiver, STANDING, name)

    told = message.verified(standing.secret)
    assert told["type"] == f"{kind}.failed"
    assert told["data"]["status"] == "failed" and told["data"]["error"]["code"]
    assert told["data"] == standing.show(kind, name)


@pytest.mark.parametrize(
    "kind, words",
    [("video", "Never\nsimulate: stuck"), ("image", "Slow\nsimulate: slow seconds=60")],
)
def test_what_was_cancelled_is_told(kind, words, standing, receiver, stack):
    """R-085: a film at its platform, and a picture that is just being made."""
    name = standing.begun(kind, words)
    assert until(lambda: row(stack, name).state in ("running", "submitting"), 30)

    stack.tokens("task", "cancel", name)

    (message,) = about(receiver, STANDING, name)
    told = message.verified(standing.secret)
    assert (told["type"], told["data"]["id"]) == (f"{kind}.cancelled", name)
    assert told["data"]["error"]["code"] == "cancelled"
    assert row(stack, name).settled == "released"


def test_after_a_500_it_is_told_again_later_with_the_same_id_and_a_new_signature(
    standing, receiver, stack
):
    path = "/broken"
    receiver.answers[path] = [500, 503]
    name = standing.begun("video", webhook_url=receiver.url(path))

    waits = []
    for after in (1, 2):
        last = about(receiver, path, name, after)[-1]
        assert until(lambda: time.time() >= last.stamp + 1)  # it is in whole seconds
        waits.append(hurry(stack, name, after))
    messages = about(receiver, path, name, 3)

    # How long it would have been: what was put off, less what the test took to notice.
    assert all(most - 4 < wait <= most for wait, most in zip(waits, SCHEDULE, strict=True)), waits
    assert {one.id for one in messages} == {f"msg_{name}"} and len(
        {one.body for one in messages}
    ) == 1
    assert len({one.stamp for one in messages}) == 3
    assert len({one.headers["webhook-signature"] for one in messages}) == 3
    for one in messages:
        assert one.verified(standing.secret)["data"]["id"] == name
    assert until(lambda: row(stack, name).notice_at is None)
    assert row(stack, name).notices == 3  # heard, and therefore not told any more


def test_no_redirect_is_followed(standing, receiver, stack):
    """R-113."""
    path = "/moved"
    receiver.answers[path] = [307, 302]
    name = standing.begun("video", webhook_url=receiver.url(path))

    hurry(stack, name, 1)
    hurry(stack, name, 2)

    assert len(about(receiver, path, name, 3)) == 3
    assert receiver.heard("/elsewhere") == []


INSIDE = [
    "http://127.0.0.1/",
    "http://localhost/x",
    "http://169.254.169.254/latest",
    "http://[::1]/",
]


def test_nobody_inside_is_told_who_is_not_on_the_list(simulators, receiver, studio):
    """R-113: another port is refused at once; what is judged by its address is never called."""
    client = Client.new(studio, receiver, "--on-request")
    refused = client.ask("video", webhook_url=receiver.url("/inside"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "webhook_url")

    names = [client.begun("video", webhook_url=url) for url in INSIDE]

    for name in names:
        assert until(lambda: _words(studio, name), 30), name
        (line,) = _words(studio, name)
        assert (line["message"], line["why"]) == (
            "webhook not heard",
            "an address that is not on the open internet",
        )
    assert receiver.heard("/inside") == []


def _words(stack: Stack, name: str) -> list[dict[str, str]]:
    """What the worker's log says of telling this task."""
    lines = [line for line in stack.noise.splitlines() if name in line and "webhook" in line]
    return [json.loads(line) for line in lines]


def test_who_does_not_answer_holds_up_nobody(standing, on_request, receiver, stack):
    """Ten seconds are given to each; meanwhile films are made and others are told."""
    dead = "/dead"
    receiver.answers[dead] = [NEVER] * 9
    silent = [on_request.begun("video", webhook_url=receiver.url(dead)) for _ in range(3)]
    receiver.came(dead)
    began = time.monotonic()

    name = standing.begun("video", webhook_url=receiver.url("/quick"))
    about(receiver, "/quick", name)

    assert time.monotonic() - began < 8
    assert all(row(stack, one).state == "completed" for one in silent)
    receiver.let_go()


@pytest.mark.parametrize("point", ["over", "claimed", "heard"])
def test_a_worker_that_is_killed_between_the_end_and_the_telling_loses_no_word(
    point, idle, receiver
):
    """kill -9 with the film completed: before the attempt is claimed, before it is made, and after it was
    heard but not noted. The last one is told twice, by the same id.
    """
    path = f"/killed/{point}"
    client = Client.new(idle, receiver, "--url", receiver.url(path))
    name = client.begun("video")
    with at_work(idle, sys.executable, "-m", "tests.worker.messenger", point) as mortal:
        assert mortal.wait(60) == -signal.SIGKILL
    left = row(idle, name)
    assert (left.state, left.notices) == ("completed", 0 if point == "over" else 1)
    assert len(receiver.heard(path)) == (1 if point == "heard" else 0)

    assert left.notice_at is not None and left.notice_at < time.time() + 121
    rows(idle).noticed(name, time.time())  # as if two minutes had gone by since it was claimed
    with at_work(idle, *idle.background) as next_one:
        messages = receiver.came(path, 2 if point == "heard" else 1)
        assert until(lambda: row(idle, name).notice_at is None)
        next_one.terminate()
        assert next_one.wait(20) == 0

    assert {one.id for one in messages} == {f"msg_{name}"}
    for one in messages:
        assert one.verified(client.secret)["data"]["status"] == "completed"
    assert len({one.body for one in messages}) == 1


def test_what_was_cancelled_before_anybody_began_it_is_told_too(idle, receiver):
    path = "/cancelled-early"
    client = Client.new(idle, receiver, "--url", receiver.url(path))
    name = client.begun("image")
    idle.tokens("task", "cancel", name)

    with at_work(idle, *idle.background):
        (message,) = receiver.came(path)

    told = message.verified(client.secret)
    assert (told["type"], told["data"]["error"]["code"]) == ("image.cancelled", "cancelled")
