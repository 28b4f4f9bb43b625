"""The image routes, the same under every platform that makes pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Blueprint, Response, g, request
from werkzeug.wsgi import ClosingIterator

from app.canonical.media import File, ImageJob, Partial, Pictures
from app.errors import BadRequest, BrokenTransfer, CallerGone, GatewayError, let_go
from app.services.chat import Relayed
from app.services.images import MediaCall, engine_of
from app.services.material import Material
from app.spool import Spool
from app.upstream.leash import Leash
from app.upstream.names import Named, shown
from app.upstream.opening import Opening
from app.upstream.platform import Platform
from app.web.access import require_access
from app.web.chat import listen, respond, stop
from app.web.failures import in_trouble
from app.web.form import read_fields
from app.web.gateway import Gateway, gateway
from app.web.idempotency import once_per_key
from app.web.image_tasks import mount_image_tasks, queued
from app.web.naming import explain, read_name
from app.web.pictures import with_files, with_links
from app.web.session import session_key, session_named
from app.web.webhook import webhook_of
from app.web.wishes import read_wishes
from app.wire import openai_chat
from app.wire.openai_images import flag, one_of, read_job

KEEP_ALIVE = b": keepalive\n\n"
TICK_SECONDS = 0.6


def mount_images(bp: Blueprint, platform: Platform) -> None:
    """Generations and edits below the platform's prefix."""

    @bp.post("/v1/images/generations")
    @require_access(platform.name)
    @once_per_key
    def generate_images() -> Response:
        return _answered(platform.name, edits=False)

    @bp.post("/v1/images/edits")
    @require_access(platform.name)
    @once_per_key
    def edit_images() -> Response:
        return _answered(platform.name, edits=True)

    mount_image_tasks(bp, platform)


def _answered(name: str, *, edits: bool) -> Response:
    hub = gateway()
    spool = Spool(hub.spool_folder)
    try:
        response = _served(hub, hub.platforms[name], spool, edits=edits)
    except BaseException:
        spool.close()
        raise
    # Not `call_on_close`: streams pass by what would call it.
    body: Any = response.response
    response.response = ClosingIterator(body, spool.close)
    return response


def _served(hub: Gateway, platform: Platform, spool: Spool, *, edits: bool) -> Response:
    fields = read_fields(request, spool, hub.body_bytes)
    for one in ("resolution", "aspect_ratio", "async"):
        if one in request.args:
            fields[one] = request.args[one]  # the query wins (C-120)
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise BadRequest("{field} is required", param="model", field="model")
    named = read_name(platform, fields["model"])
    job = engine_of(platform).fitted(_job(hub, fields, named, spool, edits=edits))
    streams = flag(fields, "stream")
    in_background = flag(fields, "async")
    as_links = one_of(fields, "response_format", ("b64_json", "url")) == "url"
    leash = Leash()
    ear = listen(leash, probing=False)
    wishes = read_wishes(request.args, fields, hub.defaults)
    g.record.update(platform=platform.name, spoken="openai_images", model=job.model)
    g.record.update(stream=streams, licence=g.caller.name)
    if g.caller.brought is not None:
        g.record["mode"] = "chat2api"
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
    explain(named, (), response)
    return response


def _job(
    hub: Gateway, fields: dict[str, Any], named: Named, spool: Spool, *, edits: bool
) -> ImageJob:
    material = Material(spool, hub.fetcher.basket)
    images: tuple[File, ...] = ()
    mask = None
    if edits:
        given = fields.get("image")
        field = "image" if given not in (None, "", []) else "images"
        images = material.all(fields.get(field), field)
        if not images:
            raise BadRequest("{field} is required", param="image", field="image")
        mask = material.one(fields.get("mask"), "mask")
    return read_job(fields, named.model, images=images, mask=mask, sets=named.sets)


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
    left = hub.chat.patience.grace
    while left > 0 and not opening.wait(min(TICK_SECONDS, left)):
        left -= TICK_SECONDS
    if opening.wait(0):
        opening.result()  # raises what went wrong
    name = "image_edit" if job.images else "image_generation"
    accept = request.headers.get("Accept-Language", "")
    return _events(hub, opening, found, name, accept, g.record)


def _events(
    hub: Gateway,
    opening: Opening[Partial | Pictures],
    found: Iterator[Partial | Pictures],
    name: str,
    accept: str,
    record: dict[str, Any],
) -> Iterator[bytes]:
    created = int(hub.clock.now())
    record["outcome"] = CallerGone.code  # until we know better
    try:
        while not opening.wait(hub.chat.patience.heartbeat):
            yield KEEP_ALIVE
        yield from _event(opening.result(), name, created)
        for one in found:
            yield from _event(one, name, created)
        record["outcome"] = "ok"
    except CallerGone as error:
        let_go(error)
    except BrokenTransfer as error:
        record["outcome"] = error.code
        raise
    except GatewayError as error:
        let_go(error)
        record["outcome"] = error.code
        yield b"event: error\ndata: " + orjson.dumps(
            openai_chat.write_error(in_trouble(error, accept))
        ) + b"\n\n"
    finally:
        opening.abandon()


def _event(one: Partial | Pictures, name: str, created: int) -> Iterator[bytes]:
    if isinstance(one, Partial):
        about = {"type": f"{name}.partial_image", "created_at": created}
        yield from _frame(about | {"partial_image_index": one.place}, one.file)
        return
    about = {"type": f"{name}.completed", "created_at": created}
    for field in ("size", "quality", "background", "output_format"):
        about |= {field: value} if (value := getattr(one, field)) else {}
    for picture in one.pictures:
        more = {"usage": dict(one.usage)} if one.usage is not None else {}
        yield from _frame(about | more, picture.file)


def _frame(event: dict[str, Any], file: File) -> Iterator[bytes]:
    with open(file.path, "rb") as picture:
        event["b64_json"] = base64.b64encode(picture.read()).decode()
    yield b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event))
