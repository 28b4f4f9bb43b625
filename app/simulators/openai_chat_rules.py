"""What Chat Completions accepts: a table per shape, then the rules that look at several fields.

`accept` raises `Refused` with the vendor's words for the first thing it finds wrong: shapes first
in the order the caller wrote them, then the model, then the combinations.
"""

from __future__ import annotations

from typing import Any

from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    array,
    base64_text,
    boolean,
    either,
    integer,
    missing,
    null,
    number,
    one_of,
    record,
    string,
    tagged,
)
from app.simulators.openai_models import (
    effort_of,
    require_known,
    require_no_sampling,
    traits,
)
from app.simulators.openai_schemas import require_object_schema, require_strict, schema
from app.simulators.openai_shared_rules import (
    BREAKPOINT,
    CONTEXT_SIZE,
    EFFORT,
    LOCATION,
    NAME,
    SHARED,
    VERBOSITY,
    file_data,
    image_address,
    typed,
)

Body = dict[str, Any]

_cached = {"prompt_cache_breakpoint": BREAKPOINT}
TEXT = typed({"text": string()}, _cached)
REFUSAL = typed({"refusal": string()})
IMAGE = typed(
    {"image_url": record({"url": image_address}, {"detail": one_of("auto", "low", "high")})},
    _cached,
)
AUDIO = typed(
    {"input_audio": record({"data": base64_text, "format": one_of("wav", "mp3")})}, _cached
)


def _file(value: Any, at: str) -> None:
    members: dict[str, Check] = {
        "file_id": string(least=1),
        "file_data": file_data,
        "filename": string(least=1),
    }
    record({}, members)(value, at)
    if "file_id" not in value and "file_data" not in value:
        missing(f"{at}.file_id")
    if "file_data" in value and "filename" not in value:
        missing(f"{at}.filename")


FILE = typed({"file": _file}, _cached)


def _content(**parts: Check) -> Check:
    return either({str: string(), list: array(tagged(parts), least=1)})


_function_call = record({"name": string(least=1), "arguments": string()})
CALL = tagged(
    {
        "function": typed({"id": string(least=1), "function": _function_call}),
        "custom": typed(
            {"id": string(least=1), "custom": record({"name": string(least=1), "input": string()})}
        ),
    }
)


def _message(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    return record(
        {"role": anything, **required}, {"name": string(least=1, most=64), **(optional or {})}
    )


_instructions = _message({"content": _content(text=TEXT)})
_said_by_assistant = {
    "content": null(_content(text=TEXT, refusal=REFUSAL)),
    "refusal": null(string()),
    "audio": null(record({"id": string(least=1)})),
    "annotations": null(array(anything)),
    "tool_calls": array(CALL, least=1, most=128),
    "function_call": null(_function_call),
}
MESSAGE = tagged(
    {
        "system": _instructions,
        "developer": _instructions,
        "user": _message(
            {"content": _content(text=TEXT, image_url=IMAGE, input_audio=AUDIO, file=FILE)}
        ),
        "assistant": _message({}, _said_by_assistant),
        "tool": record(
            {
                "role": anything,
                "content": _content(text=TEXT),
                "tool_call_id": string(least=1),
            }
        ),
        "function": record({"role": anything, "content": null(string()), "name": string(least=1)}),
    },
    tag="role",
)

_function = {"name": NAME}
_function_more = {
    "description": string(),
    "parameters": null(schema),
    "strict": null(boolean),
}
_grammar = record({"definition": string(least=1), "syntax": one_of("lark", "regex")})
FORMAT = tagged({"text": typed(), "grammar": typed({"grammar": _grammar})})
TOOL = tagged(
    {
        "function": typed({"function": record(_function, _function_more)}),
        "custom": typed(
            {"custom": record({"name": NAME}, {"description": string(), "format": FORMAT})}
        ),
    }
)
_function_choice = typed({"function": record({"name": string(least=1)})})
_custom_choice = typed({"custom": record({"name": string(least=1)})})
_reference = tagged({"function": _function_choice, "custom": _custom_choice})
_allowed = record({"mode": one_of("auto", "required"), "tools": array(_reference, least=1)})
TOOL_CHOICE = either(
    {
        str: one_of("none", "auto", "required"),
        dict: tagged(
            {
                "function": _function_choice,
                "custom": _custom_choice,
                "allowed_tools": typed({"allowed_tools": _allowed}),
            }
        ),
    }
)
RESPONSE_FORMAT = tagged(
    {
        "text": typed(),
        "json_object": typed(),
        "json_schema": typed(
            {
                "json_schema": record(
                    {"name": NAME},
                    {
                        "description": string(),
                        "schema": schema,
                        "strict": null(boolean),
                    },
                )
            }
        ),
    }
)


def _bias(value: Any, at: str) -> None:
    record(more=True)(value, at)
    for token, weight in value.items():
        string(pattern=r"\d+")(token, f"{at} key")
        integer(-100, 100)(weight, f"{at}.{token}")


_location = null(typed({"approximate": record({}, LOCATION)}))
REQUEST = record(
    {"messages": array(MESSAGE, least=1), "model": SHARED["model"]},
    {
        **SHARED,
        "stream_options": null(
            record({}, {"include_usage": boolean, "include_obfuscation": boolean})
        ),
        "max_completion_tokens": null(integer(1)),
        "max_tokens": null(integer(1)),
        "n": null(integer(1, 128)),
        "stop": null(either({str: string(), list: array(string(), least=1, most=4)})),
        "frequency_penalty": null(number(-2, 2)),
        "presence_penalty": null(number(-2, 2)),
        "logit_bias": null(_bias),
        "logprobs": null(boolean),
        "seed": null(integer(-(2**63), 2**63 - 1)),
        "service_tier": null(one_of("auto", "default", "flex", "scale", "priority", "fast")),
        "reasoning_effort": null(EFFORT),
        "verbosity": null(VERBOSITY),
        "modalities": null(array(one_of("text", "audio"), least=1)),
        "audio": null(
            record(
                {
                    "voice": either({str: string(least=1), dict: record({"id": string(least=1)})}),
                    "format": one_of("wav", "aac", "mp3", "flac", "opus", "pcm16"),
                }
            )
        ),
        "prediction": null(record({"type": one_of("content"), "content": _content(text=TEXT)})),
        "response_format": RESPONSE_FORMAT,
        "tools": array(TOOL, least=1, most=128),
        "tool_choice": TOOL_CHOICE,
        "functions": array(
            record(_function, {"description": string(), "parameters": schema}),
            least=1,
            most=128,
        ),
        "function_call": either(
            {str: one_of("none", "auto"), dict: record({"name": string(least=1)})}
        ),
        "web_search_options": record(
            {}, {"search_context_size": CONTEXT_SIZE, "user_location": _location}
        ),
    },
)


def accept(body: Any) -> Body:
    """The request, known to be acceptable; raises `Refused` otherwise."""
    if not isinstance(body, dict):
        raise Refused("We expected a JSON object as the body of your request.")
    REQUEST(body, "")
    require_known(body["model"])
    _accept_turns(body["messages"])
    _accept_tools(body)
    _accept_format(body.get("response_format") or {})
    _accept_options(body)
    _accept_model(body)
    return body


def _accept_turns(messages: list[Body]) -> None:
    """Every call is answered right after the message that made it, and nothing else is."""
    waiting: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if waiting.pop(message["tool_call_id"], None) is None:
                raise Refused(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'.",
                    f"messages.[{index}].role",
                )
            continue
        _require_answered(waiting, f"messages.[{index}].role")
        waiting = {call["id"]: index for call in message.get("tool_calls") or ()}
        if message["role"] == "assistant":
            _require_something(message, index)
    _require_answered(waiting, f"messages.[{len(messages)}].role")


def _require_answered(waiting: dict[str, int], at: str) -> None:
    if waiting:
        raise Refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(waiting)}",
            at,
        )


def _require_something(message: Body, index: int) -> None:
    said = ("tool_calls", "function_call", "refusal", "audio")
    if message.get("content") is None and not any(message.get(name) for name in said):
        raise Refused(
            "Invalid value for 'content': expected a string, got null.",
            f"messages.[{index}].content",
        )


def _accept_tools(body: Body) -> None:
    names: list[str] = []
    for index, tool in enumerate(body.get("tools") or ()):
        inner = tool[tool["type"]]
        names.append(inner["name"])
        owner, at = f"function '{inner['name']}'", f"tools[{index}].function.parameters"
        code = "invalid_function_parameters"
        require_object_schema(inner.get("parameters"), at, owner, code)
        if inner.get("strict"):
            require_strict(inner.get("parameters"), at, owner, code)
    names += [function["name"] for function in body.get("functions") or ()]
    choice = body.get("tool_choice")
    if choice not in (None, "none") and not body.get("tools"):
        raise Refused(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
            "specified.",
            "tool_choice",
        )
    if body.get("parallel_tool_calls") is not None and not body.get("tools"):
        raise Refused(
            "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when "
            "'tools' are specified.",
            "parallel_tool_calls",
        )
    _require_chosen(choice, "tool_choice", names)
    _require_chosen(body.get("function_call"), "function_call", names)


def _require_chosen(choice: Any, at: str, names: list[str]) -> None:
    if not isinstance(choice, dict):
        return
    inner = choice.get(choice.get("type", ""), choice)
    for each in inner.get("tools", [choice]) if "tools" in inner else [choice]:
        chosen = each.get(each.get("type", ""), each).get("name")
        if chosen not in names:
            raise Refused(
                f"Invalid value for '{at}': no function named '{chosen}' was specified in the "
                "'tools' parameter.",
                at,
            )


def _accept_format(form: Body) -> None:
    if form.get("type") != "json_schema":
        return
    inner = form["json_schema"]
    at, owner = "response_format", f"response_format '{inner['name']}'"
    if inner.get("strict"):
        require_strict(inner.get("schema"), at, owner, "invalid_json_schema")


def _accept_options(body: Body) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Refused(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            "top_logprobs",
        )
    if "audio" in (body.get("modalities") or ()) and not body.get("audio"):
        missing("audio")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Refused(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )


def _accept_model(body: Body) -> None:
    model = body["model"]
    effort = effort_of(model, body.get("reasoning_effort"), "reasoning_effort")
    if not traits(model).reasons:
        return
    if body.get("max_tokens") is not None:
        raise Refused(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if body.get("stop") is not None:
        raise Refused(
            "Unsupported parameter: 'stop' is not supported with this model.",
            "stop",
            "unsupported_parameter",
        )
    require_no_sampling(model, effort, body)
    tools = body.get("tools") or body.get("functions")
    if tools and effort != "none" and not traits(model).chat_tools_while_reasoning:
        raise Refused(
            f"Function tools with reasoning_effort are not supported for {model} in "
            "/v1/chat/completions. Please use /v1/responses instead.",
            "reasoning_effort",
        )
