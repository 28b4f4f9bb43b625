"""The steps of pictures that are made in the background: made in one go, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.canonical.media import Picture, Pictures
from app.credential import Credential
from app.errors import BadReply, CallerGone, EmptyReply, GatewayError
from app.media.fetched import judged
from app.media.job import read_file, read_image_job
from app.services.hand import Hand, Taken
from app.services.workbench import KEEP_SECONDS, Asking, Workbench, shown
from app.spool import Spool
from app.storage.media import Kept
from app.upstream.media import ImageEngine

SAID = ("size", "quality", "background", "output_format")


class PictureSteps:
    """Goes one step on with a task that is about pictures."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def step(self, hand: Hand, engine: ImageEngine) -> None:
        if hand.task.state == "storing":
            self._keep(hand)
        elif hand.is_overdue:
            hand.time_out()
        else:
            self._make(hand, engine)

    def _make(self, hand: Hand, engine: ImageEngine) -> None:
        bench, folder = self._bench, self._bench.folder(hand.task)
        job = read_image_job(hand.task.job, folder)

        def ask(credential: Credential) -> Pictures:
            spool = Spool(folder)  # stays: what is in it may have to be kept by another worker
            errand = bench.errand_with(
                spool, hand, credential, engine.read_error, bench.patience.make
            )
            made = engine.make(errand, job)
            if not made.pictures:
                raise EmptyReply("the platform gave an empty answer")
            for one in made.pictures:
                judged(Path(one.file.path), "image")
            return made

        def take(made: Pictures) -> None:
            deadline = max(hand.task.deadline, bench.clock.now() + KEEP_SECONDS)
            changes = {"result": _result(made, folder), "deadline": deadline, "progress": 99}
            hand.save(lambda now: bench.tasks.move(hand.task, "storing", now, **changes))
            self._keep(hand)

        def doubt(error: GatewayError) -> None:
            if not isinstance(error, CallerGone):
                return hand.fail(error)  # perhaps paid for, but never to be had
            hand.move("submitting")
            if hand.task.cancelling:
                hand.cancelled()
            else:
                hand.time_out()

        bench.until_taken(hand, Asking(ask, take, doubt))

    def _keep(self, hand: Hand) -> None:
        bench, result, kept = self._bench, dict(hand.task.result), list[Kept]()
        pictures = result.pop("pictures")
        try:
            for one in pictures:
                kept.append(bench.keep(hand, read_file(one, bench.folder(hand.task))))
        except (GatewayError, OSError) as error:
            for done in kept:
                bench.drop(done)
            if isinstance(error, BadReply):
                return hand.fail(error)
            return bench.keep_again(hand, _known(error))
        words = [one["revised_prompt"] for one in pictures]
        media = [
            {**shown(one), "revised_prompt": said} for one, said in zip(kept, words, strict=True)
        ]
        try:
            hand.end(
                "completed",
                result={**result, "media": media},
                expires_at=min(one.expires_at for one in kept),
                progress=100,
                code="",
                message="",
            )
        except Taken:
            for done in kept:
                bench.drop(done)
            raise


def _known(error: GatewayError | OSError) -> GatewayError:
    """What is not ours to raise is told in words of ours."""
    return error if isinstance(error, GatewayError) else GatewayError()


def _result(made: Pictures, folder: Path) -> dict[str, Any]:
    """What is written down of what was made, until it is kept."""
    found: dict[str, Any] = {name: getattr(made, name) for name in SAID if getattr(made, name)}
    if made.usage is not None:
        found["usage"] = dict(made.usage)
    return {**found, "pictures": [_picture(one, folder) for one in made.pictures]}


def _picture(one: Picture, folder: Path) -> dict[str, Any]:
    return {
        "file": str(Path(one.file.path).relative_to(folder)),
        "media_type": one.file.media_type,
        "size": one.file.size,
        "revised_prompt": one.revised_prompt,
    }
