"""Calls under an idempotency key run once: who comes again is told what the first was told.

What cost something or is complete is kept for a day. What came to nothing is forgotten at once, so
that the next call runs.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from app import process
from app.clock import Clock
from app.errors import AnswerNotKept, GatewayError, KeyInUse, KeyReused
from app.rounds import Rounds
from app.storage.idempotency import Answer, KeyedCall, KeyedCalls

log = logging.getLogger(__name__)

KEPT_SECONDS = 86400.0
SOON_SECONDS = 1.0  # after which it is worth asking again what became of a call that runs
EVERY, SWEEP_EVERY = 5.0, 600.0  # seconds between two rounds


@dataclass(frozen=True, slots=True)
class Replay:
    """What the call of the id `request` was answered."""

    request: str
    answer: Answer


class Idempotency:
    """One per process. No call takes longer than `longest_call` seconds."""

    def __init__(self, table: KeyedCalls, clock: Clock, *, longest_call: float = 3600.0) -> None:
        self._table = table
        self._clock = clock
        self._longest_call = longest_call
        self._me = ""
        self._late: list[tuple[KeyedCall, Answer | None]] = []
        self._swept_at = float("-inf")
        self.rounds = Rounds(EVERY, self._look, "keyed calls could not be tidied")

    def begin(self, owner: str, key: str, asked: bytes, request: str) -> Claim | Replay:
        """A claim for who comes first; the others get the answer, or hear that there is none yet."""
        self._write_late()
        now = self._clock.now()
        call = KeyedCall(
            owner=owner,
            key=hashlib.sha256(key.encode()).hexdigest(),
            asked=asked.hex(),
            request=request,
            worker=self._me or self._named(),
            created_at=now,
            until=now + KEPT_SECONDS,
        )
        earlier = self._table.claim(call, self._is_dead)
        if earlier is None:
            return Claim(self, call)
        if earlier.asked != call.asked:
            raise KeyReused("the idempotency key has been used for a call that was not the same")
        if earlier.answer is None:
            raise KeyInUse("the first call with this idempotency key is not over yet").after(
                SOON_SECONDS
            )
        if earlier.answer.body is None:
            raise AnswerNotKept(
                "the call with this idempotency key is over, and its answer was too large to be kept"
            )
        return Replay(earlier.request, earlier.answer)

    def end(self, call: KeyedCall, answer: Answer | None) -> None:
        """With None nothing came of it. What cannot be written now is written later: by then the caller
        has the answer.
        """
        try:
            self._write(call, answer)
        except GatewayError as error:
            log.warning("the end of a keyed call is written later", extra={"why": str(error)})
            self._late.append((call, answer))

    def tidy(self) -> None:
        """Answers whose day is over."""
        self._table.sweep(self._clock.now())

    def _look(self) -> None:
        self._write_late()
        if (now := self._clock.ticks()) >= self._swept_at + SWEEP_EVERY:
            self._swept_at = now
            self.tidy()

    def _write_late(self) -> None:
        while self._late:
            late = self._late.pop()
            try:
                self._write(*late)
            except BaseException:
                self._late.append(late)
                raise

    def _write(self, call: KeyedCall, answer: Answer | None) -> None:
        if answer is None:
            self._table.forget(call)
        else:
            self._table.keep(call, answer, self._clock.now() + KEPT_SECONDS)

    def _is_dead(self, worker: str, since: float) -> bool:
        # Of processes elsewhere nothing is known, but that no call takes for ever.
        return process.is_gone(worker) or since < self._clock.now() - self._longest_call

    def _named(self) -> str:
        self._me = process.me()  # only now: what makes the application is not what serves it
        return self._me


class Claim:
    """The right to run the call of a key. It ends once, whoever ends it first."""

    def __init__(self, idempotency: Idempotency, call: KeyedCall) -> None:
        self._idempotency = idempotency
        self._call = call
        self._is_open = True

    def keep(self, answer: Answer) -> None:
        self._end(answer)

    def forget(self) -> None:
        self._end(None)

    def _end(self, answer: Answer | None) -> None:
        if self._is_open:
            self._is_open = False
            self._idempotency.end(self._call, answer)
