"""Telling callers that their work is over (R-113, R-134), judged by standardwebhooks.com's own code."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.errors import BadRequest
from app.media.inbound import Fetcher
from app.services.webhooks import SCHEDULE, Notices, Webhooks, new_secret, sealed
from app.storage.tasks import Task, Tasks
from app.storage.webhooks import Hook, Hooks
from tests.media.conftest import PUBLIC, FileServer, Internet
from tests.stack import ROOT
from tests.storage.databases import KINDS, made

OWNER = "0a1b2c3d"
URL = "http://good.test/hook"
NOW = 1_795_000_000.0
OK, GONE, BUSY = 204, 410, 503


class Receiver:
    """What came in over the wire, and what is answered."""

    def __init__(self, server: FileServer) -> None:
        self.server = server
        self.answers: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        server.routes["/hook"] = self.receive

    def receive(self, server: FileServer, connection: socket.socket) -> None:
        head = server.heads[-1].decode().split("\r\n")
        named = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in named.items()}
        size, body = int(headers["content-length"]), b""
        while len(body) < size:
            body += connection.recv(65536)
        self.headers.append(headers)
        self.bodies.append(body)
        status = self.answers.pop(0) if self.answers else OK
        connection.sendall(
            f"HTTP/1.1 {status} Said\r\nLocation: http://good.test/other\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )


class Then(datetime):
    """What the verifiers take for the clock: they have none of ours, and refuse what is minutes old."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.fromtimestamp(NOW, tz)


@pytest.fixture(autouse=True)
def _then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Then)
    monkeypatch.setattr("time.time", lambda: NOW)


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.stop()


@pytest.fixture
def receiver(server: FileServer) -> Receiver:
    return Receiver(server)


@pytest.fixture
def internet(server: FileServer) -> Internet:
    internet = Internet(server)
    internet.names["good.test"] = [PUBLIC]
    return internet


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Any]:
    with made(request.param, tmp_path, request.node.name) as database:
        yield database


@pytest.fixture
def tasks(database: Any) -> Tasks:
    return Tasks(database)


@pytest.fixture
def hooks(database: Any, tmp_path: Path, secret: str) -> Hooks:
    hooks = Hooks(database)
    closed = sealed(tmp_path / "webhook.key", OWNER, secret)
    hooks.put(Hook(owner=OWNER, url="http://good.test/standing", sealed=closed, created_at=1))
    return hooks


@pytest.fixture
def webhooks(hooks: Hooks, internet: Internet, tmp_path: Path) -> Webhooks:
    fetcher = Fetcher(resolve=internet.resolve, connect=internet.connect, seconds=5.0)
    return Webhooks(hooks, tmp_path / "webhook.key", fetcher)


@pytest.fixture
def notices(tasks: Tasks, webhooks: Webhooks) -> Notices:
    return Notices(tasks, webhooks, lambda task: {"id": task.id, "status": task.state})


@pytest.fixture
def end(tasks: Tasks) -> Callable[..., Task]:
    """A task that is over since `NOW`."""

    def end(state: str = "completed", kind: str = "video", **facts: Any) -> Task:
        given = {"platform": "here", "engine": "here", "owner": OWNER, "model": "m"}
        given |= {"id": f"{kind}_{len(tasks.listed(ALL, 999))}", "webhook": URL} | facts
        added = tasks.add(Task(kind=kind, created_at=NOW, deadline=NOW + 900, **given))
        paths = {"lost": ("submitting", "lost"), "cancelled": ("cancelled",)}
        path = paths.get(state, ("submitting", "storing", state))
        task = tasks.lease(added.id, NOW, 60)
        for step in path:
            task = tasks.move(task, step, NOW)
        return task

    return end


ALL = ("completed", "failed", "lost", "cancelled")


def test_the_end_of_a_task_is_told_once_in_words_that_its_owner_can_check(
    notices, end, receiver, secret
):
    task = end()

    assert notices.deliver_due(NOW) == 1

    (body,), (headers,) = receiver.bodies, receiver.headers
    told = Webhook(secret).verify(body, headers)
    assert told == {
        "type": "video.completed",
        "timestamp": datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {"id": task.id, "status": "completed"},
    }
    assert headers["webhook-id"] == f"msg_{task.id}"
    assert headers["content-type"] == "application/json"
    assert [notices.deliver_due(NOW + seconds) for seconds in (1, 10**6)] == [0, 0]


@pytest.mark.parametrize("change", ["secret", "body", "id", "timestamp", "old"])
def test_whoever_changes_anything_is_found_out(notices, end, receiver, secret, change):
    end()
    notices.deliver_due(NOW)
    (body,), (headers,) = receiver.bodies, receiver.headers
    if change == "body":
        body = body.replace(b"completed", b"completeD")
    elif change in ("id", "timestamp"):
        headers[f"webhook-{change}"] = {"id": "msg_other", "timestamp": str(int(NOW) + 1)}[change]
    elif change == "old":
        headers["webhook-timestamp"] = str(int(NOW) - 3600)

    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret() if change == "secret" else secret).verify(body, headers)


@pytest.mark.parametrize(
    "kind, state, told",
    [
        ("video", "completed", "video.completed"),
        ("video", "failed", "video.failed"),
        ("video", "lost", "video.failed"),
        ("video", "cancelled", "video.cancelled"),
        ("image", "completed", "image.completed"),
        ("image", "failed", "image.failed"),
    ],
)
def test_the_type_says_what_became_of_what(notices, end, receiver, kind, state, told):
    end(state, kind)
    notices.deliver_due(NOW)

    assert json.loads(receiver.bodies[0])["type"] == told


def test_it_is_told_again_after_5_s_30_s_2_min_10_min_1_h_and_6_h_and_then_given_up(
    notices, end, receiver
):
    end()
    receiver.answers = [BUSY] * 99
    now = NOW
    attempts = [now]
    assert notices.deliver_due(now) == 1
    for pause in (5, 30, 120, 600, 3600, 21600):
        assert notices.deliver_due(now + pause - 1) == 0
        now += pause
        assert notices.deliver_due(now) == 1
        attempts.append(now)

    assert notices.deliver_due(now + 10**6) == 0
    assert len(receiver.bodies) == 1 + len(SCHEDULE) == 7
    assert len(set(receiver.bodies)) == 1
    assert {headers["webhook-id"] for headers in receiver.headers} == {"msg_video_0"}
    stamps = [int(headers["webhook-timestamp"]) for headers in receiver.headers]
    assert stamps == [int(at) for at in attempts]


@pytest.mark.parametrize("last", [200, 204, 299, GONE])
def test_a_good_answer_ends_it_and_so_does_gone(notices, end, receiver, last):
    end()
    receiver.answers = [BUSY, last]
    notices.deliver_due(NOW)
    notices.deliver_due(NOW + 5)

    assert notices.deliver_due(NOW + 10**6) == 0 and len(receiver.bodies) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(notices, end, receiver, server, status):
    end()
    receiver.answers = [status]

    notices.deliver_due(NOW)

    assert [head.split(b" ")[1] for head in server.heads] == [b"/hook"]
    assert notices.deliver_due(NOW + 5) == 1  # it counts as not heard


PRIVATE = ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_is_said_to_a_private_address(notices, end, receiver, internet, address):
    """R-113: judged when it is used."""
    internet.names["good.test"] = [PUBLIC, address]
    end()

    assert notices.deliver_due(NOW) == 1
    assert internet.dialled == [] and receiver.bodies == []


def test_a_name_that_changes_is_judged_each_time_anew(notices, end, receiver, internet):
    """R-112: rebinding. The name was good when it was asked for, and on the first attempt."""
    end()
    receiver.answers = [BUSY]
    notices.deliver_due(NOW)
    internet.names["good.test"] = ["127.0.0.1"]

    assert notices.deliver_due(NOW + 5) == 1
    assert [address for address, _ in internet.dialled] == [PUBLIC]
    assert len(internet.lookups) == 2 and len(receiver.bodies) == 1


def test_the_name_is_looked_up_once_for_each_attempt(notices, end, receiver, internet):
    """R-112: between judging and connecting nothing is asked again."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    internet.resolve = lambda host: next(answers)  # type: ignore[method-assign]
    notices._webhooks._post._resolve = internet.resolve
    end()
    notices.deliver_due(NOW)

    assert [address for address, _ in internet.dialled] == [PUBLIC] and receiver.bodies


def test_where_a_request_says_goes_before_where_the_licence_says(webhooks):
    assert webhooks.address(OWNER) == "http://good.test/standing"
    assert webhooks.address(OWNER, URL) == URL
    assert webhooks.address("nobody") == ""


def test_nothing_is_told_without_a_secret_to_sign_it_with(webhooks, hooks, notices, end, receiver):
    """R-134."""
    with pytest.raises(BadRequest, match="webhook_url needs a secret") as refusal:
        webhooks.address("nobody", URL)
    assert refusal.value.param == "webhook_url"

    end(owner="nobody")
    end()
    hooks.remove(OWNER)  # the operator has switched it off in the meantime
    assert notices.deliver_due(NOW) == 2
    assert receiver.bodies == [] and notices.deliver_due(NOW + 10**6) == 0


@pytest.mark.parametrize(
    "url",
    [
        "good.test/hook",
        "ftp://good.test/",
        "http://u:p@good.test/",
        "http://good.test:8080/",
        "x" * 9999,
    ],
)
def test_an_address_that_leads_nowhere_is_refused_when_it_is_asked_for(webhooks, url):
    with pytest.raises(BadRequest, match="webhook_url must be an address on the open internet"):
        webhooks.address(OWNER, url)


def test_one_that_does_not_answer_holds_up_no_other(notices, end, receiver, server, internet):
    """Told at the same time; what fails is told again, what was heard is not."""
    internet.names["dead.test"] = ["93.184.216.99"]
    internet.unreachable.add("93.184.216.99")
    dead = end(webhook="http://dead.test/hook")
    live = end()

    assert notices.deliver_due(NOW) == 2
    assert [headers["webhook-id"] for headers in receiver.headers] == [f"msg_{live.id}"]
    assert notices.deliver_due(NOW + 5) == 1
    assert notices._tasks.find(dead.id).notices == 2


def test_what_is_kept_of_the_secret_opens_only_with_the_key_and_for_its_owner(
    hooks, secret, notices, end, receiver, tmp_path
):
    """S-004: a row's secret copied into another licence's row signs nothing."""
    kept = hooks.find(OWNER)
    assert secret not in str(kept) and secret[6:20] not in (tmp_path / "webhook.key").read_text()
    hooks.put(Hook(owner="another", url="", sealed=kept.sealed, created_at=1))
    end(owner="another")

    notices.deliver_due(NOW)
    assert receiver.bodies == []
    assert notices.deliver_due(NOW + 5) == 1  # it may yet be opened


def test_a_new_secret_counts_from_the_next_attempt_on(
    notices, end, receiver, hooks, tmp_path, secret
):
    end()
    receiver.answers = [BUSY]
    notices.deliver_due(NOW)
    newer = new_secret()
    closed = sealed(tmp_path / "webhook.key", OWNER, newer)
    hooks.put(Hook(owner=OWNER, url="", sealed=closed, created_at=2))
    notices.deliver_due(NOW + 5)

    Webhook(secret).verify(receiver.bodies[0], receiver.headers[0])
    Webhook(newer).verify(receiver.bodies[1], receiver.headers[1])


def test_secrets_are_long_and_never_the_same():
    """S-007."""
    secrets = {new_secret() for _ in range(50)}

    assert len(secrets) == 50 and {one[:6] for one in secrets} == {"whsec_"}
    assert {len(Webhook(one)._whsecret) for one in secrets} == {32}


def test_the_check_in_the_documents_finds_ours_and_no_other(notices, end, receiver, secret):
    """The page's own words, as a reader would paste them."""
    page = (ROOT / "docs" / "media.md").read_text(encoding="utf-8")
    (snippet,) = [one for one in re.findall(r"```python\n(.*?)```", page, re.S) if "def " in one]
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102
    end()
    notices.deliver_due(NOW)
    (body,), (headers,) = receiver.bodies, receiver.headers

    assert names["is_ours"](secret, headers, body)
    assert not names["is_ours"](new_secret(), headers, body)
    assert not names["is_ours"](secret, headers, body + b" ")
    assert not names["is_ours"](secret, headers | {"webhook-timestamp": str(int(NOW) - 999)}, body)
