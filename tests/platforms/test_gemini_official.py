"""What Gemini Official's own: two endpoints behind one door, and the quirks of the first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.parts import Opaque, carry
from app.errors import BadReply
from app.platforms.gemini_official_wire import OfficialReader, ThoughtTags, read_reply
from tests.platforms.callers import CALLERS, NATIVE
from tests.platforms.conftest import Pair
from tests.stack import Json, Stack

OLD, NEW = "gemini-2.5-flash-lite", "gemini-3.8-flash"
COMPATIBLE = "/v1beta/openai/chat/completions"
CHAT, GENERATE = NATIVE["openai_chat"], NATIVE["gemini_generate"]
TOOL: Json = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}


@pytest.fixture
def chat(stack: Stack) -> Pair:
    stack.simulators.clear("gemini_official")
    return Pair("gemini_official", CHAT, stack)


def _ask(pair: Pair, model: str = OLD, text: str = "hello", **more: Any) -> Any:
    body = pair.caller.ask(model, text)[1] | more
    return pair.caller.call(pair.base, (pair.caller.ask(model, text)[0], body), pair.stack.licence)


def _path(pair: Pair) -> str:
    return str(pair.asked[-1]["path"])


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_googles_own_callers_reach_googles_own_api(caller: Any, stack: Stack) -> None:
    stack.simulators.clear("gemini_official")
    pair = Pair("gemini_official", caller, stack)

    assert pair.call("hello").status == 200
    assert (_path(pair) == COMPATIBLE) is (caller is not GENERATE)


def test_what_the_system_says_stands_in_one_message_at_the_head(chat: Pair) -> None:
    """Whenever it was said."""
    turns = [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "simulate: say Hi"},
    ]
    assert _ask(chat, messages=turns).status == 200
    head, *rest = chat.asked[-1]["body"]["messages"]

    assert head == {"role": "system", "content": "Be brief.\n\nBe kind."}
    assert [one["role"] for one in rest] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    "more, compatible",
    [
        ({"temperature": 0.5, "seed": 7, "logit_bias": {"1": 1}, "store": True}, True),
        ({"tools": [TOOL]}, True),
        ({"reasoning_effort": "low", "model": NEW}, False),
        ({"thinking_budget": 600}, False),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": PDF}]}]},
            False,
        ),
    ],
)
def test_what_the_endpoint_does_badly_goes_to_the_other(
    chat: Pair, more: Json, compatible: bool
) -> None:
    heard = _ask(chat, **more)

    assert heard.status == 200, heard.content
    assert (_path(chat) == COMPATIBLE) is compatible


@pytest.mark.parametrize("place", ["extra_body", "root"])
def test_googles_words_are_kept_wherever_they_stand(chat: Pair, place: str) -> None:
    own = {"google": {"thinking_config": {"include_thoughts": True, "thinking_budget": 600}}}
    heard = _ask(
        chat, "gemini-2.5-flash", **({"extra_body": own} if place == "extra_body" else own)
    )

    assert heard.status == 200, heard.content
    assert chat.asked[-1]["body"]["extra_body"] == own
    message = heard.json["choices"][0]["message"]
    assert message["reasoning_content"] and "<thought>" not in message["content"]


@pytest.mark.parametrize("quirk", ["", "simulate: nameless\n", "simulate: unnumbered\n"])
def test_parallel_calls_of_a_stream_are_told_apart(chat: Pair, quirk: str) -> None:
    """C-093, K-076: and the stream ends because of them."""
    other = {"type": "function", "function": {"name": "date", "parameters": {"type": "object"}}}
    heard = _ask(chat, OLD, quirk + "hi", tools=[TOOL, other], tool_choice="required", stream=True)
    calls = [
        call
        for one in heard.data
        for choice in one["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    named = {call["index"]: call["id"] for call in calls if call.get("id")}

    assert len(named) == len(set(named.values())) == len({call["index"] for call in calls})
    assert heard.data[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("sealed", [True, False], ids=["with its seal", "from elsewhere"])
def test_a_signed_call_can_be_answered(chat: Pair, sealed: bool) -> None:
    first = _ask(chat, NEW, tools=[TOOL], tool_choice="required").json["choices"][0]["message"]
    call = first["tool_calls"][0]
    if not sealed:
        del call["extra_content"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "noon"}
    messages = [{"role": "user", "content": "hello"}, {**first, "tool_calls": [call]}, result]
    heard = _ask(chat, NEW, tools=[TOOL], messages=messages)

    assert heard.status == 200, heard.content
    assert _path(chat) == COMPATIBLE


def test_what_the_model_refuses_is_not_sent(chat: Pair) -> None:
    """K-037: by the rules of Google's own names."""
    heard = _ask(chat, NEW, presence_penalty=1)

    assert heard.status == 200, heard.content
    assert "presence_penalty" not in chat.asked[-1]["body"]
    assert heard.headers["x-tokens-dropped"] == "presence_penalty"


def test_an_error_in_an_array_is_understood(chat: Pair) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]
    heard = _ask(chat, NEW, messages=messages)

    assert heard.status == 400
    assert "model turn" in heard.json["error"]["message"]


@given(
    st.lists(
        st.tuples(st.booleans(), st.text("abc<>/thoug\n é", min_size=1, max_size=12)), max_size=6
    ),
    st.lists(st.integers(1, 7), min_size=1),
)
def test_thoughts_are_told_from_words_wherever_the_text_is_cut(
    spans: list[tuple[bool, str]], cuts: list[int]
) -> None:
    text = "".join(f"<thought>{one}</thought>" if thinks else one for thinks, one in spans)
    whole = ThoughtTags()
    expected = [*whole.feed(text), *whole.finish()]
    tags, found, at, turn = ThoughtTags(), [], 0, 0
    while at < len(text):
        size = cuts[turn % len(cuts)]
        found += tags.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    found += tags.finish()

    for thinks in (True, False):
        assert "".join(t for k, t in found if k is thinks) == "".join(
            t for k, t in expected if k is thinks
        )


def test_a_reply_is_set_right_as_a_stream_is() -> None:
    message = {
        "role": "assistant",
        "content": "<thought>Hm.</thought>Yes.",
        "tool_calls": [
            {
                "id": "",
                "type": "function",
                "function": {"name": "clock", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "c2ln"}},
            }
        ],
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 17}
    reply = read_reply({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
    reader = OfficialReader()
    chunk = {"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}], "usage": usage}
    events = reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")

    thought, words, call = reply.parts
    assert (thought.text, words.text) == ("Hm.", "Yes.")
    assert call.call_id.startswith("call_")
    assert call.opaque == Opaque("gemini_generate", {"thoughtSignature": "c2ln"})
    assert carry(call.opaque)
    assert reply.usage is not None and (reply.usage.output, reply.usage.reasoning) == (12, 10)
    assert events[-1].reason == "tool_calls"


def test_calls_without_ids_get_ids_that_differ_from_answer_to_answer() -> None:
    """Signatures are found by them."""
    ids = set()
    for _ in range(2):
        function = {"name": "clock", "arguments": "{}"}
        message = {"tool_calls": [{"id": "", "type": "function", "function": function}]}
        (call,) = read_reply({"choices": [{"message": message, "finish_reason": "stop"}]}).parts
        ids.add(call.call_id)

    assert len(ids) == 2


@pytest.mark.parametrize(
    "message",
    [
        {"content": 5},
        {"content": ["x"]},
        {"tool_calls": [{"id": "a", "function": "x"}]},
        {"tool_calls": [{"id": "a", "extra_content": ["q"]}]},
    ],
)
def test_a_reply_that_makes_no_sense_is_told_as_one(message: Json) -> None:
    with pytest.raises(BadReply):
        read_reply({"choices": [{"message": message, "finish_reason": "stop"}]})


def test_safety_settings_reach_googles_own_api(chat: Pair) -> None:
    setting = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    heard = _ask(chat, extra_body={"google": {"safety_settings": [setting]}})

    assert heard.status == 200, heard.content
    assert chat.asked[-1]["body"]["safetySettings"] == [setting]
