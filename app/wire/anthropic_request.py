"""The request of Anthropic's Messages, apart from its blocks.

`max_tokens` is mandatory and has to leave room for a thinking budget. Roles alternate, results
answer calls in the very next message, and most models refuse an answer that is already begun. What
a model refuses stands in its facts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

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
from app.wire.anthropic_blocks import NAME, fitting_id, own, read_blocks, write_blocks
from app.wire.anthropic_schema import object_schema, sanitised
from app.wire.output import asked_in, lowered

UNDERSTOOD = frozenset(
    """model messages system stream tools tool_choice temperature top_p top_k stop_sequences max_tokens
    thinking output_config metadata service_tier""".split()
)
DEFAULT_OUTPUT = 32_000
LEAST_BUDGET = 1024
ROOM = 4096  # what a budget leaves for the answer
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
TIERS = {"auto": "auto", "standard_only": "default"}
SERVICE_TIERS = {"auto": "auto", "default": "standard_only"}
START, GO_ON = "(start)", "Continue."
JSON_ONLY = "Answer with one JSON object and nothing else, without code fences."
FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}  # what a tool that takes no JSON becomes
LONGEST_USER = 256
LEAST_TOP_P = 0.95  # while it thinks


def output_limit(body: Mapping[str, Any]) -> int | None:
    return asked_in(body, "max_tokens")


def with_output_limit(body: Mapping[str, Any], most: int) -> dict[str, Any]:
    """With a budget for thoughts that leaves room for words, or without thoughts."""
    body = lowered(body, most, "max_tokens")
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping) or (asked_in(thinking, "budget_tokens") or 0) < most:
        return body
    if most <= LEAST_BUDGET:
        return {name: value for name, value in body.items() if name != "thinking"}
    return body | {"thinking": {**thinking, "budget_tokens": max(most // 2, LEAST_BUDGET)}}


# ---------------------------------------------------------------- reading


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    messages = fields.a_list(fields.required(body, "messages"), "messages")
    if not messages:
        raise BadRequest("{field} must not be empty", param="messages", field="messages")
    extras = {name: value for name, value in body.items() if name not in UNDERSTOOD}
    output = _optional_object(body, "output_config")
    metadata = _optional_object(body, "metadata")
    tier = fields.optional_text(body, "service_tier")
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
        service_tier=TIERS.get(tier, tier),
        extras=Opaque(NAME, extras) if extras else None,
    )


def _optional_object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return {} if value is None else fields.an_object(value, name)


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
    param = f"{param}.content"
    return Turn(role, read_blocks(fields.required(message, "content", param), param))


def _read_system(given: Any) -> tuple[Text, ...]:
    if given is None:
        return ()
    parts = read_blocks(given, "system")
    for i, part in enumerate(parts):
        if not isinstance(part, Text):
            raise BadRequest(
                "{field} must be one of {choices}",
                param=f"system[{i}].type",
                field=f"system[{i}].type",
                choices="text",
            )
    return tuple(part for part in parts if isinstance(part, Text))


def _read_tools(given: Any) -> tuple[Tool, ...]:
    tools = enumerate(fields.a_list([] if given is None else given, "tools"))
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
    if given is None:  # clients do not expect thoughts they have not asked for
        return Reasoning(effort=effort, told=False)
    thinking = fields.an_object(given, "thinking")
    if thinking.get("type") == "disabled":
        return Reasoning(effort="none", visible=False, told=False)
    display = thinking.get("display")
    visible = None if display is None else display != "omitted"
    budget = fields.optional_int(thinking, "budget_tokens", least=0)
    if budget is None and effort is None:
        budget = -1  # as much as the model likes
    return Reasoning(effort=effort, budget=budget, visible=visible)


def _read_format(given: Any) -> Format | None:
    if given is None:
        return None
    asked = fields.an_object(given, "output_config.format")
    schema = fields.an_object(asked.get("schema", {}), "output_config.format.schema")
    return Format("schema", schema=schema)


# ---------------------------------------------------------------- writing


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    messages = _write_messages(request, facts)
    if facts.thinks == "budget" and _thoughts_lost(messages):
        request = replace(request, reasoning=Reasoning(effort="none"))
    thinking, effort = _write_thinking(request, facts)
    system = _write_system(request, facts)
    if not messages:  # there is only a system text: say it as the user
        messages, system = [{"role": "user", "content": system or START}], []
    body: dict[str, Any] = dict(own(request.extras))
    body["model"] = request.model
    body["max_tokens"] = _limit(request, facts, thinking)
    if system:
        body["system"] = system
    body["messages"] = messages
    is_thinking = _is_thinking(thinking, facts)
    body |= _write_sampling(request, facts, is_thinking)
    body |= _write_tools(request, facts)
    if thinking:
        body["thinking"] = thinking
    if output := _write_output(request, effort):
        body["output_config"] = output
    body |= _write_caller(request)
    refused = facts.refuses | (facts.refuses_thinking if is_thinking else frozenset())
    return {name: value for name, value in body.items() if name not in refused}


def _write_caller(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if request.user:
        body["metadata"] = {"user_id": _nameless(request.user)}
    if request.service_tier:
        body["service_tier"] = SERVICE_TIERS.get(request.service_tier, "auto")
    if request.stream:
        body["stream"] = True
    return body


def _nameless(user: str) -> str:
    """The platform wants an id there, not who it is."""
    if "@" in user or len(user) > LONGEST_USER:
        return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    return user


def _write_system(request: ChatRequest, facts: ModelFacts) -> list[dict[str, Any]]:
    system = [_system_block(part) for part in request.system if part.text.strip()]
    notes = (_tool_note(request, facts), _format_note(request.format))
    return system + [{"type": "text", "text": note} for note in notes if note]


def _system_block(part: Text) -> dict[str, Any]:
    mark = own(part.opaque).get("cache_control")
    return {"type": "text", "text": part.text} | ({"cache_control": mark} if mark else {})


def _format_note(form: Format | None) -> str:
    """What is asked for in words, because the platform cannot be held to it otherwise."""
    if form is None or (form.kind == "schema" and _enforced(form) is not None):
        return ""
    if not form.schema:
        return JSON_ONLY
    schema = orjson.dumps(dict(form.schema)).decode()
    return f"{JSON_ONLY} It must fit this JSON Schema: {schema}"


def _enforced(form: Format) -> dict[str, Any] | None:
    return sanitised(form.schema) if form.schema else None


def _limit(request: ChatRequest, facts: ModelFacts, thinking: dict[str, Any]) -> int:
    most = facts.max_output or request.max_output or DEFAULT_OUTPUT
    limit = min(request.max_output or facts.default_output or DEFAULT_OUTPUT, most)
    budget = thinking.get("budget_tokens")
    if budget is not None and limit <= budget:
        limit = min(budget + limit, most)
        if limit <= LEAST_BUDGET:
            thinking.clear()  # not enough for the shortest thought
        elif limit <= budget:
            thinking["budget_tokens"] = max(LEAST_BUDGET, limit - LEAST_BUDGET)
    return limit


def _write_thinking(request: ChatRequest, facts: ModelFacts) -> tuple[dict[str, Any], str | None]:
    """The `thinking` field, and the effort that goes into `output_config`."""
    asked = request.reasoning
    if facts.thinks == "never":
        return {}, None
    off = asked.effort == "none" or asked.budget == 0 or _tool_comes_first(request, facts)
    wants = bool(asked.effort or asked.budget or asked.visible)
    effort = _known(_effort(asked), facts)
    if facts.thinks == "budget":
        return (_budget(request, facts) if wants and not off else {}), effort
    if off:
        return ({"type": "disabled"}, None) if facts.can_disable else ({}, _known("low", facts))
    if not wants:
        return {}, None
    display = "summarized" if asked.told and asked.visible is not False else "omitted"
    return {"type": "adaptive", "display": display}, effort


def _tool_comes_first(request: ChatRequest, facts: ModelFacts) -> bool:
    """The caller needs the tool it forces more than the thought."""
    forced = request.tool_choice is not None and request.tool_choice.mode == "required"
    return forced and bool(request.tools) and facts.forced_tools and not facts.forced_tools_thinking


def _is_thinking(thinking: dict[str, Any], facts: ModelFacts) -> bool:
    return thinking.get("type", "" if not facts.thinks_unasked else "adaptive") not in (
        "",
        "disabled",
    )


def _thoughts_lost(messages: list[dict[str, Any]]) -> bool:
    """A model that thinks by budget wants the thought back that led to a call, and refuses to think
    without it.
    """
    said = [message["content"] for message in messages if message["role"] == "assistant"]
    blocks = said[-1] if said and isinstance(said[-1], list) else []
    called = any(block["type"] == "tool_use" for block in blocks)
    return called and blocks[0]["type"] not in ("thinking", "redacted_thinking")


def _budget(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    asked = request.reasoning
    budget = asked.budget if asked.budget is not None and asked.budget > 0 else None
    if budget is None:
        budget = BUDGETS.get(asked.effort or "medium", BUDGETS["medium"])
    most = facts.budget_most or (facts.max_output - ROOM if facts.max_output else budget)
    return {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, min(budget, most))}


def _effort(asked: Reasoning) -> str | None:
    if asked.effort is not None:
        return "low" if asked.effort == "minimal" else asked.effort
    budget = asked.budget or 0
    if budget <= 0:
        return None
    return "low" if budget < 4096 else "high" if budget >= 16384 else "medium"


def _known(effort: str | None, facts: ModelFacts) -> str | None:
    """The effort as far as the model knows it; the next lower one where it does not."""
    if effort in (None, "none"):
        return None
    if not facts.efforts:  # of a model nobody has described, the platform is to judge
        return effort if facts.thinks == "effort" else None
    place = EFFORTS.index(str(effort))
    lower = [one for one in EFFORTS[: place + 1] if one in facts.efforts]
    return lower[-1] if lower else None


def _write_sampling(request: ChatRequest, facts: ModelFacts, thinking: bool) -> dict[str, Any]:
    given = request.sampling
    body: dict[str, Any] = {}
    if given.temperature is not None and not thinking:
        body["temperature"] = min(given.temperature, 1.0)
    if given.top_p is not None and ("temperature" not in body or "temperature" in facts.refuses):
        if not thinking or LEAST_TOP_P <= given.top_p <= 1:
            body["top_p"] = given.top_p
    if given.top_k is not None and not thinking:
        body["top_k"] = given.top_k
    if stop := [one for one in given.stop if one.strip()]:
        body["stop_sequences"] = stop
    return body


def _write_output(request: ChatRequest, effort: str | None) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if effort is not None:
        output["effort"] = effort
    if request.format is not None and (schema := _enforced(request.format)) is not None:
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
    marks = dict(own(tool.opaque))
    if tool.kind == "hosted":
        return marks or None
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.kind == "custom":
        written["input_schema"] = FREE_TEXT
        return written | marks
    written["input_schema"] = object_schema(tool.schema)
    if tool.strict and (schema := sanitised(written["input_schema"])) is not None:
        written |= {"strict": True, "input_schema": schema}
    return written | marks


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


def _write_messages(request: ChatRequest, facts: ModelFacts) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for place, turn in enumerate(request.turns):
        role = _role(request.turns, place, messages, facts)
        blocks = write_blocks(turn.parts, assistant=role == "assistant")
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
    _tell_calls_apart(messages)
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": START})
    if messages and messages[-1]["role"] == "assistant":
        _end_with_user(messages, request, facts)
    return [_plain(message) for message in messages]


def _role(
    turns: tuple[Turn, ...], place: int, messages: list[dict[str, Any]], facts: ModelFacts
) -> str:
    """A system text in mid-conversation stays in its place: as itself where the model takes it,
    else as the user's.
    """
    role = turns[place].role
    if role != "system":
        return role
    after = next((turn.role for turn in turns[place + 1 :] if turn.role != "system"), "assistant")
    follows = bool(messages) and messages[-1]["role"] in ("user", "system")
    return "system" if facts.system_turns and follows and after == "assistant" else "user"


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if len(content) == 1 and isinstance(content, list) and content[0].keys() == {"type", "text"}:
        return {"role": message["role"], "content": content[0]["text"]}
    return message


def _end_with_user(messages: list[dict[str, Any]], request: ChatRequest, facts: ModelFacts) -> None:
    last = messages[-1]["content"][-1]
    if last["type"] == "server_tool_use":
        return  # a paused answer goes back as it was
    if not facts.prefill or request.format is not None:
        messages.append({"role": "user", "content": GO_ON})
    elif last["type"] == "text":
        last["text"] = last["text"].rstrip()


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Every call is answered in the next message, and every answer has its call: the platform
    insists on both.
    """
    called: set[str] = set()
    for message in [*messages, {"content": []}]:
        blocks = message["content"]
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if called - answered:
            raise BadRequest(
                "the calls {calls} have no result in the message that follows",
                param="messages",
                calls=", ".join(sorted(called - answered)),
            )
        if answered - called:
            raise BadRequest(
                "the results {calls} answer no call in the message before",
                param="messages",
                calls=", ".join(sorted(answered - called)),
            )
        called = {block["id"] for block in blocks if block["type"] == "tool_use"}


def _tell_calls_apart(messages: list[dict[str, Any]]) -> None:
    """Gives a call a name of its own where an earlier one has it: some platforms count anew in
    every turn.

    The new name depends only on what came before, so that it stays the same as the conversation
    grows.
    """
    seen: set[str] = set()
    for place, message in enumerate(messages):
        given: dict[str, list[str]] = {}
        for block in message["content"]:
            if block["type"] == "tool_use":
                old = block["id"]
                if old in seen:
                    block["id"] = fitting_id(f"{old} #{len(seen)}")
                seen.add(block["id"])
                given.setdefault(old, []).append(block["id"])
        for block in messages[place + 1]["content"] if given else ():
            if block["type"] == "tool_result" and (ids := given.get(block["tool_use_id"])):
                block["tool_use_id"] = ids.pop(0)
