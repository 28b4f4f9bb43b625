"""The request of Anthropic's Messages, apart from its blocks.

`max_tokens` is mandatory and has to leave room for a thinking budget. Roles alternate, results answer calls in the very
next message, and most models refuse an answer that is already begun. What a model refuses stands in its facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.canonical.model import ModelFacts
from app.canonical.parts import Opaque, Text
from app.canonical.request import (
    ChatRequest,
    Format,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
    Turn,
)
from app.errors import BadRequest
from app.wire import fields
from app.wire.anthropic_blocks import NAME, read_blocks, write_blocks
from app.wire.anthropic_schema import sanitised

UNDERSTOOD = frozenset(
    """model messages system stream tools tool_choice temperature top_p top_k stop_sequences max_tokens
    thinking output_config metadata service_tier""".split()
)
DEFAULT_OUTPUT = 32_000
LEAST_BUDGET = 1024
BUDGETS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32000,
    "max": 64000,
}
EFFORTS = ("low", "medium", "high", "xhigh", "max")
CHOICES = {"auto": "auto", "none": "none", "required": "any"}
START, GO_ON = "(start)", "Continue."


# ---------------------------------------------------------------- reading


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    messages = fields.a_list(fields.required(body, "messages"), "messages")
    if not messages:
        raise BadRequest("{field} must not be empty", param="messages", field="messages")
    extras = {name: value for name, value in body.items() if name not in UNDERSTOOD}
    output = fields.an_object(body.get("output_config") or {}, "output_config")
    metadata = fields.an_object(body.get("metadata") or {}, "metadata")
    return ChatRequest(
        model=fields.text(fields.required(body, "model"), "model"),
        turns=tuple(_read_message(one, f"messages[{i}]") for i, one in enumerate(messages)),
        system=_read_system(body.get("system")),
        tools=_read_tools(body.get("tools")),
        tool_choice=_read_tool_choice(body.get("tool_choice")),
        sampling=Sampling(
            temperature=fields.optional_number(body, "temperature"),
            top_p=fields.optional_number(body, "top_p"),
            top_k=fields.optional_int(body, "top_k"),
            stop=tuple(
                one for one in fields.texts(body.get("stop_sequences"), "stop_sequences") if one
            ),
        ),
        reasoning=_read_reasoning(body.get("thinking"), output.get("effort")),
        format=_read_format(output.get("format")),
        max_output=fields.optional_int(body, "max_tokens", least=1),
        stream=fields.optional_bool(body, "stream") or False,
        user=fields.optional_text(metadata, "user_id", "metadata.user_id"),
        extras=Opaque(NAME, extras) if extras else None,
    )


def _read_message(message: Any, param: str) -> Turn:
    message = fields.an_object(message, param)
    role = message.get("role")
    if role not in ("user", "assistant", "system"):
        raise BadRequest(
            "{field} must be one of {choices}",
            param=f"{param}.role",
            field=f"{param}.role",
            choices="user, assistant, system",
        )
    content = message.get("content")
    return Turn(role, read_blocks("" if content is None else content, f"{param}.content"))


def _read_system(given: Any) -> tuple[Text, ...]:
    if given is None:
        return ()
    return tuple(part for part in read_blocks(given, "system") if isinstance(part, Text))


def _read_tools(given: Any) -> tuple[Tool, ...]:
    tools = enumerate(fields.a_list(given or [], "tools"))
    return tuple(
        _read_tool(fields.an_object(one, f"tools[{i}]"), f"tools[{i}]") for i, one in tools
    )


def _read_tool(tool: Mapping[str, Any], param: str) -> Tool:
    kind = tool.get("type")
    name = fields.optional_text(tool, "name", f"{param}.name")
    if kind not in (None, "custom"):
        return Tool(name, kind="hosted", opaque=Opaque(NAME, dict(tool)))
    schema = fields.an_object(tool.get("input_schema", {}), f"{param}.input_schema")
    known = {"name", "description", "input_schema", "strict", "type"}
    own = {one: value for one, value in tool.items() if one not in known}
    return Tool(
        fields.text(tool.get("name"), f"{param}.name"),
        fields.optional_text(tool, "description", f"{param}.description"),
        schema,
        fields.optional_bool(tool, "strict"),
        opaque=Opaque(NAME, own) if own else None,
    )


def _read_tool_choice(given: Any) -> ToolChoice | None:
    if given is None:
        return None
    given = fields.an_object(given, "tool_choice")
    parallel = False if given.get("disable_parallel_tool_use") is True else None
    match given.get("type"):
        case "auto":
            return ToolChoice("auto", (), parallel)
        case "none":
            return ToolChoice("none", (), parallel)
        case "any":
            return ToolChoice("required", (), parallel)
        case "tool":
            name = fields.text(given.get("name"), "tool_choice.name")
            return ToolChoice("required", (name,), parallel)
        case _:
            raise BadRequest(
                "{field} must be one of {choices}",
                param="tool_choice.type",
                field="tool_choice.type",
                choices="auto, any, tool, none",
            )


def _read_reasoning(given: Any, effort: Any) -> Reasoning:
    effort = effort if effort in EFFORTS else None
    if given is None:
        return Reasoning(effort=effort)
    thinking = fields.an_object(given, "thinking")
    display = thinking.get("display")
    visible = None if display is None else display != "omitted"
    if thinking.get("type") == "disabled":
        return Reasoning(effort="none", visible=False)
    budget = fields.optional_int(thinking, "budget_tokens")
    if budget is None and effort is None and thinking.get("type") == "adaptive":
        effort = "medium"
    return Reasoning(effort=effort, budget=budget, visible=visible)


def _read_format(given: Any) -> Format | None:
    if given is None:
        return None
    asked = fields.an_object(given, "output_config.format")
    schema = fields.an_object(asked.get("schema", {}), "output_config.format.schema")
    return Format("schema", schema=schema)


# ---------------------------------------------------------------- writing


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    forced = request.tool_choice is not None and request.tool_choice.mode == "required"
    thinking, effort = _write_thinking(request, facts, forced and bool(request.tools))
    is_thinking = thinking.get("type") in ("enabled", "adaptive")
    body: dict[str, Any] = {"model": request.model}
    body["max_tokens"] = _limit(request, facts, thinking)
    system = [_system_block(part) for part in request.system if part.text.strip()]
    messages = _write_messages(request, facts, replay=thinking.get("type") != "disabled")
    if not messages:  # there is only a system text: say it as the user
        messages, system = [{"role": "user", "content": system or START}], []
    if note := _tool_note(request, facts):
        system.append({"type": "text", "text": note})
    if request.format is not None and request.format.kind == "json":
        words = "Answer with one JSON object and nothing else, without code fences."
        system.append({"type": "text", "text": words})
    if system:
        body["system"] = system
    body["messages"] = messages
    body |= _write_sampling(request, facts, is_thinking)
    body |= _write_tools(request, facts)
    if thinking:
        body["thinking"] = thinking
    if output := _write_output(request, facts, effort):
        body["output_config"] = output
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.service_tier in ("auto", "default"):
        body["service_tier"] = "auto" if request.service_tier == "auto" else "standard_only"
    if request.stream:
        body["stream"] = True
    refused = facts.refuses | (facts.refuses_thinking if is_thinking else frozenset())
    return {name: value for name, value in body.items() if name not in refused}


def _system_block(part: Text) -> dict[str, Any]:
    marks = part.opaque.value if part.opaque is not None and part.opaque.dialect == NAME else {}
    mark = marks.get("cache_control") if isinstance(marks, dict) else None
    return {"type": "text", "text": part.text} | ({"cache_control": mark} if mark else {})


def _limit(request: ChatRequest, facts: ModelFacts, thinking: dict[str, Any]) -> int:
    most = facts.max_output or request.max_output or DEFAULT_OUTPUT
    limit = min(request.max_output or facts.default_output or DEFAULT_OUTPUT, most)
    budget = thinking.get("budget_tokens")
    if budget is not None and limit <= budget:
        limit = min(budget + limit, most)
        if limit <= budget:
            thinking["budget_tokens"] = max(LEAST_BUDGET, limit - LEAST_BUDGET)
    return limit


def _write_thinking(
    request: ChatRequest, facts: ModelFacts, forced: bool
) -> tuple[dict[str, Any], str | None]:
    """The `thinking` field, and the effort that goes into `output_config`."""
    asked = request.reasoning
    if facts.thinks == "never":
        return {}, None
    off = asked.effort == "none" or asked.budget == 0
    if forced and not facts.forced_tools_thinking and facts.forced_tools:
        off = True  # the caller needs the tool more than the thought
    wants = asked.effort not in (None, "none") or asked.budget not in (None, 0)
    if facts.thinks == "budget":
        if off or not wants:
            return {}, _known(asked.effort, facts)
        return _budget(request, facts), _known(asked.effort, facts)
    if off:
        thinking = {"type": "disabled"} if facts.can_disable else {}
        return thinking, None if facts.can_disable else _known("low", facts)
    if not wants:
        return {}, None
    return {"type": "adaptive", "display": "summarized"}, _known(_effort(asked), facts)


def _budget(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    asked = request.reasoning
    budget = asked.budget if asked.budget is not None and asked.budget > 0 else None
    if budget is None:
        budget = BUDGETS.get(asked.effort or "medium", BUDGETS["medium"])
    most = facts.budget_most or (facts.max_output - 4096 if facts.max_output else budget)
    return {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, min(budget, most))}


def _effort(asked: Reasoning) -> str:
    if asked.effort is not None:
        return "low" if asked.effort == "minimal" else asked.effort
    budget = asked.budget or 0
    return "low" if 0 < budget < 4096 else "high" if budget >= 16384 else "medium"


def _known(effort: str | None, facts: ModelFacts) -> str | None:
    """The effort as far as the model knows it; the next lower one where it does not."""
    if effort in (None, "none") or not facts.efforts:
        return None
    place = EFFORTS.index("low" if effort == "minimal" else str(effort))
    lower = [one for one in EFFORTS[: place + 1] if one in facts.efforts]
    return lower[-1] if lower else None


def _write_sampling(request: ChatRequest, facts: ModelFacts, thinking: bool) -> dict[str, Any]:
    given = request.sampling
    body: dict[str, Any] = {}
    if given.temperature is not None and not thinking:
        body["temperature"] = min(given.temperature, 1.0)
    if given.top_p is not None and ("temperature" not in body or "temperature" in facts.refuses):
        if not thinking or 0.95 <= given.top_p <= 1:
            body["top_p"] = given.top_p
    if given.top_k is not None and not thinking:
        body["top_k"] = given.top_k
    if stop := [one for one in given.stop if one.strip()]:
        body["stop_sequences"] = stop
    return body


def _write_output(request: ChatRequest, facts: ModelFacts, effort: str | None) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if effort is not None:
        output["effort"] = effort
    if request.format is not None and request.format.kind == "schema":
        schema = sanitised(request.format.schema or {"type": "object"})
        output["format"] = {"type": "json_schema", "schema": schema}
    return output


def _write_tools(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    names = request.tool_choice.names if request.tool_choice is not None else ()
    allowed = request.tools
    if len(names) > 1:
        allowed = tuple(tool for tool in request.tools if tool.name in names)
    tools = [written for tool in allowed if (written := _write_tool(tool))]
    if not tools:
        return {}
    body: dict[str, Any] = {"tools": tools}
    if choice := _write_tool_choice(request.tool_choice, facts):
        body["tool_choice"] = choice
    return body


def _write_tool(tool: Tool) -> dict[str, Any] | None:
    ours = tool.opaque is not None and tool.opaque.dialect == NAME
    if tool.kind == "hosted":
        return dict(tool.opaque.value) if ours and tool.opaque is not None else None
    schema = dict(tool.schema or {})
    if tool.kind == "custom":
        schema = {"properties": {"input": {"type": "string"}}, "required": ["input"]}
    schema.setdefault("type", "object")
    schema.setdefault("properties", {})
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = schema
    if tool.strict and tool.kind == "function":
        written |= {"strict": True, "input_schema": sanitised(schema)}
    return written | (tool.opaque.value if ours and tool.opaque is not None else {})


def _write_tool_choice(choice: ToolChoice | None, facts: ModelFacts) -> dict[str, Any]:
    if choice is None:
        return {}
    written: dict[str, Any] = {"type": CHOICES[choice.mode]}
    if choice.mode == "required":
        if not facts.forced_tools:
            written = {"type": "auto"}
        elif len(choice.names) == 1:
            written = {"type": "tool", "name": choice.names[0]}
    if choice.parallel is False and choice.mode != "none":
        written["disable_parallel_tool_use"] = True
    return written


def _tool_note(request: ChatRequest, facts: ModelFacts) -> str:
    """A sentence in place of a forced choice, for models that refuse one."""
    choice = request.tool_choice
    if choice is None or choice.mode != "required" or facts.forced_tools or not request.tools:
        return ""
    which = f"the tool {choice.names[0]}" if len(choice.names) == 1 else "one of the tools"
    return f"Call {which} now; do not answer in words."


# ---------------------------------------------------------------- messages


def _write_messages(
    request: ChatRequest, facts: ModelFacts, *, replay: bool
) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in request.turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = write_blocks(turn.parts, assistant=role == "assistant", replay=replay)
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    for message in messages:
        if message["role"] == "user":
            message["content"].sort(key=lambda block: block["type"] != "tool_result")
    _check_pairs(messages)
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": START})
    if messages and messages[-1]["role"] == "assistant":
        _end_with_user(messages, facts)
    return [_plain(message) for message in messages]


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if len(content) == 1 and isinstance(content, list) and content[0].keys() == {"type", "text"}:
        return {"role": message["role"], "content": content[0]["text"]}
    return message


def _end_with_user(messages: list[dict[str, Any]], facts: ModelFacts) -> None:
    last = messages[-1]["content"][-1]
    if not facts.prefill:
        messages.append({"role": "user", "content": GO_ON})
    elif last["type"] == "text":
        last["text"] = last["text"].rstrip()


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Every call is answered in the next message, and every answer has its call: the platform insists on both."""
    for place, message in enumerate(messages):
        content = message["content"] if isinstance(message["content"], list) else []
        called = {block["id"] for block in content if block["type"] == "tool_use"}
        after = messages[place + 1]["content"] if place + 1 < len(messages) else []
        answered = {b["tool_use_id"] for b in after if b["type"] == "tool_result"}
        if called - answered and place + 1 < len(messages):
            raise BadRequest(
                "the calls {calls} have no result in the message that follows",
                param="messages",
                calls=", ".join(sorted(called - answered)),
            )
        results = {b["tool_use_id"] for b in content if b["type"] == "tool_result"}
        before = messages[place - 1]["content"] if place else []
        known = {b["id"] for b in before if b["type"] == "tool_use"}
        if results - known:
            raise BadRequest(
                "the results {calls} answer no call in the message before",
                param="messages",
                calls=", ".join(sorted(results - known)),
            )
