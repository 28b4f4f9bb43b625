"""The video routes, the same under every platform that makes films."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.canonical.media import File, Shape, VideoJob
from app.errors import BadRequest, MediaGone, NotFound, NotReady
from app.media.kinds import ENDINGS
from app.media.task import status
from app.services.images import MediaCall
from app.services.losses import neglected, note
from app.services.material import FILMS, PICTURES_AND_FILMS, Material
from app.services.videos import Order, as_promised, engine_of, maker_of, usual_film
from app.spool import Spool
from app.storage.media import Kept
from app.storage.tasks import BROUGHT, Task
from app.upstream.leash import Leash
from app.upstream.names import Named, shown
from app.upstream.platform import Platform
from app.web.access import require_access
from app.web.basket import basket_of
from app.web.chat import listen, stop
from app.web.form import read_fields
from app.web.gateway import Gateway, gateway
from app.web.idempotency import once_per_key
from app.web.limits import enter
from app.web.media import harmless, part_of, served
from app.web.naming import explain, read_name
from app.web.removal import removed
from app.web.session import session_key, session_named
from app.web.task_object import described, told_video
from app.web.webhook import webhook_of
from app.web.wishes import SHAPE, read_wishes, without_wishes
from app.wire.openai_images import flag, one_of, whole
from app.wire.openai_videos import read_job

ENGINE = "x-tokens-engine"
POLL = "openai-poll-after-ms"
POLL_SECONDS = 5.0
SOON_SECONDS = 0.5
REFERENCES = ("input_reference", "input_references", "reference_images", "image", "images")
MOST_REFERENCES = 10
LIST_LIMIT = 100
FILM = "video/mp4"  # what is passed on where the platform calls it nothing that is a film
PASSED = ("content-length", "content-range", "accept-ranges", "etag", "last-modified")
VARIANTS = ("video", "thumbnail", "spritesheet")

View = Callable[..., Response]


def mount_videos(bp: Blueprint, platform: Platform) -> None:
    """Films below the platform's prefix: made, looked up, listed, changed, fetched and deleted."""
    name = platform.name

    @bp.post("/v1/videos")
    @require_access(name)
    @once_per_key
    def create_video() -> Response:
        return _begun(name, "create", "")

    @bp.post("/v1/videos/<video>/remix")
    @require_access(name)
    @once_per_key
    def remix_video(video: str) -> Response:
        return _begun(name, "remix", video)

    @bp.post("/v1/videos/edits")
    @require_access(name)
    @once_per_key
    def edit_video() -> Response:
        return _begun(name, "edit", "")

    @bp.post("/v1/videos/extensions")
    @require_access(name)
    @once_per_key
    def extend_video() -> Response:
        return _begun(name, "extend", "")

    @bp.get("/v1/videos")
    @require_access(name)
    def list_videos() -> Response:
        return _listed(name)

    @bp.get("/v1/videos/<video>")
    @require_access(name)
    def show_video(video: str) -> Response:
        return _shown(name, video)

    @bp.delete("/v1/videos/<video>")
    @require_access(name)
    def delete_video(video: str) -> Response:
        return _deleted(name, video)

    @bp.get("/v1/videos/<video>/content")
    @require_access(name)
    def video_content(video: str) -> Response:
        return _content(name, video)


def spooled(view: Callable[..., Response]) -> View:
    """Gives the view a spool, which is gone when the view is done."""

    @wraps(view)
    def with_spool(*args: Any) -> Response:
        with Spool(gateway().spool_folder) as spool:
            return view(*args, spool)

    return with_spool


# ---------------------------------------------------------------- beginning


@spooled
def _begun(name: str, shape: Shape, video: str, spool: Spool) -> Response:
    hub = gateway()
    platform = hub.platforms[name]
    fields = read_fields(request, spool, hub.body_bytes)
    fields |= {one: request.args[one] for one in SHAPE & request.args.keys()}
    of = _source(hub, name, fields, video)
    named = read_name(platform, _model(platform, fields, shape, of))
    maker, model = maker_of(hub.platforms, platform, named.model)
    if of is not None and of.engine != maker.name:
        maker = hub.platforms[of.engine]
    asked = _job(hub, fields, named, model, shape, of, spool)
    job = engine_of(maker).fitted(as_promised(asked, platform, named.model))
    webhook = webhook_of(hub, fields)
    hub.media.check_room()
    wishes = read_wishes(request.args, fields, hub.defaults)
    g.record.update(platform=name, spoken="openai_videos", model=job.model, licence=g.caller.name)
    if g.caller.brought is not None:
        g.record["mode"] = "chat2api"
    dropped = neglected(without_wishes(fields), asked, job, engine_of(maker).takes(asked))
    note(g.record, dropped, strict=wishes.strict or g.caller.is_strict)
    leash = Leash()
    ear = listen(leash, probing=False)
    call = MediaCall(
        id=g.request_id,
        caller=g.caller,
        model=shown(named.asked),
        attempts=wishes.retry_attempt,
        groups=named.groups,
        session=session_key(g.caller, name, session_named(request.headers, fields)),
        leash=leash,
        record=g.record,
    )
    try:
        enter(hub, fields)
        task = hub.videos.begin(call, Order(platform, maker, job, of, webhook), spool)
    finally:
        stop(ear)
    g.record["task"] = task.id
    response = _as_json(hub, task)
    explain(named, g.record, response)
    return response


def _model(platform: Platform, fields: Mapping[str, Any], shape: Shape, of: Task | None) -> str:
    """The one that is named, or that of the film to be changed. OpenAI's clients have no field for it
    where they send a film of their own.
    """
    usual = usual_film(platform) if shape in ("edit", "extend") else ""
    asked = fields.get("model") or (of.model if of else usual)
    if not isinstance(asked, str) or not asked:
        raise BadRequest("{field} is required", param="model", field="model")
    return asked


def _source(hub: Gateway, name: str, fields: Mapping[str, Any], video: str) -> Task | None:
    """The film that is to be changed, if it is one of the caller's here."""
    given = fields.get("video")
    if not video and isinstance(given, dict) and isinstance(given.get("id"), str):
        video = given["id"]
    if not video:
        return None
    return finished(hub, name, video)


def finished(hub: Gateway, name: str, video: str) -> Task:
    """A film of the caller's that is done."""
    task = _found(hub, name, video)
    if status(task) != "completed":
        raise NotReady("the film is not ready")
    return task


def _job(
    hub: Gateway,
    fields: Mapping[str, Any],
    named: Named,
    model: str,
    shape: Shape,
    of: Task | None,
    spool: Spool,
) -> VideoJob:
    material = Material(spool, basket_of(hub))
    field = next((one for one in REFERENCES if fields.get(one) not in (None, "", [])), "")
    given = fields.get(field)
    references = material.all(given, field, PICTURES_AND_FILMS, MOST_REFERENCES)
    if shape != "create":
        film = film_of(hub, of, spool)
        if of is None:
            film = material.all(fields.get("video"), "video", FILMS, 1)
        references = (*film, *references)
    if shape != "create" and of is None and not references:
        raise BadRequest("{field} is required", param="video", field="video")
    source = of.upstream if of else ""
    return read_job(
        fields, model, shape=shape, references=references, source=source, sets=named.sets
    )


def film_of(hub: Gateway, of: Task | None, spool: Spool) -> tuple[File, ...]:
    """What was made, for platforms that want it shown."""
    if of is None or of.credential == BROUGHT:
        return ()
    kept = _kept(hub, of)
    path = spool.new()
    with open(path, "wb") as file:
        file.writelines(hub.media.read(kept, 0, kept.size))
    return (File(str(path), kept.media_type, kept.size),)


# ---------------------------------------------------------------- looking up


def _found(hub: Gateway, name: str, video: str) -> Task:
    task = hub.tasks.owned(video, name, g.caller.name)
    if task is None or task.kind != "video":
        raise NotFound("there is no video {id} here", id=video[:60])
    return task


@spooled
def _shown(name: str, video: str, spool: Spool) -> Response:
    hub = gateway()
    task = _found(hub, name, video)
    task = hub.videos.look(task, hub.platforms[task.engine], g.caller, spool)
    return _as_json(hub, task, detail=flag(request.args, "detail"))


def _listed(name: str) -> Response:
    hub = gateway()
    limit = whole(request.args, "limit", 0, LIST_LIMIT)
    limit = 20 if limit is None else limit
    order = one_of(request.args, "order", ("asc", "desc"))
    after = request.args.get("after", "")
    found = hub.tasks.page(
        name, g.caller.name, "video", after, limit + 1, "asc" if order == "asc" else "desc"
    )
    accept = request.headers.get("Accept-Language", "")
    page = [told_video(one, accept) for one in found[:limit]]
    told = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": bool(page) and len(found) > limit,  # after nothing there is no going on
    }
    return Response(orjson.dumps(told), content_type="application/json")


@spooled
def _deleted(name: str, video: str, spool: Spool) -> Response:
    hub = gateway()
    task = _found(hub, name, video)
    response = removed(hub, task, "video")
    hub.videos.stop(task, hub.platforms[task.engine], g.caller, spool)
    return response


@spooled
def _content(name: str, video: str, spool: Spool) -> Response:
    hub = gateway()
    task = _found(hub, name, video)
    variant = one_of(request.args, "variant", VARIANTS) or "video"
    if status(task) == "failed":
        raise MediaGone("there is no film: {why}", why=task.message or task.code)
    if status(task) != "completed":
        raise NotReady("the film is not ready")
    if variant != "video":
        return _still(hub, task, variant, spool)
    if task.credential == BROUGHT:
        return _passed(hub, task, spool)
    return served(_kept(hub, task), request)


def _still(hub: Gateway, task: Task, variant: str, spool: Spool) -> Response:
    """A picture of the film, where its platform has any."""
    if task.credential == BROUGHT:
        platform = hub.platforms[task.engine]
        file = hub.videos.fetch_still(task, platform, g.caller, spool, variant)
        if file is not None:
            headers = harmless(task.id, file.media_type)
            return Response(Path(file.path).read_bytes(), 200, headers, file.media_type)
    elif (one := task.result.get("stills", {}).get(variant)) is not None:
        return served(_there(hub, one), request)
    raise NotFound("there is only the film itself here", param="variant")


def _passed(hub: Gateway, task: Task, spool: Spool) -> Response:
    """The film of who brought the token: it was never here."""
    platform = hub.platforms[task.engine]
    answer = hub.videos.fetch(task, platform, g.caller, spool, part_of(request))

    def pieces() -> Iterator[bytes]:
        try:
            while data := answer.next(hub.chat.patience.silence):
                yield data
        finally:
            answer.close()

    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = kind if kind in ENDINGS and kind.startswith("video/") else FILM
    headers = harmless(task.id, kind) | {
        name: answer.headers[name] for name in PASSED if name in answer.headers
    }
    status = answer.status if "content-range" in headers else 200
    return Response(pieces(), status, headers, content_type=kind, direct_passthrough=True)


def _kept(hub: Gateway, task: Task) -> Kept:
    try:
        return _there(hub, task.result["media"][0])
    except (KeyError, IndexError) as error_:
        raise MediaGone("the film is no longer kept here") from error_


def _there(hub: Gateway, made: Mapping[str, Any]) -> Kept:
    try:
        return hub.media.find(made["id"], g.caller.name)
    except NotFound as error_:
        raise MediaGone("the film is no longer kept here") from error_


# ---------------------------------------------------------------- telling


def _as_json(hub: Gateway, task: Task, *, detail: bool = False) -> Response:
    told = told_video(task, request.headers.get("Accept-Language", ""))
    if detail:
        told["detail"] = described(task)
    response = Response(orjson.dumps(told), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"  # K-109
    if task.engine != task.platform:
        response.headers[ENGINE] = task.engine
    if not task.is_over:
        wait = POLL_SECONDS if task.due_at is None else task.due_at - hub.clock.now()
        wait = min(max(wait + SOON_SECONDS, SOON_SECONDS), POLL_SECONDS)
        response.headers[POLL] = str(int(wait * 1000))
    return response
