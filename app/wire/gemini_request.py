"""The request of Google's generateContent, apart from its contents.

The model and the choice to stream travel in the path; the view puts them into the body it hands
over. Schemas come in two spellings, and so do most names: Google's libraries write camelCase,
people write snake_case. Output tokens include thoughts: a small limit is used up before the first
word unless the model is told to think little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

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
from app.wire import fields
from app.wire.gemini_parts import NAME, camel, own, read_contents, write_contents
from app.wire.output import asked_in, lowered

UNDERSTOOD = frozenset(
    "model stream contents systemInstruction tools toolConfig generationConfig serviceTier".split()
)
SETTINGS = frozenset(
    """temperature topP topK seed presencePenalty frequencyPenalty stopSequences maxOutputTokens candidateCount
    responseMimeType responseSchema responseJsonSchema thinkingConfig responseLogprobs logprobs""".split()
)  # of generationConfig; what is not here stays Google's own
DECLARED = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
HOSTED = frozenset({"codeExecution", "googleSearch", "urlContext"})  # by function name (C-076)
CHOICE = "text/x.enum"
TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
FOR_GOOGLE = {
    "cached_content": "cachedContent",
    "safety_settings": "safetySettings",
    "thinking_config": "thinkingConfig",
    "image_config": "imageConfig",
}  # what Google's own endpoint for other people's dialect takes under `google`
IN_CONFIG = frozenset({"thinkingConfig", "imageConfig"})
SMALL_OUTPUT = 1024
MOST_SEED = 2**31 - 1  # others take seeds of 64 bits
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


def output_limit(body: Mapping[str, Any]) -> int | None:
    return asked_in(_config(camel(body)), "maxOutputTokens")


def answers(body: Mapping[str, Any]) -> int:
    return fields.optional_int(_config(camel(body)), "candidateCount", least=1) or 1


def with_output_limit(body: Mapping[str, Any], most: int) -> dict[str, Any]:
    body = camel(body)  # two spellings of one name would say two things
    return body | {"generationConfig": lowered(_config(body), most, "maxOutputTokens")}


def _config(body: Mapping[str, Any]) -> dict[str, Any]:
    return _camel_object(body.get("generationConfig"), "generationConfig")


# ---------------------------------------------------------------- reading


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    body = camel(body)
    config = _config(body)
    thinking = _camel_object(config.get("thinkingConfig"), "generationConfig.thinkingConfig")
    choice = _camel_object(body.get("toolConfig"), "toolConfig")
    system = body.get("systemInstruction")
    return ChatRequest(
        model=fields.text(fields.required(body, "model"), "model").removeprefix("models/"),
        turns=read_contents(fields.required(body, "contents")),
        system=_read_system(system) if system is not None else (),
        tools=_read_tools(body.get("tools")),
        tool_choice=_read_tool_choice(choice.get("functionCallingConfig")),
        sampling=_read_sampling(config),
        reasoning=_read_reasoning(thinking),
        format=_read_format(config),
        max_output=fields.optional_int(config, "maxOutputTokens", least=1),
        stream=body.get("stream") is True,
        variants=answers(body),
        service_tier=TIERS.get(fields.optional_text(body, "serviceTier"), ""),
        extras=_read_extras(body, config, choice),
    )


def _camel_object(given: Any, param: str) -> dict[str, Any]:
    return camel(fields.an_object({} if given is None else given, param))


def _read_sampling(config: dict[str, Any]) -> Sampling:
    stops = fields.texts(config.get("stopSequences"), "generationConfig.stopSequences")
    return Sampling(
        temperature=fields.optional_number(config, "temperature"),
        top_p=fields.optional_number(config, "topP"),
        top_k=fields.optional_int(config, "topK"),
        seed=fields.optional_int(config, "seed"),
        presence_penalty=fields.optional_number(config, "presencePenalty"),
        frequency_penalty=fields.optional_number(config, "frequencyPenalty"),
        stop=tuple(one for one in stops if one),
    )


def _read_extras(
    body: dict[str, Any], config: dict[str, Any], choice: dict[str, Any]
) -> Opaque | None:
    """What only Google understands, at the places where it was."""
    extras = {name: value for name, value in body.items() if name not in UNDERSTOOD}
    settings = SETTINGS - _of_choice(config)
    if kept := {name: value for name, value in config.items() if name not in settings}:
        extras["generationConfig"] = kept
    calling = choice.get("functionCallingConfig")
    is_plain = not isinstance(calling, Mapping) or calling.get("mode") in (None, *MODES.values())
    dropped = {"functionCallingConfig"} if is_plain else set()
    if kept := {name: value for name, value in choice.items() if name not in dropped}:
        extras["toolConfig"] = kept
    return Opaque(NAME, extras) if extras else None


def _of_choice(config: dict[str, Any]) -> set[str]:
    """The settings of an answer that is one word out of a list, which nobody else has."""
    is_choice = config.get("responseMimeType") == CHOICE
    return {"responseMimeType", "responseSchema", "responseJsonSchema"} if is_choice else set()


def _read_system(system: Any) -> tuple[Text, ...]:
    if isinstance(system, Mapping) and not system.get("parts"):
        return ()
    turns = read_contents(system, "systemInstruction")
    return tuple(part for turn in turns for part in turn.parts if isinstance(part, Text))


def _read_reasoning(thinking: dict[str, Any]) -> Reasoning:
    level = thinking.get("thinkingLevel")
    effort = EFFORTS.get(level.upper()) if isinstance(level, str) else None
    budget = fields.optional_int(thinking, "thinkingBudget")
    visible = fields.optional_bool(thinking, "includeThoughts")
    return Reasoning(effort, budget, visible, told=visible is True)


def _read_format(config: dict[str, Any]) -> Format | None:
    if _of_choice(config):
        return None
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
            if value is not None
        ]
    return tuple(tools)


def _read_function(function: dict[str, Any], param: str) -> Tool:
    schema = function.get("parametersJsonSchema")
    if schema is None and function.get("parameters") is not None:
        schema = plain_schema(fields.an_object(function["parameters"], f"{param}.parameters"))
    marks = {name: value for name, value in function.items() if name not in DECLARED}
    return Tool(
        fields.text(function.get("name"), f"{param}.name"),
        fields.optional_text(function, "description", f"{param}.description"),
        fields.an_object(schema, f"{param}.parametersJsonSchema") if schema is not None else None,
        opaque=Opaque(NAME, marks) if marks else None,
    )


def _read_tool_choice(given: Any) -> ToolChoice | None:
    if given is None:
        return None
    config = _camel_object(given, "toolConfig.functionCallingConfig")
    mode = config.get("mode")
    names = fields.texts(config.get("allowedFunctionNames"), "allowedFunctionNames")
    if mode == "ANY":
        return ToolChoice("required", names)
    return ToolChoice("none") if mode == "NONE" else ToolChoice("auto", names)


# ---------------------------------------------------------------- writing


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    body = _write_extras(request.extras)
    said = body.pop("generationConfig", None)
    choice = body.pop("toolConfig", None)
    system = [{"text": part.text} for part in request.system if part.text]
    contents = _write_turns(request, facts)
    if not contents:  # there is only a system text: say it as the user
        contents, system = [{"role": "user", "parts": system or [{"text": START}]}], []
    tools = _write_tools(request, facts)
    config = _write_config(request, facts)
    if request.format is not None:
        _write_format(request.format, config, system, alone=not tools or facts.mixes_tools)
    config |= said if isinstance(said, Mapping) else {}
    body["contents"] = contents
    if "cachedContent" not in body:  # what is in the cache may not be said again
        if system:
            body["systemInstruction"] = {"parts": system}
        if tools:
            body["tools"] = tools
            if written := _write_tool_config(request.tool_choice, tools, choice):
                body["toolConfig"] = written
    if kept := {name: value for name, value in config.items() if name not in facts.refuses}:
        body["generationConfig"] = kept
    tiers = {ours: theirs for theirs, ours in TIERS.items()}
    if request.service_tier in tiers:
        body["serviceTier"] = tiers[request.service_tier]
    return body


def _write_extras(extras: Opaque | None) -> dict[str, Any]:
    """What the caller says to Google alone: in Google's dialect, or as an extension of another."""
    if extras is None or not isinstance(extras.value, Mapping):
        return {}
    if extras.dialect == NAME:
        return dict(extras.value)
    said: Any = extras.value.get("extra_body", extras.value)
    said = said.get("google") if isinstance(said, Mapping) else None
    body: dict[str, Any] = {}
    for name, value in said.items() if isinstance(said, Mapping) else ():
        theirs = FOR_GOOGLE.get(name, "")
        if theirs in IN_CONFIG:
            config = body.setdefault("generationConfig", {})
            config[theirs] = camel(value) if isinstance(value, Mapping) else value
        elif theirs:
            body[theirs] = value
    return body


def _write_turns(request: ChatRequest, facts: ModelFacts) -> list[dict[str, Any]]:
    """The contents as the model wants them to begin and to end."""
    contents = write_contents(_as_turns(request), signed=facts.signatures)
    if contents and contents[0]["role"] == "model":
        contents.insert(0, {"role": "user", "parts": [{"text": START}]})
    if contents and contents[-1]["role"] == "model" and not facts.prefill:
        contents.append({"role": "user", "parts": [{"text": GO_ON}]})
    return contents


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
        "seed": None if given.seed is None else _seed(given.seed),
        "presencePenalty": given.presence_penalty,
        "frequencyPenalty": given.frequency_penalty,
        "stopSequences": list(given.stop) or None,
        "maxOutputTokens": _limit(request, facts),
        "responseModalities": list(facts.modalities) or None,
        "candidateCount": request.variants if request.variants > 1 else None,
        "thinkingConfig": _write_thinking(request, facts) or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _seed(seed: int) -> int:
    """The same seed for the same number, however long."""
    return seed if -MOST_SEED - 1 <= seed <= MOST_SEED else seed & MOST_SEED


def _limit(request: ChatRequest, facts: ModelFacts) -> int | None:
    if request.max_output is None:
        return None
    most = facts.max_output or request.max_output
    if not request.stream and facts.max_whole_output:
        most = facts.max_whole_output
    return min(request.max_output, most)


def _write_thinking(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    """In the model's own currency, with the thoughts in words unless they are not wanted."""
    asked = request.reasoning
    if facts.thinks == "never":
        return {}
    wants = asked.effort is not None or asked.budget is not None
    is_small = request.max_output is not None and request.max_output < SMALL_OUTPUT
    if not wants and is_small and facts.thinks_unasked:
        asked, wants = replace(asked, effort="none"), True
    thinking: dict[str, Any] = {}
    is_known = facts.thinks in ("budget", "level")
    if wants and (facts.thinks == "budget" or (not is_known and asked.effort is None)):
        thinking["thinkingBudget"] = _budget(asked, facts)
    elif wants and (level := _level(asked, facts)):
        thinking["thinkingLevel"] = level
    if asked.visible is not None or (is_known and thinking.get("thinkingBudget") != 0):
        thinking["includeThoughts"] = asked.told and asked.visible is not False
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
        wanted = LEVELS.get(asked.effort, "MINIMAL")  # none: as little as the model can
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
        words = "Answer with JSON and nothing else, without code fences."
        if asked.schema:
            words += " It must fit this JSON Schema: " + orjson.dumps(asked.schema).decode()
        system.append({"text": words})
        return
    config["responseMimeType"] = "application/json"
    if asked.kind == "schema" and asked.schema:
        config["responseJsonSchema"] = dict(asked.schema)


def _write_tools(request: ChatRequest, facts: ModelFacts) -> list[dict[str, Any]]:
    """Functions in one entry, Google's own tools in one each; only the functions where a model
    takes either.
    """
    names = request.tool_choice.names if request.tool_choice is not None else ()
    narrowed = request.tool_choice is not None and request.tool_choice.mode == "auto" and names
    declared: list[dict[str, Any]] = []
    hosted: list[dict[str, Any]] = []
    for tool in request.tools:
        if tool.kind == "hosted":
            if value := own(tool.opaque):
                hosted.append(value)
        elif tool.name in HOSTED:
            hosted.append({tool.name: {}})
        elif not narrowed or tool.name in names:
            declared.append(_write_function(tool))
    if not declared:
        return hosted
    return [{"functionDeclarations": declared}] + (hosted if facts.mixes_tools else [])


def _write_function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    schema = tool.schema
    if tool.kind == "custom":
        schema = {"properties": {"input": {"type": "string"}}, "required": ["input"]}
    if schema:
        function["parametersJsonSchema"] = {"type": "object"} | dict(schema)
    return function | own(tool.opaque)


def _write_tool_config(
    choice: ToolChoice | None, tools: list[dict[str, Any]], said: Any
) -> dict[str, Any]:
    """`said` is what the caller told Google about its tools in Google's own words."""
    config: dict[str, Any] = {}
    has_functions = any("functionDeclarations" in tool for tool in tools)
    if choice is not None and has_functions:
        calling: dict[str, Any] = {"mode": MODES[choice.mode]}
        if choice.mode == "required" and choice.names:
            calling["allowedFunctionNames"] = list(choice.names)
        config["functionCallingConfig"] = calling
    if has_functions and len(tools) > 1:
        config["includeServerSideToolInvocations"] = True
    return config | dict(said) if isinstance(said, Mapping) else config
