"""What the Messages API accepts, as tables: a shape per block, tool, source and setting.

These look at one place at a time. What depends on the model, or on several places at once, is in
`anthropic_limits` and `anthropic_turns`. Blocks that a caller may only send back as it got them
(server tools and their results) are checked for their envelope, not their content.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from app.simulators.anthropic_checks import (
    Check,
    Refused,
    anything,
    array,
    boolean,
    either,
    fail,
    free_object,
    integer,
    null,
    number,
    one_of,
    record,
    string,
    tagged,
    typed,
    within,
)
from app.simulators.json_schema import well_formed

ID = r"[a-zA-Z0-9_-]+"
NAME = r"[a-zA-Z0-9_-]{1,64}"
MOST_MESSAGES = 100_000
MOST_STOPS = 8_191
LONGEST_USER_ID = 256
NO_SCHEMA = (
    "JSON schema is invalid. It must match JSON Schema draft 2020-12 "
    "(https://json-schema.org/draft/2020-12)."
)

MAGIC: dict[str, re.Pattern[bytes]] = {
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "application/pdf": re.compile(rb"%PDF-"),
}
IMAGES = tuple(each for each in MAGIC if each.startswith("image/"))

# Fields that a beta header must announce: the start of its value, or "" for any beta.
BETA_FIELDS: dict[str, str] = {
    "context_management": "context-management-",
    "mcp_servers": "mcp-client-",
    "output_format": "structured-outputs-",
    "fallbacks": "",
    "fallback_credit_token": "",
}


def https(value: Any, at: str) -> None:
    string(least=1)(value, at)
    if not re.match(r"https://[^/\s]+", value):
        fail(at, "Only HTTPS URLs are supported.")


def encoded(value: Any, at: str, media_type: str) -> None:
    """Base64 without line breaks, of data that is what the media type says."""
    string(least=1)(value, at)
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        fail(at, "invalid base64 data")
    if not MAGIC[media_type].match(data):
        what = "PDF" if media_type == "application/pdf" else "image"
        raise Refused(
            f"{at}: The {what} was specified using the {media_type} media type, "
            "but its data does not appear to be of that type"
        )


def _inline(*media_types: str) -> Check:
    outer = typed({"media_type": one_of(*media_types), "data": string(least=1)})

    def checked(value: Any, at: str) -> None:
        outer(value, at)
        encoded(value["data"], within(at, "data"), value["media_type"])

    return checked


CACHE_CONTROL = null(record({"type": one_of("ephemeral")}, {"ttl": one_of("5m", "1h")}))
_cached: dict[str, Check] = {"cache_control": CACHE_CONTROL}
_citations = null(array(free_object))
_switch = null(record({}, {"enabled": boolean}))
_file = typed({"file_id": string(least=1)})
_caller = either({dict: free_object})
_toolset = null(string())

TEXT = typed({"text": string()}, {**_cached, "citations": _citations})
IMAGE = typed(
    {"source": tagged({"base64": _inline(*IMAGES), "url": typed({"url": https}), "file": _file})},
    {
        **_cached,
        "transformations": null(record({}, {"oversized_image": one_of("downsize", "error")})),
    },
)
_content_source = typed(
    {"content": either({str: string(), list: array(tagged({"text": TEXT, "image": IMAGE}))})}
)
DOCUMENT = typed(
    {
        "source": tagged(
            {
                "base64": _inline("application/pdf"),
                "text": typed({"media_type": one_of("text/plain"), "data": string()}),
                "content": _content_source,
                "url": typed({"url": https}),
                "file": _file,
            }
        )
    },
    {**_cached, "title": null(string()), "context": null(string()), "citations": _switch},
)
SEARCH_RESULT = typed(
    {
        "source": string(),
        "title": string(),
        "content": array(tagged({"text": TEXT}), least=1),
    },
    {**_cached, "citations": _switch},
)
TOOL_USE = typed(
    {"id": string(pattern=ID), "name": string(least=1, most=200), "input": free_object},
    {**_cached, "caller": _caller, "toolset_name": _toolset},
)
_result_blocks = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "tool_reference": typed({"tool_name": string(least=1)}, _cached),
    "browser_state": free_object,
}
TOOL_RESULT = typed(
    {"tool_use_id": string(pattern=ID)},
    {
        **_cached,
        "content": either({str: string(), list: array(tagged(_result_blocks))}),
        "is_error": null(boolean),
        "toolset_name": _toolset,
    },
)
_server_result = typed(
    {"tool_use_id": string(pattern=ID), "content": anything}, {**_cached, "caller": _caller}
)
SERVER_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
)
USER_BLOCKS: dict[str, Check] = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "tool_result": TOOL_RESULT,
    "container_upload": typed({"file_id": string(least=1)}, _cached),
}
ASSISTANT_BLOCKS: dict[str, Check] = {
    "text": TEXT,
    "thinking": typed({"thinking": string(), "signature": string(least=1)}),
    "redacted_thinking": typed({"data": string(least=1)}),
    "tool_use": TOOL_USE,
    "server_tool_use": TOOL_USE,
    **{name: _server_result for name in SERVER_RESULTS},
    "container_upload": typed({"file_id": string(least=1)}, _cached),
    "mcp_tool_use": free_object,
    "mcp_tool_result": free_object,
    "compaction": free_object,
    "fallback": free_object,
    "advisor_tool_result": free_object,
}
_BLOCKS: dict[str, dict[str, Check]] = {
    "user": USER_BLOCKS,
    "assistant": ASSISTANT_BLOCKS,
    "system": {"text": TEXT},
}
_MESSAGES: dict[str, Check] = {
    role: record(
        {"role": anything, "content": either({str: string(), list: array(tagged(blocks))})}
    )
    for role, blocks in _BLOCKS.items()
}


def _message(value: Any, at: str) -> None:
    free_object(value, at)
    if "role" not in value:
        fail(within(at, "role"), "Field required")
    if value["role"] not in ("user", "assistant", "system"):
        fail(within(at, "role"), "Input should be 'user' or 'assistant'")
    _MESSAGES[value["role"]](value, at)


# Tools that have a fixed name, by type. The client runs the ones in CLIENT_TOOLS.
TYPED_TOOLS: dict[str, str] = {
    **{f"web_search_{date}": "web_search" for date in ("20250305", "20260209", "20260318")},
    **{
        f"web_fetch_{date}": "web_fetch"
        for date in ("20250910", "20260209", "20260309", "20260318")
    },
    **{
        f"code_execution_{date}": "code_execution"
        for date in ("20250522", "20250825", "20260120", "20260521")
    },
    "tool_search_tool_regex_20251119": "tool_search_tool_regex",
    "tool_search_tool_bm25_20251119": "tool_search_tool_bm25",
    "bash_20250124": "bash",
    "text_editor_20250124": "str_replace_editor",
    "text_editor_20250429": "str_replace_based_edit_tool",
    "text_editor_20250728": "str_replace_based_edit_tool",
    "memory_20250818": "memory",
    "computer_20250124": "computer",
    "computer_20251124": "computer",
}
TOOLSETS = ("browser_toolset_20260801", "computer_toolset_20260801", "mcp_toolset")
_tool_options: dict[str, Check] = {
    **_cached,
    "defer_loading": boolean,
    "strict": boolean,
    "allowed_callers": array(string(least=1)),
    "max_uses": null(integer(1)),
    "allowed_domains": null(array(string(least=1))),
    "blocked_domains": null(array(string(least=1))),
    "user_location": null(
        record(
            {"type": one_of("approximate")},
            {name: null(string()) for name in ("city", "region", "country", "timezone")},
        )
    ),
    "response_inclusion": one_of("full", "excluded"),
    "max_content_tokens": null(integer(1)),
    "citations": _switch,
    "use_cache": boolean,
    "max_characters": null(integer(1)),
    "input_examples": array(free_object),
    "display_width_px": integer(1),
    "display_height_px": integer(1),
    "display_number": null(integer()),
    "enable_zoom": boolean,
}


def _fixed(name: str) -> Check:
    return typed({"name": one_of(name)}, _tool_options)


def _input_schema(value: Any, at: str) -> None:
    free_object(value, at)
    if "type" not in value:
        fail(within(at, "type"), "Field required")
    one_of("object")(value["type"], within(at, "type"))
    for name in ("oneOf", "anyOf", "allOf"):
        if name in value:
            fail(at, "input_schema does not support oneOf, allOf, or anyOf at the top level")
    nullable = ("properties", "required")  # null is as good as absent here, and only here
    given = {k: v for k, v in value.items() if v is not None or k not in nullable}
    if not well_formed(given):
        fail(at, NO_SCHEMA)


_CUSTOM_TOOL = record(
    {"name": string(pattern=NAME), "input_schema": _input_schema},
    {
        **_cached,
        "type": null(one_of("custom")),
        "description": string(),
        "strict": null(boolean),
        "defer_loading": boolean,
        "eager_input_streaming": null(boolean),
        "input_examples": array(free_object),
        "allowed_callers": array(string(least=1)),
    },
)
_TOOL_SHAPES: dict[str, Check] = {
    "custom": _CUSTOM_TOOL,
    **{kind: _fixed(name) for kind, name in TYPED_TOOLS.items()},
    **{kind: free_object for kind in TOOLSETS},
}


def _tool(value: Any, at: str) -> None:
    free_object(value, at)
    kind = value.get("type")
    tagged(_TOOL_SHAPES)({**value, "type": "custom"} if kind is None else value, at)


_parallel: dict[str, Check] = {"disable_parallel_tool_use": boolean}
_display: dict[str, Check] = {"display": null(one_of("summarized", "omitted"))}


def _output_schema(value: Any, at: str) -> None:
    if not well_formed(value):
        fail(at, NO_SCHEMA)


_schema = typed({"schema": _output_schema})


def _stop(value: Any, at: str) -> None:
    string()(value, at)
    if not value.strip():
        raise Refused("stop_sequences: each stop sequence must contain non-whitespace")


COUNTED: dict[str, Check] = {
    "model": string(least=1),
    "messages": array(_message, least=1, most=MOST_MESSAGES),
}
COUNTED_OPTIONS: dict[str, Check] = {
    "system": either({str: string(), list: array(tagged({"text": TEXT}))}),
    "tools": array(_tool),
    "tool_choice": tagged(
        {
            "auto": typed({}, _parallel),
            "any": typed({}, _parallel),
            "tool": typed({"name": string(least=1)}, _parallel),
            "none": typed(),
        }
    ),
    "thinking": tagged(
        {
            "enabled": typed({"budget_tokens": integer(1024)}, _display),
            "adaptive": typed({}, _display),
            "disabled": typed(),
            "between_tools": typed({}, _display),
        }
    ),
    "output_config": record(
        {},
        {
            "effort": null(one_of("low", "medium", "high", "xhigh", "max")),
            "format": null(tagged({"json_schema": _schema})),
            "task_budget": null(
                record({"type": one_of("tokens"), "total": integer(1)}, {"remaining": integer(0)})
            ),
        },
    ),
    "cache_control": CACHE_CONTROL,
    "context_management": null(record({}, {"edits": array(free_object)})),
    "mcp_servers": array(free_object),
    "output_format": null(tagged({"json_schema": _schema})),
    "speed": null(one_of("standard", "fast")),
}
COUNT = record(COUNTED, COUNTED_OPTIONS)
MESSAGE = record(
    {**COUNTED, "max_tokens": integer(0)},
    {
        **COUNTED_OPTIONS,
        "stream": boolean,
        "stop_sequences": array(_stop, most=MOST_STOPS),
        "temperature": number(0, 1),
        "top_p": number(0, 1),
        "top_k": integer(0),
        "metadata": record({}, {"user_id": null(string(most=LONGEST_USER_ID))}),
        "service_tier": one_of("auto", "standard_only"),
        "container": null(
            either(
                {
                    str: string(least=1),
                    dict: record(
                        {}, {"id": null(string(least=1)), "skills": null(array(free_object))}
                    ),
                }
            )
        ),
        "inference_geo": null(string(least=1)),
        "user_profile_id": string(least=1),
        "fallbacks": array(free_object),
        "fallback_credit_token": string(least=1),
        "diagnostics": null(free_object),
    },
)
