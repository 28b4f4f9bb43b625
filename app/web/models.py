"""What can be called: the model lists, in the shape of whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.errors import ModelNotFound
from app.upstream.platform import Model, Platform
from app.web.access import require_access
from app.web.failures import speaks
from app.wire import gemini_generate, openai_chat


def mount_models(bp: Blueprint, platform: Platform) -> None:
    """Lists and single models below the platform's prefix, in three vendors' shapes."""

    @bp.get("/v1/models")
    @speaks(openai_chat)
    @require_access(platform.name)
    def list_models() -> Response:
        if "anthropic-version" in request.headers:
            return as_json(anthropic_list(platform))
        return as_json(openai_list(entry(model, platform) for model in platform.catalogue.models))

    @bp.get("/v1/models/<path:wanted>")
    @speaks(openai_chat)
    @require_access(platform.name)
    def one_model(wanted: str) -> Response:
        model = _known(platform, wanted)
        if "anthropic-version" in request.headers:
            return as_json(anthropic_entry(model))
        return as_json(entry(model, platform))

    @bp.get("/v1beta/models")
    @speaks(gemini_generate)
    @require_access(platform.name, native=True)
    def list_gemini_models() -> Response:
        models = [gemini_entry(model) for model in platform.catalogue.models]
        return as_json({"models": models})

    @bp.get("/v1beta/models/<path:wanted>")
    @speaks(gemini_generate)
    @require_access(platform.name, native=True)
    def one_gemini_model(wanted: str) -> Response:
        return as_json(gemini_entry(_known(platform, wanted)))


def _known(platform: Platform, wanted: str) -> Model:
    model = platform.catalogue.model(wanted)
    if model is None:
        raise ModelNotFound("there is no model {model} here", param="model", model=wanted[:200])
    return model


def as_json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), content_type="application/json")


def openai_list(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": list(entries)}


def entry(model: Model, platform: Platform, prefix: str = "") -> dict[str, Any]:
    """Never null and never of a wrong type: strict clients drop the whole list for one bad field
    (K-027).
    """
    written: dict[str, Any] = {
        "id": prefix + model.id,
        "object": "model",
        "created": model.created,
        "owned_by": platform.owner,
        "name": model.name,
    }
    if model.context:
        written["context_length"] = model.context
    if model.max_output:
        written["max_output_tokens"] = model.max_output
    return written


def anthropic_list(platform: Platform) -> dict[str, Any]:
    data = [anthropic_entry(model) for model in platform.catalogue.models]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def anthropic_entry(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": {"status": "active"},
    }


def gemini_entry(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "displayName": model.name,
        "version": "1",
        "inputTokenLimit": model.context,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    }
