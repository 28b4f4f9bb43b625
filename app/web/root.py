"""Routes without a platform prefix: health, all models, and chats that name their platform in the
model.

A model there is `platform/model`, or a bare name which goes to the platform the operator chose.
"""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, g, request

from app.errors import BadRequest
from app.storage.database import DatabaseTrouble
from app.upstream.platform import Platform
from app.web.access import open_to_all, recognised, require_access_unless
from app.web.billing import mount_billing
from app.web.chat import CHAT, relay
from app.web.gateway import Gateway, gateway
from app.web.idempotency import once_per_key
from app.web.intake import read_json
from app.web.models import allowed, as_json, found, openai_entry, openai_list
from app.web.probe import mount_probe
from app.web.schemas import check
from app.web.usage import mount_usage
from app.wire import openai_chat

root = Blueprint("root", __name__)
mount_usage(root)
mount_billing(root)
mount_probe(root)


def _is_open(hub: Gateway) -> bool:
    return hub.root.open


def _models_are_open(hub: Gateway) -> bool:
    return hub.root.open or hub.root.models_open


@root.get("/")
@open_to_all
def front() -> Response:
    return as_json(
        {"name": "tokens", "platforms": sorted(gateway().platforms), "health": "/health"}
    )


@root.get("/api/hello")
@open_to_all
def hello() -> Response:
    """One client knocks here before it starts; any answer will do."""
    return as_json({"message": "hello"})


@root.get("/api/info")
@open_to_all
def info() -> Response:
    return as_json(
        {
            "api_base": request.host_url.rstrip("/") + "/v1",
            "licence_required": not gateway().root.open,
            "accepted_headers": ["Authorization: Bearer <licence>", "X-Api-Key: <licence>"],
        }
    )


@root.get("/health")
@open_to_all
def health() -> Response:
    """200 when requests can be served, 503 when not; says which part is missing, and nothing
    secret.
    """
    hub = gateway()
    try:
        is_prepared = hub.database.version() is not None
    except DatabaseTrouble:
        is_prepared = False
    details = {
        "database": "ok" if is_prepared else "not usable",
        "platforms": {name: _state(hub, name) for name in sorted(hub.platforms)},
    }
    word = "ok" if is_prepared else "unavailable"
    message = "ready to serve" if is_prepared else "the database cannot be used"
    response = as_json({"status": word, "message": message, "details": details})
    response.status_code = 200 if is_prepared else 503
    response.headers["Cache-Control"] = "no-store"
    return response


def _state(hub: Gateway, name: str) -> str:
    return "configured" if hub.sources.has_any(name) else "no key"


@root.get("/v1/models")
@require_access_unless(_models_are_open)
def all_models() -> Response:
    g.caller = recognised()
    asking = g.caller.brought is None  # a token belongs to one platform, and nobody says to which
    platforms = [platform for _, platform in sorted(gateway().platforms.items())]
    return as_json(
        openai_list(
            openai_entry(model, platform, f"{platform.name}/")
            for platform in platforms
            for model in allowed(platform, asking=asking)
        )
    )


@root.get("/v1/models/<path:wanted>")
@require_access_unless(_models_are_open)
def one_model(wanted: str) -> Response:
    g.caller = recognised()
    platform, name = _resolved(gateway(), wanted)
    prefix = f"{platform.name}/" if name != wanted else ""
    return as_json(openai_entry(found(platform, name), platform, prefix))


@root.post("/v1/chat/completions")
@require_access_unless(_is_open)
@once_per_key
def chat_completions() -> Response:
    hub = gateway()
    body = read_json(request, hub.body_bytes)[1]
    if body.get("model") in (None, "") and hub.root.model:
        body["model"] = hub.root.model
    check(CHAT, body)
    asked = body["model"]
    platform, body["model"] = _resolved(hub, asked)
    g.asked = asked
    return relay(hub, platform, openai_chat, orjson.dumps(body), body)


def _resolved(hub: Gateway, asked: str) -> tuple[Platform, str]:
    """The platform a root model name means, and the model's name there."""
    prefix, slash, rest = asked.partition("/")
    if slash and prefix in hub.platforms:
        if not rest:
            raise BadRequest("{field} names a platform but no model", param="model", field="model")
        return hub.platforms[prefix], rest
    return hub.platforms[hub.root.platform], asked
