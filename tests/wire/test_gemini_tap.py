"""Listening to raw Gemini traffic, and taking a streamed JSON array to pieces."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.events import Trouble, Usage
from app.errors import BadReply
from app.wire.gemini_generate import array_tap, find_usage, tap
from app.wire.gemini_tap import ChunkTap
from app.wire.json_array import Elements


def chunk(text: str = "", finish: str = "", told: int = 0) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 5, "candidatesTokenCount": told}
    return {"candidates": [candidate], "usageMetadata": usage}


CHUNKS = [chunk("Hel", told=1), chunk('lo "finishReason": "error"', told=2), chunk("", "STOP", 3)]
ERROR = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}


def as_events(*chunks: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + b"\r\n\r\n" for one in chunks)


def as_array(*chunks: Any) -> bytes:
    return b"[" + b",\r\n".join(map(orjson.dumps, chunks)) + b"]\r\n"


FRAMINGS = [(tap, as_events), (array_tap, as_array)]


def listened(make: Any, data: bytes, size: int = 11) -> ChunkTap:
    ear: ChunkTap = make()
    for start in range(0, len(data), size):
        ear.feed(data[start : start + size])
    return ear


@pytest.mark.parametrize(("make", "frame"), FRAMINGS, ids=["events", "array"])
def test_a_tap_hears_the_end_and_the_last_totals(make: Any, frame: Any) -> None:
    data = frame(*CHUNKS)

    assert listened(make, data[:20]).spoke is False
    early = listened(make, data[: data.index(b"lo ")])
    assert (early.spoke, early.done, early.usage) == (True, False, Usage(5, 1))
    whole = listened(make, data)
    assert (whole.spoke, whole.done, whole.usage) == (True, True, Usage(5, 3))
    assert whole.trouble is None


@pytest.mark.parametrize(("make", "frame"), FRAMINGS, ids=["events", "array"])
def test_a_name_inside_what_the_model_says_is_not_the_end(make: Any, frame: Any) -> None:
    ear = listened(make, frame(*CHUNKS[:2]))

    assert (ear.done, ear.trouble, ear.usage) == (False, None, Usage(5, 2))


@pytest.mark.parametrize(("make", "frame"), FRAMINGS, ids=["events", "array"])
def test_a_tap_hears_trouble(make: Any, frame: Any) -> None:
    ear = listened(make, frame(CHUNKS[0], ERROR))

    assert ear.done
    assert ear.trouble == Trouble("slow", 429, type="RESOURCE_EXHAUSTED")
    assert ear.usage == Usage(5, 1)


@pytest.mark.parametrize(("make", "frame"), FRAMINGS, ids=["events", "array"])
def test_a_blocked_prompt_is_an_end_without_words(make: Any, frame: Any) -> None:
    ear = listened(make, frame({"promptFeedback": {"blockReason": "OTHER"}}))

    assert (ear.done, ear.spoke, ear.usage) == (True, False, None)


def test_an_array_without_its_last_bracket_is_not_done() -> None:
    data = as_array(*CHUNKS)

    assert listened(array_tap, data[: data.rindex(b"]")]).done is False
    assert listened(array_tap, data).done is True


@pytest.mark.parametrize(("make", "frame"), FRAMINGS, ids=["events", "array"])
def test_absurd_totals_do_not_replace_sane_ones(make: Any, frame: Any) -> None:
    ear = listened(make, frame(CHUNKS[0], chunk("a", "STOP", -4)))

    assert (ear.done, ear.usage) == (True, Usage(5, 1))


def test_the_usage_of_a_whole_answer_is_found() -> None:
    body = {"usageMetadata": {"promptTokenCount": 9, "toolUsePromptTokenCount": 1}}

    assert find_usage(body) == Usage(10, 0)
    assert find_usage({}) is None


JSON = st.recursive(
    st.integers(-9, 9)
    | st.booleans()
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", "[{", '\\"}']),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=4)


@settings(max_examples=100, deadline=None)
@given(OBJECTS, st.integers(1, 40), st.booleans())
def test_the_elements_of_an_array_are_found_however_it_is_cut(
    objects: list[Any], size: int, pretty: bool
) -> None:
    data = orjson.dumps(objects, option=orjson.OPT_INDENT_2 if pretty else 0)
    elements, found = Elements(), []
    for start in range(0, len(data), size):
        assert not elements.closed
        found += [orjson.loads(one) for _, one in elements.feed(data[start : start + size])]

    assert found == objects
    assert elements.closed


def test_an_error_that_comes_without_an_array_is_an_element() -> None:
    data = orjson.dumps(ERROR)

    assert Elements().feed(data) == [(b"", data)]


def test_an_element_over_the_limit_is_refused() -> None:
    elements = Elements(most_bytes=100)
    with pytest.raises(BadReply):
        for _ in range(11):
            elements.feed(b'[{"a":"xxx')
