"""Taking back a job: it is stopped if it is not over, and nothing of it is there any more (R-085)."""

from __future__ import annotations

import orjson
from flask import Response

from app.errors import NotFound
from app.storage.tasks import Task
from app.web.gateway import Gateway


def removed(hub: Gateway, task: Task, kind: str) -> Response:
    """The answer to who wanted that, as OpenAI gives it. `kind` is what the task is called there."""
    hub.tasks.remove(task.id, hub.clock.now())
    left = hub.tasks.find(task.id) or task  # it may have come to an end in the meantime
    for one in (*left.result.get("media", ()), *left.result.get("stills", {}).values()):
        try:
            hub.media.remove(hub.media.find(one["id"]))
        except NotFound:
            continue  # its time was up
    told = {"id": task.id, "object": f"{kind}.deleted", "deleted": True}
    return Response(orjson.dumps(told), content_type="application/json")
