"""What Google's endpoint for OpenAI's clients accepts, told in Google's words."""

from __future__ import annotations

import json
from typing import Any

from app.simulators import gemini_thoughts
from app.simulators.gemini_checks import Refused
from app.simulators.gemini_models import resolved, traits
from app.simulators.openai_chat_rules import RESPONSE_FORMAT, TOOL_CHOICE
from app.simulators.openai_checks import Refused as Unfit
from app.simulators.openai_checks import (
    anything,
    array,
    base64_text,
    boolean,
    data_url,
    either,
    integer,
    null,
    number,
    one_of,
    record,
    string,
    tagged,
)
from app.simulators.openai_shared_rules import typed

Body = dict[str, Any]

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")


def _image(value: Any, at: str) -> None:
    string(least=1)(value, at)
    if not value.startswith("data:"):
        raise Unfit("Invalid image: only inline data is supported.")
    data_url(value, at, IMAGE_TYPES, "invalid")


_text = typed({"text": string()})
_parts = tagged(
    {
        "text": _text,
        "image_url": typed({"image_url": record({"url": _image}, {"detail": string()})}),
        "input_audio": typed(
            {"input_audio": record({"data": base64_text, "format": one_of("wav", "mp3")})}
        ),
    }
)
_words = either({str: string(), list: array(_text, least=1)})
_extra = record({"google": record({"thought_signature": string()})})
_call = record(
    {
        "id": string(),
        "type": one_of("function"),
        "function": record({"name": string(least=1), "arguments": string()}),
    },
    {"index": integer(), "extra_content": _extra},
)
MESSAGE = tagged(
    {
        "system": record({"role": anything, "content": _words}, {"name": string()}),
        "user": record(
            {"role": anything, "content": either({str: string(), list: array(_parts, least=1)})},
            {"name": string()},
        ),
        "assistant": record(
            {"role": anything},
            {
                "content": null(_words),
                "tool_calls": array(_call, least=1),
                "name": string(),
                "extra_content": _extra,
            },
        ),
        "tool": record({"role": anything, "content": _words, "tool_call_id": string()}),
    },
    tag="role",
)
_function = record(
    {"name": string(least=1, most=64)},
    {"description": string(), "parameters": null(record(more=True)), "strict": null(boolean)},
)
_thinking = record(
    {},
    {"thinking_budget": integer(), "thinking_level": string(), "include_thoughts": boolean},
)
_google = record({}, {"thinking_config": _thinking, "cached_content": string()}, more=True)
REQUEST = record(
    {"model": string(least=1), "messages": array(MESSAGE, least=1)},
    {
        "stream": boolean,
        "stream_options": null(record({}, {"include_usage": boolean})),
        "max_tokens": null(integer(1)),
        "max_completion_tokens": null(integer(1)),
        "temperature": null(number(0, 2)),
        "top_p": null(number(0, 1)),
        "n": null(integer(1, 8)),
        "stop": null(either({str: string(), list: array(string(), most=5)})),
        "tools": array(tagged({"function": typed({"function": _function})})),
        "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": null(boolean),
        "response_format": RESPONSE_FORMAT,
        "reasoning_effort": null(one_of("none", "minimal", "low", "medium", "high")),
        "service_tier": one_of("standard", "flex", "priority"),
        "presence_penalty": null(number(-2, 2)),
        "frequency_penalty": null(number(-2, 2)),
        "seed": null(integer()),
        "extra_body": record({}, {"google": _google}),
    },
)


def accept(body: Any) -> Body:
    """A chat the vendor would answer; raises `Refused` for the first thing wrong."""
    try:
        REQUEST(body, "")
    except Unfit as unfit:
        raise Refused(_googles(unfit)) from None
    if body["model"].startswith("models/"):
        raise Refused("")  # seen without a word of explanation
    found = traits(resolved(body["model"]))
    google = (body.get("extra_body") or {}).get("google") or {}
    if body.get("reasoning_effort") and "thinking_config" in google:
        raise Refused("reasoning_effort and thinking_config cannot be used together.")
    if body.get("reasoning_effort") == "none" and found.thinks and not found.can_stop:
        raise Refused("Thinking cannot be turned off for this model.")
    if not found.penalties and (body.get("presence_penalty") or body.get("frequency_penalty")):
        raise Refused("Penalty is not enabled for this model.")
    if found.ends_with_user and body["messages"][-1]["role"] == "assistant":
        raise Refused("Requests ending with a model turn are not supported.")
    if found.signed:
        _require_signatures(body["messages"])
    return dict(body)


def _googles(unfit: Unfit) -> str:
    if unfit.code == "unknown_parameter":
        name = (unfit.param or "").rpartition(".")[2]
        return f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    return f"Invalid value: {unfit.message}"


def _require_signatures(messages: list[Body]) -> None:
    """Of the step that is going on: of everything since the user last spoke."""
    start = max((i for i, one in enumerate(messages) if one["role"] == "user"), default=0)
    for message in messages[start:]:
        if not (calls := message.get("tool_calls")):
            continue
        google = (calls[0].get("extra_content") or {}).get("google") or {}
        if not (signature := google.get("thought_signature")):
            raise Refused("Function call is missing a thought_signature in functionCall parts.")
        function = calls[0]["function"]
        try:
            arguments = json.loads(function["arguments"])
        except (ValueError, RecursionError):
            raise Refused("Invalid function arguments.") from None
        if not gemini_thoughts.fits(signature, function["name"], arguments):
            raise Refused("Corrupted thought signature.")
