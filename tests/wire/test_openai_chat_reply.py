"""Whole chat answers and errors, read and written."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.events import Trouble, Usage
from app.canonical.parts import Image, Inline, Opaque, Refusal, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, Citation, fold, unfold
from app.errors import BadReply
from app.wire.dialect import Telling
from app.wire.openai_chat import (
    find_usage,
    read_error,
    read_reply,
    read_request,
    write_error,
    write_reply,
)
from tests.nonsense import nonsense

TELLING = Telling("abc", "asked", 1_795_000_000)
SEAL = Opaque("gemini_generate", {"thoughtSignature": "c2VhbGVk"})
USAGE = Usage(9, 5, cached=3, cache_write=2, reasoning=1)


def reply(*parts, reason="stop", usage=USAGE, citations=()) -> ChatReply:
    return ChatReply("a", "m", parts, usage, reason, None, citations)


def again(told) -> dict:
    return orjson.loads(orjson.dumps(told))


def test_an_answer_has_the_shape_that_was_promised():
    """C-087 to C-097, K-053 to K-058."""
    call = ToolCall("c1", "f", '{"x":1}')

    assert write_reply(reply(Thinking("hm"), Text("a"), Text("b"), call), TELLING) == {
        "id": "foaicmpl-abc",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": "asked",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "ab",
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"x":1}'},
                        }
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }


@pytest.mark.parametrize(
    "parts, content",
    [
        ((), ""),
        ((ToolCall("c", "f", ""),), None),
        ((Text(""), ToolCall("c", "f", "")), None),
        ((Text("a"), ToolCall("c", "f", "")), "a"),
        ((Refusal("no"),), ""),
        ((Thinking("hm"),), ""),
        ((Image(Inline("image/png", "AA")), Text("x")), "![image](data:image/png;base64,AA)x"),
    ],
    ids=str,
)
def test_content_is_text_or_null_beside_calls_alone(parts, content):
    """C-091, C-096, C-114, K-054."""
    (choice,) = write_reply(reply(*parts), TELLING)["choices"]

    assert choice["message"]["content"] == content
    for call in choice["message"].get("tool_calls", ()):
        assert call["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    "reasoning, content, field",
    [("field", "yes", "hm"), ("none", "yes", None), ("inline", "<think>hm</think>yes", None)],
)
def test_thoughts_go_where_the_caller_wants_them(reasoning, content, field):
    """C-127 to C-129."""
    told = write_reply(reply(Thinking("hm"), Text("yes")), Telling("a", "m", 1, reasoning))
    message = told["choices"][0]["message"]

    assert (message["content"], message.get("reasoning_content")) == (content, field)
    sealed = write_reply(reply(Thinking("", SEAL), Text("yes")), Telling("a", "m", 1, reasoning))
    assert "think>" not in sealed["choices"][0]["message"]["content"]
    assert ("tokens1." in str(sealed)) is (reasoning == "field")


@pytest.mark.parametrize(
    "reason, calls, told",
    [
        ("stop", (), "stop"),
        ("stop_sequence", (), "stop"),
        ("length", (), "length"),
        ("refused", (), "content_filter"),
        ("stop", (ToolCall("c", "f", ""),), "tool_calls"),
        ("length", (ToolCall("c", "f", ""),), "length"),
    ],
)
def test_the_reason_is_one_of_four(reason, calls, told):
    """C-093, K-056, K-076."""
    assert write_reply(reply(*calls, reason=reason), TELLING)["choices"][0]["finish_reason"] == told


def test_calls_without_an_id_get_one_each():
    calls = write_reply(reply(ToolCall("", "f", ""), ToolCall("", "f", "")), TELLING)["choices"][0]

    assert [call["id"] for call in calls["message"]["tool_calls"]] == ["call_abc_0", "call_abc_1"]


WORDS = st.text(min_size=1, max_size=4)
PARTS = st.tuples(
    st.lists(st.builds(Thinking, WORDS, st.just(SEAL)), max_size=2),
    st.lists(st.builds(Text, WORDS), max_size=1),
    st.lists(st.builds(Refusal, WORDS), max_size=1),
    st.lists(
        st.builds(ToolCall, WORDS, WORDS, WORDS, st.booleans(), st.sampled_from([None, SEAL])),
        max_size=3,
    ),
).map(lambda groups: tuple(part for group in groups for part in group))


@settings(max_examples=200, deadline=None)
@given(
    PARTS,
    st.sampled_from(["length", "refused", "tool_calls"]),
    st.lists(WORDS, unique=True, max_size=2),
)
def test_what_is_told_is_read_again(parts, reason, urls):
    cited = tuple(Citation(url, "t") for url in urls)
    given_ = reply(*parts, reason=reason, citations=cited)

    assert read_reply(again(write_reply(given_, TELLING))) == ChatReply(
        "foaicmpl-abc", "asked", parts, USAGE, reason, None, cited
    )


@pytest.mark.parametrize(
    "message, parts",
    [
        ({"content": "x", "refusal": None, "annotations": []}, (Text("x"),)),
        ({"content": None, "reasoning_content": "hm"}, (Thinking("hm"),)),
        ({"content": "", "reasoning": "hm"}, (Thinking("hm"),)),
        ({"content": None, "refusal": "no"}, (Refusal("no"),)),
        (
            {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]},
            (ToolCall("c", "f", ""),),
        ),
        (
            {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "i"}}]},
            (ToolCall("c", "f", "i", True),),
        ),
    ],
    ids=str,
)
def test_an_answer_is_read_part_by_part(message, parts):
    body = {"id": None, "model": None, "choices": [{"message": message, "finish_reason": None}]}

    assert read_reply(body) == ChatReply("", "", parts, None, "stop")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": ["x"]}}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {"name": "f"}}]}}]},
        {"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": 1}}]}}]},
        {"choices": [{"message": {"tool_calls": 7}}]},
        {"choices": [{"message": {"annotations": [{"url_citation": {"url": ["u"]}}]}}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": ["stop"]}]},
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_a_bad_reply(body):
    with pytest.raises(BadReply):
        read_reply(body)


NAMES = """choices message content finish_reason tool_calls function custom name arguments id type usage
    reasoning_content refusal annotations url_citation url reasoning_details signature text""".split()
ANY = nonsense(NAMES, ["custom"])
FIELDS = st.dictionaries(st.sampled_from(NAMES), ANY, max_size=5)


@settings(max_examples=400, deadline=None)
@given(FIELDS, FIELDS)
def test_any_answer_is_read_or_refused_and_what_is_read_can_be_told(body, message):
    for one in (body, body | {"choices": [{"message": message}]}):
        try:
            found = read_reply(one)
        except BadReply:
            continue
        assert fold(unfold(found)).reason == found.reason
        again(write_reply(found, TELLING))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "body, trouble",
    [
        (
            {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}},
            Trouble("m", 418, "c", "t", "p"),
        ),
        ({"error": {"message": "m", "code": 7, "param": None}}, Trouble("m", 418, "7")),
        ([{"error": {"message": "m"}}], Trouble("m", 418)),
        ({"message": "m"}, Trouble("m", 418)),
        ({"error": "m"}, Trouble("m", 418)),
        ({"error": {"message": ["m"], "type": {}, "param": 5}}, Trouble("", 418)),
        ({"error": None}, Trouble("", 418)),
        ("m", Trouble("m", 418)),
        ([], Trouble("", 418)),
        (None, Trouble("", 418)),
        (7, Trouble("", 418)),
    ],
    ids=str,
)
def test_an_error_is_read_in_whatever_shape_it_comes(body, trouble):
    """R-013."""
    assert read_error(418, body) == trouble


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_an_error_is_told_with_all_four_fields(status, kind):
    """C-181, K-084."""
    assert write_error(Trouble("m", status))["error"] == {
        "message": "m",
        "type": kind,
        "param": None,
        "code": None,
    }
    told = write_error(Trouble("m", status, "c", "t", "p"))
    assert told["error"] == {"message": "m", "type": "t", "param": "p", "code": "c"}
    assert read_error(status, told) == Trouble("m", status, "c", "t", "p")


# ---------------------------------------------------------------- seals


def test_seals_that_a_client_echoes_come_back():
    parts = (Thinking("hm", SEAL), Text("yes"), ToolCall("c", "f", "{}", opaque=SEAL))
    message = again(write_reply(reply(*parts), TELLING))["choices"][0]["message"]

    request = read_request({"model": "m", "messages": [{"role": "user", "content": "x"}, message]})
    assert request.turns[1].parts == parts


@pytest.mark.parametrize(
    "details",
    [None, [], {}, "x", [5], [{"signature": "x"}], [{"signature": 5}], [{"text": "x"}]],
    ids=str,
)
def test_details_that_are_not_ours_are_nothing(details):
    message = {"role": "assistant", "content": "x", "reasoning_details": details}
    message["tool_calls"] = [
        {
            "id": "c",
            "function": {"name": "f"},
            "extra_content": {"google": {"thought_signature": details}},
        }
    ]

    (turn,) = read_request({"model": "m", "messages": [message]}).turns
    assert turn.parts == (Text("x"), ToolCall("c", "f", ""))


def test_usage_of_an_answer_is_found():
    assert find_usage({"usage": {"prompt_tokens": 1, "completion_tokens": 2}}) == Usage(1, 2)
    assert find_usage({}) is None
