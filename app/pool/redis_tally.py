"""The tally of several hosts: their workers count together in Redis, by its clock.

Calls that are going have a seat in a sorted set, by when the seat is free again unless it was kept:
of a host that is gone, all are within a minute.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.days import DAY
from app.limits import Limits
from app.pool.hindrance import Hindrance
from app.pool.redis_board import RedisTrouble
from app.pool.tally import Draw, Taken, Used, asked, next_turn
from app.pool.window import FIXED, SLIDING, Minutes, Window

T = TypeVar("T")

QUICK = 0.05  # seconds that a call waits for Redis
PATIENT = 1.0  # seconds that nobody waits
SEAT_SECONDS = 45
KEPT_SECONDS = 2 * DAY
KINDS = ("rpd", "tpd", "rpm", "tpm", "concurrency")

# mr, mt: requests and tokens of the minute; br, bt: those of the minute before; dr, dt: those of the day
_CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local minute, day = math.floor(now / 60), math.floor(now / 86400)
local had = redis.call('HMGET', KEYS[1], 'minute', 'mr', 'mt', 'br', 'bt', 'day', 'dr', 'dt')
for i = 1, 8 do had[i] = tonumber(had[i] or 0) end
local mr, mt, br, bt, dr, dt = 0, 0, 0, 0, 0, 0
if had[1] == minute or had[1] == minute + 1 then
  minute, mr, mt, br, bt = had[1], had[2], had[3], had[4], had[5]
elseif had[1] == minute - 1 then
  br, bt = had[2], had[3]
end
if had[6] == day or had[6] == day + 1 then day, dr, dt = had[6], had[7], had[8] end
"""
_WRITE = """
redis.call('HSET', KEYS[1], 'minute', minute, 'mr', mr, 'mt', mt, 'br', br, 'bt', bt,
  'day', day, 'dr', dr, 'dt', dt)
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
# ARGV: how long it is kept; requests, tokens, calls; seat, its seconds; limits in the order of KINDS;
# 1 where minutes slide.
_TAKE = (
    _CLOCK
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local busy = redis.call('ZCARD', KEYS[2])
local requests, tokens, calls = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local share = 0
if ARGV[12] == '1' then share = math.min(math.max((minute + 1) * 60 - now, 0), 60) / 60 end
local had = {dr, dt, mr + math.ceil(br * share), mt + math.ceil(bt * share), busy}
local wanted = {requests, tokens, requests, tokens, calls}
for i = 1, 5 do
  local most = tonumber(ARGV[6 + i])
  if most >= 0 and had[i] + math.min(math.max(wanted[i], 1), most) > most then
    return {i, had[i], tostring(now), minute, mr, br, mt, bt}
  end
end
mr, dr = math.max(mr + requests, 0), math.max(dr + requests, 0)
mt, dt = math.max(mt + tokens, 0), math.max(dt + tokens, 0)
"""
    + _WRITE
    + """
if calls > 0 then
  redis.call('ZADD', KEYS[2], now + ARGV[6], ARGV[5])
  redis.call('EXPIRE', KEYS[2], ARGV[6])
end
return {0, minute, day, mr + math.ceil(br * share), mt + math.ceil(bt * share), dr, dt, busy + calls}
"""
)
# ARGV: how long it is kept; minute and day of what was taken; tokens to add; seat.
_GIVE = (
    _CLOCK
    + """
local more = tonumber(ARGV[4])
local of = tonumber(ARGV[2])
if more > 0 or of == minute then
  mt = math.max(mt + more, 0)
elseif of == minute - 1 then
  bt = math.max(bt + more, 0)
end
if more > 0 or tonumber(ARGV[3]) == day then dt = math.max(dt + more, 0) end
if more ~= 0 then
"""
    + _WRITE
    + """
end
redis.call('ZREM', KEYS[2], ARGV[5])
"""
)
# KEYS: a sorted set for each seat. ARGV: seconds; the seats.
_KEEP = """
local clock = redis.call('TIME')
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, clock[1] + ARGV[1], ARGV[1 + i])
  redis.call('EXPIRE', key, ARGV[1])
end
"""


class RedisTally:
    """Seen by all who share the Redis at this address. Every call may raise `RedisTrouble`."""

    def __init__(self, url: str, window: Window = FIXED) -> None:
        self.window = window
        quick, patient = _client(url, QUICK), _client(url, PATIENT)
        self._take = quick.register_script(_TAKE)
        self._give = quick.register_script(_GIVE)
        self._give_later = patient.register_script(_GIVE)
        self._keep = patient.register_script(_KEEP)

    def take(self, name: str, draw: Draw, limits: Limits, now: float) -> Taken | Hindrance:
        seat = uuid.uuid4().hex if draw.calls else ""
        most = [-1 if (one := getattr(limits, kind)) is None else one for kind in KINDS]
        told = self._said(
            self._take,
            _keys(name),
            [
                KEPT_SECONDS,
                draw.requests,
                draw.tokens,
                draw.calls,
                seat,
                SEAT_SECONDS,
                *most,
                int(self.window is SLIDING),
            ],
        )
        if told[0]:
            kind, limit = KINDS[told[0] - 1], most[told[0] - 1]
            wait = self._wait(kind, draw, limit, float(told[2]), told[3:])
            return Hindrance(kind, f"{told[1]} of {limit} used", now + wait)
        minute, day, *counts = told[1:]
        return Taken(name, draw, minute, day, Used(*counts), seat)

    def _wait(
        self, kind: str, draw: Draw, most: int, there: float, minutes: Sequence[int]
    ) -> float:
        """Seconds until there is room; `there` is Redis's own time."""
        if kind == "concurrency":
            return 0.0
        if kind.endswith("d"):
            return next_turn(there, DAY) - there
        minute, *counted = minutes
        of, wanted = (counted[:2], draw.requests) if kind == "rpm" else (counted[2:], draw.tokens)
        found = Minutes(minute, *of)
        return self.window.room(found, asked(wanted, most), most, there) - there

    def give(self, taken: Taken, tokens: int, *, at_leisure: bool = False) -> None:
        script = self._give_later if at_leisure else self._give
        more = tokens - taken.draw.tokens
        self._said(
            script, _keys(taken.name), [KEPT_SECONDS, taken.minute, taken.day, more, taken.seat]
        )

    def keep(self, seats: Iterable[Taken]) -> None:
        """These calls are still going. Asks Redis in any case, so that it is known whether it answers."""
        taken = list(seats)
        keys = [_keys(one.name)[1] for one in taken]
        self._said(self._keep, keys, [SEAT_SECONDS, *(one.seat for one in taken)])

    def _said(self, script: Any, keys: list[str], words: list[Any]) -> Any:
        try:
            return script(keys=keys, args=words)
        except redis.RedisError as error:
            raise RedisTrouble("the gateway's Redis cannot be used just now") from error


def _client(url: str, seconds: float) -> Any:
    """Asks once, and greets nobody: each word more would be one more wait."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
    )


def _keys(name: str) -> list[str]:
    return [f"tokens:used:{{{name}}}", f"tokens:calls:{{{name}}}"]
