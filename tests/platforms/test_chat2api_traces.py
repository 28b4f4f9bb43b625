"""Nothing is left of a token that was brought in Chat2API mode (R-077).

What is promised, and looked for here: once a call is over, nothing in the gateway's processes holds
its token, and no file of its holds it either; without waiting for another request, for the garbage
collector or for a connection to close.

What is not promised: that the bytes are gone from memory that has been freed. Python gives freed
memory back as it is, to itself or to the system, and what was in it stays until something else is
written there; strings cannot be overwritten by those who use them. Without the switches of
`remains`, the bytes of about one token in ten are found right after the calls, in memory that belongs
to nobody. Whoever can read that can read the tokens of calls that are under way, too.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import secrets
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from tests.models import EVERY
from tests.platforms.callers import CALLERS, Caller
from tests.platforms.conftest import Pair
from tests.platforms.remains import in_files, in_memory, telling
from tests.stack import PATIENCE, Simulators, Stack, compact, until
from tests.upstream.test_proxy import Proxy

MARK = f"canary-{secrets.token_hex(4)}-"
LENGTH = len(MARK) + 16
CLIENTS = 8
HANG_UP = 0.2  # seconds of silence after which a client has had enough
ENDINGS = {  # what is asked for, and how the call's token ends
    "well": ("simulate: words=5", ""),
    "refused": ("hello", "-revoked"),
    "throttled": ("hello", "-throttled"),
    "broke": ("simulate: fail", ""),
    "cut": ("simulate: cut after=2\nsimulate: words=9", ""),
    "hung up": ("simulate: stall after=2 seconds=20\nsimulate: words=9", ""),
    "given up": ("simulate: slow seconds=20", ""),
    "garbled": ("simulate: garble after=2\nsimulate: words=9", ""),
    "error": ("simulate: error after=2\nsimulate: words=9", ""),
}
STATUSES = {
    "well": {200},
    "refused": {400, 401, 403},
    "throttled": {429},
    "hung up": {0},
    "given up": {0},
}
CHAT = "/chatgpt/v1/chat/completions"
GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
HELLO = compact({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]})
LARGE = compact({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello " * 50_000}]})
CONTENTS = compact({"contents": [{"parts": [{"text": "hello"}]}]})
PLACES = ("x-api-key", "x-goog-api-key", "api-key", "key")  # for a token, besides the usual one
NOWHERE = (
    ("POST", "/nowhere"),
    ("OPTIONS", "/nowhere"),
    ("POST", "/chatgpt/v1/nowhere"),
    ("POST", "/chatgpt/v1/images/edits"),
    ("PUT", CHAT),
    ("OPTIONS", CHAT),
)
BODIES = (b"", b"{", b"{}", b"[]", LARGE)
SIGNED = b"Host: x\r\nTokens-Authorization: LICENCE\r\nAuthorization: Bearer TOKEN\r\n"
START = f"POST {CHAT} HTTP/1.1\r\n".encode() + SIGNED
RAW = {  # what is sent as it is, by what is strange about it
    "in pieces": START
    + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n%s\r\n0\r\n\r\n" % (len(HELLO), HELLO),
    "two at once": (START + b"Content-Length: %d\r\n\r\n%s" % (len(HELLO), HELLO)) * 2,
    "no HTTP": b"HELLO TOKEN\r\n\r\n",
    "no header": START + b"Strange Header: x\r\n\r\n",
    "no coding": START + b"Transfer-Encoding: strange\r\n\r\n",
    "no length": START + b"Content-Length: strange\r\n\r\n",
    "half a head": START,
    "half a body": START + b"Content-Length: 500\r\n\r\n{",
    "half a large body": START + b"Content-Length: 50000\r\n\r\n{",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A chat with a token of its own."""

    platform: str
    caller: Caller
    stream: bool
    ending: str
    token: str


def _token() -> str:
    return MARK + secrets.token_hex(8)


@pytest.fixture(scope="module")
def start(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Starts a gateway whose memory tells what is held."""
    with contextlib.ExitStack() as stack:

        def start(**settings: str) -> Stack:
            switches = telling(tmp_path_factory.mktemp("switches"))
            started = Stack(simulators, tmp_path_factory.mktemp("watched"), **switches, **settings)
            stack.callback(started.stop)
            return started

        yield start


@pytest.fixture(scope="module")
def watched(start: Callable[..., Stack]) -> Stack:
    return start()


@pytest.fixture(scope="module")
def proxied(start: Callable[..., Stack]) -> Iterator[Stack]:
    """One that reaches the platforms by a proxy, which is another way through the code."""
    proxy = Proxy()
    yield start(TOKENS_UPSTREAM_PROXY=proxy.url)
    assert proxy.lines
    proxy.stop()


@pytest.fixture
def sessions() -> Iterator[list[requests.Session]]:
    """Clients that keep their connections open, so that the gateway has to keep them too."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(requests.Session()) for _ in range(CLIENTS)]


def _chat(stack: Stack, session: requests.Session, call: Call, *, keyed: bool = False) -> int:
    """The answer's status; 0 where the client had enough or the connection broke. With `keyed` the
    answer is kept for who asks again.
    """
    pair = Pair(call.platform, call.caller, stack)
    path, body = pair.ask(ENDINGS[call.ending][0], stream=call.stream)
    headers = {
        "tokens-authorization": stack.licence,
        "authorization": f"Bearer {call.token}",
        "content-type": "application/json",
        "x-session-id": "sticky",
    }
    if keyed:
        headers["idempotency-key"] = secrets.token_hex(8)
    patience = HANG_UP if call.ending.endswith("up") else PATIENCE
    try:
        return session.post(
            pair.base + path, compact(body), headers=headers, timeout=patience
        ).status_code
    except requests.RequestException:
        return 0


def _others(stack: Stack, platforms: list[str]) -> None:
    """Ordinary requests, so that the marks could be in what is left for the next one."""
    for platform, caller in itertools.product(platforms, CALLERS):
        with requests.Session() as session:
            assert _chat(stack, session, Call(platform, caller, True, "well", "another")) == 200


def _held(stack: Stack) -> set[str]:
    """Which marks are in memory. The access line comes a moment before a call is quite over."""
    found: set[str] = set()

    def look() -> bool:
        found.clear()
        found.update(in_memory(stack, MARK, LENGTH))
        return not found

    until(look, 3.0)
    return found


def test_what_is_held_would_be_found(watched: Stack) -> None:
    """The token of a call that the platform lets wait, and the words of one that was written down. (Once the
    answer begins to come, nothing needs the token any more.)
    """
    token = _token()
    pair = Pair("chatgpt", CALLERS[0], watched)
    headers = {"tokens-authorization": watched.licence, "authorization": token}
    asked = pair.ask("simulate: slow seconds=4")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(pair.caller.call, pair.base, asked, "", headers=headers)
        assert until(lambda: in_memory(watched, MARK, LENGTH) == {token})
        assert call.result().status == 200
    assert _held(watched) == set()
    assert ("tokens.db", "end to end") in in_files(watched.folder, "end to end")
    assert ("access.log", "chat2api") in in_files(watched.folder, "chat2api")


@pytest.mark.slow
@pytest.mark.parametrize(
    "way, platforms, keyed",
    # The tests' proxy keeps a connection to one server, so there is one platform behind it.
    [("watched", EVERY, False), ("proxied", ["chatgpt"], False), ("watched", ["chatgpt"], True)],
)
def test_nothing_is_left_of_a_brought_token(
    way: str,
    platforms: list[str],
    keyed: bool,
    request: pytest.FixtureRequest,
    sessions: list[requests.Session],
) -> None:
    """C-049, R-077: every platform and dialect, streamed and whole, however the call ends."""
    watched: Stack = request.getfixturevalue(way)
    every = itertools.product(platforms, CALLERS, (False, True), ENDINGS)
    calls = [Call(*one, token=_token() + ENDINGS[one[-1]][1]) for one in every]
    random.Random(77).shuffle(calls)
    statuses: dict[str, set[int]] = defaultdict(set)
    before = len(watched.log)

    def client(number: int) -> None:
        for call in calls[number::CLIENTS]:
            statuses[call.ending].add(_chat(watched, sessions[number], call, keyed=keyed))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    assert until(lambda: len(watched.log) >= before + len(calls))

    ends = {call.token[:LENGTH]: call for call in calls}
    assert [ends.get(one, one) for one in _held(watched)] == []
    _others(watched, platforms)
    assert [ends.get(one, one) for one in _held(watched)] == []
    assert in_files(watched.folder, MARK) == set()
    assert all(statuses[ending] <= expected for ending, expected in STATUSES.items()), statuses
    assert watched.noise.count("Traceback") == 0


def _routes(stack: Stack) -> Iterator[tuple[str, str]]:
    """Every route there is, and some that are not."""
    for row in json.loads(stack.tokens("routes", "--json")):
        for method in row["methods"]:
            yield method, re.sub("<[^>]+>", "x", row["path"])
    yield from NOWHERE


def send(stack: Stack, data: bytes, token: str) -> None:
    """Sends it and leaves, after whatever comes back at once."""
    data = data.replace(b"TOKEN", token.encode()).replace(b"LICENCE", stack.licence.encode())
    port = int(stack.environ["TOKENS_PORT"])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as line:
        line.settimeout(HANG_UP)
        line.sendall(data)
        while line.recv(65536):
            pass


def test_nothing_is_left_where_no_chat_comes_of_it(
    watched: Stack, sessions: list[requests.Session]
) -> None:
    """C-039, C-045, R-077: on every route, with the right licence and a wrong one, in every place
    for a token; and in what is refused, cannot be read or is given up half way.
    """
    sent: dict[str, object] = {}
    before = len(watched.log)

    def ask(method: str, path: str, body: bytes | None, place: str = "", **more: str) -> None:
        sent[token := _token()] = (method, path, body and body[:20], place, more)
        headers = {"tokens-authorization": watched.licence, "content-type": "application/json"}
        if place == "key":
            path += f"?key={token}"
        else:
            headers[place or "authorization"] = token if place else f"Bearer {token}"
        url, headers = watched.url() + path, headers | more
        session = sessions[len(sent) % CLIENTS]
        session.request(method, url, data=body, headers=headers, timeout=PATIENCE)

    for method, path in _routes(watched):
        body = HELLO if method == "POST" else None
        ask(method, path, body)
        ask(method, path, body, **{"tokens-authorization": "wrong"})
    for body in BODIES:
        ask("POST", CHAT, body)
    for place in PLACES:
        ask("POST", CHAT, HELLO, place)
        ask("POST", GENERATE, CONTENTS, place)
        ask("POST", GENERATE.replace("generate", "streamGenerate"), CONTENTS, place)
    assert until(lambda: len(watched.log) >= before + len(sent))
    raw = {_token(): strange for strange in RAW}
    with ThreadPoolExecutor(len(RAW)) as pool:
        list(pool.map(lambda token: send(watched, RAW[raw[token]], token), raw))

    what = sent | raw
    assert [what.get(one, one) for one in _held(watched)] == []
    _others(watched, EVERY)
    assert [what.get(one, one) for one in _held(watched)] == []
    assert in_files(watched.folder, MARK) == set()
