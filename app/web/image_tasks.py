"""Pictures that nobody waits for: a task at once, the pictures when they are asked for (C-174 to
C-179), or neither any more.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.canonical.media import File, ImageJob, Picture, Pictures
from app.errors import BadRequest, NotFound, PicturesGone, outcome_of
from app.media.job import written
from app.media.task import status
from app.services.images import MediaCall
from app.spool import Spool
from app.storage.tasks import Task, new_id
from app.upstream.platform import Platform
from app.web.access import require_access
from app.web.failures import worded
from app.web.gateway import Gateway, gateway
from app.web.pictures import with_files, with_links
from app.web.removal import removed
from app.web.task_object import described, told_images
from app.wire.openai_images import flag

AS_LINKS = "response_format"  # kept with the job's extras: how the caller wants the pictures


def mount_image_tasks(bp: Blueprint, platform: Platform) -> None:
    @bp.get("/v1/images/<task>")
    @require_access(platform.name)
    def show_image_task(task: str) -> Response:
        response = _shown(platform.name, task)
        response.headers["Cache-Control"] = "no-store"  # K-109
        return response

    @bp.delete("/v1/images/<task>")
    @require_access(platform.name)
    def delete_image_task(task: str) -> Response:
        hub = gateway()
        return removed(hub, _found(hub, platform.name, task), "image.task")


def queued(
    hub: Gateway,
    platform: Platform,
    call: MediaCall,
    job: ImageJob,
    webhook: str,
    *,
    as_links: bool,
) -> Response:
    """Keeps the job for the worker."""
    if call.caller.brought is not None:
        raise BadRequest(
            "{field}: a token of your own is kept nowhere, so nobody could go on without you",
            param="async",
            field="async",
        )
    hub.media.check_room()
    now, name = hub.clock.now(), new_id("image")
    folder = hub.folders.make(name)
    kept = written(job, folder)
    kept["extras"] = {**kept["extras"], AS_LINKS: "url" if as_links else "b64_json"}
    entry = hub.images.book(platform, call, job)
    try:
        task = hub.tasks.add(
            Task(
                id=name,
                kind="image",
                platform=platform.name,
                engine=platform.name,
                owner=call.caller.name,
                model=call.model,
                created_at=now,
                deadline=now + hub.job_seconds,
                job=kept,
                groups=call.groups,
                webhook=webhook,
                ledger=entry.id,
            )
        )
    except BaseException as error:
        entry.end(call.record, None, outcome_of(error))
        raise
    entry.hand_over()
    hub.queue.put(task.id)
    call.record["task"] = task.id
    return _as_json(told_images(task))


def _found(hub: Gateway, name: str, wanted: str) -> Task:
    task = hub.tasks.owned(wanted, name, g.caller.name)
    if task is None or task.kind != "image":
        raise NotFound("there is no image task {id} here", id=wanted[:60])
    return task


def _shown(name: str, wanted: str) -> Response:
    hub = gateway()
    task = _found(hub, name, wanted)
    told = told_images(task, request.headers.get("Accept-Language", ""))
    if flag(request.args, "detail"):
        told["detail"] = described(task)
    if status(task) != "completed":
        return _as_json(told)
    try:
        return _with_pictures(hub, task, told)
    except PicturesGone as error_:
        accept = request.headers.get("Accept-Language", "")
        return _as_json(told | {"error": {"code": error_.code, "message": worded(error_, accept)}})


def _with_pictures(hub: Gateway, task: Task, told: dict[str, Any]) -> Response:
    result, spool = task.result, Spool(hub.spool_folder)
    try:
        kept = [hub.media.find(one["id"], g.caller.name) for one in result["media"]]
        said = {
            name: result[name]
            for name in ("size", "quality", "background", "output_format")
            if name in result
        }
        words = [one.get("revised_prompt", "") for one in result["media"]]
        if task.job["extras"].get(AS_LINKS) == "url":
            made = Pictures(
                pictures=tuple(
                    Picture(File("", one.media_type, one.size), text)
                    for one, text in zip(kept, words, strict=True)
                ),
                usage=result.get("usage"),
                **said,
            )
            links = [hub.media.link(one, request.host_url) for one in kept]
            spool.close()
            return with_links(made, links, int(task.created_at), told)
        pictures = []
        for one, text in zip(kept, words, strict=True):
            path = spool.new()
            with open(path, "wb") as file:
                file.writelines(hub.media.read(one, 0, one.size))
            pictures.append(Picture(File(str(path), one.media_type, one.size), text))
        made = Pictures(pictures=tuple(pictures), usage=result.get("usage"), **said)
        return with_files(made, int(task.created_at), told, spool)
    except NotFound as error_:
        spool.close()
        raise PicturesGone("the pictures are no longer kept here") from error_
    except BaseException:
        spool.close()
        raise


def _as_json(told: dict[str, Any]) -> Response:
    return Response(orjson.dumps(told), content_type="application/json")
