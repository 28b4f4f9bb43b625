"""The request of OpenAI chat completions, apart from its messages.

Token limits have three spellings, functions two, stop four, effort three; one of each is written.
"""

from __future__ import annotations

import hashlib
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
from app.wire.openai_chat_messages import NAME, read_messages, write_messages
from app.wire.output import asked_in, lowered

LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")  # C-072: the first given wins
UNDERSTOOD = (
    frozenset(
        """model messages stream stream_options tools functions tool_choice function_call parallel_tool_calls
    temperature top_p top_k seed presence_penalty frequency_penalty stop logprobs top_logprobs logit_bias
    reasoning_effort reasoning thinking enable_thinking thinking_budget response_format n user
    safety_identifier prompt_cache_key service_tier verbosity""".split()
    )
    | set(LIMITS)
)
OWN = frozenset(
    """audio metadata modalities moderation prediction prompt_cache_options prompt_cache_retention
    store web_search_options""".split()
)  # documented by OpenAI, without a counterpart elsewhere
LONGEST_NAME = 64  # of a caller's own identifiers
EFFORTS: frozenset[str] = frozenset(get_args(Effort))


def output_limit(body: Mapping[str, Any]) -> int | None:
    return asked_in(body, *LIMITS)


def answers(body: Mapping[str, Any]) -> int:
    return fields.optional_int(body, "n", least=1) or 1


def with_output_limit(body: Mapping[str, Any], most: int) -> dict[str, Any]:
    return lowered(body, most, *LIMITS)


# ---------------------------------------------------------------- reading


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    messages = fields.a_list(fields.required(body, "messages"), "messages")
    if not messages:
        raise BadRequest("{field} must not be empty", param="messages", field="messages")
    turns = read_messages(messages)
    leading = next((i for i, turn in enumerate(turns) if turn.role != "system"), len(turns))
    system = tuple(
        part for turn in turns[:leading] for part in turn.parts if isinstance(part, Text)
    )
    read_options(body)  # who asks for nothing there may still have written nonsense
    extras = {name: value for name, value in body.items() if name not in UNDERSTOOD}
    return ChatRequest(
        model=fields.text(fields.required(body, "model"), "model"),
        turns=tuple(turns[leading:]),
        system=system,
        tools=_read_tools(body),
        tool_choice=_read_tool_choice(body),
        sampling=_read_sampling(body),
        reasoning=_read_reasoning(body),
        format=_read_format(body),
        max_output=output_limit(body),
        stream=fields.optional_bool(body, "stream") or False,
        variants=answers(body),
        user=fields.optional_text(body, "user") or fields.optional_text(body, "safety_identifier"),
        cache_key=fields.optional_text(body, "prompt_cache_key"),
        service_tier=fields.optional_text(body, "service_tier"),
        verbosity=fields.optional_text(body, "verbosity"),
        extras=Opaque(NAME, extras) if extras else None,
    )


def read_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller says of its stream."""
    options = body.get("stream_options")
    return {} if options is None else dict(fields.an_object(options, "stream_options"))


def _read_sampling(body: Mapping[str, Any]) -> Sampling:
    bias = body.get("logit_bias")
    return Sampling(
        temperature=fields.optional_number(body, "temperature"),
        top_p=fields.optional_number(body, "top_p"),
        top_k=fields.optional_int(body, "top_k"),
        seed=fields.optional_int(body, "seed"),
        presence_penalty=fields.optional_number(body, "presence_penalty"),
        frequency_penalty=fields.optional_number(body, "frequency_penalty"),
        stop=tuple(one for one in fields.texts(body.get("stop"), "stop") if one),
        logit_bias=fields.an_object(bias, "logit_bias") if bias is not None else None,
    )


def _read_reasoning(body: Mapping[str, Any]) -> Reasoning:
    """OpenAI's own `reasoning_effort`, and the spellings that other servers made common."""
    nested = body.get("reasoning")
    effort = body.get("reasoning_effort")
    budget = fields.optional_int(body, "thinking_budget")
    if effort is None and isinstance(nested, Mapping):
        effort = nested.get("effort")
        budget = fields.optional_int(nested, "max_tokens") if budget is None else budget
    effort = _checked_effort(effort)
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping):
        if thinking.get("type") == "disabled":
            effort = effort or "none"
        elif budget is None:
            budget = fields.optional_int(thinking, "budget_tokens")
    if body.get("enable_thinking") is False:
        effort = effort or "none"
    return Reasoning(effort=effort, budget=budget)


def _checked_effort(effort: Any) -> Effort | None:
    if effort is not None and (not isinstance(effort, str) or effort not in EFFORTS):
        raise BadRequest(
            "{field} must be one of {choices}",
            param="reasoning_effort",
            field="reasoning_effort",
            choices=", ".join(get_args(Effort)),
        )
    return effort  # type: ignore[return-value]  # just checked


def _read_format(body: Mapping[str, Any]) -> Format | None:
    given = body.get("response_format")
    if given is None:
        return None
    kind = fields.an_object(given, "response_format").get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return Format("json")
    if kind != "json_schema":
        raise BadRequest(
            "{field} must be one of {choices}",
            param="response_format.type",
            field="response_format.type",
            choices="text, json_object, json_schema",
        )
    asked = fields.an_object(given.get("json_schema"), "response_format.json_schema")
    schema = asked.get("schema")
    return Format(
        "schema",
        name=fields.optional_text(asked, "name"),
        description=fields.optional_text(asked, "description"),
        schema=fields.an_object(schema, "response_format.json_schema.schema") if schema else None,
        strict=fields.optional_bool(asked, "strict"),
    )


def _read_tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = [
        _read_tool(fields.an_object(tool, f"tools[{i}]"), f"tools[{i}]")
        for i, tool in enumerate(fields.a_list(body.get("tools") or [], "tools"))
    ]
    for i, function in enumerate(fields.a_list(body.get("functions") or [], "functions")):
        param = f"functions[{i}]"
        tools.append(_read_function(fields.an_object(function, param), param))
    return tuple(tools)


def _read_tool(tool: Mapping[str, Any], param: str) -> Tool:
    kind = tool.get("type", "function")
    if kind == "function":
        inner = f"{param}.function"
        return _read_function(fields.an_object(tool.get("function"), inner), inner)
    if kind == "custom":
        custom = fields.an_object(tool.get("custom"), f"{param}.custom")
        return Tool(
            fields.text(custom.get("name"), f"{param}.custom.name"),
            fields.optional_text(custom, "description", f"{param}.custom.description"),
            kind="custom",
            opaque=Opaque(NAME, dict(custom)),
        )
    return Tool(str(kind), kind="hosted", opaque=Opaque(NAME, dict(tool)))


def _read_function(function: Mapping[str, Any], param: str) -> Tool:
    schema = function.get("parameters")
    return Tool(
        fields.text(function.get("name"), f"{param}.name"),
        fields.optional_text(function, "description", f"{param}.description"),
        fields.an_object(schema, f"{param}.parameters") if schema is not None else None,
        fields.optional_bool(function, "strict"),
    )


def _read_tool_choice(body: Mapping[str, Any]) -> ToolChoice | None:
    parallel = fields.optional_bool(body, "parallel_tool_calls")
    given = body.get("tool_choice")
    if given is None:
        given = body.get("function_call")
    if given is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(given, str):
        if given not in ("auto", "none", "required"):
            raise BadRequest(
                "{field} must be one of {choices}",
                param="tool_choice",
                field="tool_choice",
                choices="auto, none, required",
            )
        return ToolChoice(given, parallel=parallel)  # type: ignore[arg-type]  # just checked
    choice = fields.an_object(given, "tool_choice")
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, Mapping):
        param = "tool_choice.allowed_tools.tools"
        tools = enumerate(fields.a_list(allowed.get("tools"), param))
        names = tuple(_named(one, f"{param}[{i}]") for i, one in tools)
        return ToolChoice(
            "required" if allowed.get("mode") == "required" else "auto", names, parallel
        )
    return ToolChoice("required", (_named(choice, "tool_choice"),), parallel)


def _named(given: Any, param: str) -> str:
    """The name of the tool; some clients leave out the object around it."""
    choice = fields.an_object(given, param)
    for kind in ("function", "custom"):
        if choice.get(kind) is not None or (choice.get("type") == kind and "name" not in choice):
            param = f"{param}.{kind}"
            inner = {} if choice.get(kind) is None else fields.an_object(choice[kind], param)
            return fields.text(inner.get("name"), f"{param}.name")
    return fields.text(choice.get("name"), f"{param}.name")


# ---------------------------------------------------------------- writing


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    body: dict[str, Any] = {"model": request.model, "messages": write_messages(request)}
    own = request.extras.value if request.extras and request.extras.dialect == NAME else {}
    body.update((name, value) for name, value in own.items() if name in OWN)
    body.update(_write_sampling(request.sampling))
    if request.max_output is not None:
        limit = min(request.max_output, facts.max_output or request.max_output)
        body["max_completion_tokens" if facts.modern_limit else "max_tokens"] = limit
    if effort := _effort(request.reasoning, facts):
        body["reasoning_effort"] = effort
    if request.format is not None:
        body["response_format"] = _write_format(request.format)
    if tools := [_write_tool(tool) for tool in request.tools if _ours(tool)]:
        body["tools"] = tools
        body.update(_write_tool_choice(request.tool_choice))
    for name, value in (
        ("safety_identifier", fitting(request.user)),
        ("prompt_cache_key", fitting(request.cache_key)),
        ("service_tier", request.service_tier),
        ("verbosity", request.verbosity),
    ):
        if value:
            body[name] = value
    if request.variants > 1:
        body["n"] = request.variants
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return drop_refused(body, facts)


def fitting(name: str) -> str:
    """A caller's own identifier, made to fit the vendor's 64 characters."""
    if len(name) <= LONGEST_NAME:
        return name
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def drop_refused(body: dict[str, Any], facts: ModelFacts) -> dict[str, Any]:
    """The same body without the fields this model answers with a 400 (K-037)."""
    refused = facts.refuses
    if body.get("tools") and not facts.tools_thinking and "none" in facts.efforts:
        body["reasoning_effort"] = (
            "none"  # the model takes either, and a tool that is missing breaks the caller
        )
    if body.get("reasoning_effort", "unsaid") != "none":
        refused = refused | facts.refuses_thinking
    for name in refused & body.keys():
        del body[name]
    return body


def _effort(reasoning: Reasoning, facts: ModelFacts) -> str | None:
    effort: str | None = reasoning.effort
    if effort is None and reasoning.budget is not None and facts.efforts:
        effort = effort_for(reasoning.budget)
    if effort is None or not facts.efforts or effort in facts.efforts:
        return effort
    return nearest(effort, facts.efforts)


def effort_for(budget: int) -> str:
    """The effort that a token budget roughly stands for."""
    if budget == 0:
        return "none"
    return "low" if 0 < budget < 4096 else "high" if budget >= 16384 else "medium"


def nearest(effort: str, efforts: tuple[str, ...]) -> str:
    """The listed effort closest to the one asked for; the lower of two."""
    order = get_args(Effort)
    place = order.index(effort)
    return min(efforts, key=lambda one: (abs(order.index(one) - place), order.index(one)))


def _write_sampling(sampling: Sampling) -> dict[str, Any]:
    names = (
        "temperature",
        "top_p",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
    )
    body = {name: value for name in names if (value := getattr(sampling, name)) is not None}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


def _write_format(asked: Format) -> dict[str, Any]:
    if asked.kind == "json":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": asked.name or "answer"}
    for name in ("description", "schema", "strict"):
        if (value := getattr(asked, name)) not in (None, ""):
            schema[name] = value
    return {"type": "json_schema", "json_schema": schema}


def _ours(tool: Tool) -> bool:
    return tool.kind != "hosted" or (tool.opaque is not None and tool.opaque.dialect == NAME)


def _write_tool(tool: Tool) -> dict[str, Any]:
    if tool.kind == "hosted" and tool.opaque is not None:
        return dict(tool.opaque.value)
    if tool.kind == "custom":
        custom = {"name": tool.name, "description": tool.description}
        if tool.opaque is not None and tool.opaque.dialect == NAME:
            custom = tool.opaque.value
        return {"type": "custom", "custom": custom}
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.schema or {"type": "object", "properties": {}}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _write_tool_choice(choice: ToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    written: dict[str, Any] = {}
    if choice.mode == "required" and len(choice.names) == 1:
        written["tool_choice"] = _reference(choice.names[0])
    elif choice.names:
        tools = [_reference(name) for name in choice.names]
        allowed = {"mode": choice.mode, "tools": tools}
        written["tool_choice"] = {"type": "allowed_tools", "allowed_tools": allowed}
    elif choice.mode != "auto" or choice.parallel is None:
        written["tool_choice"] = choice.mode
    if choice.parallel is not None:
        written["parallel_tool_calls"] = choice.parallel
    return written


def _reference(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}
