"""A picture as OpenAI's clients ask for it: every field, from JSON and from forms, and what is wrong."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.media import File, ImageJob, Picture, Pictures
from app.errors import BadRequest
from app.wire.openai_images import LONGEST_PROMPT, flag, read_job, write_reply


def job(**fields: Any) -> ImageJob:
    return read_job({"prompt": "a kite", **fields}, "a-model")


def test_who_wishes_nothing_more_gets_one_picture():
    assert job() == ImageJob(model="a-model", prompt="a kite")


@pytest.mark.parametrize(
    "field, given, attribute, expected",
    [
        ("size", "1024x1024", "size", "1024x1024"),
        ("size", "01024 X 768", "size", "1024x768"),
        ("size", "1024*768", "size", "1024x768"),
        ("size", "auto", "size", ""),
        ("aspect_ratio", "16:9", "aspect_ratio", "16:9"),
        ("aspect_ratio", "19.5/9", "aspect_ratio", "19.5:9"),
        ("aspect_ratio", "auto", "aspect_ratio", ""),
        ("resolution", "2k", "resolution", "2K"),
        ("resolution", "4K", "resolution", "4K"),
        ("quality", "standard", "quality", "medium"),
        ("quality", "HD", "quality", "high"),
        ("quality", "auto", "quality", ""),
        ("quality", "low", "quality", "low"),
        ("background", "transparent", "background", "transparent"),
        ("background", "auto", "background", ""),
        ("output_format", "jpg", "output_format", "jpeg"),
        ("output_format", "WEBP", "output_format", "webp"),
        ("output_compression", 0, "output_compression", 0),
        ("output_compression", "100", "output_compression", 100),
        ("partial_images", "3", "partial_images", 3),
        ("partial_images", 0, "partial_images", 0),
        ("n", 10, "count", 10),
        ("n", "2", "count", 2),
        ("user", "u", "extras", {"user": "u"}),
        ("seed", 7, "extras", {"seed": 7}),
        ("input_fidelity", "high", "extras", {"input_fidelity": "high"}),
        ("style", "", "extras", {}),
    ],
)
def test_each_field_is_read(field, given, attribute, expected):
    """C-134, C-135, C-171, K-096, K-102; nothing else changes with it."""
    found, before = job(**{field: given}), job()

    assert getattr(found, attribute) == expected
    for other in fields_of(ImageJob):
        if other.name != attribute:
            assert getattr(found, other.name) == getattr(before, other.name)


FIELDS = (
    "size aspect_ratio resolution quality background output_format output_compression "
    "partial_images n style moderation user input_fidelity seed negative_prompt"
).split()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_an_empty_text_are_no_wish(field, nothing):
    assert job(**{field: nothing}) == job()


@pytest.mark.parametrize(
    "field, given",
    [
        ("prompt", None),
        ("prompt", ""),
        ("prompt", " \n"),
        ("prompt", 5),
        ("prompt", ["a kite"]),
        ("prompt", "x" * (LONGEST_PROMPT + 1)),
        ("size", "1024"),
        ("size", "1024x"),
        ("size", "0x5"),
        ("size", "-1x5"),
        ("size", "1024x1024x2"),
        ("size", "١٠٢٤x١٠٢٤"),
        ("size", 1024),
        ("size", [1024, 1024]),
        ("aspect_ratio", "wide"),
        ("aspect_ratio", "0:1"),
        ("aspect_ratio", "٣:٤"),
        ("aspect_ratio", 1.5),
        ("resolution", "8K"),
        ("resolution", 2),
        ("quality", "best"),
        ("quality", True),
        ("background", "red"),
        ("background", {}),
        ("output_format", "gif"),
        ("output_format", ["png"]),
        ("output_compression", 101),
        ("output_compression", -1),
        ("output_compression", "much"),
        ("output_compression", 5.5),
        ("partial_images", 4),
        ("partial_images", True),
        ("n", 0),
        ("n", 11),
        ("n", "0"),
        ("n", "²"),
        ("n", "1" * 5000),
        ("n", True),
        ("n", [1]),
        ("user", {"name": "u"}),
        ("style", ["vivid"]),
        ("negative_prompt", object()),
    ],
)
def test_a_wrong_value_is_told_by_the_fields_name(field, given):
    """C-158, C-171."""
    with pytest.raises(BadRequest) as caught:
        job(**{field: given})

    assert caught.value.param == field
    assert str(caught.value).startswith(field)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(fields=st.dictionaries(st.sampled_from([*FIELDS, "prompt"]), JSON))
def test_whatever_comes_is_a_job_or_a_named_mistake(fields):
    try:
        found = read_job(fields, "a-model")
    except BadRequest as error:
        assert error.param in fields or error.param == "prompt"
        return
    assert found.prompt and 1 <= found.count <= 10
    assert found.size == "" or all(part.isascii() for part in found.size.split("x"))


@given(wide=st.integers(1, 99_999), high=st.integers(1, 99_999))
def test_every_size_is_free(wide, high):
    """C-171: what a platform makes of it is the platform's business."""
    assert job(size=f"{wide}x{high}").size == f"{wide}x{high}"


@pytest.mark.parametrize("given", [True, "true", "TRUE", " 1 ", 1, "1"])
def test_true_in_all_its_forms(given):
    """C-175, K-096."""
    assert flag({"async": given}, "async") is True


@pytest.mark.parametrize("given", [None, "", False, "False", "0", 0])
def test_false_in_all_its_forms(given):
    assert flag({"async": given}, "async") is False


@pytest.mark.parametrize("given", ["yes", 2, [], {}, "2"])
def test_what_is_neither_is_a_mistake(given):
    with pytest.raises(BadRequest) as caught:
        flag({"async": given}, "async")
    assert caught.value.param == "async"


PICTURE = Picture(File("/nowhere", "image/png", 1))


def test_the_answer_repeats_what_is_known():
    """C-169, C-172, C-173."""
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    made = Pictures(pictures=(PICTURE,), usage=usage, size="1x1", quality="low")

    assert write_reply(made, 5, [{"url": "u"}]) == {
        "created": 5,
        "data": [{"url": "u"}],
        "size": "1x1",
        "quality": "low",
        "usage": usage,
    }


def test_the_answer_makes_nothing_up():
    assert write_reply(Pictures(pictures=()), 5, []) == {"created": 5, "data": []}
