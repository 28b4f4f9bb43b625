"""Time that tests move, and a pool of keys that fail on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from app.credential import Credential
from app.pool.choice import Wanted
from app.pool.pool import Pool
from app.secret import Secret
from tests.stack import missing

NOON = 1_795_000_000.0


class Clock:
    """Stands still until it is moved; sleeping moves it."""

    def __init__(self) -> None:
        self.at = NOON
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    def ticks(self) -> float:
        return self.at - NOON + 1000

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def redis_address() -> str:
    """Redis on this machine, in a database that tests use."""
    address = "redis://127.0.0.1:6379/9"
    try:
        redis.Redis.from_url(address, socket_connect_timeout=1).ping()
    except redis.RedisError:
        missing("Redis")
    return address


def key(name: str, **more: Any) -> Credential:
    """A credential of that name, for label, token and id alike."""
    return Credential(name, Secret(f"token-{name}"), id=name, **more)


def pool_of(clock: Clock, *keys: Credential, **more: Any) -> Pool:
    """A pool with these keys for the platform `p`."""
    return Pool({"p": keys}, clock, **more)


def picked(pool: Pool, model: str = "m", session: str = "", **more: Any) -> str | None:
    """The name of the key that serves next; it is given back at once."""
    lease = pool.pick("p", Wanted(model, **more), session)
    if lease is None:
        return None
    lease.give_back()
    return lease.credential.id


def served(pool: Pool, model: str = "m") -> Iterator[str]:
    """The names of the keys that serve one call after the other, each to its good end."""
    while (lease := pool.pick("p", Wanted(model))) is not None:
        lease.accepted()
        lease.give_back()
        yield lease.credential.id
