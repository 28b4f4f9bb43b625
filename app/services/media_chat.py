"""Chats with models that make pictures instead of talking: the last words are what to make, and the
answer is a link to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path

import orjson

from app.canonical.events import Closed, Delta, Event, Finished, Opened, Started
from app.canonical.media import ImageJob, Pictures, VideoJob
from app.canonical.parts import Image, Inline, Link, Text, Video
from app.canonical.reply import fold
from app.canonical.request import ChatRequest
from app.errors import BadRequest
from app.ledger.ledger import counted_usage
from app.media.store import Store
from app.services.call import ChatCall, Ear
from app.services.chat import Patience, Relayed
from app.services.ending import told_to_its_end
from app.services.images import ImageDesk, MediaCall, engine_of
from app.services.losses import neglected, note
from app.services.material import Material
from app.services.roads import make_writer
from app.spool import Spool
from app.upstream.opening import LOOK_SECONDS, Opening
from app.upstream.platform import Platform
from app.wire.dialect import StreamWriter
from app.wire.openai_images import read_job

MOST_VARIANTS = 4  # C-077


def makes_pictures(platform: Platform, call: ChatCall) -> bool:
    """Whether the model has nothing to say to this caller; some speak of what they make, in their
    platform's own dialect.
    """
    facts = platform.catalogue.facts(call.model)
    if facts.makes != "image" or platform.images is None:
        return False
    return not (facts.modalities and call.spoken is platform.chat.dialect)


class PictureChat:
    """Serves such chats; one per worker."""

    def __init__(
        self,
        desk: ImageDesk,
        store: Store,
        spool_folder: Path,
        patience: Patience,
        *,
        ends_after_error: bool,
    ) -> None:
        self._desk = desk
        self._store = store
        self._spool_folder = spool_folder
        self._patience = patience
        self._ends_after_error = ends_after_error

    def serve(self, platform: Platform, call: ChatCall, base_url: str) -> Relayed:
        call.record["road"] = "pictures"
        spool = Spool(self._spool_folder)
        try:
            job = self._job(platform, call, spool)
            self._store.check_room()
            asked = called(call)

            def work() -> list[Event]:
                made = self._desk.make(platform, asked, job, spool)
                return _events(call, self._shown(made, platform, call, base_url), made)

            if call.stream:
                opening = Opening(work)
                if opening.is_over_within(self._patience.grace, lambda: call.ear.closing):
                    opening.result()  # what goes wrong soon keeps its status
                return Relayed(
                    200,
                    "application/json" if call.array else call.spoken.STREAM_TYPE,
                    {},
                    self._told(call, opening, spool),
                )
            reply = call.spoken.write_reply(fold(work()), call.telling)
            spool.close()
            return Relayed(200, "application/json", {}, orjson.dumps(reply))
        except BaseException:
            spool.close()
            raise

    def _job(self, platform: Platform, call: ChatCall, spool: Spool) -> ImageJob:
        request = call.spoken.read_request(call.body)
        if request.variants > MOST_VARIANTS:
            raise BadRequest(
                "{field} must be a whole number from {least} to {most}",
                param="n",
                field="n",
                least=1,
                most=MOST_VARIANTS,
            )
        prompt, sources = last_words(request)
        fields = {
            **call.body,
            **call.shape,
            "prompt": prompt,
            "n": request.variants,
            "partial_images": 0,
        }
        if isinstance(fields.get("background"), bool):
            del fields["background"]  # of the call, not of the picture
        material = Material(spool, call.basket)
        images = material.all(list(sources), "messages")
        asked = read_job(fields, call.model, images=images, sets=call.sets)
        engine = engine_of(platform)
        job = engine.fitted(asked)
        note_neglected(call, request, asked, job, engine.takes(asked))
        return job

    def _shown(self, made: Pictures, platform: Platform, call: ChatCall, base_url: str) -> str:
        links = []
        for picture in made.pictures:
            kept = self._store.keep(picture.file, owner=call.caller.name, platform=platform.name)
            links.append(f"![image]({self._store.link(kept, base_url)})")
        return "\n\n".join(links)

    def _told(self, call: ChatCall, opening: Opening[list[Event]], spool: Spool) -> Iterator[bytes]:
        writer = make_writer(call, call.telling)
        body = self._pictures(writer, opening, call.ear, spool)
        end = call.spoken.STREAM_END if self._ends_after_error else b""
        return told_to_its_end(body, call.record, lambda error: writer.fail(call.say(error)), end)

    def _pictures(
        self, writer: StreamWriter, opening: Opening[list[Event]], ear: Ear, spool: Spool
    ) -> Iterator[bytes]:
        """Who may have gone hears of us at once: only that tells."""
        try:
            if head := writer.open():
                yield head
            silent = 0.0
            while not opening.wait(LOOK_SECONDS):
                silent += LOOK_SECONDS
                if silent >= self._patience.heartbeat or ear.closing:
                    silent = 0.0
                    yield writer.beat()
            yield writer.write(opening.result())
        finally:
            opening.abandon()
            spool.close()


def last_words(request: ChatRequest) -> tuple[str, tuple[str, ...]]:
    """What the last user turn says, and the pictures in it."""
    turn = next((turn for turn in reversed(request.turns) if turn.role == "user"), None)
    parts = turn.parts if turn else ()
    words = "\n".join(part.text for part in parts if isinstance(part, Text)).strip()
    if not words:
        raise BadRequest("{field} must not be empty", param="messages", field="messages")
    return words, tuple(_source(part) for part in parts if isinstance(part, (Image, Video)))


def note_neglected(
    call: ChatCall,
    request: ChatRequest,
    asked: ImageJob | VideoJob,
    job: ImageJob | VideoJob,
    takes: Set[str],
) -> None:
    """Writes down what counts for nothing when a chat becomes a `job`: all but the last words, too."""
    call.record["model"] = job.model
    earlier = bool(request.system) or sum(turn.role != "assistant" for turn in request.turns) > 1
    fields = {**call.body, **call.shape}
    dropped = neglected(fields, asked, job, takes, earlier=earlier)
    note(call.record, dropped, strict=call.strict)


def _source(part: Image | Video) -> str:
    source = part.source
    if isinstance(source, Inline):
        return source.base64
    if isinstance(source, Link):
        return source.url
    raise BadRequest("files are not kept here, so send the file itself", param="messages")


def called(call: ChatCall) -> MediaCall:
    """The chat as a call for something else than words."""
    return MediaCall(
        id=call.id,
        caller=call.caller,
        model=call.telling.model,
        attempts=call.attempts,
        groups=call.groups,
        session=call.session,
        leash=call.leash,
        record=call.record,
    )


def _events(call: ChatCall, text: str, made: Pictures) -> list[Event]:
    counted = counted_usage(made.usage)
    call.record["usage"] = counted
    return [
        Started("", call.model),
        Opened(0, "text"),
        Delta(0, text),
        Closed(0),
        counted,
        Finished("stop"),
    ]
