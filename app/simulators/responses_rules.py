"""What the Responses API accepts: a table per shape, then the rules that look at several fields.

Differs from Chat Completions wherever it can: tools and formats are flat, a picture's address is
a plain string, an assistant's text is `output_text`, and there is no `n`, `stop`, `seed`, penalty
or `logit_bias`. Every call in the input needs its output there, unless `previous_response_id`
brings the other half.
"""

from __future__ import annotations

import re
from typing import Any

from app.simulators.openai_chat_ask import text_of
from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    array,
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

LONGEST_TEXT = 10_485_760
LONGEST_BLOB = 20_971_520

_cached = {"prompt_cache_breakpoint": BREAKPOINT}
_status = one_of("in_progress", "completed", "incomplete")
_detail = one_of("low", "high", "auto", "original")
_call_id = string(least=1, most=64)


def _prefixed(prefix: str) -> Check:
    """An item id has to begin with the letters of its type."""

    def checked(value: Any, at: str) -> None:
        string(least=1, most=64)(value, at)
        if not value.startswith(prefix):
            raise Refused(
                f"Invalid '{at}': '{value}'. Expected an ID that begins with '{prefix}'.",
                at,
                "invalid_value",
            )

    return checked


def _one_source(*names: str) -> Check:
    def checked(value: Any, at: str) -> None:
        given = [name for name in names if value.get(name) is not None]
        if not given:
            missing(f"{at}.{names[0]}")
        if len(given) > 1:
            raise Refused(
                f"Mutually exclusive parameters: '{at}' takes only one of {', '.join(names)}.",
                at,
                "mutually_exclusive_parameters",
            )

    return checked


def _image(value: Any, at: str) -> None:
    members = {"image_url": null(image_address), "file_id": null(string()), "detail": null(_detail)}
    typed({}, {**members, **_cached})(value, at)
    _one_source("image_url", "file_id")(value, at)


def _file(value: Any, at: str) -> None:
    members = {
        "file_id": null(string()),
        "file_data": file_data,
        "filename": string(least=1),
        "file_url": string(least=1),
        "detail": one_of("auto", "low", "high"),
    }
    typed({}, {**members, **_cached})(value, at)
    _one_source("file_id", "file_data", "file_url")(value, at)
    if "file_data" in value and "filename" not in value:
        missing(f"{at}.filename")


INPUT_TEXT = typed({"text": string(most=LONGEST_TEXT)}, _cached)
OUTPUT_TEXT = typed(
    {"text": string(most=LONGEST_TEXT)},
    {"annotations": array(anything), "logprobs": null(array(anything))},
)
REFUSAL = typed({"refusal": string()})
_heard = tagged({"input_text": INPUT_TEXT, "input_image": _image, "input_file": _file})
_said = tagged({"output_text": OUTPUT_TEXT, "refusal": REFUSAL})
_output = either({str: string(most=LONGEST_TEXT), list: array(_heard)})


def _message(value: Any, at: str) -> None:
    """Assistants take output parts only, everybody else input parts only; strings fit all."""
    part = _said if isinstance(value, dict) and value.get("role") == "assistant" else _heard
    record(
        {
            "role": one_of("user", "assistant", "system", "developer"),
            "content": either({str: string(most=LONGEST_TEXT), list: array(part)}),
        },
        {
            "type": one_of("message"),
            "id": _prefixed("msg"),
            "status": null(_status),
            "phase": null(one_of("commentary", "final_answer")),
        },
    )(value, at)


_summary = array(tagged({"summary_text": typed({"text": string()})}))
_thoughts = array(tagged({"reasoning_text": typed({"text": string()})}))
_loose = record(more=True)

_ITEMS: dict[str, Check] = {
    "message": _message,
    "function_call": typed(
        {"call_id": _call_id, "name": string(least=1), "arguments": string()},
        {
            "id": _prefixed("fc"),
            "status": null(_status),
            "namespace": null(string()),
            "caller": anything,
        },
    ),
    "function_call_output": typed(
        {"call_id": _call_id, "output": _output},
        {
            "id": null(string()),
            "status": null(_status),
            "name": string(),
            "namespace": string(),
        },
    ),
    "custom_tool_call": typed(
        {"call_id": _call_id, "name": string(least=1), "input": string()},
        {"id": _prefixed("ctc"), "status": null(_status), "namespace": null(string())},
    ),
    "custom_tool_call_output": typed(
        {"call_id": _call_id, "output": _output},
        {"id": null(string()), "status": null(_status), "name": string()},
    ),
    "reasoning": typed(
        {"summary": _summary},
        {
            "id": _prefixed("rs"),
            "content": null(_thoughts),
            "encrypted_content": null(string()),
            "status": null(_status),
        },
    ),
    "item_reference": typed({"id": string(least=1)}),
    "compaction": typed({"encrypted_content": string(most=LONGEST_BLOB)}, {"id": _prefixed("cmp")}),
    "compaction_trigger": typed(),
    "configuration_update": typed(
        {"reasoning": record({"effort": EFFORT})}, {"id": null(string())}
    ),
    "additional_tools": _loose,
    **{
        name: _loose
        for name in (
            "file_search_call computer_call computer_call_output web_search_call "
            "image_generation_call code_interpreter_call local_shell_call local_shell_call_output "
            "shell_call shell_call_output apply_patch_call apply_patch_call_output mcp_list_tools "
            "mcp_approval_request mcp_approval_response mcp_call tool_search_call "
            "tool_search_output program program_output agent_message"
        ).split()
    },
}
_typed_item = tagged(_ITEMS)


def item(value: Any, at: str) -> None:
    """An input item. Only messages may leave their type out."""
    if isinstance(value, dict) and "type" not in value and "role" in value:
        _message(value, at)
    else:
        _typed_item(value, at)


def _format(value: Any, at: str) -> None:
    tagged(
        {
            "text": typed(),
            "json_object": typed(),
            "json_schema": typed(
                {"name": NAME, "schema": schema},
                {"description": string(), "strict": null(boolean)},
            ),
        }
    )(value, at)
    if value["type"] == "json_schema" and not value["schema"]:
        raise Refused(
            f"Invalid schema for response_format '{value['name']}': schema must be a JSON Schema "
            "of 'type: \"object\"', got 'type: \"None\"'.",
            f"{at}.schema",
            "invalid_json_schema",
        )


_search = typed(
    {},
    {
        "filters": null(record({}, {"allowed_domains": array(string())})),
        "user_location": null(record({"type": one_of("approximate")}, LOCATION)),
        "search_context_size": CONTEXT_SIZE,
        "external_web_access": boolean,
    },
)
_HOSTED = (
    "computer computer_use_preview local_shell shell apply_patch namespace tool_search "
    "programmatic_tool_calling file_search code_interpreter mcp image_generation"
).split()
_grammar = typed({"syntax": one_of("lark", "regex"), "definition": string(least=1)})
TOOL = tagged(
    {
        "function": typed(
            {"name": NAME},
            {
                "parameters": null(schema),
                "strict": null(boolean),
                "description": null(string()),
                "output_schema": anything,
                "defer_loading": boolean,
            },
        ),
        "custom": typed(
            {"name": NAME},
            {
                "description": string(),
                "format": tagged({"text": typed(), "grammar": _grammar}),
                "defer_loading": boolean,
            },
        ),
        **{
            name: _search
            for name in (
                "web_search",
                "web_search_2025_08_26",
                "web_search_preview",
                "web_search_preview_2025_03_11",
            )
        },
        **{name: _loose for name in _HOSTED},
    }
)
_named = typed({"name": string(least=1)})
_label = typed({"server_label": string(least=1)}, {"name": null(string())})
_hosted_choice: dict[str, Check] = {
    name: typed() for name in (*_HOSTED, "web_search", "web_search_preview") if name != "mcp"
}
_reference = tagged({"function": _named, "custom": _named, "mcp": _label, **_hosted_choice})
TOOL_CHOICE = either(
    {
        str: one_of("none", "auto", "required"),
        dict: tagged(
            {
                "function": _named,
                "custom": _named,
                "mcp": _label,
                "allowed_tools": typed(
                    {"mode": one_of("auto", "required"), "tools": array(_reference, least=1)}
                ),
                **_hosted_choice,
            }
        ),
    }
)

INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_effort = null(EFFORT)
_summaries = null(one_of("auto", "concise", "detailed"))
_conversation = either({str: string(least=1), dict: record({"id": string(least=1)})})
_tier = one_of("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")

FIELDS: dict[str, Check] = {
    **SHARED,
    "input": either({str: string(), list: array(item)}),
    "instructions": null(string()),
    "previous_response_id": null(string()),
    "conversation": null(_conversation),
    "background": null(boolean),
    "stream_options": null(
        record({}, {"include_obfuscation": boolean, "reasoning_summary_delivery": string()})
    ),
    "include": null(array(one_of(*INCLUDABLE))),
    "max_output_tokens": null(integer(16)),
    "max_tool_calls": null(integer(1)),
    "reasoning": null(
        record(
            {},
            {
                "effort": _effort,
                "summary": _summaries,
                "generate_summary": _summaries,
                "context": null(one_of("auto", "current_turn", "all_turns")),
                "mode": one_of("standard", "pro"),
            },
        )
    ),
    "text": null(record({}, {"format": _format, "verbosity": null(VERBOSITY)})),
    "tools": null(array(TOOL, most=128)),
    "tool_choice": TOOL_CHOICE,
    "temperature": null(number(0, 2)),
    "truncation": null(one_of("auto", "disabled")),
    "context_management": null(
        array(typed({}, {"compact_threshold": null(integer(1000))})),
    ),
    "service_tier": null(_tier),
    "prompt": null(record({"id": string(least=1)}, {"version": string(), "variables": anything})),
    "client_metadata": anything,  # Codex sends it, and is let through
}
REQUEST = record({"model": FIELDS["model"]}, FIELDS)
_measured = (
    "model input instructions previous_response_id conversation tools tool_choice text reasoning "
    "parallel_tool_calls truncation"
).split()
MEASURED = record({"model": FIELDS["model"]}, {name: FIELDS[name] for name in _measured})
_compacted = (
    "input instructions previous_response_id prompt_cache_retention prompt_cache_options "
    "service_tier"
).split()
COMPACTED = record(
    {"model": FIELDS["model"]},
    {**{name: FIELDS[name] for name in _compacted}, "prompt_cache_key": null(string(most=64))},
)


def accept(body: Any, shape: Check = REQUEST) -> Body:
    """The request, known to be acceptable; raises `Refused` otherwise."""
    if not isinstance(body, dict):
        raise Refused("We expected a JSON object as the body of your request.")
    shape(body, "")
    require_known(body["model"])
    if shape is REQUEST:
        _accept_options(body)
    items = body.get("input")
    if isinstance(items, list):
        _accept_items(items, body)
    _accept_tools(body)
    _accept_format((body.get("text") or {}).get("format") or {}, body)
    _accept_model(body)
    return body


def _accept_options(body: Body) -> None:
    if not any(body.get(name) for name in ("input", "prompt", "previous_response_id")):
        if body.get("conversation") is None:
            missing("input")
    if body.get("previous_response_id") and body.get("conversation"):
        raise Refused(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'.",
            "previous_response_id",
            "mutually_exclusive_parameters",
        )
    if body.get("background") and body.get("store") is False:
        raise Refused("Background mode requires 'store' to be true.", "background")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )


def _accept_items(items: list[Body], body: Body) -> None:
    _require_pairs(items, bool(body.get("previous_response_id") or body.get("conversation")))
    for index, each in enumerate(items):
        kind, at = each.get("type", "message"), f"input[{index}]"
        if kind == "compaction_trigger" and index != len(items) - 1:
            raise Refused("'compaction_trigger' must be the last input item.", at)
        if kind == "reasoning":
            _require_follower(items, index)
            if body.get("store") is False and not each.get("encrypted_content"):
                _require_stored(each.get("id"), at)
        if kind == "item_reference" and body.get("store") is False:
            _require_stored(each["id"], at)
        if kind == "configuration_update":
            _require_switchable(body, at)


def _require_pairs(items: list[Body], continued: bool) -> None:
    calls = _ids(items, ("function_call", "custom_tool_call", "local_shell_call"))
    outputs = _ids(items, ("function_call_output", "custom_tool_call_output"))
    plain = _ids(items, ("function_call", "custom_tool_call"))
    for call_id, index in plain.items():
        if outputs.get(call_id, -1) < index:
            raise Refused(f"No tool output found for function call {call_id}.", "input")
    if continued:
        return
    for call_id, index in outputs.items():
        if calls.get(call_id, index + 1) > index:
            raise Refused(
                f"No tool call found for function call output with call_id {call_id}.", "input"
            )


def _ids(items: list[Body], kinds: tuple[str, ...]) -> dict[str, int]:
    """Call ids of the items of these types, with their places."""
    found: dict[str, int] = {}
    for index, each in enumerate(items):
        if each.get("type") in kinds and isinstance(each.get("call_id"), str):
            if each["call_id"] in found:
                raise Refused(
                    f"Duplicate item found with call_id {each['call_id']}.", f"input[{index}]"
                )
            found[each["call_id"]] = index
    return found


def _require_follower(items: list[Body], index: int) -> None:
    follower = items[index + 1] if index + 1 < len(items) else {}
    kind = follower.get("type", "message")
    spoken = kind == "message" and follower.get("role") == "assistant"
    if not spoken and (kind == "message" or kind.endswith("_output")):
        name = items[index].get("id", "")
        raise Refused(
            f"Item '{name}' of type 'reasoning' was provided without its required following item.",
            "input",
        )


def _require_stored(name: Any, at: str) -> None:
    raise Refused(
        f"Item with id '{name}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input.",
        at,
        status=404,
    )


def _require_switchable(body: Body, at: str) -> None:
    pro = (body.get("reasoning") or {}).get("mode") == "pro"
    if pro or not body["model"].startswith("gpt-6"):
        raise Refused("'configuration_update' is not supported with this model or mode.", at)


def _accept_tools(body: Body) -> None:
    names: list[str] = []
    for index, tool in enumerate(body.get("tools") or ()):
        if tool["type"] not in ("function", "custom"):
            continue
        names.append(tool["name"])
        if tool["type"] == "function":
            at, owner = f"tools[{index}].parameters", f"function '{tool['name']}'"
            code = "invalid_function_parameters"
            require_object_schema(tool.get("parameters"), at, owner, code)
            if tool.get("strict"):
                require_strict(tool.get("parameters"), at, owner, code)
    choice = body.get("tool_choice")
    if choice == "required" and not body.get("tools"):
        raise Refused("Tool choice 'required' must be specified with 'tools'.", "tool_choice")
    if isinstance(choice, dict):
        for each in choice.get("tools", [choice]):
            if each["type"] in ("function", "custom") and each["name"] not in names:
                raise Refused(
                    f"Tool choice '{each['name']}' not found in 'tools' parameter.", "tool_choice"
                )


def _accept_format(form: Body, body: Body) -> None:
    if form.get("type") == "json_schema" and form.get("strict"):
        owner = f"response_format '{form['name']}'"
        require_strict(form["schema"], "text.format.schema", owner, "invalid_json_schema")
    if form.get("type") == "json_object" and not re.search("json", _words(body), re.IGNORECASE):
        raise Refused(
            "Response input messages must contain the word 'json' in some form to use "
            "'text.format' of type 'json_object'.",
            "input",
        )


def _words(body: Body) -> str:
    given = body.get("input") or ""
    if isinstance(given, list):
        given = " ".join(text_of(each.get("content")) for each in given)
    return f"{body.get('instructions') or ''} {given}"


def _accept_model(body: Body) -> None:
    model, reasoning = body["model"], body.get("reasoning") or {}
    effort = effort_of(model, reasoning.get("effort"), "reasoning.effort")
    if reasoning.get("summary") and not traits(model).reasons:
        raise Refused(
            "Unsupported parameter: 'reasoning.summary' is not supported with this model.",
            "reasoning.summary",
            "unsupported_parameter",
        )
    require_no_sampling(model, effort, body)
    if effort != "none" and "message.output_text.logprobs" in (body.get("include") or ()):
        raise Refused(
            "Unsupported parameter: 'include' with 'message.output_text.logprobs' is not "
            "supported with this model.",
            "include",
            "unsupported_parameter",
        )
