"""Redis as the place where the workers of several hosts tell each other what they know.

Two streams, one of rests and one of sessions, which everyone reads from where they left off; a
reader merges what it finds with what it knows, so that neither order nor repetition matters. What a
Redis forgets, those who have read it still know, and each host's database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import redis

from app.errors import GatewayError
from app.pool.board import News
from app.pool.rest import Rest
from app.storage.bindings import Bound

RESTS, SESSIONS, PROBES = "tokens:rests", "tokens:sessions", "tokens:probes"
MOST = {RESTS: 20_000, SESSIONS: 100_000}
KEPT_SECONDS = 8 * 86400
PIECE = 10_000
PATIENCE = 1.0  # seconds; the pool works alone rather than wait


class RedisTrouble(GatewayError):
    """Redis cannot be used just now."""

    status = 503
    code = "redis_unavailable"


class RedisBoard:
    """Seen by all who share the Redis at this address."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        )
        self._seen = {RESTS: "0", SESSIONS: "0"}

    def news(self) -> News:
        try:
            rests = [Rest(**orjson.loads(one)) for one in self._read(RESTS)]
            sessions = [orjson.loads(one) for one in self._read(SESSIONS)]
        except redis.RedisError as error:
            raise RedisTrouble("the gateway's Redis cannot be used just now") from error
        return News(None, rests, {session: (name, until) for session, name, until in sessions})

    def tell(self, rests: Sequence[Rest], bindings: Mapping[str, Bound], now: float) -> None:
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for rest in rests:
                    self._add(pipe, RESTS, asdict(rest))
                for session, bound in bindings.items():
                    self._add(pipe, SESSIONS, [session, *bound])
                pipe.execute()
        except redis.RedisError as error:
            raise RedisTrouble("the gateway's Redis cannot be used just now") from error

    def claim(self, rest: Rest, now: float) -> bool:
        key = f"{PROBES}:{rest.credential}:{rest.model}:{rest.kind}:{rest.until:.3f}"
        try:
            return bool(self._redis.set(key, now, nx=True, ex=60))
        except redis.RedisError as error:
            raise RedisTrouble("the gateway's Redis cannot be used just now") from error

    def sweep(self, now: float) -> None:
        """Redis does so itself: streams have a length, and keys an end."""

    def _read(self, stream: str) -> list[bytes]:
        found = self._redis.xrange(stream, f"({self._seen[stream]}", "+", count=PIECE)
        if found:
            self._seen[stream] = found[-1][0].decode()
        return [fields[b"of"] for _, fields in found]

    def _add(self, pipe: Any, stream: str, told: Any) -> None:
        pipe.xadd(stream, {"of": orjson.dumps(told)}, maxlen=MOST[stream], approximate=True)
        pipe.expire(stream, KEPT_SECONDS)
