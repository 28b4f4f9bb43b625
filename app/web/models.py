"""What can be called: the model lists, in the shape of whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
from flask import Blueprint, Response, g, request
from werkzeug.routing import PathConverter

from app.access.caller import check_scope
from app.errors import ModelNotFound
from app.upstream.platform import Model, Platform
from app.web.access import require_access
from app.web.chat import GEMINI_CALLS
from app.web.gateway import gateway
from app.web.pages import anthropic_page, gemini_page
from app.web.spoken import GEMINI_VERB, spoken
from app.wire import anthropic_messages, gemini_generate

Json = dict[str, Any]


class ModelName(PathConverter):
    """A model in a path. With one of Google's calls behind it, it is no longer one."""

    regex = rf"(?!.*{GEMINI_VERB}$)[^/].*?"


def mount_models(bp: Blueprint, platform: Platform) -> None:
    """Lists and single models below the platform's prefix, in three vendors' shapes."""

    for version in ("v1", "v1beta"):

        @bp.get(f"/{version}/models", endpoint=f"list_models_{version}")
        @require_access(platform.name)
        def list_models() -> Response:
            known = gateway().platforms[platform.name]
            return as_json(_listed(known, allowed(known)))

        @bp.get(f"/{version}/models/<model:wanted>", endpoint=f"one_model_{version}")
        @require_access(platform.name)
        def one_model(wanted: str) -> Response:
            known = gateway().platforms[platform.name]
            return as_json(_described(known, found(known, wanted)))


def allowed(platform: Platform, *, asking: bool = True) -> Sequence[Model]:
    """The platform's models, as far as the caller may ask them; those that are known, where the
    platform is not to be asked.
    """
    if not g.caller.may_use(platform.name):
        return ()
    roster = gateway().roster
    models = roster.models(platform, g.caller) if asking else platform.catalogue.models
    return [model for model in models if g.caller.may_ask(model.id)]


def _with_parameters(platform: Platform, models: Sequence[Model]) -> Iterator[Model]:
    """Each model, followed by its forms with one parameter (C-154)."""
    for model in models:
        yield model
        for suffix in platform.catalogue.names.suffixes:
            if suffix.sets and suffix.fits(model.id):
                yield replace(model, id=f"{model.id}-{suffix.name}")


def found(platform: Platform, wanted: str) -> Model:
    """The model of that name, if there is one and the caller may ask it."""
    meant = platform.catalogue.names.read(wanted).model
    models = gateway().roster.models(platform, g.caller)
    model = next((model for model in models if model.id in (wanted, meant)), None)
    if model is None:
        raise ModelNotFound("there is no model {model} here", param="model", model=wanted[:200])
    check_scope(g.caller, platform.name, wanted, model.id)
    return replace(model, id=wanted)


def _listed(platform: Platform, models: Sequence[Model]) -> Json:
    dialect = spoken(request)
    if request.args.get("expand") == "params":
        models = list(_with_parameters(platform, models))
    if dialect is anthropic_messages:
        page = anthropic_page(models, request.args)
        ids = [model.id for model in page.models]
        return {
            "data": [_described(platform, model) for model in page.models],
            "has_more": page.more,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }
    if dialect is gemini_generate:
        page = gemini_page(models, request.args)
        bookmark = {"nextPageToken": page.models[-1].id} if page.more else {}
        return {"models": [_described(platform, model) for model in page.models]} | bookmark
    return openai_list(openai_entry(model, platform) for model in models)


def _described(platform: Platform, model: Model) -> Json:
    dialect = spoken(request)
    if dialect is anthropic_messages:
        return anthropic_entry(model)
    if dialect is gemini_generate:
        return gemini_entry(model, platform)
    return openai_entry(model, platform)


def as_json(body: Json) -> Response:
    return Response(orjson.dumps(body), content_type="application/json")


def openai_list(entries: Iterable[Json]) -> Json:
    return {"object": "list", "data": list(entries)}


def openai_entry(model: Model, platform: Platform, prefix: str = "") -> Json:
    """Never null and never of a wrong type: strict clients drop the whole list for one bad field
    (K-027).
    """
    entry: Json = {
        "id": prefix + model.id,
        "object": "model",
        "created": model.created,
        "owned_by": platform.owner,
        "name": model.name,
    }
    if model.context:  # what makes pictures or films has no such limits
        entry |= {"context_length": model.context, "max_output_tokens": model.max_output}
    return entry


def anthropic_entry(model: Model) -> Json:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "max_input_tokens": model.context,
        "max_tokens": model.max_output,
    }


def gemini_entry(model: Model, platform: Platform) -> Json:
    return {
        "name": f"models/{model.id}",
        "displayName": model.name,
        "version": "1",
        "inputTokenLimit": model.context,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": [*GEMINI_CALLS, *platform.chat.gemini_calls],
    }
