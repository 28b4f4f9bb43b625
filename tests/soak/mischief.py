"""Callers of every kind, good and bad, on platforms of every kind, for as long as somebody likes."""

from __future__ import annotations

import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import requests

from app.simulators.mishaps import KINDS
from tests.models import DIRECT, EVERY
from tests.platforms.callers import CALLERS, Heard
from tests.platforms.conftest import Pair
from tests.platforms.line import Line
from tests.sdk.pictures import PAINTERS
from tests.soak.trouble import ENDS, FRAMES, Trouble, much
from tests.stack import Stack, compact

TURN = 2.5  # seconds that a caller takes for a call at least
LONG = "simulate: words=400 pace=0.05"
SILENT = ("slow", "silence", "stall")
PICTURE = {"model": PAINTERS["chatgpt"].model, "prompt": "a kite", "response_format": "url"}
SMALL = 4096  # bytes that the kernel keeps for a slow reader

Deed = Callable[["Mischief", random.Random], str]


@dataclass
class Mischief:
    """What callers did and how it ended for them; `told` are the calls that were answered whole.
    Streams that go well are so many words long, ten a second.
    """

    stack: Stack
    words: int
    ends: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def work(self, callers: int, seconds: float) -> None:
        """So many at once, for so long and until everybody is done with what he has begun."""
        self.over.clear()
        with ThreadPoolExecutor(callers) as pool:
            working = [pool.submit(self._call, random.Random(seed)) for seed in range(callers)]
            self.over.wait(seconds)
            self.over.set()
        for one in working:
            one.result()

    def pair(self, dice: random.Random, platforms: list[str] = EVERY) -> Pair:
        return Pair(dice.choice(platforms), dice.choice(CALLERS), self.stack)

    @property
    def said(self) -> str:
        return f"simulate: words={self.words} pace=0.1"

    @property
    def much(self) -> str:
        return f"simulate: words=600\n{much(self.number())}"

    def number(self) -> int:
        return next(self._numbers)

    def heard(self, pair: Pair, heard: Heard, *, stream: bool) -> str:
        """How it ended."""
        if heard.status != 200:
            return str(heard.status)
        try:
            if heard.broken or (stream and not pair.caller.is_whole(heard)):
                return "cut"
        except ValueError:  # what is no JSON goes by where the platform's bytes do
            return "garbled"
        self.told.append(heard.headers["x-request-id"])
        return "whole"

    def _call(self, dice: random.Random) -> None:
        self.over.wait(dice.random() * TURN)
        while not self.over.is_set():
            began = time.monotonic()
            (name,) = dice.choices(list(DEEDS), [weight for weight, _ in DEEDS.values()])
            try:
                end = DEEDS[name][1](self, dice)
            except (OSError, requests.RequestException) as error:
                end = type(error).__name__
            self.ends[f"{name}: {end}"] += 1
            self.over.wait(began + TURN - time.monotonic())


def _well(mischief: Mischief, dice: random.Random) -> str:
    pair, stream = mischief.pair(dice), dice.random() < 0.7
    heard = pair.call(mischief.said, stream=stream)
    return mischief.heard(pair, heard, stream=stream)


def _brought(mischief: Mischief, dice: random.Random) -> str:
    """With a token of the caller's own."""
    pair, stream = mischief.pair(dice), dice.random() < 0.7
    token = dice.choice(["brought", "brought-revoked", "brought-throttled"])
    headers = {
        "tokens-authorization": mischief.stack.licence,
        "authorization": f"Bearer {token}",
    }
    heard = pair.call(mischief.said, stream=stream, headers=headers)
    return mischief.heard(pair, heard, stream=stream)


def _mishap(mischief: Mischief, dice: random.Random) -> str:
    pair, stream = mischief.pair(dice, DIRECT), dice.random() < 0.7
    kind = dice.choice(list(KINDS))
    seconds = dice.choice((0.5, 1.5, 6)) if kind in SILENT else 0
    text = f"simulate: {kind} after={dice.randrange(9)} seconds={seconds}\n{mischief.said}"
    query = "retry_attempt=0" if dice.random() < 0.5 else ""
    return mischief.heard(pair, pair.call(text, stream=stream, query=query), stream=stream)


def _trouble(mischief: Mischief, dice: random.Random) -> str:
    pair, stream = mischief.pair(dice, DIRECT), dice.random() < 0.7
    trouble = Trouble(
        number=mischief.number(),
        at=round(dice.random(), 4),
        end=dice.choice(ENDS),
        frame=dice.choice(FRAMES),
        pack=dice.choice(("", "", "gzip", "deflate")),
        pace=dice.choice((0, 0.05)),
        huge=dice.choice((0, 0, 0, 2)),
    )
    heard = pair.call(f"simulate: words=30\n{trouble}", stream=stream, query="retry_attempt=1")
    return mischief.heard(pair, heard, stream=stream)


def _gone(mischief: Mischief, dice: random.Random) -> str:
    """Hangs up at any moment."""
    stream = dice.random() < 0.7
    text = dice.choice(
        (LONG, f"simulate: slow seconds=2\n{LONG}", f"simulate: stall seconds=2\n{LONG}")
    )
    line = Line(mischief.pair(dice), text, stream=stream)
    mischief.over.wait(dice.random() * 3)
    line.hang_up(reset=dice.random() < 0.5)
    return "gone"


def _slow(mischief: Mischief, dice: random.Random) -> str:
    """Reads a long answer in small sips, and is gone before it is over."""
    line = Line(mischief.pair(dice, DIRECT), mischief.much, room=SMALL)
    end, begun = time.monotonic() + 5, line.read(SMALL)
    while b" 200 " in begun and time.monotonic() < end and not mischief.over.wait(0.05):
        line.read(2000)
    line.hang_up()
    return "gone"


def _asleep(mischief: Mischief, dice: random.Random) -> str:
    """Never reads at all, until the gateway has had enough."""
    line = Line(mischief.pair(dice, DIRECT), mischief.much, room=SMALL)
    mischief.over.wait(6)
    line.hang_up()
    return "gone"


def _wrong(mischief: Mischief, dice: random.Random) -> str:
    """Nothing that a platform could be asked."""
    pair = mischief.pair(dice)
    path, body = pair.ask("hello")
    url, session = pair.base + path, {"authorization": f"Bearer {mischief.stack.licence}"}
    match dice.randrange(6):
        case 0:
            return _refused(url, {"authorization": "Bearer wrong"}, compact(body))
        case 1:
            return _refused(url, {}, compact(body))
        case 2:
            return _refused(url, session, b'{"model": ')
        case 3:
            return _refused(url, session, compact([body]))
        case 4:
            return _refused(url + "/nowhere", session, compact(body))
        case _:
            return _unread(pair.stack)


def _refused(url: str, headers: dict[str, str], body: bytes) -> str:
    return str(requests.post(url, data=body, headers=headers, timeout=20).status_code)


def _unread(stack: Stack) -> str:
    """No HTTP at all, or half of it."""
    port = int(stack.environ["TOKENS_PORT"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        return line.recv(1000)[9:12].decode()


def _picture(mischief: Mischief, dice: random.Random) -> str:
    """Has one made, and looks at it."""
    stack = mischief.stack
    session = {"authorization": f"Bearer {stack.licence}"}
    url = stack.url("chatgpt") + "/v1/images/generations"
    answer = requests.post(url, json=PICTURE, headers=session, timeout=20)
    if answer.status_code != 200:
        return str(answer.status_code)
    link = re.sub("^https?://[^/]+", stack.url(), answer.json()["data"][0]["url"])
    assert requests.get(link, timeout=20).content
    mischief.told.append(answer.headers["x-request-id"])
    return "whole"


DEEDS: dict[str, tuple[int, Deed]] = {
    "well": (30, _well),
    "brought": (6, _brought),
    "mishap": (20, _mishap),
    "trouble": (15, _trouble),
    "gone": (15, _gone),
    "slow": (3, _slow),
    "asleep": (1, _asleep),
    "wrong": (8, _wrong),
    "picture": (2, _picture),
}
