"""The request of OpenAI's Responses, apart from its input items.

Flat where chat completions nest: tools, tool choice and format. Nothing is stored unless the caller
says so, although the vendor's default is to store. There is no `stop`, `n`, `seed`, penalty or
`logit_bias`: those are left out, and whoever needs a stop sequence cuts the text itself. The
smallest limit the vendor takes is 16 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from app.canonical.model import ModelFacts
from app.canonical.parts import Opaque, Text
from app.canonical.request import (
    ChatRequest,
    Effort,
    Format,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from app.errors import BadRequest
from app.wire import fields
from app.wire.openai_chat_request import effort_for, fitting, nearest
from app.wire.openai_responses_items import CHAT, NAME, own, read_input, write_input
from app.wire.output import asked_in, lowered

UNDERSTOOD = frozenset("""model input instructions tools tool_choice parallel_tool_calls temperature
        top_p top_logprobs max_output_tokens reasoning text stream user
        safety_identifier prompt_cache_key service_tier""".split())
ELSEWHERE = ("previous_response_id", "conversation", "prompt")  # things only the vendor has stored
SHARED = frozenset(
    "metadata moderation prompt_cache_options prompt_cache_retention store".split()
)  # understood by both of the vendor's dialects
OWN = SHARED | frozenset("context_management include max_tool_calls tool_choice truncation".split())
EFFORTS: frozenset[str] = frozenset(get_args(Effort))
TIERS = frozenset("auto default flex scale priority fast ultrafast".split())
VERBOSITIES = frozenset({"low", "medium", "high"})
CHOICES = ("auto", "none", "required")
FORMATS = ("text", "json_object", "json_schema")
SEALED_THOUGHTS = "reasoning.encrypted_content"
LEAST_OUTPUT = 16


def output_limit(body: Mapping[str, Any]) -> int | None:
    return asked_in(body, "max_output_tokens")


def with_output_limit(body: Mapping[str, Any], most: int) -> dict[str, Any]:
    return lowered(body, max(most, LEAST_OUTPUT), "max_output_tokens")


# ---------------------------------------------------------------- reading


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    for name in ELSEWHERE:
        if body.get(name) is not None:
            raise BadRequest(
                "{field} is known only to the platform that stored it; send the conversation",
                param=name,
                field=name,
            )
    turns = read_input(fields.required(body, "input"))
    if not turns:
        raise BadRequest("{field} must not be empty", param="input", field="input")
    leading = next((i for i, turn in enumerate(turns) if turn.role != "system"), len(turns))
    spoken = tuple(part for turn in turns[:leading] for part in turn.parts)
    instructions = fields.optional_text(body, "instructions")
    system = (Text(instructions),) if instructions else ()
    extras = _read_extras(body)
    return ChatRequest(
        model=fields.text(fields.required(body, "model"), "model"),
        turns=turns[leading:],
        system=system + tuple(part for part in spoken if isinstance(part, Text)),
        tools=_read_tools(body),
        tool_choice=_read_tool_choice(body),
        sampling=_read_sampling(body),
        reasoning=_read_reasoning(body),
        format=_read_format(body),
        max_output=fields.optional_int(body, "max_output_tokens", least=1),
        stream=fields.optional_bool(body, "stream") or False,
        user=fields.optional_text(body, "user") or fields.optional_text(body, "safety_identifier"),
        cache_key=fields.optional_text(body, "prompt_cache_key"),
        service_tier=fields.optional_text(body, "service_tier"),
        verbosity=fields.optional_text(_object(body, "text"), "verbosity", "text.verbosity"),
        extras=Opaque(NAME, extras) if extras else None,
    )


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return {} if value is None else fields.an_object(value, name)


def _read_extras(body: Mapping[str, Any]) -> dict[str, Any]:
    """What only the vendor understands, also on fields that everybody has."""
    extras = {name: value for name, value in body.items() if name not in UNDERSTOOD}
    thinking = {k: v for k, v in _object(body, "reasoning").items() if k != "effort" and v}
    if thinking:
        extras["reasoning"] = thinking
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") not in (
        "function",
        "custom",
        "allowed_tools",
    ):
        extras["tool_choice"] = choice
    return extras


def _read_sampling(body: Mapping[str, Any]) -> Sampling:
    return Sampling(
        temperature=fields.optional_number(body, "temperature"),
        top_p=fields.optional_number(body, "top_p"),
    )


def _read_reasoning(body: Mapping[str, Any]) -> Reasoning:
    given = _object(body, "reasoning")
    effort: Any = fields.optional_text(given, "effort", "reasoning.effort") or None
    if effort is not None and effort not in EFFORTS:
        raise _not_one_of("reasoning.effort", get_args(Effort))
    summary = given.get("summary") or given.get("generate_summary")
    return Reasoning(effort=effort, visible=True if summary else None)


def _not_one_of(field: str, choices: tuple[str, ...]) -> BadRequest:
    return BadRequest(
        "{field} must be one of {choices}", param=field, field=field, choices=", ".join(choices)
    )


def _read_format(body: Mapping[str, Any]) -> Format | None:
    given = _object(body, "text").get("format")
    if given is None:
        return None
    asked = fields.an_object(given, "text.format")
    kind = asked.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return Format("json")
    if kind != "json_schema":
        raise _not_one_of("text.format.type", FORMATS)
    schema = asked.get("schema")
    return Format(
        "schema",
        name=fields.optional_text(asked, "name", "text.format.name"),
        description=fields.optional_text(asked, "description", "text.format.description"),
        schema=fields.an_object(schema, "text.format.schema") if schema else None,
        strict=fields.optional_bool(asked, "strict"),
    )


def _read_tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = _listed_tools(body.get("tools"), "tools")
    given = body.get("input")
    for i, item in enumerate(given if isinstance(given, list) else ()):
        if isinstance(item, Mapping) and item.get("type") == "additional_tools":
            tools += _listed_tools(item.get("tools"), f"input[{i}].tools")
    return tuple(tools)


def _listed_tools(given: Any, param: str) -> list[Tool]:
    listed = [] if given is None else fields.a_list(given, param)
    return [_read_tool(tool, f"{param}[{i}]") for i, tool in enumerate(listed)]


def _read_tool(given: Any, param: str) -> Tool:
    tool = fields.an_object(given, param)
    kind = fields.text(tool.get("type"), f"{param}.type")
    if kind not in ("function", "custom"):
        return Tool(kind, kind="hosted", opaque=Opaque(NAME, dict(tool)))
    name = fields.text(tool.get("name"), f"{param}.name")
    told = fields.optional_text(tool, "description", f"{param}.description")
    common = ("type", "name", "description", "parameters", "strict")
    rest = {key: value for key, value in tool.items() if key not in common}
    opaque = Opaque(NAME, rest) if rest else None
    if kind == "custom":
        return Tool(name, told, kind="custom", opaque=opaque)
    schema = tool.get("parameters")
    return Tool(
        name,
        told,
        fields.an_object(schema, f"{param}.parameters") if schema is not None else None,
        fields.optional_bool(tool, "strict"),
        opaque=opaque,
    )


def _read_tool_choice(body: Mapping[str, Any]) -> ToolChoice | None:
    parallel = fields.optional_bool(body, "parallel_tool_calls")
    given = body.get("tool_choice")
    if given is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(given, str):
        if given not in CHOICES:
            raise _not_one_of("tool_choice", CHOICES)
        return ToolChoice(given, parallel=parallel)  # type: ignore[arg-type]  # just checked
    choice = fields.an_object(given, "tool_choice")
    if choice.get("type") == "allowed_tools":
        tools = fields.a_list(choice.get("tools"), "tool_choice.tools")
        names = tuple(_named(one, f"tool_choice.tools[{i}]") for i, one in enumerate(tools))
        return ToolChoice(
            "required" if choice.get("mode") == "required" else "auto", names, parallel
        )
    return ToolChoice("required", (_named(choice, "tool_choice"),), parallel)


def _named(given: Any, param: str) -> str:
    """The name of a function or custom tool; hosted ones go by their type."""
    choice = fields.an_object(given, param)
    kind = fields.text(choice.get("type"), f"{param}.type")
    if kind in ("function", "custom"):
        return fields.text(choice.get("name"), f"{param}.name")
    return kind


# ---------------------------------------------------------------- writing


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    extras = _write_extras(request.extras)
    body: dict[str, Any] = {"model": request.model, "store": False, **extras}
    body |= _write_conversation(request, stored=bool(body["store"]))
    body |= _write_reasoning(request, facts)
    body |= _write_sampling(request.sampling)
    if request.max_output is not None:
        limit = min(request.max_output, facts.max_output or request.max_output)
        body["max_output_tokens"] = max(limit, LEAST_OUTPUT)
    if text := _write_text(request):
        body["text"] = text
    body |= _write_tools(request, facts, extras)
    for name, value in (
        ("safety_identifier", fitting(request.user)),
        ("prompt_cache_key", fitting(request.cache_key)),
        ("service_tier", request.service_tier if request.service_tier in TIERS else ""),
    ):
        if value:
            body[name] = value
    body["stream"] = request.stream
    if request.stream:
        body["stream_options"] = {"include_obfuscation": False}
    return _drop_refused(body, facts)


def _write_extras(extras: Opaque | None) -> dict[str, Any]:
    if extras is None or not isinstance(extras.value, Mapping):
        return {}
    known = {NAME: OWN, CHAT: SHARED}.get(extras.dialect, frozenset())
    return {
        name: value for name, value in extras.value.items() if name in known and value is not None
    }


def _write_conversation(request: ChatRequest, *, stored: bool) -> dict[str, Any]:
    """Somebody has to speak: without turns, what the system says is the input."""
    words = "\n\n".join(part.text for part in request.system)
    items = write_input(request.turns, stored=stored)
    if not items and words:
        content = [{"type": "input_text", "text": words}]
        return {"input": [{"role": "developer", "content": content}]}
    if not items:  # empty content is still content (C-068)
        items = [{"role": "user", "content": ""}]
    return {"instructions": words, "input": items} if words else {"input": items}


def _write_reasoning(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    """How hard to think, and that thoughts come back in words and sealed, to be replayed."""
    include = list(_own_extra(request, "include") or ())
    thinking = dict(_own_extra(request, "reasoning") or {})
    effort = _effort(request.reasoning, facts)
    if effort is not None:
        thinking["effort"] = effort
    if facts.thinks == "never":
        thinking = {}
    elif request.reasoning.told and SEALED_THOUGHTS not in include:
        include.append(SEALED_THOUGHTS)
    if _wants_words(request.reasoning, facts) and effort != "none":
        thinking.setdefault("summary", "auto")
    written = {"reasoning": thinking, "include": include}
    return {name: value for name, value in written.items() if value}


def _own_extra(request: ChatRequest, name: str) -> Any:
    value = own(request.extras).get(name)
    return value if isinstance(value, (list, dict)) else None


def _wants_words(reasoning: Reasoning, facts: ModelFacts) -> bool:
    """Asked for, or not refused and the model is known to think."""
    if facts.thinks == "never" or reasoning.visible is False or not reasoning.told:
        return False
    return reasoning.visible is True or bool(facts.efforts)


def _effort(reasoning: Reasoning, facts: ModelFacts) -> str | None:
    effort: str | None = reasoning.effort
    if effort is None and reasoning.budget is not None and facts.efforts:
        effort = effort_for(reasoning.budget)
    if effort is None or not facts.efforts or effort in facts.efforts:
        return effort
    return nearest(effort, facts.efforts)


def _write_sampling(sampling: Sampling) -> dict[str, Any]:
    names = ("temperature", "top_p")
    return {name: value for name in names if (value := getattr(sampling, name)) is not None}


def _write_text(request: ChatRequest) -> dict[str, Any]:
    text: dict[str, Any] = {}
    if request.format is not None:
        text["format"] = _write_format(request.format)
    if request.verbosity in VERBOSITIES:
        text["verbosity"] = request.verbosity
    return text


def _write_format(asked: Format) -> dict[str, Any]:
    if asked.kind == "json":
        return {"type": "json_object"}
    if not asked.schema:
        raise BadRequest(
            "{field} is required", param="text.format.schema", field="text.format.schema"
        )
    written = {"type": "json_schema", "name": asked.name or "response"}
    told = {
        "description": asked.description or None,
        "schema": asked.schema,
        "strict": asked.strict,
    }
    return written | {name: value for name, value in told.items() if value is not None}


def _write_tools(
    request: ChatRequest, facts: ModelFacts, extras: Mapping[str, Any]
) -> dict[str, Any]:
    named = [(tool.name, one) for tool in request.tools if (one := _write_tool(tool)) is not None]
    listed = [one for _, one in named] + _search_tool(request.extras)
    if not listed:
        return {}
    written: dict[str, Any] = {"tools": listed}
    choice = request.tool_choice
    if choice is None:
        return written
    if choice.parallel is not None:
        written["parallel_tool_calls"] = choice.parallel
    if "tool_choice" not in extras:
        written["tool_choice"] = _write_choice(choice, dict(named), facts)
    return written


def _search_tool(extras: Opaque | None) -> list[dict[str, Any]]:
    """Chat's way to ask for a web search is an option; here it is a tool."""
    if extras is None or extras.dialect != CHAT:
        return []
    options = extras.value.get("web_search_options")
    if not isinstance(options, Mapping):
        return []
    tool: dict[str, Any] = {"type": "web_search"}
    if size := options.get("search_context_size"):
        tool["search_context_size"] = size
    place = options.get("user_location")
    nested = place.get("approximate") if isinstance(place, Mapping) else None
    if isinstance(nested, Mapping):
        tool["user_location"] = {"type": "approximate", **nested}
    return [tool]


def _write_tool(tool: Tool) -> dict[str, Any] | None:
    if tool.kind == "hosted":
        foreign = tool.opaque is None or tool.opaque.dialect not in (NAME, CHAT)
        return None if foreign or tool.opaque is None else dict(tool.opaque.value)
    written: dict[str, Any] = {"type": tool.kind, "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.kind == "custom":
        return written | _flat_format(tool.opaque)
    written["parameters"] = tool.schema or {"type": "object", "properties": {}}
    written["strict"] = tool.strict or False  # left out, the vendor would make it strict
    return written | dict(own(tool.opaque))


def _flat_format(opaque: Opaque | None) -> dict[str, Any]:
    """What a custom tool has besides its name. Chat puts a grammar one level deeper."""
    if opaque is None or opaque.dialect != CHAT:
        return dict(own(opaque))
    form = opaque.value.get("format")
    if not isinstance(form, Mapping):
        return {}
    grammar = form.get("grammar")
    return {"format": {"type": "grammar", **grammar} if isinstance(grammar, Mapping) else form}


def _write_choice(
    choice: ToolChoice, tools: Mapping[str, Mapping[str, Any]], facts: ModelFacts
) -> Any:
    mode = choice.mode if facts.forced_tools or choice.mode != "required" else "auto"
    known = [_reference(name, tools[name]) for name in choice.names if name in tools]
    if not known:
        return mode
    if mode == "required" and len(known) == 1:
        return known[0]
    return {"type": "allowed_tools", "mode": mode, "tools": known}


def _reference(name: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool["type"]
    return {"type": kind, "name": name} if kind in ("function", "custom") else {"type": kind}


def _drop_refused(body: dict[str, Any], facts: ModelFacts) -> dict[str, Any]:
    """The same body without what this model answers with a 400 (K-037)."""
    refused = facts.refuses
    if body.get("reasoning", {}).get("effort", "unsaid") != "none":
        refused = refused | facts.refuses_thinking
    for name in refused & body.keys():
        del body[name]
    return body
