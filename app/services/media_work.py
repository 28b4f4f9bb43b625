"""What one step of a task does, whoever asks for it: a queue, a test, a person.

A step takes the task's lease, does one thing and saves what came of it. It ends with the task over,
or with the moment when the next step is due. Whatever it dies of, the lease runs out and the next
step goes on from what was saved.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.canonical.endings import NO_ENDPOINT
from app.errors import GatewayError
from app.services.films import Films
from app.services.hand import Hand, Taken
from app.services.pictures import PictureSteps
from app.services.workbench import Workbench
from app.storage.database import DatabaseTrouble
from app.storage.tasks import BROUGHT
from app.upstream.platform import Platform

log = logging.getLogger(__name__)

BREAK_SECONDS = 30.0
LEASE_SECONDS = 30.0
RENEW_SECONDS = 8.0  # how often `renew` should be called


class MediaWork:
    """Does steps; one per process, any number of steps at a time."""

    def __init__(self, bench: Workbench, platforms: Mapping[str, Platform]) -> None:
        self._bench = bench
        self._platforms = platforms
        self._films = Films(bench, platforms)
        self._pictures = PictureSteps(bench)
        self._hands: dict[str, Hand] = {}

    def step(self, name: str) -> bool:
        """Goes one step on with the task of this name; whether there was one to be done."""
        bench = self._bench
        task = bench.tasks.lease(name, bench.clock.now(), LEASE_SECONDS)
        if task is None:
            return False
        hand = self._hands[name] = Hand(bench.tasks, bench.folders, bench.clock, task)
        try:
            self._go_on(hand)
        except Taken:
            log.warning("a task was taken over by another worker", extra=hand.about())
        except DatabaseTrouble:
            raise  # nothing can be saved: the lease runs out, and then the step is done again
        except Exception as error:  # noqa: B902  # a mistake of ours is not to be made for ever
            log.error("a step of a task failed", exc_info=error, extra=hand.about())
            _break_off(hand)
        finally:
            self._hands.pop(name, None)
        return True

    def renew(self) -> None:
        """Keeps the leases of what is in hand, and stops what is not ours any more, is to be cancelled
        or has taken too long. To be called every few seconds while steps are at work.
        """
        now, hands = self._bench.clock.now(), dict(self._hands)
        held = self._bench.tasks.renew([one.task for one in hands.values()], now + LEASE_SECONDS)
        for name, hand in hands.items():
            task = held.get(name)
            if task is None or task.cancelling or now >= task.deadline:
                hand.leash.pull()

    @property
    def in_hand(self) -> int:
        """How many steps are at work."""
        return len(self._hands)

    def _go_on(self, hand: Hand) -> None:
        task = hand.task
        if task.state == "submitting":
            return hand.lose()  # whoever had it in hand ended before it could say what came of it
        if task.credential == BROUGHT:  # nothing else is due of it
            return hand.cancelled() if task.cancelling else hand.time_out()
        if task.cancelling:
            return self._cancel(hand)
        platform = self._platforms.get(task.engine)
        if task.kind == "video" and platform is not None and platform.videos is not None:
            self._films.step(hand, platform.videos)
        elif task.kind == "image" and platform is not None and platform.images is not None:
            self._pictures.step(hand, platform.images)
        else:
            hand.end("failed", code="endpoint_not_supported", message=NO_ENDPOINT)

    def _cancel(self, hand: Hand) -> None:
        platform = self._platforms.get(hand.task.engine)
        if hand.task.kind == "video" and platform is not None and platform.videos is not None:
            self._films.cancel(hand, platform.videos)
        hand.cancelled()


def _break_off(hand: Hand) -> None:
    """What to make of a step that nobody foresaw: another try, unless the platform has been asked."""
    try:
        if hand.task.state == "submitting":
            hand.lose()
        elif hand.is_overdue:
            hand.fail(GatewayError())
        else:
            hand.again(BREAK_SECONDS)
    except Taken:
        log.warning("a task was taken over by another worker", extra=hand.about())
