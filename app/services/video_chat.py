"""Chats with models that make films: the last words are what to make, the answer is a link to it, and
on the way there is word of how far it has come.

The job goes on when the caller leaves: it is paid for, and its result can be asked for by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from app.canonical.events import (
    Closed,
    Delta,
    Event,
    Finished,
    Opened,
    Started,
    Usage,
)
from app.canonical.media import File, VideoJob
from app.canonical.media_type import HEAD_BYTES, sniff
from app.canonical.reply import fold
from app.clock import Clock
from app.errors import GatewayError, RequestRefused, UpstreamError
from app.media.store import Store
from app.media.task import progress, status
from app.services.call import ChatCall
from app.services.chat import Patience, Relayed
from app.services.ending import told_to_its_end
from app.services.material import PICTURES_AND_FILMS, Material
from app.services.media_chat import called, last_words, note_neglected
from app.services.roads import make_writer
from app.services.videos import Order, VideoDesk, as_promised, engine_of
from app.spool import Spool
from app.storage.tasks import BROUGHT, Task, Tasks
from app.upstream.platform import Platform
from app.wire.dialect import StreamWriter
from app.wire.openai_videos import read_job

LOOK_SECONDS = 1.0
TELL_SECONDS = 5.0  # at most so often is there word of how far it has come
MODERATED = "moderation_blocked"
WORDS = {
    "queued": "The film is waiting to be made.",
    "in_progress": "The film is being made: {percent} %.",
}


class VideoChat:
    """Serves such chats; one per worker."""

    def __init__(
        self,
        desk: VideoDesk,
        tasks: Tasks,
        store: Store,
        spool_folder: Path,
        clock: Clock,
        patience: Patience,
        *,
        ends_after_error: bool,
    ) -> None:
        self._desk = desk
        self._tasks = tasks
        self._store = store
        self._spool_folder = spool_folder
        self._clock = clock
        self._patience = patience
        self._ends_after_error = ends_after_error

    def serve(
        self, platform: Platform, maker: Platform, model: str, call: ChatCall, base_url: str
    ) -> Relayed:
        """`maker` makes it, and calls the model by the name `model`."""
        call.record["road"] = "films"
        spool = Spool(self._spool_folder)
        try:
            order = Order(platform, maker, self._job(platform, maker, model, call, spool))
            self._store.check_room()
            task = self._desk.begin(called(call), order, spool)
            call.record["task"] = task.id
            if call.stream:
                kind = "application/json" if call.array else call.spoken.STREAM_TYPE
                told = self._told(maker, call, base_url, spool, task)
                return Relayed(200, kind, {}, told)
            task = self._waited(maker, call, spool, task)
            events = _told_whole(call, self._words(maker, call, base_url, spool, task))
            reply = call.spoken.write_reply(fold(events), call.telling)
            spool.close()
            return Relayed(200, "application/json", {}, orjson.dumps(reply))
        except BaseException:
            spool.close()
            raise

    def _job(
        self, platform: Platform, maker: Platform, model: str, call: ChatCall, spool: Spool
    ) -> VideoJob:
        request = call.spoken.read_request(call.body)
        prompt, sources = last_words(request)
        material = Material(spool, call.basket)
        references = material.all(list(sources), "messages", PICTURES_AND_FILMS)
        fields = {**call.body, **call.shape, "prompt": prompt}
        asked = read_job(fields, model, references=references, sets=call.sets)
        engine = engine_of(maker)
        job = engine.fitted(as_promised(asked, platform, call.model))
        note_neglected(call, request, asked, job, engine.takes(asked))
        return job

    def _waited(self, maker: Platform, call: ChatCall, spool: Spool, task: Task) -> Task:
        """The task when it is over, or when the caller has waited for as long as one does."""
        end = self._clock.ticks() + self._patience.answer
        while not task.is_over and self._clock.ticks() < end and not call.leash.pulled:
            self._clock.sleep(LOOK_SECONDS)
            task = self._looked(maker, call, spool, task)
        return task

    def _told(
        self, maker: Platform, call: ChatCall, base_url: str, spool: Spool, task: Task
    ) -> Iterator[bytes]:
        writer = make_writer(call, call.telling)
        body = self._film(writer, maker, call, base_url, spool, task)
        end = call.spoken.STREAM_END if self._ends_after_error else b""
        return told_to_its_end(body, call.record, lambda error: writer.fail(call.say(error)), end)

    def _film(
        self,
        writer: StreamWriter,
        maker: Platform,
        call: ChatCall,
        base_url: str,
        spool: Spool,
        task: Task,
    ) -> Iterator[bytes]:
        try:
            if head := writer.open():
                yield head
            yield writer.write([Started("", call.model), Opened(0, "thinking")])
            yield from self._on_the_way(writer, maker, call, spool, task)
            words = self._words(maker, call, base_url, spool, self._now(task))
            ends: list[Event] = [Closed(0), *_said(1, words), Usage(0, 0), Finished("stop")]
            yield writer.write(ends)
        finally:
            spool.close()

    def _on_the_way(
        self, writer: StreamWriter, maker: Platform, call: ChatCall, spool: Spool, task: Task
    ) -> Iterator[bytes]:
        """Word of how far it has come, and signs of life in between, until it is over."""
        said, told_at, beat_at = "", float("-inf"), self._clock.ticks()
        while not task.is_over:
            if call.leash.pulled:
                raise call.leash.end()
            now = self._clock.ticks()
            words = WORDS[status(task)].format(percent=progress(task))
            if words != said and now - told_at >= TELL_SECONDS:
                said, told_at, beat_at = words, now, now
                yield writer.write([Delta(0, words + "\n")])
            elif now - beat_at >= self._patience.heartbeat:
                beat_at = now
                yield writer.beat()
            self._clock.sleep(LOOK_SECONDS)
            task = self._looked(maker, call, spool, task)

    def _looked(self, maker: Platform, call: ChatCall, spool: Spool, task: Task) -> Task:
        return self._desk.look(self._now(task), maker, call.caller, spool)

    def _now(self, task: Task) -> Task:
        return self._tasks.find(task.id) or task

    def _words(
        self, maker: Platform, call: ChatCall, base_url: str, spool: Spool, task: Task
    ) -> str:
        """What the answer says in the end; raises what went wrong."""
        if not task.is_over:
            return f"The film is still being made. It will be here under the name {task.id}."
        if status(task) == "failed":
            raise _failure(task)
        if task.credential == BROUGHT:
            kept = self._store.keep(
                self._fetched(maker, call, spool, task),
                owner=call.caller.name,
                platform=task.platform,
                task=task.id,
            )
        else:
            kept = self._store.find(task.result["media"][0]["id"], call.caller.name)
        return f"[video]({self._store.link(kept, base_url)})\n\n{task.id}"

    def _fetched(self, maker: Platform, call: ChatCall, spool: Spool, task: Task) -> File:
        """The film of who brought the token, which the worker has not been for."""
        answer = self._desk.fetch(task, maker, call.caller, spool)
        path, size = spool.new(), 0
        try:
            with open(path, "wb") as file:
                while data := answer.next(self._patience.silence):
                    size += file.write(data)
        finally:
            answer.close()
        with open(path, "rb") as film:
            media_type = sniff(film.read(HEAD_BYTES)) or ""
        return File(str(path), media_type, size)


def _told_whole(call: ChatCall, words: str) -> list[Event]:
    return [Started("", call.model), *_said(0, words), Usage(0, 0), Finished("stop")]


def _said(index: int, words: str) -> list[Event]:
    return [Opened(index, "text"), Delta(index, words), Closed(index)]


def _failure(task: Task) -> GatewayError:
    if task.code == MODERATED:
        return RequestRefused("{words}", code=MODERATED, words=task.message or MODERATED)
    error = UpstreamError("the film could not be made: {why}", why=task.message or task.code)
    error.code = task.code or error.code
    error.verdict, error.may_retry = "stop", False
    return error
