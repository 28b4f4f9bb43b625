"""The simulated generateContent, driven by the vendor's own SDK and by raw requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from google import genai
from google.genai import errors, types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.simulators.mishaps import Mishap
from app.simulators.serving import Running

Json = dict[str, Any]
Post = Callable[..., requests.Response]

NEW = "gemini-3.8-flash"
OLD = "gemini-2.5-flash"
ARGON = "gemini-4-argon"
BANANA = "gemini-nano-banana-2.1"
SHOWN: Json = {"thinkingConfig": {"includeThoughts": True}}
CITY: Json = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
WEATHER: Json = {"name": "weather", "parameters": CITY}
CLOCK: Json = {"name": "clock"}
TOOLS: list[Json] = [{"functionDeclarations": [WEATHER, CLOCK]}]


def said(text: str = "hello", **more: Any) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


@pytest.fixture
def client(running: Running) -> genai.Client:
    options = types.HttpOptions(base_url=running.url("gemini"))
    return genai.Client(api_key="sim", http_options=options)


@pytest.fixture
def post(running: Running) -> Post:
    def send(
        body: Json, model: str = NEW, verb: str = "generateContent", key: str = "sim"
    ) -> requests.Response:
        address = f"{running.url('gemini')}/v1beta/models/{model}:{verb}"
        return requests.post(address, json=body, headers={"x-goog-api-key": key}, timeout=10)

    return send


def events(response: requests.Response) -> list[Json]:
    """The chunks of a stream of events, each framed as the vendor frames it."""
    *records, rest = response.content.decode().split("\r\n\r\n")
    assert rest == ""
    assert all(each.startswith("data: ") for each in records)
    return [json.loads(each.removeprefix("data: ")) for each in records]


def stream(post: Post, body: Json, model: str = NEW) -> list[Json]:
    return events(post(body, model, "streamGenerateContent?alt=sse"))


def parts(chunks: list[Json]) -> list[Json]:
    """All parts of all chunks."""
    found = [each.get("candidates", [{}])[0].get("content", {}) for each in chunks]
    return [part for content in found for part in content.get("parts", [])]


def texts(chunks: list[Json]) -> str:
    return "".join(part.get("text", "") for part in parts(chunks) if not part.get("thought"))


# Answers.


def test_a_plain_answer_has_the_whole_shape_of_a_response(post: Post) -> None:
    answer = post(said("simulate: say Hello!"), OLD)
    body = answer.json()

    assert len(body.pop("responseId")) == 22
    assert body == {
        "candidates": [
            {
                "content": {"parts": [{"text": "Hello!"}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 1,
            "thoughtsTokenCount": 10,
            "totalTokenCount": 16,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
        },
        "modelVersion": OLD,
    }
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"


def test_every_chunk_of_a_stream_tells_the_usage_so_far(post: Post) -> None:
    chunks = stream(post, said("simulate: say One two", generationConfig=SHOWN))
    totals = [each["usageMetadata"]["totalTokenCount"] for each in chunks]
    numbers = [
        (
            each["usageMetadata"].get("thoughtsTokenCount"),
            each["usageMetadata"].get("candidatesTokenCount"),
        )
        for each in chunks
    ]

    assert totals == [*range(7, 19), 18]
    assert numbers == [*[(n, None) for n in range(1, 11)], (10, 1), (10, 2), (10, 2)]
    assert len({each["responseId"] for each in chunks}) == 1


def test_the_last_chunk_carries_the_finish_and_the_signature(post: Post) -> None:
    *before, last = stream(post, said("simulate: say One"))
    (part,) = last["candidates"][0]["content"]["parts"]

    assert all("finishReason" not in each["candidates"][0] for each in before)
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert part["text"] == "" and base64.b64decode(part["thoughtSignature"])


def test_an_older_model_ends_without_content(post: Post) -> None:
    last = stream(post, said(), OLD)[-1]

    assert last["candidates"] == [{"finishReason": "STOP", "index": 0}]


def test_without_alt_a_stream_is_one_json_array(post: Post) -> None:
    body = said("simulate: say One two")
    answer = post(body, verb="streamGenerateContent")
    chunks = answer.json()

    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert texts(chunks) == "One two"
    assert answer.text.count(",\r\n{") == len(chunks) - 1
    assert parts(chunks) == parts(stream(post, body))


@pytest.mark.parametrize("model", [NEW, OLD])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"thinking_config": {"include_thoughts": True}},
        {"max_output_tokens": 12},
        {"max_output_tokens": 3},
        {"stop_sequences": ["simulator"]},
        {"tools": [{"function_declarations": [WEATHER, CLOCK]}]},
    ],
)
def test_a_stream_adds_up_to_the_answer_in_one_piece(
    client: genai.Client, model: str, config: Any
) -> None:
    asked: Any = {"model": model, "contents": "weather in Århus 🌍", "config": dict(config)}
    asked["config"]["automatic_function_calling"] = {"disable": True}
    whole = client.models.generate_content(**asked)
    chunks = list(client.models.generate_content_stream(**asked))

    assert joined(chunks) == joined([whole])
    assert chunks[-1].usage_metadata == whole.usage_metadata


def joined(chunks: list[types.GenerateContentResponse]) -> Json:
    """Texts, thoughts, calls and the finish of a whole answer."""
    found: Json = {"text": "", "thought": "", "calls": [], "finish": None}
    for chunk in chunks:
        assert chunk.candidates
        found["finish"] = chunk.candidates[0].finish_reason or found["finish"]
        content = chunk.candidates[0].content
        for part in (content.parts if content else None) or ():
            found["thought" if part.thought else "text"] += part.text or ""
            if part.function_call:
                call = part.function_call
                signed = bool(part.thought_signature)
                found["calls"].append((call.name, call.args, bool(call.id), signed))
    return found


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60),
    st.booleans(),
)
def test_any_text_comes_through_a_stream_unharmed(post: Post, text: str, array: bool) -> None:
    body = said(f"simulate: say <{text}>")
    chunks = post(body, verb="streamGenerateContent").json() if array else stream(post, body)

    assert texts(chunks) == f"<{text}>"


def test_snake_case_is_understood_as_well(post: Post) -> None:
    body = {
        "contents": [{"parts": [{"text": "weather"}]}],
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"function_declarations": [{**WEATHER}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
        "generation_config": {
            "max_output_tokens": 500,
            "thinking_config": {"thinking_level": "LOW"},
        },
    }
    (part,) = parts([post(body).json()])

    assert part["functionCall"]["name"] == "weather"


def test_an_escaped_colon_and_a_key_in_the_address_will_do(running: Running) -> None:
    address = f"{running.url('gemini')}/v1beta/models/{NEW}%3AgenerateContent?key=AIza-secret"
    answer = requests.post(address, json=said(), timeout=10)
    entry = running.simulators["gemini"].journal.last()

    assert answer.status_code == 200
    assert entry.body == said()
    assert "secret" not in repr(entry)


@pytest.mark.parametrize(
    ("mode", "allowed", "called"),
    [
        ("AUTO", None, []),
        ("ANY", None, ["weather"]),
        ("ANY", ["clock"], ["clock"]),
        ("NONE", None, []),
        ("VALIDATED", None, []),
    ],
)
def test_the_calling_mode_is_obeyed(
    post: Post, mode: str, allowed: list[str] | None, called: list[str]
) -> None:
    config = {"mode": mode, **({"allowedFunctionNames": allowed} if allowed else {})}
    body = said(tools=TOOLS, toolConfig={"functionCallingConfig": config})
    found = parts([post(body).json()])

    assert [part["functionCall"]["name"] for part in found if "functionCall" in part] == called


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"responseSchema": {"type": "STRING", "enum": ["a", "b"]}}, '"a"'),
        ({"responseJsonSchema": {"type": ["integer", "null"], "minimum": 7}}, "7"),
        (
            {
                "responseMimeType": "text/x.enum",
                "responseSchema": {"type": "STRING", "enum": ["a"]},
            },
            "a",
        ),
    ],
)
def test_structured_output_fits(post: Post, config: Json, text: str) -> None:
    body = said(generationConfig={"responseMimeType": "application/json", **config})

    assert texts([post(body).json()]) == text


# Signatures and tool results.


def called(post: Post, model: str = NEW) -> list[Json]:
    """A conversation up to two function calls."""
    body = said("weather and clock in Rome", tools=TOOLS)
    content = post(body, model).json()["candidates"][0]["content"]
    return [*body["contents"], content]


def answered(turns: list[Json], **more: Any) -> Json:
    calls = [part["functionCall"] for part in turns[-1]["parts"]]
    answers = [
        {
            "functionResponse": {
                **{name: call[name] for name in ("id", "name") if name in call},
                "response": {"output": f"{call['name']} is fine"},
            }
        }
        for call in calls
    ]
    return {"contents": [*turns, {"role": "user", "parts": answers}], "tools": TOOLS, **more}


def test_only_the_first_call_of_a_step_is_signed_and_all_have_ids(post: Post) -> None:
    first, second = called(post)[-1]["parts"]

    assert set(first) == {"functionCall", "thoughtSignature"}
    assert set(second) == {"functionCall"}
    assert len({first["functionCall"]["id"], second["functionCall"]["id"]}) == 2


def test_an_older_model_gives_neither_ids_nor_signatures(post: Post) -> None:
    turns = called(post, OLD)

    assert [set(part) for part in turns[-1]["parts"]] == [{"functionCall"}] * 2
    assert ["id" in part["functionCall"] for part in turns[-1]["parts"]] == [False, False]
    assert post(answered(turns), OLD).status_code == 200


def test_results_are_read_back(post: Post) -> None:
    answer = post(answered(called(post)))

    assert '"weather is fine"; "clock is fine"' in texts([answer.json()])


@pytest.mark.parametrize(
    "signature", ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"]
)
def test_a_dummy_signature_is_accepted(post: Post, signature: str) -> None:
    turns = called(post)
    turns[-1]["parts"][0]["thoughtSignature"] = signature

    assert post(answered(turns)).status_code == 200


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (None, "Function call is missing a thought_signature in functionCall parts."),
        ("QUJD", "Corrupted thought signature."),
    ],
)
def test_a_missing_or_altered_signature_is_refused(
    post: Post, signature: str | None, message: str
) -> None:
    turns = called(post)
    turns[-1]["parts"][0]["thoughtSignature"] = signature
    answer = post(answered(turns))

    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert answer.json()["error"]["message"].startswith(message)


def test_a_signature_on_another_call_is_refused(post: Post) -> None:
    turns = called(post)
    turns[-1]["parts"][0]["functionCall"]["args"] = {"city": "Oslo"}

    assert post(answered(turns)).json()["error"]["message"] == "Corrupted thought signature."


def test_signatures_of_earlier_turns_are_not_asked_for(post: Post) -> None:
    turns = called(post)
    del turns[-1]["parts"][0]["thoughtSignature"]
    body = answered(turns)
    body["contents"] += [
        {"role": "model", "parts": [{"text": "Fine."}]},
        {"role": "user", "parts": [{"text": "thanks"}]},
    ]

    assert post(body).status_code == 200


# Rare endings.


@pytest.mark.parametrize(
    ("order", "reason"),
    [("blocked", "PROHIBITED_CONTENT"), ("blocked=safety", "SAFETY")],
)
def test_a_blocked_prompt_has_no_candidates(post: Post, order: str, reason: str) -> None:
    body = said(f"simulate: {order}")
    whole, (chunk,) = post(body).json(), stream(post, body)

    for answer in (whole, chunk):
        assert "candidates" not in answer
        assert answer["promptFeedback"]["blockReason"] == reason
        assert "candidatesTokenCount" not in answer["usageMetadata"]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_safety_stop_cuts_the_answer(post: Post, streaming: bool) -> None:
    body = said("simulate: safety")
    chunks = stream(post, body) if streaming else [post(body).json()]
    last = chunks[-1]["candidates"][0]

    assert last["finishReason"] == "SAFETY"
    assert [each for each in last["safetyRatings"] if each.get("blocked")] == [
        {
            "category": "HARM_CATEGORY_DANGEROUS_CONTENT",
            "probability": "HIGH",
            "blocked": True,
        }
    ]
    assert texts(chunks).startswith("This is the offline")
    assert not texts(chunks).endswith(".")


@pytest.mark.parametrize("reason", ["RECITATION", "SPII", "OTHER", "LANGUAGE"])
def test_any_finish_reason_comes_on_request(post: Post, reason: str) -> None:
    answer = post(said(f"simulate: finish={reason.lower()}")).json()

    assert answer["candidates"][0]["finishReason"] == reason


def test_a_malformed_call_has_a_message_instead_of_content(post: Post) -> None:
    answer = post(said("weather simulate: finish=malformed_function_call", tools=TOOLS)).json()

    assert answer["candidates"] == [
        {
            "finishReason": "MALFORMED_FUNCTION_CALL",
            "finishMessage": "Malformed function call",
            "index": 0,
        }
    ]


def test_a_limit_may_be_used_up_by_thinking(post: Post) -> None:
    answer = post(said(generationConfig={"maxOutputTokens": 5})).json()

    assert answer["candidates"] == [
        {"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
    ]
    assert answer["usageMetadata"]["thoughtsTokenCount"] == 5


def test_a_stream_may_begin_without_candidates(post: Post) -> None:
    first, *_ = stream(post, said("simulate: bare"))

    assert set(first) == {"usageMetadata", "modelVersion", "responseId"}


def test_several_candidates_are_told_by_index(post: Post) -> None:
    answer = post(said(generationConfig={"candidateCount": 2}), OLD).json()

    assert [each["index"] for each in answer["candidates"]] == [0, 1]


def test_a_long_answer_goes_on_where_it_stopped(post: Post) -> None:
    body, chunks, hops = said("simulate: words=10 hop=4"), [], 0
    while hops < 9:
        answer = post(body, ARGON).json()
        chunks.append(answer)
        hops += 1
        candidate = answer["candidates"][0]
        if candidate["finishReason"] != "CONTINUATION":
            break
        body["continuationToken"] = candidate["continuationToken"]

    assert hops == 3
    assert texts(chunks) == " ".join(f"word{n}" for n in range(1, 11))


def test_an_image_model_draws(client: genai.Client) -> None:
    config = types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])
    answer = client.models.generate_content(model=BANANA, contents="a cat", config=config)
    assert answer.parts
    blobs = [part.inline_data for part in answer.parts if part.inline_data]

    assert [blob.mime_type for blob in blobs] == ["image/png"]
    assert (blobs[0].data or b"").startswith(b"\x89PNG\r\n")


def test_files_are_named_and_counted_by_kind(post: Post) -> None:
    data = base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode()
    files = [
        {"inlineData": {"mimeType": kind, "data": data}} for kind in ("image/png", "audio/wav")
    ]
    body = {"contents": [{"role": "user", "parts": [{"text": "look"}, *files]}]}
    answer = post(body).json()

    assert "image/png, audio/wav" in texts([answer])
    assert answer["usageMetadata"]["promptTokensDetails"] == [
        {"modality": "TEXT", "tokenCount": 1},
        {"modality": "IMAGE", "tokenCount": 258},
        {"modality": "AUDIO", "tokenCount": 258},
    ]


def test_cached_on_request_is_part_of_the_prompt(post: Post) -> None:
    usage = post(said("a prompt simulate: cached")).json()["usageMetadata"]

    assert 0 < usage["cachedContentTokenCount"] < usage["promptTokenCount"]


# Counting and models.


def test_counting_agrees_with_the_bill(client: genai.Client, post: Post) -> None:
    counted = client.models.count_tokens(model=NEW, contents="héllo there")
    request = {"generateContentRequest": {"model": f"models/{NEW}", **said("héllo there")}}
    again = post(request, verb="countTokens").json()
    billed = client.models.generate_content(model=NEW, contents="héllo there").usage_metadata

    assert billed
    assert counted.total_tokens == again["totalTokens"] == billed.prompt_token_count == 3


def test_all_models_are_listed_page_by_page(client: genai.Client) -> None:
    names = [model.name for model in client.models.list(config={"page_size": 5})]

    assert len(names) == len(set(names)) == 14
    assert f"models/{NEW}" in names


def test_a_routed_name_is_answered_by_the_newer_model(client: genai.Client) -> None:
    assert client.models.get(model="gemini-3.7-flash").name == "models/gemini-3.7-flash"
    answer = client.models.generate_content(model="gemini-3.7-flash", contents="hi")
    assert answer.model_version == NEW


# Credentials and mishaps.


@pytest.mark.parametrize(
    ("key", "code", "status"),
    [
        ("", 403, "PERMISSION_DENIED"),
        ("x-revoked", 400, "INVALID_ARGUMENT"),
        ("x-throttled", 429, "RESOURCE_EXHAUSTED"),
        ("x-broke", 429, "RESOURCE_EXHAUSTED"),
    ],
)
def test_a_credential_decides_its_fate(post: Post, key: str, code: int, status: str) -> None:
    answer = post(said(), key=key)
    error = answer.json()["error"]

    assert (answer.status_code, error["code"], error["status"]) == (code, code, status)
    assert "retry-after" not in answer.headers


def test_details_tell_why_and_how_long(post: Post) -> None:
    found = {
        key: {
            each["@type"].rpartition(".")[2]: each
            for each in post(said(), key=key).json()["error"]["details"]
        }
        for key in ("x-revoked", "x-throttled", "x-broke")
    }

    assert found["x-revoked"]["ErrorInfo"]["reason"] == "API_KEY_INVALID"
    assert found["x-throttled"]["RetryInfo"]["retryDelay"] == "7s"
    (violation,) = found["x-broke"]["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel"


def test_a_wrong_token_is_unauthenticated(running: Running) -> None:
    address = f"{running.url('gemini')}/v1beta/models"
    answers = [
        requests.get(address, headers={"authorization": f"Bearer {token}"}, timeout=10)
        for token in ("ya29-revoked", "ya29")
    ]

    assert [each.status_code for each in answers] == [401, 200]
    assert answers[0].json()["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("order", "code"),
    [("throttle", 429), ("forbid", 403), ("overload", 503), ("fail", 500), ("error", 500)],
)
def test_a_mishap_speaks_the_vendors_words(client: genai.Client, order: str, code: int) -> None:
    with pytest.raises(errors.APIError) as caught:
        client.models.generate_content(model=NEW, contents=f"simulate: {order}")

    assert caught.value.code == code


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_in_a_stream_is_a_chunk(client: genai.Client, post: Post, after: int) -> None:
    order = f"simulate: error after={after}"
    events_told = stream(post, said(order), OLD)
    array = post(said(order), OLD, "streamGenerateContent").json()

    assert len(events_told) == len(array) == after + 1
    assert events_told[-1] == array[-1]
    assert array[-1]["error"]["status"] == "UNAVAILABLE"
    with pytest.raises(errors.ServerError):
        list(client.models.generate_content_stream(model=OLD, contents=order))


def test_a_queued_cut_breaks_the_transfer(running: Running, post: Post) -> None:
    running.simulators["gemini"].mishaps.queue(Mishap("cut", after=2))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(said(), verb="streamGenerateContent?alt=sse")


def test_a_truncated_stream_has_no_finish(post: Post) -> None:
    chunks = stream(post, said("simulate: truncate"))

    assert "finishReason" not in chunks[-1]["candidates"][0]


def test_there_is_no_request_id(post: Post) -> None:
    headers = post(said()).headers

    assert not [name for name in headers if "request-id" in name.lower()]
    assert headers["server-timing"] == "gfet4t7; dur=12"
