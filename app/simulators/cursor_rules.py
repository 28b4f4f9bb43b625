"""What Cursor accepts, and which models a simulated key may use."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from app.simulators.exchange import Call

MOST_IMAGES = 5
MOST_IMAGE_BYTES = 15 << 20
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_AGENT = re.compile(r"bc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Json = dict[str, Any]

_FAST = {
    "id": "fast",
    "displayName": "Fast",
    "values": [{"value": "true", "displayName": "On"}, {"value": "false", "displayName": "Off"}],
}
MODELS: list[Json] = [
    {"id": "auto", "displayName": "Auto"},
    {
        "id": "composer-2",
        "displayName": "Composer 2",
        "description": "Cursor's own model",
        "aliases": ["composer-latest", "composer"],
        "parameters": [_FAST],
        "variants": [
            {"params": [{"id": "fast", "value": "true"}], "displayName": "Composer 2 Fast"}
        ],
    },
    {"id": "claude-4.6-sonnet-thinking", "displayName": "Claude 4.6 Sonnet Thinking"},
    {"id": "gpt-5.5", "displayName": "GPT-5.5"},
]


class Refused(Exception):
    """The request is turned away with this status, code and message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def accept_agent(call: Call) -> Json:
    """The body of a call that creates an agent."""
    body = _object(call)
    _only(
        body,
        "body",
        """prompt model name agentId env repos workOnCurrentBranch autoCreatePR
        skipReviewerRequest envVars mcpServers customSubagents mode""",
    )
    _prompt(body)
    _model(body.get("model"))
    _mode(body)
    name = body.get("agentId")
    if name is not None and not (isinstance(name, str) and _AGENT.fullmatch(name)):
        raise _invalid("agentId", "must be bc- and a UUID")
    if name is not None and body.get("envVars"):
        raise _invalid("agentId", "cannot stand beside envVars")
    for switch in ("workOnCurrentBranch", "autoCreatePR", "skipReviewerRequest"):
        if not isinstance(body.get(switch, False), bool):
            raise _invalid(switch, "must be a boolean")
    repos = body.get("repos", [])
    if not isinstance(repos, list) or len(repos) > 20:
        raise _invalid("repos", "must be an array of at most 20")
    for place, repo in enumerate(repos):
        at = f"repos[{place}]"
        if not isinstance(repo, dict) or not str(repo.get("url", "")).startswith("https://"):
            raise _invalid(at, "needs the url of a repository")
        _only(repo, at, "url startingRef prUrl")
    return body


def accept_run(call: Call) -> Json:
    """The body of a follow-up, which has no model."""
    body = _object(call)
    _only(body, "body", "prompt mcpServers mode")
    _prompt(body)
    _mode(body)
    return body


def _object(call: Call) -> Json:
    if not call.raw:
        raise Refused("missing_body", "A JSON body is required.")
    body = call.body()
    if not isinstance(body, dict):
        raise _invalid("body", "must be a JSON object")
    return body


def _prompt(body: Json) -> None:
    prompt = body.get("prompt")
    if not isinstance(prompt, dict):
        raise _invalid("prompt", "is required")
    _only(prompt, "prompt", "text images")
    if not isinstance(prompt.get("text"), str) or not prompt["text"]:
        raise _invalid("prompt.text", "must have at least 1 character")
    images = prompt.get("images", [])
    if not isinstance(images, list) or len(images) > MOST_IMAGES:
        raise _invalid("prompt.images", f"must be an array of at most {MOST_IMAGES}")
    for place, image in enumerate(images):
        _image(image, f"prompt.images[{place}]")


def _image(image: Any, at: str) -> None:
    if not isinstance(image, dict) or ("url" in image) == ("data" in image):
        raise _invalid(at, "must have either url or data")
    _only(image, at, "url data mimeType dimension")
    if "url" in image:
        if not str(image["url"]).startswith(("http://", "https://")) or "mimeType" in image:
            raise _invalid(at, "a url must be http(s) and stand without mimeType")
        return
    if image.get("mimeType") not in IMAGE_TYPES:
        raise _invalid(f"{at}.mimeType", f"must be one of {', '.join(IMAGE_TYPES)}")
    try:
        size = len(base64.b64decode(image["data"], validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise _invalid(f"{at}.data", "must be base64 without a data: prefix") from None
    if not 0 < size <= MOST_IMAGE_BYTES:
        raise _invalid(f"{at}.data", "must not be larger than 15 MB")


def _model(model: Any) -> None:
    if model is None:
        return
    if not isinstance(model, dict) or not isinstance(model.get("id"), str):
        raise _invalid("model", "must be an object with an id")
    _only(model, "model", "id params")
    names = {name: one for one in MODELS for name in (one["id"], *one.get("aliases", ()))}
    if model["id"] not in names:
        raise Refused("invalid_model", f"Model {model['id']} is not available.")
    known = {one["id"]: one["values"] for one in names[model["id"]].get("parameters", ())}
    for param in model.get("params", ()):
        values = [one["value"] for one in known.get(param.get("id"), ())]
        if param.get("value") not in values:
            raise _invalid("model.params", f"{param.get('id')} cannot be {param.get('value')}")


def _mode(body: Json) -> None:
    if body.get("mode", "agent") not in ("agent", "plan"):
        raise _invalid("mode", "must be agent or plan")


def _only(body: Json, at: str, names: str) -> None:
    if strange := sorted(body.keys() - set(names.split())):
        raise _invalid(f"{at}.{strange[0]}", "is not a known field")


def _invalid(at: str, words: str) -> Refused:
    return Refused("validation_error", f"{at} {words}")
