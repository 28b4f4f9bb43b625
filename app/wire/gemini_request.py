"""The request of Google's generateContent, apart from its contents.

The model and the choice to stream travel in the path; the view puts them into the body it hands over. Schemas come in two
spellings, and so do most names: Google's libraries write camelCase, people write snake_case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    Turn,
)
from app.errors import BadRequest
from app.wire import fields
from app.wire.gemini_parts import NAME, read_contents, write_contents

UNDERSTOOD = frozenset({"model", "stream", "contents", "systemInstruction", "tools", "toolConfig"})
SETTINGS = frozenset(
    """temperature topP topK seed presencePenalty frequencyPenalty stopSequences maxOutputTokens candidateCount
    responseMimeType responseSchema responseJsonSchema thinkingConfig responseLogprobs logprobs""".split()
)  # of generationConfig; what is not here stays Google's own
HOSTED = {
    "codeExecution": "codeExecution",
    "googleSearch": "googleSearch",
    "urlContext": "urlContext",
}
LEVELS: dict[str, str] = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
BUDGETS = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
EFFORTS: dict[str, Effort] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
}
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
START, GO_ON = "(start)", "Continue."


# ---------------------------------------------------------------- reading


def camel(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with its names in camelCase, one level deep."""
    return {_camel(name): value for name, value in given.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    body = camel(body)
    config = camel(fields.an_object(body.pop("generationConfig", None) or {}, "generationConfig"))
    thinking = camel(fields.an_object(config.get("thinkingConfig") or {}, "thinkingConfig"))
    own = {name: value for name, value in body.items() if name not in UNDERSTOOD}
    if kept := {name: value for name, value in config.items() if name not in SETTINGS}:
        own["generationConfig"] = kept
    system = body.get("systemInstruction")
    logprobs = fields.optional_int(config, "logprobs")
    return ChatRequest(
        model=fields.text(fields.required(body, "model"), "model").removeprefix("models/"),
        turns=read_contents(fields.required(body, "contents")),
        system=_read_system(system) if system is not None else (),
        tools=_read_tools(body.get("tools")),
        tool_choice=_read_tool_choice(body.get("toolConfig")),
        sampling=Sampling(
            temperature=fields.optional_number(config, "temperature"),
            top_p=fields.optional_number(config, "topP"),
            top_k=fields.optional_int(config, "topK"),
            seed=fields.optional_int(config, "seed"),
            presence_penalty=fields.optional_number(config, "presencePenalty"),
            frequency_penalty=fields.optional_number(config, "frequencyPenalty"),
            stop=tuple(
                one for one in fields.texts(config.get("stopSequences"), "stopSequences") if one
            ),
            logprobs=fields.optional_bool(config, "responseLogprobs"),
            top_logprobs=logprobs,
        ),
        reasoning=_read_reasoning(thinking),
        format=_read_format(config),
        max_output=fields.optional_int(config, "maxOutputTokens", least=1),
        stream=body.get("stream") is True,
        variants=fields.optional_int(config, "candidateCount", least=1) or 1,
        extras=Opaque(NAME, own) if own else None,
    )


def _read_system(system: Any) -> tuple[Text, ...]:
    turns = read_contents([system] if isinstance(system, Mapping) else system)
    return tuple(part for turn in turns for part in turn.parts if isinstance(part, Text))


def _read_reasoning(thinking: dict[str, Any]) -> Reasoning:
    level = thinking.get("thinkingLevel")
    effort = EFFORTS.get(level.upper()) if isinstance(level, str) else None
    budget = fields.optional_int(thinking, "thinkingBudget")
    return Reasoning(effort, budget, fields.optional_bool(thinking, "includeThoughts"))


def _read_format(config: dict[str, Any]) -> Format | None:
    schema = config.get("responseJsonSchema")
    if schema is None and (given := config.get("responseSchema")) is not None:
        schema = plain_schema(fields.an_object(given, "responseSchema"))
    if schema is not None:
        schema = fields.an_object(schema, "responseJsonSchema")
        return Format("schema", name="response", schema=schema)
    return Format("json") if config.get("responseMimeType") == "application/json" else None


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Google's OpenAPI spelling as plain JSON Schema: lower-case types, null as a type."""
    made: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "type" and isinstance(value, str):
            made[name] = value.lower()
        elif name == "properties" and isinstance(value, Mapping):
            made[name] = {one: _inner(inner) for one, inner in value.items()}
        elif name == "items":
            made[name] = _inner(value)
        elif name in ("anyOf", "any_of") and isinstance(value, list):
            made["anyOf"] = [_inner(one) for one in value]
        elif name not in ("nullable", "propertyOrdering", "example"):
            made[name] = value
    if schema.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def _inner(value: Any) -> Any:
    return plain_schema(value) if isinstance(value, Mapping) else value


def _read_tools(given: Any) -> tuple[Tool, ...]:
    if isinstance(given, Mapping):
        given = [given]
    tools: list[Tool] = []
    for i, tool in enumerate(fields.a_list(given or [], "tools")):
        entry = camel(fields.an_object(tool, f"tools[{i}]"))
        declared = fields.a_list(entry.pop("functionDeclarations", None) or [], f"tools[{i}]")
        for j, function in enumerate(declared):
            param = f"tools[{i}].functionDeclarations[{j}]"
            tools.append(_read_function(camel(fields.an_object(function, param)), param))
        tools += [
            Tool(name, kind="hosted", opaque=Opaque(NAME, {name: value}))
            for name, value in entry.items()
        ]
    return tuple(tools)


def _read_function(function: dict[str, Any], param: str) -> Tool:
    schema = function.get("parametersJsonSchema")
    if schema is None and function.get("parameters") is not None:
        schema = plain_schema(fields.an_object(function["parameters"], f"{param}.parameters"))
    return Tool(
        fields.text(function.get("name"), f"{param}.name"),
        fields.optional_text(function, "description", f"{param}.description"),
        fields.an_object(schema, f"{param}.parametersJsonSchema") if schema is not None else None,
    )


def _read_tool_choice(given: Any) -> ToolChoice | None:
    if given is None:
        return None
    config = camel(fields.an_object(given, "toolConfig")).get("functionCallingConfig")
    if config is None:
        return None
    config = camel(fields.an_object(config, "toolConfig.functionCallingConfig"))
    mode = config.get("mode")
    names = fields.texts(config.get("allowedFunctionNames"), "allowedFunctionNames")
    if mode == "ANY":
        return ToolChoice("required", names)
    return ToolChoice("none") if mode == "NONE" else ToolChoice("auto", names)


# ---------------------------------------------------------------- writing


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    own = request.extras.value if request.extras and request.extras.dialect == NAME else {}
    body: dict[str, Any] = {
        name: value for name, value in own.items() if name != "generationConfig"
    }
    contents = write_contents(_as_turns(request), signed=facts.signatures)
    system = [{"text": part.text} for part in request.system if part.text]
    if not contents:  # there is only a system text: say it as the user
        contents, system = [{"role": "user", "parts": system or [{"text": START}]}], []
    if contents[0]["role"] == "model":
        contents.insert(0, {"role": "user", "parts": [{"text": START}]})
    if contents[-1]["role"] == "model" and not facts.prefill:
        contents.append({"role": "user", "parts": [{"text": GO_ON}]})
    body["contents"] = contents
    tools = _write_tools(request)
    config = dict(own.get("generationConfig") or {}) | _write_config(request, facts)
    if request.format is not None:
        _write_format(
            request.format, config, system, alone=not tools or facts.forced_tools_thinking
        )
    if system:
        body["systemInstruction"] = {"parts": system}
    if tools:
        body["tools"] = tools
        if choice := _write_tool_choice(request.tool_choice, tools):
            body["toolConfig"] = choice
    refused = facts.refuses
    if kept := {name: value for name, value in config.items() if name not in refused}:
        body["generationConfig"] = kept
    if request.service_tier in ("default", "flex", "priority"):
        body["serviceTier"] = request.service_tier.replace("default", "standard")
    return body


def _as_turns(request: ChatRequest) -> tuple[Turn, ...]:
    """System texts in mid-conversation have no place here; they become the user's."""
    return tuple(
        Turn("user", turn.parts) if turn.role == "system" else turn for turn in request.turns
    )


def _write_config(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    given = request.sampling
    config: dict[str, Any] = {
        "temperature": given.temperature,
        "topP": given.top_p,
        "topK": given.top_k,
        "seed": given.seed,
        "presencePenalty": given.presence_penalty,
        "frequencyPenalty": given.frequency_penalty,
        "responseLogprobs": given.logprobs,
        "logprobs": given.top_logprobs if given.logprobs else None,
    }
    if request.max_output is not None:
        config["maxOutputTokens"] = min(request.max_output, facts.max_output or request.max_output)
    if given.stop:
        config["stopSequences"] = list(given.stop)
    if thinking := _write_thinking(request.reasoning, facts):
        config["thinkingConfig"] = thinking
    return {name: value for name, value in config.items() if value is not None}


def _write_thinking(asked: Reasoning, facts: ModelFacts) -> dict[str, Any]:
    """In the model's own currency, with the thoughts in words unless they are not wanted."""
    if facts.thinks == "never":
        return {}
    wants = asked.effort is not None or asked.budget is not None
    thinking: dict[str, Any] = {}
    if facts.thinks == "budget" and wants:
        thinking["thinkingBudget"] = _budget(asked, facts)
    elif facts.thinks == "level" and wants:
        if level := _level(asked, facts):
            thinking["thinkingLevel"] = level
    elif asked.budget is not None:
        thinking["thinkingBudget"] = asked.budget
    if asked.visible is not False and (facts.thinks in ("budget", "level")):
        if thinking.get("thinkingBudget") != 0:
            thinking["includeThoughts"] = True
    return thinking


def _budget(asked: Reasoning, facts: ModelFacts) -> int:
    budget = asked.budget
    if budget is None:
        budget = 0 if asked.effort == "none" else BUDGETS.get(asked.effort or "medium", 8192)
    if budget == -1:
        return -1
    if budget == 0 and facts.can_disable:
        return 0
    return max(facts.budget_least, min(budget, facts.budget_most or budget))


def _level(asked: Reasoning, facts: ModelFacts) -> str:
    if asked.effort is not None:
        wanted = LEVELS.get(asked.effort, "MINIMAL")
    else:
        budget = asked.budget or 0
        if budget < 0:
            return ""
        wanted = "MINIMAL" if budget == 0 else "LOW" if budget <= 4096 else "MEDIUM"
        wanted = "HIGH" if budget >= 16384 else wanted
    order = ["MINIMAL", "LOW", "MEDIUM", "HIGH"]
    known = [one for one in order if one.lower() in facts.efforts] or order
    place = order.index(wanted)
    return min(known, key=lambda one: (abs(order.index(one) - place), -order.index(one)))


def _write_format(
    asked: Format, config: dict[str, Any], system: list[dict[str, Any]], *, alone: bool
) -> None:
    if not alone:  # older models take either tools or a JSON answer
        system.append({"text": "Answer with JSON and nothing else, without code fences."})
        return
    config["responseMimeType"] = "application/json"
    if asked.kind == "schema" and asked.schema:
        config["responseJsonSchema"] = dict(asked.schema)


def _write_tools(request: ChatRequest) -> list[dict[str, Any]]:
    names = request.tool_choice.names if request.tool_choice is not None else ()
    narrowed = request.tool_choice is not None and request.tool_choice.mode == "auto" and names
    declared: list[dict[str, Any]] = []
    tools: list[dict[str, Any]] = []
    for tool in request.tools:
        if tool.kind == "hosted":
            if tool.opaque is not None and tool.opaque.dialect == NAME:
                tools.append(dict(tool.opaque.value))
        elif tool.name in HOSTED:
            tools.append({HOSTED[tool.name]: {}})
        elif not narrowed or tool.name in names:
            declared.append(_write_function(tool))
    return ([{"functionDeclarations": declared}] if declared else []) + tools


def _write_function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description or tool.name}
    if tool.kind == "custom":
        schema: Mapping[str, Any] | None = {"properties": {"input": {"type": "string"}}}
    else:
        schema = tool.schema
    if schema:
        function["parametersJsonSchema"] = {"type": "object"} | dict(schema)
    return function


def _write_tool_choice(choice: ToolChoice | None, tools: list[dict[str, Any]]) -> dict[str, Any]:
    if choice is None or not any("functionDeclarations" in tool for tool in tools):
        return {}
    config: dict[str, Any] = {"mode": MODES[choice.mode]}
    if choice.mode == "required" and choice.names:
        config["allowedFunctionNames"] = list(choice.names)
    return {"functionCallingConfig": config}
