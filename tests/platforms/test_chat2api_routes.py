"""Chat2API mode on every route that there is (C-050)."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from app.platforms import PLATFORMS
from tests.models import EVERY, MODELS
from tests.stack import PATIENCE, Stack, compact, key_settings

TOKEN = "brought-token-5d21"
POOLED = "pool-key-that-nobody-may-use"
REFUSAL = b'{"error": "no \xe2\x9c\x97 tea here"}\n'
KIND = "application/json; odd=1"
# What is made takes files and minutes: tests of its own bring tokens there.
MADE = re.compile("/(images|videos)(/|$)")
MAKERS = frozenset(PLATFORMS) - frozenset(EVERY)
GOOGLES = ("x-goog-api-key", "key")  # places for a token that only Google's clients use


class Teapot(BaseHTTPRequestHandler):
    """A platform that refuses everything in its own words, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, dict[str, str]]]
    refusal = REFUSAL
    gate = threading.Event()  # closed, it keeps everybody waiting
    gate.set()

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append((self.command, self.path, headers))
        self.gate.wait(PATIENCE)
        self.send_response(418)
        self.send_header("content-type", KIND)
        self.send_header("content-length", str(len(self.refusal)))
        self.end_headers()
        self.wfile.write(self.refusal)

    do_GET = do_POST = do_DELETE = _refuse

    def log_message(self, *words: Any) -> None:
        """Remembering is enough."""


@pytest.fixture(scope="module")
def asked_there() -> Iterator[Any]:
    handler = type("Handler", (Teapot,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=handler.asked)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stack(asked_there: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway in front of teapots, with keys of its own for all of them."""
    bases = {name: f"{asked_there.url}/{name}" for name in EVERY}
    upstream: Any = SimpleNamespace(bases=bases)
    running = Stack(upstream, tmp_path_factory.mktemp("routes"), **key_settings(POOLED))
    yield running
    running.stop()


@pytest.fixture
def asked(asked_there: Any) -> Any:
    """What the platforms were asked in this test."""
    asked_there.asked.clear()
    return asked_there.asked


@dataclass(frozen=True, slots=True)
class Route:
    """A way in, with all that it takes to be let through. `platform` is empty for the root's."""

    method: str
    rule: str
    platform: str

    @property
    def model(self) -> str:
        return MODELS[self.platform or "chatgpt"].plain

    @property
    def path(self) -> str:
        prefix = "" if self.platform else "chatgpt/"
        return re.sub("<[^>]+>", prefix + self.model, self.rule)

    @property
    def body(self) -> dict[str, Any] | None:
        """What every dialect takes."""
        if self.method != "POST":
            return None
        hello = {"role": "user", "content": "hello"}
        contents = [{"role": "user", "parts": [{"text": "hello"}]}]
        model = self.model if self.platform else f"chatgpt/{self.model}"
        body = {"model": model, "input": "hello", "max_tokens": 99, "messages": [hello]}
        return {"contents": contents} if ":" in self.path else body

    @property
    def is_native(self) -> bool:
        """Whether Google's clients call it."""
        return "v1beta" in self.rule or self.rule.rpartition(":")[2].endswith(("Content", "Tokens"))

    @property
    def asks(self) -> bool:
        """Whether the platform is asked at all: lists of models are mostly known, and what a licence has
        used we know alone, and the way to us.
        """
        if self.rule in ("/v1/usage", "/health/stream") or "/dashboard/" in self.rule:
            return False
        return "/models" not in self.path or ":" in self.path


@pytest.fixture(scope="module")
def routes(stack: Stack) -> list[Route]:
    rows = json.loads(stack.tokens("routes", "--json"))
    found = []
    for row in rows:
        if row["for"] not in ("anyone", "the operator"):
            prefix = row["path"].split("/")[1]
            if MADE.search(row["path"]) or prefix in MAKERS:
                continue
            platform = prefix if prefix in EVERY else ""
            found += [Route(method, row["path"], platform) for method in row["methods"]]
    assert len(found) > 10 * len(EVERY)
    return found


def _call(stack: Stack, route: Route, query: str = "", **more: Any) -> requests.Response:
    body = more.pop("body", route.body)
    headers = {"tokens-authorization": stack.licence, "content-type": "application/json"}
    headers |= {"authorization": f"Bearer {TOKEN}"} | more.pop("headers", {})
    return requests.request(
        route.method,
        stack.url() + route.path + (f"?{query}" if query else ""),
        data=None if body is None else compact(body),
        headers={name: value for name, value in headers.items() if value},
        timeout=PATIENCE,
    )


def test_a_wrong_licence_is_our_401_on_every_route(
    stack: Stack, routes: list[Route], asked: list[Any]
) -> None:
    """C-045: whatever the platform token is, also where the operator lets everybody in."""
    wrong = []
    for route in routes:
        answer = _call(stack, route, headers={"tokens-authorization": "Bearer wrong"})
        told = answer.json()
        if answer.status_code != 401 or told["request_id"] != answer.headers["x-request-id"]:
            wrong.append((route, answer.status_code))

    assert wrong == []
    assert asked == []


def test_a_missing_token_is_401_and_named_on_every_route(
    stack: Stack, routes: list[Route], asked: list[Any]
) -> None:
    """C-046."""
    answers = [(route, _call(stack, route, headers={"authorization": ""})) for route in routes]

    assert [
        (route, answer.status_code)
        for route, answer in answers
        if answer.status_code != 401 or "platform token is missing" not in answer.text
    ] == []
    assert asked == []


def tokens_in(headers: dict[str, str]) -> list[str]:
    """The tokens in a request, by all headers that may hold one."""
    places = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "tokens-authorization")
    return [headers[name].removeprefix("Bearer ") for name in places if name in headers]


def test_every_route_asks_once_with_the_token_and_tells_what_it_heard(
    stack: Stack, routes: list[Route], asked: list[Any]
) -> None:
    """C-042, C-043, C-044, C-049: whatever is said of retries, groups and sessions. Where the
    platform need not be asked it is not; and a list of all platforms is no reason to show them a
    token that belongs to one.
    """
    wrong: list[Any] = []
    for route in routes:
        asked.clear()
        headers = {"x-tokens-custom-group": "nobodys", "x-session-id": "sticky"}
        answer = _call(stack, route, "retry_attempt=5", headers=headers)
        if route.asks or (route.platform == "cursor" and "/models" in route.path):
            heard = (answer.status_code, answer.content, answer.headers.get("content-type"))
            tokens = [tokens_in(headers) for _, _, headers in asked]
            if heard != (418, REFUSAL, KIND) or tokens != [[TOKEN]]:
                wrong.append((route, heard, tokens))
            wrong += [(route, path) for _, path, _ in asked if "retry_attempt" in path]
        elif answer.status_code != 200 or asked:
            wrong.append((route, answer.status_code, asked.copy()))

    assert wrong == []


def test_nothing_is_written_down_of_any_route(
    stack: Stack, routes: list[Route], asked: list[Any]
) -> None:
    """C-049: no session is bound, no key rests, no agent is remembered."""
    for route in routes:
        named = {"session_id": "sticky", "metadata": {"user_id": "sticky"}}
        body = None if route.body is None else route.body | named
        _call(stack, route, headers={"x-session-id": "sticky"}, body=body)

    with sqlite3.connect(stack.folder / "tokens.db") as database:
        for table in ("bindings", "health", "memories"):
            assert database.execute(f"select * from {table}").fetchall() == [], table
    assert asked


@pytest.mark.parametrize("place", ["x-api-key", "api-key", *GOOGLES])
def test_a_token_may_be_where_the_shape_has_its_key(
    stack: Stack, routes: list[Route], asked: list[Any], place: str
) -> None:
    """C-051: and what is in a place that only Google's clients use is none elsewhere."""
    wrong = []
    for route in routes:
        asked.clear()
        headers = {"authorization": ""} | ({} if place == "key" else {place: TOKEN})
        answer = _call(stack, route, f"key={TOKEN}" * (place == "key"), headers=headers)
        if place in GOOGLES and not route.is_native:
            shared = "/models" in route.rule  # there the key itself shows who calls
            if not shared and (answer.status_code, asked) != (401, []):
                wrong.append((route, answer.status_code))
        elif answer.status_code not in (418, 200) or asked and tokens_in(asked[0][2]) != [TOKEN]:
            wrong.append((route, answer.status_code, asked.copy()))
        wrong += [(route, path) for _, path, _ in asked if TOKEN in path]

    assert wrong == []


@pytest.mark.parametrize("scope", [("--platforms", "claude"), ("--models", "nobodys-*")])
def test_what_a_licence_covers_holds_for_a_brought_token(
    stack: Stack, routes: list[Route], asked: list[Any], scope: tuple[str, str]
) -> None:
    """C-049: the licence is checked as it always is, before anything is asked."""
    licence = stack.tokens("licence", "add", *scope).strip()
    wrong = []
    for route in routes:
        if not route.asks or route.platform == "claude" and scope[0] == "--platforms":
            continue
        if scope[0] == "--models" and "<response>" in route.rule:
            continue  # they name no model
        answer = _call(stack, route, headers={"tokens-authorization": licence})
        if answer.status_code != 403:
            wrong.append((route, answer.status_code, answer.text[:200]))

    assert wrong == []
    assert asked == []
