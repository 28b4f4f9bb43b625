"""A platform that fails every call, each in a way that follows from the call's number.

A generator with a fixed seed plans what happens to each call: which platform is asked in which
dialect, and how it comes to nothing. The call brings a token with its number in it, so the upstream
knows which plan it is to follow, and keeps count of how often it was asked to. Bare sockets and
threads: a server that knew HTTP would not do half of this.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.models import EVERY, MODELS
from tests.platforms.callers import CALLERS, NATIVE
from tests.stack import Json, compact

STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 418, 422, 425, 429, 429, 429, 451)
STATUSES += (500, 500, 501, 502, 503, 504, 520, 529, 529, 599)
KINDS = (
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON;charset=UTF-8",
    "application/problem+json",
    "text/html",
    "text/html; charset=ISO-8859-1",
    'text/plain; boundary="a;b"; x=1',
    "text/event-stream",
    "application/octet-stream",
    "image/png",
    "odd",
    None,
)
PASSED = (
    "anthropic-ratelimit-requests-remaining",
    "openai-model",
    "openai-processing-ms",
    "request-id",
    "retry-after-ms",
    "x-codex-primary-used-percent",
    "x-ratelimit-limit-requests",
    "x-ratelimit-reset-tokens",
    "x-should-retry",
)
KEPT_BACK = (
    "set-cookie",
    "server",
    "via",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "cf-ray",
    "alt-svc",
    "strict-transport-security",
    "x-request-id",
    "access-control-allow-origin",
    "www-authenticate",
    "location",
    "content-disposition",
    "x-tokens-model",
    "etag",
)
ENDINGS = {  # what becomes of a call, and of how many in a thousand
    "answer": 660,
    "reset": 60,  # before the answer
    "close": 60,  # the same, but politely
    "unread": 60,  # reset with the request still in the socket's buffer
    "reset in head": 30,
    "close in head": 30,
    "reset in body": 40,
    "close in body": 40,
    "garbage": 17,
    "silence": 3,
}
FOUND = re.compile(rb"(?:bearer |x-api-key: |x-goog-api-key: )canary-(\d{6})-", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
LARGEST = 900_000
PATIENCE = 30.0

NATIVE_CALLS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "claude": (("POST", "/v1/messages/count_tokens"),),
    "claude_api": (("POST", "/v1/messages/count_tokens"),),
    "codex": (
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/responses/input_tokens"),
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items?limit=2"),
    ),
    "gemini": (("POST", "/v1beta/models/gemini-2.5-flash:countTokens"),),
}


def token(number: int) -> str:
    """The platform token that call `number` brings."""
    return f"canary-{number:06}-{number * 2654435761 % 2**32:08x}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One call, and how it fails. `kind` is the answer's content type, None for none."""

    number: int
    platform: str
    dialect: str
    method: str
    path: str
    body: Json | None
    headers: Mapping[str, str]
    ending: str
    status: int
    kind: str | None
    answer: bytes
    framing: str
    passed: Mapping[str, str]
    kept_back: Mapping[str, str]
    keeps: bool
    interim: bool
    cut: float  # how much of head or body gets out where it breaks off

    @property
    def answered(self) -> bool:
        return self.ending == "answer"


def plans(count: int, seed: int) -> list[Plan]:
    """The first `count` plans that follow from `seed`."""
    dice = random.Random(seed)
    return [_plan(number, dice) for number in range(count)]


def _plan(number: int, dice: random.Random) -> Plan:
    platform, dialect, method, path, body = _call(dice)
    headers = {"x-session-id": "sticky"} if dice.random() < 0.1 else {}
    if dice.random() < 0.1:
        headers |= {"x-tokens-custom-group": "nobodys"}
    status = dice.choice(STATUSES)
    passed = {name: f"passed {number}" for name in dice.sample(PASSED, 2)}
    if status in (429, 503, 529) and dice.random() < 0.6:
        passed["retry-after"] = dice.choice(("1", "37", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"))
    return Plan(
        number=number,
        platform=platform,
        dialect=dialect,
        method=method,
        path=path,
        body=body,
        headers=headers,
        ending=dice.choices(list(ENDINGS), list(ENDINGS.values()))[0],
        status=status,
        kind=dice.choice(KINDS),
        answer=_body(dice),
        framing=dice.choice(("length", "length", "chunked", "close", "old")),
        passed=passed,
        kept_back={name: f"kept-back-{number}" for name in dice.sample(KEPT_BACK, 4)},
        keeps=dice.random() < 0.9,
        interim=dice.random() < 0.05,
        cut=dice.random(),
    )


def _call(dice: random.Random) -> tuple[str, str, str, str, Json | None]:
    platform, stream = dice.choice(EVERY), dice.random() < 0.5
    if platform in NATIVE_CALLS and dice.random() < 0.15:
        method, path = dice.choice(NATIVE_CALLS[platform])
        body: Json | None = {"model": MODELS[platform].plain} if method == "POST" else None
        dialect = "openai_responses" if platform == "codex" else "anthropic_messages"
        dialect = "gemini_generate" if platform == "gemini" else dialect
        return platform, dialect, method, f"/{platform}{path}", body
    caller = dice.choice(CALLERS)
    model = MODELS[platform].plain
    if dice.random() < 0.05:
        caller, prefix, model = NATIVE["openai_chat"], "", f"{platform}/{model}"
    else:
        prefix = f"/{platform}"
    if dice.random() < 0.1 and caller.name != "gemini_generate":
        model += "|[nobodys,plus]"
    path, body = caller.ask(model, "hello " * dice.choice((1, 1, 9, 999)), stream=stream)
    if dice.random() < 0.3:
        path += ("&" if "?" in path else "?") + "retry_attempt=5"
    if stream and dice.random() < 0.3:
        path = path.replace("alt=sse", "alt=json")  # Google's other framing
    return platform, caller.name, "POST", prefix + path, body


def _body(dice: random.Random) -> bytes:
    match dice.choice(("json", "json", "json", "words", "html", "empty", "binary", "odd")):
        case "json":
            return compact({"error": {"message": "Nein, später ✗", "type": "x", "code": "y"}})
        case "words":
            return b'"only words"\n'
        case "html":
            return b"<html><body>\r\n\r\n<h1>Bad gateway</h1></body></html>\n"
        case "empty":
            return b""
        case "binary":
            large = dice.random() < 0.06
            return dice.randbytes(dice.randint(100_000, LARGEST) if large else dice.randint(1, 999))
        case _:
            return b'{"error": "\xff\xfe caf\xe9", \x00 not JSON, \r\n\r\n0\r\n\r\n'


def head_of(plan: Plan) -> bytes:
    """The head of the planned answer."""
    version = "1.0" if plan.framing == "old" else "1.1"
    lines = [f"HTTP/{version} {plan.status} Whatever it says"]
    lines += [f"{name}: {value}" for name, value in (plan.passed | plan.kept_back).items()]
    if plan.kind is not None:
        lines.append(f"Content-Type: {plan.kind}")
    if plan.framing == "length":
        lines.append(f"Content-Length: {len(plan.answer)}")
    elif plan.framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    if not plan.keeps or plan.framing == "close":
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def body_of(plan: Plan) -> bytes:
    """Its body, framed."""
    if plan.framing != "chunked":
        return plan.answer
    size = 1 + len(plan.answer) // 3
    pieces = [plan.answer[start : start + size] for start in range(0, len(plan.answer), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """What the upstream was asked, by numbers of calls."""

    attempts: Counter[int] = field(default_factory=Counter)
    reused: set[int] = field(default_factory=set)  # those that came on a connection used before
    strange: list[bytes] = field(
        default_factory=list
    )  # heads without a caller's token, or with more


class Upstream:
    """Follows the plans; a thread for each connection."""

    def __init__(self, planned: list[Plan]) -> None:
        self.seen = Seen()
        self._planned = planned
        self.secrets: list[str] = []  # a request that holds one of these counts as strange
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._socks: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._begin(self._accept)

    def stop(self) -> None:
        self._over.set()
        for sock in (self._listener, *tuple(self._socks)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in tuple(self._threads):
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._begin(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        self._socks.add(sock)
        with contextlib.suppress(OSError), sock:
            served = 0
            while (plan := self._asked(sock, served)) and self._follow(plan, sock):
                served += 1
        self._socks.discard(sock)

    def _asked(self, sock: socket.socket, served: int) -> Plan | None:
        """The plan for the request that comes next. A request that is to stay unread does."""
        taken = b""
        while b"\r\n\r\n" not in (head := taken + sock.recv(65536, socket.MSG_PEEK)):
            if not (more := sock.recv(65536)):
                return None
            taken += more
        head = head[: head.index(b"\r\n\r\n") + 4]
        found = FOUND.search(head)
        with self._lock:
            if found is None or any(one.encode() in head for one in self.secrets):
                self.seen.strange.append(head)
                return None
            plan = self._planned[int(found[1])]
            self.seen.attempts[plan.number] += 1
            if served:
                self.seen.reused.add(plan.number)
        if plan.ending != "unread":
            length = LENGTH.search(head)
            left = len(head) - len(taken) + (int(length[1]) if length else 0)
            while left and (got := len(sock.recv(min(left, 65536)))):
                left -= got
        return plan

    def _follow(self, plan: Plan, sock: socket.socket) -> bool:
        """Whether the connection goes on."""
        head, body = head_of(plan), body_of(plan)
        match plan.ending:
            case "answer":
                if plan.interim:
                    sock.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                sock.sendall(head + body)
                return plan.keeps and plan.framing in ("length", "chunked")
            case "reset in head" | "close in head":
                sock.sendall(head[: 1 + int(plan.cut * (len(head) - 3))])
            case "reset in body" | "close in body":
                head = head.replace(b"HTTP/1.0", b"HTTP/1.1")
                if b"\r\nContent-Length:" not in head and b"\r\nTransfer-" not in head:
                    head = head[:-2] + b"Content-Length: %d\r\n\r\n" % (len(body) + 1)
                    body += b"x"
                body = body or b"x"
                if plan.framing == "length" and not plan.answer:
                    head = head.replace(b"Content-Length: 0", b"Content-Length: 9")
                sock.sendall(head + body[: int(plan.cut * (len(body) - 1))])
            case "garbage":
                sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            case "silence":
                sock.settimeout(PATIENCE)
                sock.recv(1)  # until the gateway has had enough
        if plan.ending.startswith(("reset", "unread")):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
