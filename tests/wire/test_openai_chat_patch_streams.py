"""Chat streams of many vendors on the patched road: told as the translation would tell them, whatever
order the vendor writes its fields in.
"""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.events import Usage
from app.errors import BadReply, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.openai_chat import find_usage, read_stream, tap
from app.wire.openai_chat_patch import ChatPatch, patch_reply
from tests.nonsense import nonsense

TELLING = Telling("abc", "asked", 1_795_000_000)
ASKED = Telling("abc", "asked", 1_795_000_000, usage=True)
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "gpt-x"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "vendor": {"x": 1}}
DONE = b"data: [DONE]\n\n"

WORDS = st.sampled_from(
    [
        "a",
        "你好 😀",
        "\u2028\x85",
        '"}}]}\n\ndata: {"id":"chatcmpl-1"',
        '"finish_reason":null',
        "data: [DONE]",
    ]
    + ['"choices":[{"index":0,"delta":{"content":"', '"usage":{', "\\", '\\"', "x" * 70_000]
)


def said(delta, finish=None, *, order=None, index=0, **more) -> dict:
    """A chunk; `order` is the order of its top-level fields."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = HEAD | {"choices": [choice]} | more
    return body if order is None else {name: body[name] for name in order(body)}


def encoded(*bodies, end: bytes = b"\n\n", spaced: bool = False) -> bytes:
    lines = (orjson.dumps(body) for body in bodies)
    if spaced:
        lines = (line.replace(b'":', b'": ') for line in lines)
    return b"".join(b"data: " + line + end for line in lines)


def through(
    wire: bytes, places: list[int] = [], telling: Telling = TELLING
) -> list[dict]:  # noqa: B006
    """The chunks that come out, which have the promised framing."""
    patch, at = ChatPatch(telling), 0
    out = patch.open()
    for place in [*sorted(min(place, len(wire)) for place in places), len(wire)]:
        out += patch.feed(wire[at:place])
        at = max(at, place)
    out += patch.finish()
    assert patch.done
    *frames, last, empty = out.split(b"\n\n")
    assert (last, empty) == (b"data: [DONE]", b"")
    assert all(one.startswith(b"data: {") and b"\n" not in one for one in frames)
    assert all(len(one) < 65536 for one in frames)  # K-069
    for one in frames:
        assert one.count(b'"id":"foaicmpl-abc"') == 1 and b'"id":"chatcmpl-1"' not in one
    return [orjson.loads(one[6:]) for one in frames]


def deltas(chunks: list[dict], index: int = 0) -> list[dict]:
    return [
        choice["delta"] for one in chunks for choice in one["choices"] if choice["index"] == index
    ]


def gist(wire: bytes):
    """What the translation understands."""
    reader = read_stream()
    events = reader.feed(wire)
    events += [] if reader.done else reader.finish()
    told: dict[str, str] = {}
    names = {getattr(event, "index", -1): event for event in events if hasattr(event, "kind")}
    for event in events:
        if hasattr(event, "text") and event.text:
            opened = names[event.index]
            key = f"{opened.kind}{opened.call_id}"
            told[key] = told.get(key, "") + event.text
    calls = [(one.call_id, one.name) for one in names.values() if one.call_id]
    return told, calls, events[-1]


def openai_order(body):
    return list(body)


def alphabetical(body):
    return sorted(body)


def choices_first(body):
    return sorted(body, key=lambda name: name != "choices")


@st.composite
def streams(draw):
    more = draw(
        st.sampled_from(
            [
                {},
                {"usage": None},
                {"service_tier": "default", "system_fingerprint": None, "usage": None},
                {"obfuscation": "aB3", "new": {"a": [1]}},
                {"error": None},
            ]
        )
    )
    order = draw(st.sampled_from([openai_order, alphabetical, choices_first]))
    role_everywhere = draw(st.sampled_from([{}, {"role": "assistant"}]))
    bodies = [said({"role": "assistant", "content": "", "refusal": None}, order=order, **more)]
    calls = 0
    for kind in draw(
        st.lists(
            st.sampled_from("content content content thought both call".split()),
            min_size=1,
            max_size=9,
        )
    ):
        if kind == "content":
            delta = {"content": draw(WORDS)} | role_everywhere
        elif kind == "thought":
            delta = {"reasoning_content": draw(WORDS)}
        elif kind == "both":
            delta = {"content": draw(WORDS), "reasoning_content": None} | role_everywhere
        else:
            function = {"name": "f", "arguments": draw(WORDS)}
            calls += 1
            call = {"index": calls, "id": f"call_{calls}", "type": "function", "function": function}
            delta = {"tool_calls": [call]}
        bodies.append(said(delta, order=order, **more))
    bodies.append(said({}, "stop", order=order, **more))
    if draw(st.booleans()):
        bodies.append(HEAD | {"choices": [], "usage": USAGE})
    end = draw(st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]))
    return encoded(*bodies, end=end, spaced=False) + draw(st.sampled_from([DONE, b""]))


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.integers(0, 4000), max_size=8))
def test_patched_it_says_what_translated_it_would_say(wire, places):
    chunks = through(wire, places)
    told = b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in chunks)
    words, calls, _ = gist(wire)

    assert gist(told)[:2] == (words, calls)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    for one in chunks:
        (choice,) = one["choices"]
        named = one["id"], one["object"], one["model"], one["created"]
        assert named == ("foaicmpl-abc", "chat.completion.chunk", "asked", 1_795_000_000)
        assert "error" not in one and len(choice["delta"]) <= 1 and choice["index"] == 0
    assert [one["choices"][0]["finish_reason"] for one in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0]["finish_reason"] == ("tool_calls" if calls else "stop")
    assert chunks[-1]["choices"][0]["delta"] == {}


@settings(max_examples=40, deadline=None)
@given(streams(), st.lists(st.integers(0, 4000), max_size=8))
def test_where_it_is_cut_changes_nothing_not_even_a_field(wire, places):
    whole = through(wire)

    assert through(wire, places) == whole
    if len(wire) < 6000:
        assert through(wire, list(range(len(wire)))) == whole


@pytest.mark.parametrize("order", [openai_order, alphabetical, choices_first])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_no_name_of_the_platforms_is_left_behind_the_choices(order, count):
    """C-087, C-090, C-103: some vendors sort their fields."""
    bodies = [said({"content": "x"}, order=order)] * count
    chunks = through(encoded(*bodies) + encoded(*bodies) + encoded(said({}, "stop")) + DONE)

    assert deltas(chunks)[1:-1] == [{"content": "x"}] * (2 * count)


@pytest.mark.parametrize(
    "odd",
    [
        {"error": None},
        {"content": "x", "role": "assistant"},
        {"content": "x", "reasoning": "y"},
        {"content": "x", "tool_calls": []},
        {"content": "x", "refusal": "z"},
    ],
    ids=str,
)
def test_a_whole_read_of_odd_chunks_is_not_waved_through(odd):
    """K-067, K-079: after the plain ones whose beginning is known."""
    if "error" in odd:
        body = said({"content": "x"}, error=None)
    else:
        body = said(odd)
    plain = encoded(said({"content": "x"})) * 2
    wire = plain + encoded(body) * 3 + encoded(said({}, "stop")) + DONE

    for one in through(wire, [len(plain), len(plain) + 3 * len(encoded(body))]):
        assert "error" not in one and len(one["choices"][0]["delta"]) <= 1


def test_lines_that_stand_between_plain_chunks_go_no_further():
    """K-064: no `id:`, no comments, even where everything else is plain."""
    plain = encoded(said({"content": "x"})) * 2
    noisy = encoded(said({"content": "y"}), end=b"\nid: 7\n\n") + b": beat\n\n"
    wire = plain + noisy + noisy + encoded(said({}, "stop")) + DONE

    chunks = through(wire, [len(plain), len(plain + noisy), len(plain + noisy + noisy)])
    assert [one.get("content") for one in deltas(chunks)[1:-1]] == ["x", "x", "y", "y"]


def test_json_with_spaces_is_json():
    wire = encoded(said({"content": "x"}), said({"content": "y"}), said({}, "stop"), spaced=True)

    assert deltas(through(wire + DONE)) == [
        {"role": "assistant"},
        {"content": "x"},
        {"content": "y"},
        {},
    ]


def test_several_answers_each_have_a_role_an_end_and_their_own_reason():
    """C-103, K-072, K-073, K-076 with `n` above 1."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    bodies = [said({"role": "assistant", "content": ""}), said({"content": "a"})]
    bodies += [said({"content": "b"}, index=1), said({"tool_calls": [call]}), said({}, "stop")]
    chunks = through(encoded(*bodies, said({}, "stop", index=1), said({}, "stop", index=1)) + DONE)

    assert deltas(chunks) == [{"role": "assistant"}, {"content": "a"}, {"tool_calls": [call]}, {}]
    assert deltas(chunks, 1) == [{"role": "assistant"}, {"content": "b"}, {}]
    ends = [
        (c["index"], c["finish_reason"])
        for one in chunks
        for c in one["choices"]
        if c["finish_reason"]
    ]
    assert ends == [(0, "tool_calls"), (1, "stop")]


def test_an_answer_is_not_complete_while_one_of_several_is_not():
    """R-001."""
    patch = ChatPatch(TELLING)
    patch.feed(encoded(said({"content": "a"}), said({"content": "b"}, index=1), said({}, "stop")))

    with pytest.raises(BrokenTransfer):
        patch.finish()


@pytest.mark.parametrize("telling", [TELLING, ASKED])
def test_usage_stands_in_one_chunk_of_its_own_wherever_the_platform_told_it(telling):
    """C-105, K-074, R-016, R-017: the last sane one, with every field it has."""
    early = {"prompt_tokens": 1, "completion_tokens": 0}
    absurd = {"prompt_tokens": -1, "completion_tokens": 10**18}
    bodies = [said({"content": "x"}, usage=early), said({"content": "y"}, usage=early)]
    bodies += [said({}, "stop", usage=USAGE), HEAD | {"choices": [], "usage": absurd}]
    chunks = through(encoded(*bodies) + DONE, telling=telling)

    *choices, last = chunks
    if telling.usage:
        assert (last["choices"], last["usage"]) == ([], USAGE)
        assert find_usage(last) == Usage(3, 2)
    else:
        choices = chunks
    assert all(one["choices"] and "usage" not in one for one in choices)


def test_logprobs_are_told_once():
    body = said({"content": "a", "reasoning_content": "b"}, "stop")
    body["choices"][0]["logprobs"] = {"content": [{"token": "a"}]}

    chunks = through(encoded(body) + DONE)
    assert [one["choices"][0]["logprobs"] is None for one in chunks[1:]] == [False, True, True]


def test_a_platform_that_forgets_its_reason_gets_one():
    """R-003, C-101, K-073."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for delta, reason in [({"content": "x"}, "stop"), ({"tool_calls": [call]}, "tool_calls")]:
        last = through(encoded(said(delta)) + DONE)[-1]
        assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": reason}]


@pytest.mark.parametrize(
    "given_, told",
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("eos", "stop")]
    + [("function_call", "tool_calls"), ("tool_calls", "tool_calls")],
)
def test_a_reason_is_one_of_the_four_that_clients_know(given_, told):
    """C-093, K-056."""
    chunks = through(encoded(said({"content": "x"}, given_), said({}, given_)) + DONE)
    reply = patch_reply(
        {"choices": [{"message": {"content": "x"}, "finish_reason": given_}]}, TELLING
    )

    assert [one["choices"][0]["finish_reason"] for one in chunks] == [None, None, told]
    assert reply["choices"][0]["finish_reason"] == told


def test_cut_after_any_byte_it_is_broken_until_the_reason_is_there():
    """R-001, R-002."""
    wire = encoded(said({"role": "assistant"}), said({"content": "x"}), said({}, "stop"))
    whole = len(wire) - 2  # the blank line itself may be missing

    for place in range(len(wire)):
        patch = ChatPatch(TELLING)
        patch.feed(wire[:place])
        if place >= whole:
            assert patch.finish().endswith(DONE)
            continue
        with pytest.raises(BrokenTransfer):
            patch.finish()


def test_after_the_end_nothing_passes():
    patch = ChatPatch(TELLING)
    plain = encoded(said({"content": "x"}))
    assert patch.feed(plain + plain + DONE + plain + plain).endswith(DONE)

    assert patch.feed(plain) == b"" and patch.feed(b"data: [DONE]") == b"" and patch.finish() == b""


@pytest.mark.parametrize("before", [b"", encoded(said({"content": "x"}))])
def test_an_error_ends_it_without_a_word_of_its_own(before):
    """R-012: what is told instead is decided elsewhere."""
    patch = ChatPatch(TELLING)
    out = patch.feed(before + encoded({"error": {"message": "no", "code": "c"}}) + DONE)

    assert patch.done and patch.trouble is not None and patch.trouble.message == "no"
    assert b"error" not in out and b"[DONE]" not in out and patch.spoke is bool(before)


NAMES = "choices delta content index finish_reason tool_calls function arguments id usage error role logprobs".split()
ANY = nonsense(NAMES)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        ANY | st.builds(said, st.dictionaries(st.sampled_from(NAMES), ANY, max_size=4), ANY),
        max_size=4,
    )
)
def test_whatever_the_platform_sends_is_passed_or_refused(bodies):
    """R-011."""
    patch, listener = ChatPatch(ASKED), tap()
    listener.feed(encoded(*bodies))
    try:
        patch.feed(encoded(*bodies))
        patch.finish()
    except BadReply:
        return


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["choices", "usage", "created", "id"]), ANY, max_size=3), ANY
)
def test_whatever_answer_comes_whole_is_patched_or_refused(body, message):
    choice = {"message": message, "finish_reason": "stop"}
    for one in (body, {"choices": [choice]} | {k: v for k, v in body.items() if k != "choices"}):
        try:
            patched = patch_reply(dict(one), TELLING)
        except BadReply:
            continue
        assert (patched["id"], patched["model"]) == ("foaicmpl-abc", "asked")


# ---------------------------------------------------------------- the listener


def test_the_listener_hears_words_usage_and_the_end():
    heard = tap()
    heard.feed(encoded(said({"role": "assistant", "content": ""})))
    assert (heard.spoke, heard.done, heard.usage) == (False, False, None)

    heard.feed(encoded(said({"reasoning_content": "x"})))
    assert heard.spoke
    heard.feed(encoded(said({}, "stop"), HEAD | {"choices": [], "usage": USAGE})[:-5])
    assert heard.done and heard.usage is None
    heard.feed(encoded(HEAD | {"choices": [], "usage": USAGE})[-5:] + DONE)
    assert heard.usage == Usage(3, 2) and heard.trouble is None


def test_the_listener_hears_an_error_wherever_it_stands():
    heard = tap()
    heard.feed(encoded({"id": "x", "error": {"message": "no"}}))

    assert heard.done and heard.trouble is not None and heard.trouble.message == "no"
