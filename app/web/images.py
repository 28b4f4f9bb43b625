"""The image routes, the same under every platform that makes pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import orjson
from flask import Blueprint, Response, g, request
from werkzeug.wsgi import ClosingIterator

from app.canonical.media import File, ImageJob, Partial, Pictures
from app.errors import (
    BadRequest,
    GatewayError,
    NotOffered,
)
from app.services.chat import Relayed
from app.services.ending import told_to_its_end
from app.services.images import MediaCall, engine_of
from app.services.losses import neglected, note
from app.services.material import Material
from app.spool import Base64, Spool, json_pieces
from app.upstream.leash import Leash
from app.upstream.names import Named, shown
from app.upstream.opening import Opening
from app.upstream.platform import Platform
from app.web.access import require_access
from app.web.basket import basket_of
from app.web.chat import listen, respond, stop
from app.web.failures import in_trouble
from app.web.form import read_fields
from app.web.gateway import Gateway, gateway
from app.web.idempotency import once_per_key
from app.web.image_tasks import mount_image_tasks, queued
from app.web.limits import enter
from app.web.naming import explain, read_name
from app.web.pictures import with_files, with_links
from app.web.session import session_key, session_named
from app.web.webhook import webhook_of
from app.web.wishes import read_wishes, without_wishes
from app.wire import openai_chat
from app.wire.openai_images import flag, one_of, read_job

KEEP_ALIVE = b": keepalive\n\n"

Wanted = Literal["generations", "edits", "variations"]


def mount_images(bp: Blueprint, platform: Platform) -> None:
    """Generations, edits and variations below the platform's prefix."""

    @bp.post("/v1/images/generations")
    @require_access(platform.name)
    @once_per_key
    def generate_images() -> Response:
        return _answered(platform.name, "generations")

    @bp.post("/v1/images/edits")
    @require_access(platform.name)
    @once_per_key
    def edit_images() -> Response:
        return _answered(platform.name, "edits")

    @bp.post("/v1/images/variations")
    @require_access(platform.name)
    @once_per_key
    def vary_image() -> Response:
        return _answered(platform.name, "variations")

    mount_image_tasks(bp, platform)


def _answered(name: str, wanted: Wanted) -> Response:
    hub = gateway()
    spool = Spool(hub.spool_folder)
    try:
        response = _served(hub, hub.platforms[name], spool, wanted)
    except BaseException:
        spool.close()
        raise
    # Not `call_on_close`: streams pass by what would call it.
    body: Any = response.response
    response.response = ClosingIterator(body, spool.close)
    return response


def _served(hub: Gateway, platform: Platform, spool: Spool, wanted: Wanted) -> Response:
    fields = _fields(hub, platform, spool, wanted)
    named = read_name(platform, fields["model"])
    engine, asked = engine_of(platform), _job(hub, fields, named, spool, wanted)
    job = engine.fitted(asked)
    streams = flag(fields, "stream")
    in_background = flag(fields, "async")
    as_links = one_of(fields, "response_format", ("b64_json", "url")) == "url"
    if as_links and not streams:
        hub.media.check_room()
    wishes = read_wishes(request.args, fields, hub.defaults)
    g.record.update(platform=platform.name, spoken="openai_images", model=job.model)
    g.record.update(stream=streams, licence=g.caller.name)
    dropped = neglected(without_wishes(fields), asked, job, engine.takes(asked))
    note(g.record, dropped, strict=wishes.strict or g.caller.is_strict)
    if g.caller.brought is not None:
        g.record["mode"] = "chat2api"
    leash = Leash()
    ear = listen(leash, probing=False)
    call = MediaCall(
        id=g.request_id,
        caller=g.caller,
        model=shown(named.asked),
        attempts=wishes.retry_attempt,
        groups=named.groups,
        session=session_key(g.caller, platform.name, session_named(request.headers, fields)),
        leash=leash,
        record=g.record,
    )
    try:
        enter(hub, fields)
        if in_background:
            stop(ear)
            webhook = webhook_of(hub, fields)
            response = queued(hub, platform, call, job, webhook, as_links=as_links)
        elif streams:
            events = _streamed(hub, platform, call, job, spool)
            response = respond(hub, Relayed(200, openai_chat.STREAM_TYPE, {}, events), ear)
        else:
            made = hub.images.make(platform, call, job, spool)
            response = _whole(hub, platform, made, spool, as_links=as_links)
            stop(ear)
    except BaseException:
        stop(ear)
        raise
    explain(named, g.record, response)
    return response


def _fields(hub: Gateway, platform: Platform, spool: Spool, wanted: Wanted) -> dict[str, Any]:
    usual = engine_of(platform).varies_with
    if wanted == "variations" and not usual:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)
    fields = read_fields(request, spool, hub.body_bytes)
    if wanted == "variations":
        _complete(fields, usual)
    for one in ("resolution", "aspect_ratio", "async"):
        if one in request.args:
            fields[one] = request.args[one]  # the query wins (C-120)
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise BadRequest("{field} is required", param="model", field="model")
    return fields


def _complete(fields: dict[str, Any], model: str) -> None:
    """OpenAI's clients need not name a model for variations; and those are seen when they are done."""
    if fields.get("model") in (None, ""):
        fields["model"] = model
    if flag(fields, "stream"):
        raise BadRequest(
            "the platform cannot do what {field} asks for", param="stream", field="stream"
        )


def _job(
    hub: Gateway, fields: dict[str, Any], named: Named, spool: Spool, wanted: Wanted
) -> ImageJob:
    material = Material(spool, basket_of(hub))
    images: tuple[File, ...] = ()
    mask = None
    varies = wanted == "variations"
    if wanted != "generations":
        given = fields.get("image")
        field = "image" if given not in (None, "", []) else "images"
        given = fields.get(field)
        images = material.all(given, field, most=1) if varies else material.all(given, field)
        if not images:
            raise BadRequest("{field} is required", param="image", field="image")
        mask = None if varies else material.one(fields.get("mask"), "mask")
    return read_job(fields, named.model, images=images, mask=mask, varies=varies, sets=named.sets)


def _whole(
    hub: Gateway, platform: Platform, made: Pictures, spool: Spool, *, as_links: bool
) -> Response:
    created = int(hub.clock.now())
    if not as_links:
        return with_files(made, created, {}, spool)
    kept = [
        hub.media.keep(one.file, owner=g.caller.name, platform=platform.name)
        for one in made.pictures
    ]
    return with_links(made, [hub.media.link(one, request.host_url) for one in kept], created, {})


# ---------------------------------------------------------------- streams


def _streamed(
    hub: Gateway, platform: Platform, call: MediaCall, job: ImageJob, spool: Spool
) -> Iterator[bytes]:
    """Events as they come; what goes wrong before the first of them keeps its status."""
    found = hub.images.stream(platform, call, job, spool)
    opening: Opening[Partial | Pictures] = Opening(lambda: next(found))
    if opening.wait(hub.chat.patience.grace):
        opening.result()  # raises what went wrong
    name = "image_edit" if job.images else "image_generation"
    accept = request.headers.get("Accept-Language", "")
    body = _events(hub, opening, found, name)
    return told_to_its_end(body, call.record, lambda error: _failed(error, accept))


def _events(
    hub: Gateway,
    opening: Opening[Partial | Pictures],
    found: Iterator[Partial | Pictures],
    name: str,
) -> Iterator[bytes]:
    created = int(hub.clock.now())
    try:
        while not opening.wait(hub.chat.patience.heartbeat):
            yield KEEP_ALIVE
        yield from _event(opening.result(), name, created)
        for one in found:
            yield from _event(one, name, created)
    finally:
        opening.abandon()


def _failed(error: GatewayError, accept: str) -> bytes:
    said = openai_chat.write_error(in_trouble(error, accept))
    return b"event: error\ndata: " + orjson.dumps(said) + b"\n\n"


def _event(one: Partial | Pictures, name: str, created: int) -> Iterator[bytes]:
    if isinstance(one, Partial):
        about = {"type": f"{name}.partial_image", "created_at": created}
        yield from _frame(about | {"partial_image_index": one.place}, one.file)
        return
    about = {"type": f"{name}.completed", "created_at": created}
    for field in ("size", "quality", "background", "output_format"):
        about |= {field: value} if (value := getattr(one, field)) else {}
    for left, picture in zip(range(len(one.pictures) - 1, -1, -1), one.pictures, strict=True):
        # It counts all of them: told with each, it would be added up.
        counted = one.usage is not None and not left
        more = {"usage": dict(one.usage or {})} if counted else {}
        yield from _frame(about | more, picture.file)


def _frame(event: dict[str, Any], file: File) -> Iterator[bytes]:
    yield b"event: %s\ndata: " % event["type"].encode()
    yield from json_pieces(event | {"b64_json": Base64(file.path)})
    yield b"\n\n"
