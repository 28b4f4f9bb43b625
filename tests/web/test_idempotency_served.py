"""`Idempotency-Key` as callers meet it, through gunicorn's own workers."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from app.simulators.pictures import picture
from app.storage.database import Database
from app.storage.idempotency import calls
from app.storage.ledger import ledger
from tests.sdk.pictures import PAINTERS
from tests.stack import PATIENCE, Json, Simulators, Stack, compact, until
from tests.web.conftest import CHAT

Call = Callable[..., requests.Response]

REPLAYED, ORIGINAL = "x-tokens-replayed", "x-tokens-original-request"
MODEL = "gpt-4o"
NATIVE = "/gemini/v1beta/models/gemini-2.5-flash-lite"
MAKE, EDIT = "/chatgpt/v1/images/generations", "/chatgpt/v1/images/edits"


def words(text: str, *, stream: bool = False) -> Json:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": stream}


def contents(text: str) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


# By name: where to, and what is asked with these words.
WAYS: dict[str, tuple[str, Callable[[str], Json]]] = {
    "chat": (CHAT, words),
    "chat stream": (CHAT, lambda text: words(text, stream=True)),
    "messages": ("/chatgpt/v1/messages", lambda text: words(text) | {"max_tokens": 400}),
    "messages stream": (
        "/chatgpt/v1/messages",
        lambda text: words(text, stream=True) | {"max_tokens": 400},
    ),
    "responses": ("/chatgpt/v1/responses", lambda text: {"model": MODEL, "input": text}),
    "responses stream": (
        "/codex/v1/responses",
        lambda text: {"model": MODEL, "input": text, "stream": True},
    ),
    "generate": (f"{NATIVE}:generateContent", contents),
    "array": (f"{NATIVE}:streamGenerateContent", contents),
    "events": (f"{NATIVE}:streamGenerateContent?alt=sse", contents),
    "root": ("/v1/chat/completions", lambda text: words(text) | {"model": f"chatgpt/{MODEL}"}),
}
DIALECTS = ["chat", "messages", "responses", "generate"]
in_all_dialects = pytest.mark.parametrize("way", DIALECTS)


class Desk:
    """A caller of one gateway who sends a key with each call."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.licence = stack.licence
        file = stack.environ["TOKENS_DATABASE_URL"]
        self.database = Database(file)

    def post(
        self, path: str, body: Any = None, key: str | None = None, **more: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {more.pop('licence', self.licence)}"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        headers |= more.pop("headers", {})
        if body is not None:
            more["data"] = compact(body)
        return requests.post(self.stack.url() + path, headers=headers, timeout=30, **more)

    def over(self, path: str, body: Any, key: str, **more: Any) -> requests.Response:
        """The same, once nobody else has the key any more."""
        until(lambda: self.post(path, body, key, **more).status_code != 409)
        return self.post(path, body, key, **more)

    def asked(self, text: str, platform: str = "chatgpt") -> int:
        """How often the platform has been asked something with these words in it."""
        return sum(text in str(one["body"]) for one in self.stack.simulators.journal(platform))

    def row(self, request: str) -> Json:
        query = calls.select().where(calls.c.request == request)
        found = self.database.read(lambda connection: connection.execute(query).one())
        return dict(found._mapping)

    def booked(self, *answers: requests.Response) -> int:
        """How many of these calls are in the ledger."""
        names = [one.headers["x-request-id"] for one in answers]
        query = sa.select(sa.func.count()).where(ledger.c.id.in_(names))
        return int(self.database.read(lambda connection: connection.execute(query).scalar_one()))


@pytest.fixture(scope="module")
def desk(stack: Stack) -> Iterator[Desk]:
    stack.simulators.clear()
    found = Desk(stack)
    yield found
    found.database.close()


@pytest.fixture
def text() -> str:
    """Words that nobody else says."""
    return f"hello {secrets.token_hex(6)}"


@pytest.fixture
def key() -> str:
    return f"key-{secrets.token_hex(6)}"


def is_replay(second: requests.Response, first: requests.Response) -> bool:
    assert REPLAYED not in first.headers and ORIGINAL not in first.headers
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers[ORIGINAL] == first.headers["x-request-id"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    return second.headers[REPLAYED] == "true"


def code(answer: requests.Response) -> str:
    """The code of an error, as far as the dialect has a place for one."""
    error = answer.json()["error"]
    return str(error["details"][0]["reason"] if "details" in error else error.get("code"))


# ---------------------------------------------------------------- the same again


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_is_repeated_is_told_the_same(
    desk: Desk, way: str, text: str, key: str
) -> None:
    """R-061, K-094, in all dialects, whole and as a stream byte for byte."""
    path, body = WAYS[way]
    platform = "chatgpt" if way == "root" else path.split("/")[1]

    first, second = (desk.post(path, body(text), key) for _ in range(2))

    assert first.status_code == 200, first.text
    assert is_replay(second, first)
    assert desk.asked(text, platform) == 1
    assert desk.booked(first) == 1 and desk.booked(second) == 0
    line = desk.stack.line(second.headers["x-request-id"])
    assert line["replayed"] == first.headers["x-request-id"] and line["status"] == 200


def test_without_the_header_every_call_runs(desk: Desk, text: str) -> None:
    first, second = (desk.post(CHAT, words(text)) for _ in range(2))

    assert desk.asked(text) == 2 and desk.booked(first, second) == 2


def test_headers_that_belong_to_the_answer_come_again(desk: Desk, text: str, key: str) -> None:
    path = "/codex/v1/chat/completions"
    first, second = (desk.post(path, words(text) | {"seed": 3}, key) for _ in range(2))

    assert is_replay(second, first)
    assert first.headers["x-tokens-dropped"] == second.headers["x-tokens-dropped"] == "seed"
    assert "x-tokens-attempts" not in second.headers  # there was none


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_of_fifty_at_once_one_runs(desk: Desk, key: str, stream: bool) -> None:
    """R-062. The others are told to come again, or what the first was told."""
    for turn in range(3):
        text = f"simulate: slow seconds=0.2\n{key} {turn}"
        gate = threading.Barrier(50)

        def one(_: int, text: str = text, turn: int = turn) -> requests.Response:
            gate.wait(PATIENCE)
            return desk.post(CHAT, words(text, stream=stream), f"{key} {turn}")

        with ThreadPoolExecutor(50) as threads:
            answers = list(threads.map(one, range(50)))

        ran = [one for one in answers if one.status_code == 200 and REPLAYED not in one.headers]
        others = [one for one in answers if one not in ran]
        assert len(ran) == 1 and desk.asked(f"{key} {turn}") == 1
        for other in others:
            if other.status_code == 200:
                assert is_replay(other, ran[0])
            else:
                assert (other.status_code, code(other)) == (409, "idempotency_in_progress")


# ---------------------------------------------------------------- not the same


@in_all_dialects
def test_another_body_under_the_key_is_refused(desk: Desk, way: str, text: str, key: str) -> None:
    """R-063."""
    path, body = WAYS[way]
    platform = path.split("/")[1]
    assert desk.post(path, body(text), key).status_code == 200

    refused = desk.post(path, body(f"{text}!"), key)

    assert refused.status_code == 422
    assert refused.headers["x-should-retry"] == "false"
    if way != "messages":
        assert code(refused) == "idempotency_key_reused"
    else:
        assert refused.json()["error"]["type"] == "invalid_request_error"
    assert desk.asked(text, platform) == 1
    chinese = desk.post(path, body(f"{text}!"), key, headers={"Accept-Language": "zh-CN"})
    assert "幂等键" in chinese.json()["error"]["message"]


def test_so_is_another_route_and_another_query(desk: Desk, text: str, key: str) -> None:
    first = desk.post(f"{CHAT}?strict=false&retry_attempt=1", words(text), key)
    turned = desk.post(f"{CHAT}?retry_attempt=1&strict=false", words(text), key)
    assert is_replay(turned, first)

    for path in ("/grok/v1/chat/completions", "/chatgpt/v1/messages", f"{CHAT}?retry_attempt=1"):
        assert desk.post(path, words(text), key).status_code == 422, path


def test_another_licence_has_keys_of_its_own(desk: Desk, text: str, key: str) -> None:
    """R-063; and one that is no longer good gets nothing."""
    other = desk.stack.tokens("licence", "add", "--label", "another").strip()
    first, second = (
        desk.post(CHAT, words(text), key, licence=one) for one in (desk.licence, other)
    )

    assert REPLAYED not in second.headers and desk.asked(text) == 2
    assert is_replay(desk.post(CHAT, words(text), key, licence=other), second)
    assert desk.post(CHAT, words(text), key, licence="wrong").status_code == 401
    assert first.content != second.content


@in_all_dialects
@pytest.mark.parametrize("bad", ["", "x" * 256, "a\tb", "é"], ids=["none", "long", "tab", "é"])
def test_a_key_that_is_none_is_refused(desk: Desk, way: str, bad: str, text: str) -> None:
    path, body = WAYS[way]
    refused = desk.post(path, body(text), headers={"Idempotency-Key": bad.encode("latin-1")})

    assert refused.status_code == 400
    assert "Idempotency-Key" in refused.json()["error"]["message"]
    assert desk.asked(text, path.split("/")[1]) == 0


def test_a_key_may_have_255_characters(desk: Desk, text: str) -> None:
    long = text.ljust(255, "~")
    first, second = (desk.post(CHAT, words(text), long) for _ in range(2))

    assert is_replay(second, first)


# ---------------------------------------------------------------- while it runs


@in_all_dialects
def test_who_comes_while_it_runs_is_told_to_come_again(
    desk: Desk, way: str, text: str, key: str
) -> None:
    path, body = WAYS[way]
    asked = body(f"simulate: slow seconds=1.5\n{text}")
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(desk.post, path, asked, key)
        assert until(lambda: desk.asked(text, path.split("/")[1]))

        early = desk.post(path, asked, key)

        assert early.status_code == 409
        assert early.headers["retry-after"] == "1" and early.headers["x-should-retry"] == "true"
        if way == "messages":
            assert early.json()["error"]["type"] == "conflict_error"
        else:
            assert code(early) == "idempotency_in_progress"
        assert desk.post(path, body(text), key).status_code == 422  # whether it is over or not
    assert is_replay(desk.post(path, asked, key), first.result())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_caller_who_goes_before_the_end_may_ask_again(
    desk: Desk, text: str, key: str, stream: bool
) -> None:
    order = "stall seconds=30 after=2" if stream else "slow seconds=30"
    asked = words(f"simulate: {order}\n{text}", stream=stream)
    _hang_up(desk, asked, key, lambda: desk.asked(text) >= 1)

    _hang_up(desk, asked, key, lambda: desk.asked(text) >= 2)


def _hang_up(desk: Desk, asked: Json, key: str, when: Callable[[], bool]) -> None:
    """Asks until the call runs, and leaves."""
    body = compact(asked)
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {desk.licence}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()

    def ask() -> bool:
        port = int(desk.stack.environ["TOKENS_PORT"])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            line.sendall(head + body)
            return until(when, 1.0)

    assert until(ask)


# ---------------------------------------------------------------- what is not kept, and what is


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ["throttle", "fail", "cut", "error"])
def test_what_failed_runs_again(desk: Desk, kind: str, stream: bool, text: str, key: str) -> None:
    """Nothing was brought, or not all of it."""
    desk.stack.simulators.mishap("chatgpt", kind, after=2 if stream else 0)
    path = f"{CHAT}?retry_attempt=0"
    try:
        failed = desk.post(path, words(text, stream=stream), key)
        assert stream or failed.status_code in (429, 502)
    except requests.exceptions.ChunkedEncodingError:
        assert stream and kind == "cut"

    again = desk.over(path, words(text, stream=stream), key)

    assert again.status_code == 200 and desk.asked(text) == 2
    if stream:
        assert again.text.endswith("data: [DONE]\n\n")


def test_what_we_refuse_ourselves_is_not_kept(desk: Desk, text: str, key: str) -> None:
    assert desk.post(CHAT, {"messages": []}, key).status_code == 400

    assert desk.post(CHAT, words(text), key).status_code == 200


@pytest.mark.parametrize("brought", [False, True], ids=["licence", "chat2api"])
def test_what_the_platform_refuses_about_the_call_is_told_again(
    desk: Desk, text: str, key: str, brought: bool
) -> None:
    body = words(text) | {"model": "gpt-nobody-knows"}
    headers = {"Tokens-Authorization": desk.licence, "Authorization": "tok"} if brought else {}
    first, second = (desk.post(CHAT, body, key, headers=headers) for _ in range(2))

    assert first.status_code == 404
    assert is_replay(second, first)
    assert desk.asked(text) == 1


def test_who_brings_a_token_is_told_the_same_and_the_token_is_kept_nowhere(
    desk: Desk, text: str, key: str
) -> None:
    tokens = [f"tok-{secrets.token_hex(8)}" for _ in range(2)]
    headers = [
        {"Authorization": f"Bearer {one}", "Tokens-Authorization": desk.licence} for one in tokens
    ]
    desk.stack.simulators.mishap("chatgpt", "refuse")
    assert desk.post(CHAT, words(text), key, headers=headers[0]).status_code == 401

    first = desk.post(CHAT, words(text), key, headers=headers[0])  # what was about the token is not
    second = desk.post(CHAT, words(text), key, headers=headers[1])

    assert is_replay(second, first) and desk.asked(text) == 2
    for file in desk.stack.folder.glob("tokens.db*"):
        held = file.read_bytes()
        assert not any(one.encode() in held for one in (*tokens, key)), file


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_that_is_too_large_is_given_once(
    desk: Desk, text: str, key: str, stream: bool
) -> None:
    """The body of the request is too large for memory, too."""
    said = f"{text} ".ljust(800_000 if stream else 4_300_000, "x")
    first = desk.post(CHAT, words(f"simulate: say {said}", stream=stream), key)
    assert first.status_code == 200 and len(first.content) > 4 << 20

    second = desk.post(CHAT, words(f"simulate: say {said}", stream=stream), key)

    assert (second.status_code, code(second)) == (409, "idempotency_answer_too_large")
    assert second.headers["x-should-retry"] == "false" and "retry-after" not in second.headers
    assert desk.row(first.headers["x-request-id"])["body"] is None
    assert desk.asked(text) == 1


def test_a_key_is_free_again_after_a_day(desk: Desk, text: str, key: str) -> None:
    first = desk.post(CHAT, words(text), key)
    row = desk.row(first.headers["x-request-id"])
    assert 0 <= row["until"] - row["created_at"] - 86400 < PATIENCE

    past = calls.update().where(calls.c.request == row["request"])
    past = past.values(until=row["until"] - 86400 - PATIENCE)
    desk.database.write(lambda connection: connection.execute(past))

    assert desk.post(CHAT, words(f"{text}!"), key).status_code == 200
    assert desk.asked(text) == 2


# ---------------------------------------------------------------- pictures and films


def test_pictures_are_made_once(desk: Desk, text: str, key: str) -> None:
    wish = {"model": PAINTERS["chatgpt"].model, "prompt": text}
    first, second = (desk.post(MAKE, wish, key) for _ in range(2))

    assert first.status_code == 200 and first.json()["data"][0]["b64_json"]
    assert is_replay(second, first)
    assert desk.asked(text) == 1 and desk.booked(first, second) == 1


def test_a_stream_of_pictures_is_told_again(desk: Desk, text: str, key: str) -> None:
    wish = {"model": PAINTERS["chatgpt"].model, "prompt": text, "stream": True}
    first, second = (desk.post(MAKE, wish, key) for _ in range(2))

    assert first.headers["content-type"].startswith("text/event-stream")
    assert is_replay(second, first) and desk.asked(text) == 1


def test_a_stream_of_pictures_that_failed_runs_again(desk: Desk, text: str, key: str) -> None:
    wish = {"model": PAINTERS["chatgpt"].model, "prompt": text, "stream": True}
    desk.stack.simulators.mishap("chatgpt", "fail")
    path = f"{MAKE}?retry_attempt=0"
    assert desk.post(path, wish, key).status_code == 502

    assert desk.post(path, wish, key).status_code == 200


def test_a_form_is_the_same_whatever_stands_between_its_fields(
    desk: Desk, text: str, key: str
) -> None:
    """Clients make up a boundary for each sending."""
    fields = {"model": PAINTERS["chatgpt"].model, "prompt": text}

    def edit(shade: str) -> requests.Response:
        files = {"image": ("a.png", picture(64, 48, shade), "image/png")}
        return desk.post(EDIT, key=key, data=fields, files=files)

    first = edit("given")
    assert first.status_code == 200, first.text
    assert is_replay(edit("given"), first) and desk.asked(text) == 1
    assert edit("other").status_code == 422


def test_work_in_the_background_begins_once(desk: Desk, text: str, key: str) -> None:
    wish = {"model": PAINTERS["chatgpt"].model, "prompt": text, "async": True}
    first, second = (desk.post(MAKE, wish, key) for _ in range(2))

    assert first.json()["object"] == "image.task"
    assert is_replay(second, first)


def test_a_film_and_its_remix_begin_once(studio: Stack, text: str) -> None:
    desk = Desk(studio)
    path, wish = "/sora/v1/videos", {"model": "sora-2", "prompt": text}
    first, second = (desk.post(path, wish, f"{text} one") for _ in range(2))

    assert first.status_code == 200 and is_replay(second, first)
    assert desk.asked(text, "sora") == 1
    film = f"{desk.stack.url()}{path}/{first.json()['id']}"
    signed = {"Authorization": f"Bearer {desk.licence}"}
    assert until(
        lambda: requests.get(film, headers=signed, timeout=9).json()["progress"] == 100, 30
    )

    remix, again = (
        desk.post(f"{path}/{first.json()['id']}/remix", {"prompt": text}, f"{text} two")
        for _ in range(2)
    )
    assert remix.status_code == 200, remix.text
    assert is_replay(again, remix) and remix.json()["id"] != first.json()["id"]
    assert desk.asked(text, "sora") == 2
    desk.database.close()


# ---------------------------------------------------------------- when the gateway fails


@pytest.fixture
def own(simulators: Simulators, tmp_path: Path) -> Iterator[Desk]:
    """A caller of a gateway with one worker that nobody else uses."""
    desk = Desk(Stack(simulators, tmp_path / "own"))
    yield desk
    desk.database.close()
    desk.stack.stop()


def test_the_call_of_a_worker_that_was_killed_runs_again(own: Desk, text: str, key: str) -> None:
    arbiter = own.stack.pid
    (worker,) = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()
    asked = words(f"simulate: slow seconds=4\n{text}")
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(own.post, CHAT, asked, key)
        assert until(lambda: own.asked(text))
        os.kill(int(worker), signal.SIGKILL)
        assert isinstance(first.exception(PATIENCE), requests.ConnectionError)

    def comes_back() -> requests.Response | None:
        try:
            return own.post(CHAT, asked, key)
        except requests.ConnectionError:
            return None

    second = until(comes_back, 60)
    assert second is not None and second.status_code == 200, second and second.text
    assert own.asked(text) == 2
    assert is_replay(own.post(CHAT, asked, key), second) and own.asked(text) == 2


def test_nothing_runs_where_the_database_cannot_say_whether_it_has(
    own: Desk, text: str, key: str
) -> None:
    _rename(own.database, "idempotency", "away")
    refused = own.post(CHAT, words(text), key)
    assert (refused.status_code, code(refused)) == (503, "database_unavailable")
    assert own.asked(text) == 0
    assert own.post(CHAT, words(text)).status_code == 200  # without a key nothing is looked up

    _rename(own.database, "away", "idempotency")
    assert own.post(CHAT, words(text), key).status_code == 200


def _rename(database: Database, before: str, after: str) -> None:
    change = sa.text(f"ALTER TABLE {before} RENAME TO {after}")
    database.write(lambda connection: connection.execute(change))
