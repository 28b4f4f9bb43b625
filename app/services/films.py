"""The steps of a film: begun, looked after, fetched and kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.canonical.endings import CREDENTIAL_GONE, FAILED, GONE
from app.canonical.media import File, Progress
from app.credential import Credential
from app.errors import CallerGone, GatewayError, OutOfFiles, UpstreamError
from app.media.fetched import judged, measured
from app.media.job import read_video_job
from app.media.task import size_of
from app.services.hand import Hand, Taken
from app.services.workbench import KEEP_SECONDS, Asking, Workbench, shown
from app.storage.media import Kept
from app.upstream.leash import Leash
from app.upstream.media import Errand, VideoEngine
from app.upstream.platform import Platform
from app.upstream.transport import Answer

log = logging.getLogger(__name__)

LONGEST_GAP = 15.0  # seconds between two looks
GONE_TIMES = 3  # in a row, before we believe that a platform has lost its job


class Films:
    """Goes one step on with a task that is a film."""

    def __init__(self, bench: Workbench, platforms: Mapping[str, Platform]) -> None:
        self._bench = bench
        self._platforms = platforms

    def step(self, hand: Hand, engine: VideoEngine) -> None:
        if hand.task.state == "queued":
            return hand.time_out() if hand.is_overdue else self._begin(hand, engine)
        credential = self._bench.pinned(hand.task)
        if credential is None:
            return hand.end("failed", code="credential_gone", message=CREDENTIAL_GONE)
        if hand.task.state == "running":
            self._look(hand, engine, credential)
        else:
            self._fetch(hand, engine, credential)

    def cancel(self, hand: Hand, engine: VideoEngine) -> None:
        """Stops it where the platform can. The caller is not kept waiting for a platform that fails."""
        credential = self._bench.pinned(hand.task)
        if not hand.task.upstream or credential is None:
            return
        hand.leash = Leash()
        seconds = self._bench.patience.look
        try:
            with self._bench.errand(hand, credential, engine.read_error, seconds) as errand:
                engine.cancel(errand, hand.task.upstream)
        except GatewayError as error:
            log.warning("a platform's job could not be stopped", extra=hand.about(why=str(error)))

    # ------------------------------------------------------------ begun

    def _begin(self, hand: Hand, engine: VideoEngine) -> None:
        job = read_video_job(hand.task.job, self._bench.folder(hand.task))
        seconds, first_look = self._bench.patience.make, self._bench.patience.first_look

        def ask(credential: Credential) -> str:
            with self._bench.errand(hand, credential, engine.read_error, seconds) as errand:
                return engine.begin(errand, job)

        def take(name: str) -> None:
            try:
                hand.save(
                    lambda now: self._bench.tasks.submitted(
                        hand.task, name, now=now, due_at=now + first_look, lease_until=0.0
                    )
                )
            except (Taken, GatewayError):
                # The platform is at work on what nobody will ever ask for.
                log.error("a job has no task any more", extra=hand.about(upstream=name))
                hand.task = replace(hand.task, upstream=name)
                self.cancel(hand, engine)
                raise

        self._bench.until_taken(hand, Asking(ask, take, hand.lose))

    # ------------------------------------------------------------ looked after

    def _look(self, hand: Hand, engine: VideoEngine, credential: Credential) -> None:
        seconds = self._bench.patience.look
        try:
            with self._bench.errand(hand, credential, engine.read_error, seconds) as errand:
                seen = engine.look(errand, hand.task.upstream)
        except CallerGone:
            return self._stopped(hand, engine)
        except (UpstreamError, OutOfFiles) as error:
            return self._wait(hand, engine, error.retry_after, code=error.code, message=str(error))
        misses = hand.task.misses + 1 if seen.state == "gone" else 0
        if seen.state == "done":
            self._made(hand, engine, credential, seen)
        elif seen.state == "failed":
            words = {"code": seen.code or "generation_failed", "message": seen.message or FAILED}
            hand.end("failed", looks=hand.task.looks + 1, **words)
        elif misses >= GONE_TIMES:
            hand.end("failed", code="video_not_found", message=GONE)
        else:
            percent = min(max(seen.percent, 0), 99)
            self._wait(
                hand, engine, seen.after, progress=percent, misses=misses, code="", message=""
            )

    def _wait(self, hand: Hand, engine: VideoEngine, after: float | None, **changes: Any) -> None:
        """Until the next look, which the platform may name the time of. The last one is at the deadline."""
        if hand.is_overdue:
            self.cancel(hand, engine)
            return hand.time_out()
        looks = hand.task.looks + 1
        first = self._bench.patience.first_look
        gap = min(first + first * looks * 2 / 3, LONGEST_GAP) if after is None else max(after, 1.0)
        hand.again(gap, looks=looks, **changes)

    def _stopped(self, hand: Hand, engine: VideoEngine) -> None:
        """Somebody has pulled the leash: it is not ours any more, to be cancelled, or overdue."""
        hand.move(hand.task.state)
        if hand.task.cancelling or not hand.is_overdue:
            return hand.again(0.0)
        self.cancel(hand, engine)
        hand.time_out()

    # ------------------------------------------------------------ kept

    def _made(
        self, hand: Hand, engine: VideoEngine, credential: Credential, seen: Progress
    ) -> None:
        result = {"fetch": seen.result, "seconds": seen.seconds, "size": seen.size}
        if seen.usage is not None:
            result["usage"] = dict(seen.usage)
        deadline = max(hand.task.deadline, self._bench.clock.now() + KEEP_SECONDS)
        hand.move(
            "storing",
            result=result,
            deadline=deadline,
            progress=99,
            looks=hand.task.looks + 1,
            misses=0,
            code="",
            message="",
        )
        self._fetch(hand, engine, credential)

    def _fetch(self, hand: Hand, engine: VideoEngine, credential: Credential) -> None:
        """Nothing that is not a whole film becomes a result (R-086)."""
        bench = self._bench
        try:
            with bench.errand(hand, credential, engine.read_error, bench.patience.make) as errand:
                result = hand.task.result["fetch"]
                if hand.task.misses:  # what led to it may have run out
                    seen = engine.look(errand, hand.task.upstream)
                    result = seen.result if seen.state == "done" else result
                path = errand.spool.new()
                answer = engine.fetch(errand, result)
                try:
                    errand.save(answer, path)
                finally:
                    answer.close()
                film = judged(path, "video", answer.headers)
                size = size_of(hand.task) or measured(path)
                kept = bench.keep(hand, film)
        except CallerGone:
            return self._stopped(hand, engine)
        except GatewayError as error:
            return bench.keep_again(hand, error)
        self._complete(hand, engine, credential, kept, size)

    def _complete(
        self, hand: Hand, engine: VideoEngine, credential: Credential, kept: Kept, size: str
    ) -> None:
        """The film is here: now what goes with it, and the end."""
        bench = self._bench
        made = {name: value for name, value in hand.task.result.items() if name != "fetch"}
        try:
            stills = self._stills(hand, engine, credential)
        except CallerGone:
            bench.drop(kept)
            return self._stopped(hand, engine)
        if stills:
            made["stills"] = {variant: shown(one) for variant, one in stills.items()}
        try:
            hand.end(
                "completed",
                result={**made, "size": size, "media": [shown(kept)]},
                expires_at=kept.expires_at,
                progress=100,
                code="",
                message="",
            )
        except Taken:
            for one in (kept, *stills.values()):
                bench.drop(one)
            raise

    def _stills(self, hand: Hand, engine: VideoEngine, credential: Credential) -> dict[str, Kept]:
        """The pictures of it that the platform has, by variant. They are fetched now because platforms
        keep them for an hour; a film does not fail for the sake of its pictures.
        """
        bench, found = self._bench, dict[str, Kept]()
        source = self._platforms[hand.task.engine].stills
        if source is None:
            return found
        seconds = bench.patience.look
        for variant in source.variants:
            try:
                with bench.errand(hand, credential, engine.read_error, seconds) as errand:
                    answer = source.still(errand, hand.task.upstream, variant)
                    if (file := still_of(answer, errand)) is not None:
                        found[variant] = bench.keep(hand, file)
            except CallerGone:
                for one in found.values():
                    bench.drop(one)
                raise
            except GatewayError as error:
                log.warning(
                    "a picture of a film is not to be had", extra=hand.about(why=str(error))
                )
        return found


def still_of(answer: Answer, errand: Errand) -> File | None:
    """The picture that came; None where something else did, of which no more is read."""
    try:
        if not answer.headers.get("content-type", "").startswith("image/"):
            return None
        path = errand.spool.new()
        errand.save(answer, path)
    finally:
        answer.close()
    return judged(path, "image", answer.headers)
