"""What Gemini refuses because of the model, or because two settings do not go together."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from app.simulators.gemini_checks import Refused, violation
from app.simulators.gemini_images import require_inputs
from app.simulators.gemini_models import Traits, traits
from app.simulators.gemini_rules import BUILT_IN, REQUEST
from app.simulators.gemini_turns import require_parts, require_turns
from app.simulators.json_schema import well_formed

Json = dict[str, Any]

JSON = "application/json"
CHOICE = "text/x.enum"
MIME_TYPES = ("text/plain", JSON, CHOICE)
FUNCTION_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,127}", re.ASCII)
STRING_FORMATS = ("enum", "date-time")
MOST_STOPS = 5
MOST_CANDIDATES = 8

# Numbers that have bounds: by name, the least and the greatest value.
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "topP": (0, 1),
    "maxOutputTokens": (1, 2**31),
    "presencePenalty": (-2, 2),
    "frequencyPenalty": (-2, 2),
    "logprobs": (0, 20),
}


def accept(raw: Any, model: str, streaming: bool) -> Json:
    """The request in camel case, known to be acceptable; raises `Refused` otherwise."""
    body: Json = REQUEST(raw, "")
    found = traits(model)
    require_turns(body.get("contents") or [], found)
    if found.draws:
        require_inputs(body["contents"], found)
    if "systemInstruction" in body:
        _system(body["systemInstruction"])
    _tools(body, found)
    _config(body.get("generationConfig") or {}, found)
    _together(body, found)
    if found.hop and not streaming:
        most = (body.get("generationConfig") or {}).get("maxOutputTokens", 0)
        if most > found.hop[1] and "continuationToken" not in body:
            raise Refused(
                f"max_output_tokens above {found.hop[1]} needs streaming or a continuation token."
            )
    return body


def _system(content: Json) -> None:
    require_parts(content, "system_instruction")
    if any("text" not in part for part in content["parts"]):
        raise Refused("Only text parts are supported in system_instruction.")


def _tools(body: Json, found: Traits) -> None:
    config = body.get("toolConfig") or {}
    built_in, names = False, []
    for index, tool in enumerate(body.get("tools") or ()):
        if len(tool) != 1:
            raise Refused(
                f"tools[{index}].tool_type: one_of 'tool_type' must have one initialized field"
            )
        built_in = built_in or any(name in BUILT_IN for name in tool)
        for place, declared in enumerate(tool.get("functionDeclarations") or ()):
            at = f"tools[{index}].function_declarations[{place}]"
            _declaration(declared, at, found)
            if declared["name"] in names:
                raise Refused(f"Duplicate function declaration found: {declared['name']}")
            names.append(declared["name"])
    if built_in and names:
        _mixed(config, found)
    _calling(config.get("functionCallingConfig") or {}, names)


def _mixed(config: Json, found: Traits) -> None:
    if not found.mixes_tools:
        raise Refused("Tool use with function calling is unsupported by the model.")
    if not config.get("includeServerSideToolInvocations"):
        raise Refused(
            "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools "
            "with Function calling."
        )


def _calling(config: Json, names: list[str]) -> None:
    allowed, mode = config.get("allowedFunctionNames") or [], config.get("mode", "AUTO")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise Refused(
            "Please set allowed_function_names only when function calling mode is ANY or VALIDATED."
        )
    if mode in ("ANY", "VALIDATED") and not names:
        raise Refused("Function calling config is set without function_declarations.")
    for name in allowed:
        if name not in names:
            raise Refused(f"allowed_function_names: {name} is not one of the declared functions.")


def _declaration(declared: Json, at: str, found: Traits) -> None:
    if not FUNCTION_NAME.fullmatch(declared["name"]):
        raise Refused(
            f"Invalid function name: '{declared['name']}'. Must start with a letter or an "
            "underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons "
            "(:), or dashes (-), with a maximum length of 128."
        )
    if "parameters" in declared and "parametersJsonSchema" in declared:
        raise violation(
            at,
            f"Invalid value at '{at}' (oneof): parameters and parameters_json_schema exclude "
            "each other",
        )
    if "parameters" in declared:
        if declared["parameters"].get("type") != "OBJECT":
            _schema_fault(f"{at}.parameters.type", "the type of parameters must be OBJECT")
        _schema(declared["parameters"], f"{at}.parameters", found, root=True)
    if not well_formed(declared.get("parametersJsonSchema", {})):
        _schema_fault(f"{at}.parameters_json_schema", "invalid JSON schema")


def _schema_fault(at: str, why: str) -> None:
    raise Refused(f"* GenerateContentRequest.{at}: {why}")


def _schema(schema: Json, at: str, found: Traits, root: bool = False) -> None:
    """The rules of the older form of schema that its table cannot tell."""
    kind = schema.get("type")
    if kind is None and "anyOf" not in schema:
        _schema_fault(f"{at}.type", "must be specified")
    rule = _RULES.get(kind or "")
    if rule and not (root and kind == "OBJECT" and not schema.get("properties")):
        rule(schema, at, found)
    if "enum" in schema and kind != "STRING":
        _schema_fault(f"{at}.enum", "only allowed for STRING type")
    for name, each in (schema.get("properties") or {}).items():
        _schema(each, f"{at}.properties[{name}]", found)
    for index, each in enumerate(schema.get("anyOf") or ()):
        _schema(each, f"{at}.any_of[{index}]", found)
    if "items" in schema:
        _schema(schema["items"], f"{at}.items", found)


def _string_rule(schema: Json, at: str, _found: Traits) -> None:
    if "format" in schema and schema["format"] not in STRING_FORMATS:
        _schema_fault(f"{at}.format", "only 'enum' and 'date-time' are supported for STRING type")
    if "" in schema.get("enum", ()):
        _schema_fault(f"{at}.enum[{schema['enum'].index('')}]", "cannot be empty")


def _array_rule(schema: Json, at: str, _found: Traits) -> None:
    if "items" not in schema:
        _schema_fault(f"{at}.items", "missing field.")


def _object_rule(schema: Json, at: str, found: Traits) -> None:
    properties = schema.get("properties") or {}
    if not properties and not found.signed:
        _schema_fault(f"{at}.properties", "should be non-empty for OBJECT type")
    for index, name in enumerate(schema.get("required") or ()):
        if name not in properties:
            _schema_fault(f"{at}.required[{index}]", "property is not defined")


_RULES: dict[str, Callable[[Json, str, Traits], None]] = {
    "STRING": _string_rule,
    "ARRAY": _array_rule,
    "OBJECT": _object_rule,
}


def _config(config: Json, found: Traits) -> None:
    for name, (least, most) in BOUNDS.items():
        if name in config and not least <= config[name] <= most:
            raise Refused(
                f"Unable to submit request because it has a {name} value of {config[name]} but "
                f"the supported range is from {least} to {most}."
            )
    if len(config.get("stopSequences") or ()) > MOST_STOPS:
        raise Refused(f"The maximum number of stop sequences is {MOST_STOPS}.")
    if not found.penalties and (config.get("presencePenalty") or config.get("frequencyPenalty")):
        raise Refused("Penalty is not enabled for this model")
    if config.get("logprobs") is not None and not config.get("responseLogprobs"):
        raise Refused("logprobs may only be set when response_logprobs is true.")
    _candidates(config.get("candidateCount", 1), found)
    _format(config, found)
    _thinking(config.get("thinkingConfig") or {}, found)
    _modalities(config, found)


def _candidates(wanted: int, found: Traits) -> None:
    if wanted < 1 or wanted > MOST_CANDIDATES:
        raise Refused(f"candidate_count must be between 1 and {MOST_CANDIDATES}.")
    if wanted > 1 and not found.many_candidates:
        raise Refused("Multiple candidates is not enabled for this model")


def _format(config: Json, found: Traits) -> None:
    kind = config.get("responseMimeType", "text/plain")
    if kind not in MIME_TYPES:
        raise Refused(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are "
            f"{', '.join(f'`{each}`' for each in MIME_TYPES)}."
        )
    if "responseSchema" in config and "responseJsonSchema" in config:
        raise Refused("Only one of response_schema and response_json_schema may be set.")
    if "responseSchema" in config:
        if kind == "text/plain":
            raise Refused(
                "Response schema is only supported with response mime type: `application/json` or "
                "`text/x.enum`."
            )
        _schema(config["responseSchema"], "generation_config.response_schema", found)
    if "responseJsonSchema" in config and kind != JSON:
        raise Refused(
            "Response JSON schema is only supported with response mime type: `application/json`."
        )
    if not well_formed(config.get("responseJsonSchema", {})):
        _schema_fault("generation_config.response_json_schema", "invalid JSON schema")


def _thinking(config: Json, found: Traits) -> None:
    if "thinkingLevel" in config and "thinkingBudget" in config:
        raise Refused("You can only set only one of thinking budget and thinking level.")
    if config and not found.thinks:
        raise Refused("Thinking is not enabled for this model.")
    level = config.get("thinkingLevel")
    if level and not found.levels:
        raise Refused("Thinking level is not supported for this model.")
    if level and level not in found.levels:
        raise Refused(f"Thinking level {level} is not supported for this model.")
    budget = config.get("thinkingBudget", -1)
    if budget == -1 or found.budget is None:
        return
    least, most = found.budget
    if budget == 0 and not found.can_stop and not found.signed:
        raise Refused("Budget 0 is invalid. This model only works in thinking mode.")
    if budget and not least <= budget <= most:
        raise Refused(
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and "
            f"{most}."
        )


def _modalities(config: Json, found: Traits) -> None:
    wanted = config.get("responseModalities") or ["TEXT"]
    if "VIDEO" in wanted or "AUDIO" in wanted or ("IMAGE" in wanted and not found.draws):
        listed = ", ".join(wanted).lower()
        raise Refused(
            f"The requested combination of response modalities ({listed}) is not "
            "supported by the model."
        )
    image = config.get("imageConfig")
    if image is None:
        return
    if not found.draws:
        raise Refused("Image config is not supported for this model.")
    if image.get("aspectRatio", found.ratios[0]) not in found.ratios:
        raise Refused(f"aspect_ratio must be one of {', '.join(found.ratios)}.")
    if image.get("imageSize", found.sizes[0]) not in found.sizes:
        raise Refused(f"image_size must be one of {', '.join(found.sizes)}.")


def _together(body: Json, found: Traits) -> None:
    config = body.get("generationConfig") or {}
    functions = any(tool.get("functionDeclarations") for tool in body.get("tools") or ())
    kind = config.get("responseMimeType", "text/plain")
    if functions and kind != "text/plain" and not found.mixes_tools:
        raise Refused(f"Function calling with a response mime type: '{kind}' is unsupported")
    if "cachedContent" not in body:
        return
    if not re.fullmatch(r"cachedContents/[\w-]+", body["cachedContent"]):
        raise Refused("Invalid CachedContent name.")
    if any(name in body for name in ("systemInstruction", "tools", "toolConfig")):
        raise Refused(
            "CachedContent can not be used with GenerateContent request setting "
            "system_instruction, tools or tool_config."
        )
