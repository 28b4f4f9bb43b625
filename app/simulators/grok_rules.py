"""What xAI accepts: a table per shape, then the rules of each model.

A body that does not fit its shape is 422, in the words of a JSON parser; a parameter that the model
does not support is 400 and is named in camel case, whatever its value.
"""

from __future__ import annotations

from typing import Any

from app.simulators.grok_models import resolved, traits
from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    array,
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

ARGUMENT = "invalid-argument"
IMAGE_TYPES = ("image/png", "image/jpeg", "image/jpg", "image/webp")
MOST_LOGPROBS = 8
_EFFORT = one_of("none", "low", "medium", "high", "xhigh")
_NAME = string(least=1, most=64)


def _image(value: Any, at: str) -> None:
    string(least=1)(value, at)
    if value.startswith("data:"):
        data_url(value, at, IMAGE_TYPES, ARGUMENT)
    elif not value.startswith("https://"):
        raise Refused(f"Invalid image URL at {at}.", code=ARGUMENT)


TEXT = typed({"text": string()})
_parts = tagged(
    {
        "text": TEXT,
        "image_url": typed({"image_url": record({"url": _image}, {"detail": string()})}),
        "file": typed({"file": record({"file_id": string(least=1)})}),
    }
)
_words = either({str: string(), list: array(TEXT, least=1)})
_function = record({"name": string(least=1), "arguments": string()})
_call = record(
    {"id": string(least=1), "type": one_of("function"), "function": _function}, {"index": integer()}
)
MESSAGE = tagged(
    {
        "system": record({"role": anything, "content": _words}, {"name": string()}),
        "user": record(
            {"role": anything, "content": either({str: string(), list: array(_parts)})},
            {"name": string()},
        ),
        "assistant": record(
            {"role": anything},
            {
                "content": either({str: string(), list: array(TEXT), type(None): anything}),
                "reasoning_content": null(string()),
                "tool_calls": array(_call, least=1),
                "name": string(),
            },
        ),
        "tool": record(
            {"role": anything, "content": _words, "tool_call_id": string(least=1)},
        ),
    },
    tag="role",
)
_tool = typed(
    {
        "function": record(
            {"name": _NAME},
            {"description": string(), "parameters": record(more=True), "strict": null(boolean)},
        )
    }
)
TOOL_CHOICE = either(
    {
        str: one_of("none", "auto", "required"),
        dict: typed({"function": record({"name": string(least=1)})}),
    }
)
_schema = record({"name": string(least=1)}, more=True)
REQUEST = record(
    {"model": string(least=1), "messages": array(MESSAGE, least=1)},
    {
        "stream": boolean,
        "stream_options": null(record({}, {"include_usage": boolean})),
        "max_completion_tokens": null(integer(1)),
        "max_tokens": null(integer(1)),
        "temperature": null(number(0, 2)),
        "top_p": null(number(0, 1)),
        "n": null(integer(1, 128)),
        "seed": null(integer()),
        "stop": null(array(string(), most=4)),
        "frequency_penalty": null(number(-2, 2)),
        "presence_penalty": null(number(-2, 2)),
        "logprobs": null(boolean),
        "top_logprobs": null(integer(0, MOST_LOGPROBS)),
        "reasoning_effort": null(_EFFORT),
        "response_format": tagged(
            {
                "text": typed(),
                "json_object": typed(),
                "json_schema": typed({"json_schema": _schema}),
            }
        ),
        "tools": array(tagged({"function": _tool}), most=128),
        "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": null(boolean),
        "user": string(),
        "service_tier": one_of("default", "priority"),
        "deferred": boolean,
        "search_parameters": anything,
        "web_search_options": anything,
    },
)

_input_parts = tagged(
    {
        "input_text": TEXT,
        "output_text": record({"type": anything, "text": string()}, more=True),
        "input_image": record({"type": anything, "image_url": _image}, {"detail": string()}),
        "input_file": record({"type": anything}, {"file_id": string(), "file_url": string()}),
    }
)
_domains = {"allowed_domains": array(string(), most=5), "excluded_domains": array(string(), most=5)}
_handles = array(string(), most=10)
SERVER_TOOLS: dict[str, Check] = {
    "web_search": record(
        {"type": anything},
        {
            **_domains,
            "filters": record({}, _domains),
            "enable_image_understanding": boolean,
            "enable_image_search": boolean,
            "user_location": anything,
        },
    ),
    "x_search": record(
        {"type": anything},
        {
            "allowed_x_handles": _handles,
            "excluded_x_handles": _handles,
            "from_date": string(),
            "to_date": string(),
            "enable_image_understanding": boolean,
            "enable_video_understanding": boolean,
        },
    ),
}
_function_tool = record(
    {"type": anything, "name": _NAME},
    {"description": string(), "parameters": null(record(more=True)), "strict": null(boolean)},
)
RESPONSE = record(
    {"model": string(least=1), "input": either({str: string(), list: array(anything, least=1)})},
    {
        "instructions": null(string()),
        "stream": boolean,
        "store": boolean,
        "tools": array(tagged({"function": _function_tool, **SERVER_TOOLS}), most=128),
        "tool_choice": anything,
        "parallel_tool_calls": null(boolean),
        "include": array(string()),
        "reasoning": null(record({}, {"effort": null(_EFFORT), "summary": null(string())})),
        "temperature": null(number(0, 2)),
        "top_p": null(number(0, 1)),
        "max_output_tokens": null(integer(1)),
        "max_turns": integer(1),
        "text": record({}, {"format": anything}),
        "logprobs": null(boolean),
        "top_logprobs": null(integer(0, MOST_LOGPROBS)),
        "user": string(),
        "prompt_cache_key": string(),
        "previous_response_id": null(string()),
        "service_tier": one_of("default", "priority"),
    },
)


def accept(body: Any) -> Body:
    """A chat the vendor would answer; raises `Refused` with its words for the first thing wrong."""
    fitting(REQUEST, body)
    if body.get("search_parameters") is not None:
        raise Refused(
            "Live search is deprecated. Please switch to the Agent Tools API.",
            code="The requested feature is gone",
            status=410,
        )
    if body.get("tools") == []:
        raise Refused("tools must not be empty.", code=ARGUMENT)
    if body.get("top_p") == 0:
        raise Refused("top_p must be greater than 0.", code=ARGUMENT)
    if body.get("deferred") and body.get("stream"):
        raise Refused("deferred completions cannot be streamed.", code=ARGUMENT)
    for message in body["messages"]:
        if message["role"] == "user" and not message["content"]:
            raise Refused("Each message must have at least one content element.", code=ARGUMENT)
    model = resolved(body["model"])
    refused = ["frequency_penalty", "presence_penalty"]
    if traits(model).reasons:
        refused.append("stop")
    for name in refused:
        if body.get(name) is not None:
            raise _unsupported(body["model"], name)
    _effort(body["model"], body.get("reasoning_effort"), "reasoning_effort")
    return dict(body)


def accept_response(body: Any) -> Body:
    """The same for `/responses`."""
    fitting(RESPONSE, body)
    _effort(body["model"], (body.get("reasoning") or {}).get("effort"), "reasoning_effort")
    for item in body["input"] if isinstance(body["input"], list) else ():
        if isinstance(item, dict) and isinstance(item.get("content"), list):
            fitting(array(_input_parts), item["content"])
    return dict(body)


def fitting(check: Check, body: Any) -> None:
    """Raises the 422 of a JSON parser for a body of another shape."""
    try:
        check(body, "")
    except Refused as refused:
        if refused.code == ARGUMENT:
            raise
        raise Refused(
            f"Failed to deserialize the JSON body into the target type: {refused.message}",
            code="Client specified an invalid argument",
            status=422,
        ) from None


def _effort(model: str, asked: str | None, name: str) -> None:
    found = traits(resolved(model))
    if asked is None:
        return
    if not found.efforts:
        raise _unsupported(model, name)
    if asked not in found.efforts:
        raise Refused(
            f"Invalid reasoning effort {asked}. Supported: {', '.join(found.efforts)}.",
            code=ARGUMENT,
        )


def _unsupported(model: str, name: str) -> Refused:
    head, *tail = name.split("_")
    camel = head + "".join(word.capitalize() for word in tail)
    return Refused(f"Model {model} does not support parameter {camel}.", code=ARGUMENT)
