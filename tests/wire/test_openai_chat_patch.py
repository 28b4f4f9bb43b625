"""Chat completions on their way through: patched where the contract says so, untouched
otherwise.
"""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.model import ModelFacts
from app.errors import BadRequest, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.openai_chat_patch import ChatPatch, patch_reply, patch_request
from tests.nonsense import nonsense

TELLING = Telling("abc", "asked", 1_795_000_000)
TRICKY = [
    "",
    "hello",
    "你好 😀",
    '"choices":[{"index":0,"delta":{"content":"',
    '"finish_reason":"stop"',
    '"usage":{"prompt_tokens":1}',
    'data: {"id":"chatcmpl-1","object"',
    "data: [DONE]",
    "\n\n",
    '"reasoning_content":',
    "x" * 70_000,
]
TEXT = st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def deltas(draw):
    kind = draw(
        st.sampled_from(["content", "content", "content", "reasoning_content", "refusal", "call"])
    )
    if kind == "call":
        function = {"name": "f", "arguments": draw(TEXT)}
        return {
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]
        }
    return {kind: draw(TEXT)}


@st.composite
def streams(draw):
    """A stream as OpenAI sends one, and the deltas in it."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 17,
        "model": "gpt-x-2026",
    }
    head |= draw(
        st.sampled_from([{}, {"service_tier": "default"}, {"system_fingerprint": None, "z": 1}])
    )
    tail = draw(st.sampled_from([{}, {"usage": None}, {"obfuscation": "aB3"}]))
    said = draw(st.lists(deltas(), min_size=1, max_size=8))
    end = draw(st.sampled_from([b"\n\n", b"\r\n\r\n"]))

    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + orjson.dumps(head | {"choices": [choice]} | tail) + end

    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    wire = chunk({"role": "assistant", "content": "", "refusal": None})
    wire += b"".join(map(chunk, said)) + chunk({}, "stop")
    wire += b"data: " + orjson.dumps(head | {"choices": [], "usage": usage}) + end
    return wire + b"data: [DONE]" + end, said


def through(
    wire: bytes, places: list[int], telling: Telling = TELLING
) -> tuple[ChatPatch, list[dict]]:
    patch, at = ChatPatch(telling), 0
    out = patch.open()
    for place in [*sorted(min(place, len(wire)) for place in places), len(wire)]:
        out += patch.feed(wire[at:place])
        at = max(at, place)
    out += patch.finish()
    *frames, last, empty = out.split(b"\n\n")
    assert (last, empty) == (b"data: [DONE]", b"")
    assert all(len(one) < 65536 for one in frames)  # K-069
    return patch, [orjson.loads(one.removeprefix(b"data: ")) for one in frames]


def told(chunks: list[dict], name: str) -> str:
    return "".join(one["choices"][0]["delta"].get(name, "") for one in chunks if one["choices"])


@settings(max_examples=200, deadline=None)
@given(streams(), st.lists(st.integers(0, 3000), max_size=8))
def test_what_passes_keeps_its_words_and_gets_the_promised_shape(stream, places):
    """C-087, C-090, C-098 to C-104, K-061 to K-079."""
    wire, said = stream
    patch, chunks = through(wire, places)

    for name in ("content", "reasoning_content", "refusal"):
        assert told(chunks, name) == "".join(delta.get(name, "") for delta in said)
    calls = [c for one in chunks for c in one["choices"][0]["delta"].get("tool_calls", [])]
    written = "".join(call["function"]["arguments"] for call in calls)
    assert written == "".join(
        d["tool_calls"][0]["function"]["arguments"] for d in said if "tool_calls" in d
    )
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert chunks[-1]["choices"][0]["delta"] == {}
    called = any("tool_calls" in delta for delta in said)
    assert chunks[-1]["choices"][0]["finish_reason"] == ("tool_calls" if called else "stop")
    for one in chunks:
        assert (one["id"], one["model"], one["created"]) == ("foaicmpl-abc", "asked", 1_795_000_000)
        (choice,) = one["choices"]
        assert len(choice["delta"]) <= 1 and "error" not in one
    assert (patch.usage.input, patch.usage.output) == (3, 2)


@settings(max_examples=60, deadline=None)
@given(streams())
def test_fed_byte_by_byte_it_says_the_same(stream):
    wire, _ = stream
    if len(wire) > 5000:
        return
    whole, single = through(wire, [])[1], through(wire, list(range(len(wire))))[1]

    for name in ("content", "reasoning_content", "refusal"):
        assert told(single, name) == told(whole, name)
    assert single[-1] == whole[-1]


def test_fields_nobody_knows_pass_untouched():
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None, "odd": [1]}
    chunk = {
        "id": "a",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    end = chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    wire = b"".join(
        b"data: " + orjson.dumps(one | {"new": {"a": 1}}) + b"\n\n" for one in (chunk, chunk, end)
    )

    _, chunks = through(wire + b"data: [DONE]\n\n", [])

    assert [one.get("new") for one in chunks[1:]] == [{"a": 1}] * 3
    assert [one["choices"][0].get("odd") for one in chunks[1:3]] == [[1], [1]]


def test_usage_goes_on_only_to_who_asked():
    """C-104, C-105, R-017."""
    wire = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    wire += b'data: {"id":"a","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'

    quiet = through(wire, [])[1]
    asked = through(wire, [], Telling("abc", "asked", 1, usage=True))[1]

    assert all(one["choices"] for one in quiet)
    assert asked[-1]["choices"] == [] and asked[-1]["usage"]["total_tokens"] == 2


def test_a_finish_reason_and_a_clean_end_are_enough():
    """R-002: `[DONE]` is ours to add."""
    wire = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'

    assert through(wire, [])[0].done


def test_an_end_before_the_finish_reason_is_no_end():
    """R-001."""
    patch = ChatPatch(TELLING)
    patch.feed(b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n')

    with pytest.raises(BrokenTransfer):
        patch.finish()


BASE = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}


def test_what_is_spelt_as_openai_spells_it_is_left_alone():
    body = BASE | {"temperature": 0.5, "metadata": {"a": "b"}, "store": True}

    assert patch_request(body, "gpt-4o", ModelFacts()) == body


@pytest.mark.parametrize(
    "given_, written",
    [
        ({"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_output_tokens": "7"}, {"max_completion_tokens": 7}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_completion_tokens": 6}),
        ({"session_id": "s", "top_secret": 1}, {}),
        ({"tools": [], "tool_choice": "auto"}, {}),
        ({"temperature": "0.7"}, {"temperature": 0.7}),
        ({"stop": None}, {}),
        (
            {"stream": True},
            {
                "stream": True,
                "stream_options": {"include_obfuscation": False, "include_usage": True},
            },
        ),
    ],
    ids=str,
)
def test_other_spellings_become_openais(given_, written):
    """C-070 to C-073, K-035 to K-045."""
    assert patch_request(BASE | given_, "gpt-4o", ModelFacts()) == BASE | written


@pytest.mark.parametrize(
    "given_",
    [
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "file", "file": {"file_data": "https://x/y.pdf"}}],
                }
            ]
        },
        {"messages": [{"role": "assistant", "content": "a", "reasoning_content": "b"}]},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"functions": [{"name": "f"}]},
        {"reasoning": {"effort": "low"}},
    ],
    ids=str,
)
def test_what_needs_more_than_a_patch_is_left_to_the_translation(given_):
    assert patch_request(BASE | given_, "gpt-4o", ModelFacts()) is None


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("options", [5, "yes", [], True])
def test_options_of_a_stream_that_are_none_are_named(stream, options):
    given_ = {"messages": [{"role": "user", "content": "a"}], "stream": stream}
    with pytest.raises(BadRequest) as refused:
        patch_request(given_ | {"stream_options": options}, "m", ModelFacts())

    assert refused.value.param == "stream_options"


def test_what_a_model_refuses_is_left_out():
    """K-037."""
    facts = ModelFacts(
        refuses_thinking=frozenset({"temperature"}), efforts=("none", "low"), tools_thinking=False
    )
    tools = [{"type": "function", "function": {"name": "f"}}]

    assert patch_request(BASE | {"temperature": 1}, "m", facts) == BASE | {"model": "m"}
    with_tools = patch_request(BASE | {"temperature": 1, "tools": tools}, "m", facts)
    assert with_tools == BASE | {
        "model": "m",
        "temperature": 1,
        "tools": tools,
        "reasoning_effort": "none",
    }


MESSY = nonsense(["role", "content", "type", "text", "tool_calls", "x"], beyond=True)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "x"]), MESSY, max_size=4),
        min_size=1,
    ),
    st.dictionaries(
        st.sampled_from(["stop", "tools", "max_tokens", "stream_options", "temperature", "stream"]),
        MESSY,
    ),
)
def test_no_body_is_too_odd_to_be_judged(messages, more):
    """R-098: patched, left to the translation, or refused; never a crash."""
    try:
        patch_request({"model": "m", "messages": messages} | more, "m", ModelFacts())
    except BadRequest:
        return


def test_an_answer_gets_our_id_and_the_name_that_was_asked_for():
    """C-087 to C-097."""
    message = {"role": "assistant", "content": None}
    body = {"id": "x", "object": "o", "created": 7, "model": "m", "error": None}
    body["choices"] = [{"index": 0, "message": message, "finish_reason": "length"}]

    patched = patch_reply(body, TELLING)

    assert (patched["id"], patched["object"], patched["model"]) == (
        "foaicmpl-abc",
        "chat.completion",
        "asked",
    )
    assert patched["choices"][0]["message"]["content"] == "" and "error" not in patched
