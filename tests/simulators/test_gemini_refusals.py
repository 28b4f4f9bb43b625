"""What the simulated generateContent refuses, and in which words.

Every case is a request that would be fine but for one thing.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from app.simulators.serving import Running

Json = dict[str, Any]

NEW = "gemini-3.8-flash"
OLD = "gemini-2.5-flash"
THREE = "gemini-3.1-pro-preview"
BANANA = "gemini-nano-banana-2.1"
ARGON = "gemini-4-argon"
RPC = "type.googleapis.com/google.rpc.BadRequest"
PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1beta"

COUNT = (
    "Please ensure that the number of function response parts is equal to the number of function "
    "call parts of the function call turn."
)
AFTER_CALL = (
    "Please ensure that function response turn comes immediately after a function call turn."
)
AFTER_USER = (
    "Please ensure that function call turn comes immediately after a user turn or after a "
    "function response turn."
)
DUMMY = "skip_thought_signature_validator"


def user(*parts: Json) -> Json:
    return {"role": "user", "parts": list(parts) or [{"text": "hi"}]}


def model(*parts: Json) -> Json:
    return {"role": "model", "parts": list(parts) or [{"text": "hi"}]}


def talk(*contents: Json, **more: Any) -> Json:
    return {"contents": list(contents), **more}


def call(name: str = "weather", **more: Any) -> Json:
    return {"functionCall": {"name": name, "args": {}, **more}, "thoughtSignature": DUMMY}


def response(name: str = "weather", **more: Any) -> Json:
    return {"functionResponse": {"name": name, "response": {"output": "20"}, **more}}


def tools(*declared: Json, **more: Any) -> Json:
    return {"tools": [{"functionDeclarations": list(declared) or [{"name": "weather"}]}], **more}


def config(**more: Any) -> Json:
    return {"generationConfig": more}


def thinking(**more: Any) -> Json:
    return config(thinkingConfig=more)


def parameters(schema: Json) -> Json:
    return tools({"name": "f", "parameters": {"type": "OBJECT", "properties": {"x": schema}}})


def send(
    running: Running, change: Json, name: str = NEW, verb: str = "generateContent"
) -> requests.Response:
    address = f"{running.url('gemini')}/v1beta/models/{name}:{verb}"
    body = {"contents": [user()], **change}
    return requests.post(address, json=body, headers={"x-goog-api-key": "sim"}, timeout=10)


FIELDS: list[tuple[Json, str, str]] = [
    (
        {"labels": {}},
        "",
        'Invalid JSON payload received. Unknown name "labels": Cannot find field.',
    ),
    (
        config(n=1),
        "generation_config",
        "Invalid JSON payload received. Unknown name \"n\" at 'generation_config': Cannot find "
        "field.",
    ),
    (
        {"contents": [user({"text": "hi", "cacheControl": {}})]},
        "contents[0].parts[0]",
        "Invalid JSON payload received. Unknown name \"cacheControl\" at 'contents[0].parts[0]': "
        "Cannot find field.",
    ),
    (
        parameters({"type": "OBJECT", "additionalProperties": False}),
        "tools[0].function_declarations[0].parameters.properties[0].value",
        'Invalid JSON payload received. Unknown name "additionalProperties" at '
        "'tools[0].function_declarations[0].parameters.properties[0].value': Cannot find field.",
    ),
    (
        config(temperature="hot"),
        "generation_config.temperature",
        "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"",
    ),
    (
        config(maxOutputTokens=1.5),
        "generation_config.max_output_tokens",
        "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), 1.5",
    ),
    (
        {"contents": [user({"text": 5})]},
        "contents[0].parts[0].text",
        "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 5",
    ),
    (
        {"contents": [user({"inlineData": {"mimeType": "image/png", "data": "a?"}})]},
        "contents[0].parts[0].inline_data.data",
        "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), Base64 decoding "
        'failed for "a?"',
    ),
    (
        parameters({"type": "TEXT"}),
        "tools[0].function_declarations[0].parameters.properties[0].value.type",
        "Invalid value at 'tools[0].function_declarations[0].parameters.properties[0].value.type' "
        f'({PACKAGE}.Type), "TEXT"',
    ),
    (
        {"contents": [user({"text": "a", "functionCall": {"name": "f"}})]},
        "contents[0].parts[0]",
        "Invalid value at 'contents[0].parts[0]' (oneof), oneof field 'data' is already set. "
        "Cannot set 'functionCall'",
    ),
]

TURNS: list[tuple[str, Json, str]] = [
    (NEW, talk(), "* GenerateContentRequest.contents: contents is not specified"),
    (
        NEW,
        talk({"role": "user", "parts": []}),
        "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.",
    ),
    (
        NEW,
        talk(user({"text": ""})),
        "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.",
    ),
    (
        NEW,
        talk(user({"thought": True})),
        "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data' must "
        "have one initialized field",
    ),
    (
        NEW,
        talk({"role": "assistant", "parts": [{"text": "a"}]}),
        "Please use a valid role: user, " "model.",
    ),
    (NEW, talk(model(), user()), "Please ensure that multiturn requests begin with a user turn."),
    (NEW, talk(user(), model()), "Requests ending with a model turn are not supported."),
    (OLD, talk(user(), model(), model(call()), user(response())), AFTER_USER),
    (OLD, talk(user(), user(call())), AFTER_USER),
    (OLD, talk(user(response())), AFTER_CALL),
    (OLD, talk(user(), model(), user(response())), AFTER_CALL),
    (OLD, talk(user(), model(call()), user()), COUNT),
    (OLD, talk(user(), model(call(), call()), user(response())), COUNT),
    (OLD, talk(user(), model(call()), user(response("clock"))), COUNT),
    (
        NEW,
        talk(user(), model(call(id="a")), user(response(id="b"))),
        "No function call has the id b of a function response.",
    ),
    (
        NEW,
        talk(user({"inlineData": {"mimeType": "image/gif", "data": "AAAA"}})),
        "Unsupported MIME type: image/gif",
    ),
    (
        NEW,
        {"systemInstruction": user({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})},
        "Only text parts are supported in system_instruction.",
    ),
]

SETTINGS: list[tuple[str, Json, str]] = [
    (NEW, config(stopSequences=["a"] * 6), "The maximum number of stop sequences is 5."),
    (NEW, config(frequencyPenalty=0.5), "Penalty is not enabled for this model"),
    (NEW, config(candidateCount=2), "Multiple candidates is not enabled for this model"),
    (OLD, config(candidateCount=9), "candidate_count must be between 1 and 8."),
    (
        NEW,
        config(temperature=3),
        "Unable to submit request because it has a temperature value of 3 but the supported range "
        "is from 0 to 2.",
    ),
    (NEW, config(logprobs=2), "logprobs may only be set when response_logprobs is true."),
    (
        NEW,
        thinking(thinkingLevel="LOW", thinkingBudget=5),
        "You can only set only one of thinking budget and thinking level.",
    ),
    (OLD, thinking(thinkingLevel="LOW"), "Thinking level is not supported for this model."),
    (
        NEW,
        thinking(thinkingLevel="MINIMAL"),
        "Thinking level MINIMAL is not supported for this model.",
    ),
    (
        "gemini-2.5-pro",
        thinking(thinkingBudget=0),
        "Budget 0 is invalid. This model only works in thinking mode.",
    ),
    (
        "gemini-2.5-flash-lite",
        thinking(thinkingBudget=100),
        "The thinking budget 100 is invalid. Please choose a value between 512 and 24576.",
    ),
    (
        "gemma-3-27b-it",
        thinking(includeThoughts=True),
        "Thinking is not enabled for this model.",
    ),
    (
        NEW,
        config(responseSchema={"type": "STRING"}),
        "Response schema is only supported with response mime type: `application/json` or "
        "`text/x.enum`.",
    ),
    (
        NEW,
        config(responseJsonSchema={}, responseMimeType="text/plain"),
        "Response JSON schema is only supported with response mime type: `application/json`.",
    ),
    (
        NEW,
        config(
            responseSchema={"type": "STRING"},
            responseJsonSchema={},
            responseMimeType="application/json",
        ),
        "Only one of response_schema and response_json_schema may be set.",
    ),
    (
        NEW,
        config(responseMimeType="text/html"),
        "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are "
        "`text/plain`, `application/json`, `text/x.enum`.",
    ),
    (
        OLD,
        {**tools(), **config(responseMimeType="application/json")},
        "Function calling with a response mime type: 'application/json' is unsupported",
    ),
    (
        NEW,
        config(responseModalities=["TEXT", "IMAGE"]),
        "The requested combination of response modalities (text, image) is not supported by the "
        "model.",
    ),
    (
        BANANA,
        config(imageConfig={"imageSize": "1k"}),
        "image_size must be one of 1K, 2K, 4K.",
    ),
    (
        "gemini-3-pro-image",
        config(imageConfig={"aspectRatio": "1:8"}),
        "aspect_ratio must be one of 1:1, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, 16:9, 21:9.",
    ),
    (
        NEW,
        {"cachedContent": "cachedContents/a", **tools()},
        "CachedContent can not be used with GenerateContent request setting system_instruction, "
        "tools or tool_config.",
    ),
    (
        ARGON,
        config(maxOutputTokens=40_000),
        "max_output_tokens above 32768 needs streaming or a continuation token.",
    ),
    (
        NEW,
        {"continuationToken": "AAAA"},
        "continuation_token is not supported for this model.",
    ),
    (ARGON, {"continuationToken": "AAAA"}, "Invalid continuation_token."),
]

AT = "* GenerateContentRequest.tools[0].function_declarations[0].parameters"
TOOLS: list[tuple[str, Json, str]] = [
    (
        NEW,
        tools({"name": "get weather"}),
        "Invalid function name: 'get weather'. Must start with a letter or an underscore. Must be "
        "alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a "
        "maximum length of 128.",
    ),
    (NEW, tools({"name": "f"}, {"name": "f"}), "Duplicate function declaration found: f"),
    (
        NEW,
        tools({"name": "f", "parameters": {"type": "STRING"}}),
        f"{AT}.type: the type of parameters must be OBJECT",
    ),
    (
        NEW,
        tools({"name": "f", "parametersJsonSchema": {"type": "list"}}),
        f"{AT}_json_schema: invalid JSON schema",
    ),
    (NEW, parameters({"type": "ARRAY"}), f"{AT}.properties[x].items: missing field."),
    (
        NEW,
        parameters({"type": "INTEGER", "enum": ["1"]}),
        f"{AT}.properties[x].enum: only allowed for STRING type",
    ),
    (
        NEW,
        parameters({"type": "STRING", "format": "uuid"}),
        f"{AT}.properties[x].format: only 'enum' and 'date-time' are supported for STRING type",
    ),
    (
        NEW,
        parameters({"type": "OBJECT", "required": ["a"]}),
        f"{AT}.properties[x].required[0]: property is not defined",
    ),
    (
        OLD,
        parameters({"type": "OBJECT"}),
        f"{AT}.properties[x].properties: should be non-empty for OBJECT type",
    ),
    (
        OLD,
        {"tools": [*tools()["tools"], {"googleSearch": {}}]},
        "Tool use with function calling is unsupported by the model.",
    ),
    (
        NEW,
        {"tools": [*tools()["tools"], {"googleSearch": {}}]},
        "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools "
        "with Function calling.",
    ),
    (
        NEW,
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        "Function calling config is set without function_declarations.",
    ),
    (
        NEW,
        tools(toolConfig={"functionCallingConfig": {"allowedFunctionNames": ["weather"]}}),
        "Please set allowed_function_names only when function calling mode is ANY or VALIDATED.",
    ),
    (
        NEW,
        tools(toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}),
        "allowed_function_names: f is not one of the declared functions.",
    ),
]


@pytest.mark.parametrize(("change", "field", "message"), FIELDS)
def test_a_field_out_of_place_is_named(
    running: Running, change: Json, field: str, message: str
) -> None:
    answer = send(running, change)
    listed = {"description": message} | ({"field": field} if field else {})

    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "code": 400,
        "message": message,
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": RPC, "fieldViolations": [listed]}],
    }


@pytest.mark.parametrize(("name", "change", "message"), TURNS + SETTINGS + TOOLS)
def test_a_wrong_request_is_refused_in_the_vendors_words(
    running: Running, name: str, change: Json, message: str
) -> None:
    answer = send(running, change, name)

    assert answer.status_code == 400
    assert answer.json() == {
        "error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    }


ACCEPTED: list[tuple[str, Json]] = [
    (NEW, talk(user(), model(call(id="a")), user(response(id="a")))),
    (OLD, talk(user(), model(call(), call("clock")), user(response("clock"), response()))),
    (NEW, talk(user(), model(call()), {"role": "function", "parts": [response()]})),
    (OLD, talk(user(), model())),
    (THREE, talk(user(), model())),
    (NEW, talk(user(), user(), model({"text": "", "thoughtSignature": "AAAA"}), user())),
    (NEW, config(temperature=0.2, topP=0.5, topK=20, seed=1)),
    (NEW, config(maxOutputTokens="500", candidateCount=1.0, seed=None)),
    (NEW, thinking(thinkingBudget=1024)),
    (OLD, thinking(thinkingBudget=0)),
    (NEW, {**tools(), **config(responseMimeType="application/json")}),
    (NEW, parameters({"type": "string", "nullable": True})),
    (NEW, tools({"name": "f", "parametersJsonSchema": {"type": "object", "oneOf": [{}]}})),
    (
        NEW,
        {
            "tools": [*tools()["tools"], {"googleSearch": {}}],
            "toolConfig": {"includeServerSideToolInvocations": True},
        },
    ),
    (BANANA, config(responseModalities=["IMAGE"], imageConfig={"imageSize": "2K"})),
    (NEW, {"cachedContent": "cachedContents/abc"}),
    (
        NEW,
        {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]},
    ),
]


@pytest.mark.parametrize(("name", "change"), ACCEPTED)
def test_what_the_vendor_takes_is_taken(running: Running, name: str, change: Json) -> None:
    answer = send(running, change, name)

    assert (answer.status_code, "candidates" in answer.json()) == (200, True)


def test_a_long_answer_may_be_streamed(running: Running) -> None:
    answer = send(running, config(maxOutputTokens=40_000), ARGON, "streamGenerateContent")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpt-6", "is not found for API version v1beta"),
        ("imagen-4.0-generate-001", "is no longer available"),
        ("gemini-2.5-flash-image", "is no longer available"),
    ],
)
def test_a_model_that_is_not_there_is_not_found(running: Running, name: str, words: str) -> None:
    answer = send(running, {}, name)
    error = answer.json()["error"]

    assert (answer.status_code, error["status"]) == (404, "NOT_FOUND")
    assert error["message"].startswith(f"models/{name} {words}")


def test_a_refusal_where_an_array_was_due_is_in_one(running: Running) -> None:
    (element,) = send(running, talk(), verb="streamGenerateContent").json()
    alone = send(running, talk(), verb="streamGenerateContent?alt=sse").json()

    assert element == alone
    assert alone["error"]["code"] == 400


def test_counting_takes_one_form_at_a_time(running: Running) -> None:
    inner = {"generateContentRequest": {"model": f"models/{NEW}", "contents": [user()]}}

    assert send(running, inner, verb="countTokens").status_code == 400
    assert send(running, {**inner, "contents": None}, verb="countTokens").status_code == 200


def test_a_prompt_beyond_the_window_is_too_long(running: Running) -> None:
    answer = send(running, talk(user({"text": "word " * 110_000})), BANANA)

    assert answer.json()["error"]["message"] == (
        "The input token count (137500) exceeds the maximum number of tokens allowed (131072)."
    )


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'"text"', b'{"contents": NaN}', b'{"contents": "\\ud83d"}']
)
def test_a_body_that_is_no_request_is_refused(running: Running, raw: bytes) -> None:
    address = f"{running.url('gemini')}/v1beta/models/{NEW}:generateContent"
    answer = requests.post(address, data=raw, headers={"x-goog-api-key": "sim"}, timeout=10)

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1beta/models/{NEW}:generateContent"),
        ("POST", f"/v1beta/models/{NEW}:dance"),
        ("POST", "/v1beta/models"),
        ("GET", "/v3/models"),
        ("GET", "/"),
    ],
)
def test_other_routes_do_not_exist(running: Running, method: str, path: str) -> None:
    address = running.url("gemini") + path
    answer = requests.request(method, address, headers={"x-goog-api-key": "sim"}, timeout=10)

    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
