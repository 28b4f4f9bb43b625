"""Pictures by Google's models: what is asked, what is refused before, and what comes of an answer."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from app.canonical.media import File, ImageJob
from app.errors import (
    BadReply,
    BadRequest,
    CallerGone,
    ContentRefused,
    CredentialRefused,
    ModelNotFound,
    NoPicture,
    RequestRefused,
    Throttled,
    UnsupportedParameter,
    Verbatim,
    WrongModel,
)
from app.platforms import PLATFORMS
from app.platforms.google_images import HINT, GoogleImages
from app.simulators.exchange import Call, Reply
from tests.platforms.told import Errands, Told, errands, refused

ENGINE = PLATFORMS["gemini"].images
assert isinstance(ENGINE, GoogleImages)
BANANA, PRO, LITE = "gemini-nano-banana-2.1", "gemini-3-pro-image", "gemini-3.1-flash-lite-image"


def png(width: int = 4, height: int = 3, *, padding: int = 0) -> bytes:
    """A picture; with `padding` bytes of a comment that does not shrink."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + bytes(3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    comment = chunk(b"tEXt", b"x\0" + b"n" * padding) if padding else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + comment
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x09\x00\x10\x03" + bytes(9) + b"\xff\xd9"


def drawn(*parts: Any, reason: str = "STOP", **more: Any) -> dict[str, Any]:
    """An answer of Google's: text for a string, a picture for bytes, else the part itself."""

    def part(one: Any) -> Any:
        if isinstance(one, bytes):
            kind = "image/png" if one.startswith(b"\x89") else "image/jpeg"
            return {"inlineData": {"mimeType": kind, "data": base64.b64encode(one).decode()}}
        return {"text": one} if isinstance(one, str) else one

    content = {"role": "model", "parts": [part(one) for one in parts]}
    usage = {
        "promptTokenCount": 270,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 12},
            {"modality": "IMAGE", "tokenCount": 258},
        ],
        "candidatesTokenCount": 1120,
        "thoughtsTokenCount": 80,
        "totalTokenCount": 1470,
    }
    candidate = {"content": content, "finishReason": reason, "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, **more}


Send = Callable[..., Errands]


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Send]:
    with ExitStack() as stack:

        def start(*sayings: Any, **more: Any) -> Errands:
            vendor = Told(*sayings)
            return stack.enter_context(errands(vendor, tmp_path, ENGINE.read_error, **more))

        yield start


def job(**more: Any) -> ImageJob:
    return ImageJob(**{"model": BANANA, "prompt": "A red kite", **more})


def chosen(**more: Any) -> tuple[str, str, str]:
    found = ENGINE.fitted(job(**more))
    return found.aspect_ratio, found.resolution, found.sets["thinking"]


# What is asked.


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({}, ("", "", "")),
        ({"size": "auto", "quality": "auto"}, ("", "", "")),
        ({"size": "1024x1024"}, ("1:1", "1K", "")),
        ({"size": "512x512"}, ("1:1", "1K", "")),
        ({"size": "1536x1024"}, ("3:2", "1K", "")),
        ({"size": "1024x1536"}, ("2:3", "1K", "")),
        ({"size": "1792x1024"}, ("16:9", "1K", "")),
        ({"size": "1792x1024", "quality": "hd"}, ("16:9", "2K", "high")),
        ({"size": "2048x2048", "quality": "low"}, ("1:1", "2K", "minimal")),
        ({"size": "2160x3840"}, ("9:16", "4K", "")),
        ({"quality": "low"}, ("", "1K", "minimal")),
        ({"quality": "medium"}, ("", "", "")),
        ({"quality": "high", "resolution": "1k"}, ("", "1K", "high")),
        ({"size": "1024x1024", "aspect_ratio": "21:9", "resolution": "4K"}, ("21:9", "4K", "")),
        ({"extras": {"image_size": "2k"}}, ("", "2K", "")),
        ({"model": LITE, "size": "3840x2160", "quality": "high"}, ("16:9", "1K", "")),
        ({"model": LITE, "quality": "low"}, ("", "1K", "")),
        ({"model": PRO, "quality": "low"}, ("", "1K", "low")),
        ({"model": PRO, "size": "256x1024"}, ("9:16", "1K", "")),
        ({"model": "gemini-5-image", "aspect_ratio": "7:3"}, ("7:3", "", "")),
    ],
)
def test_size_and_quality_become_ratio_resolution_and_thinking(asked, expected):
    """flow.md 7.1 and 7.2; C-134, C-135, C-171."""
    assert chosen(**asked) == expected


def test_name_goes_before_the_body_and_an_aliases_own_wish_comes_last():
    """C-146."""
    body = {"size": "1024x1024", "resolution": "1K"}
    otherwise = {"resolution": "4K", "thinking": "minimal", "aspect_ratio": "4:3"}
    named = {"aspect_ratio": "16:9", "resolution": "2K", "otherwise": otherwise}

    assert chosen(sets=named, **body) == ("16:9", "2K", "minimal")
    assert chosen(sets={"otherwise": otherwise}, **body) == ("1:1", "1K", "minimal")
    assert chosen(sets={"otherwise": otherwise}) == ("4:3", "4K", "minimal")
    assert chosen(sets={"otherwise": otherwise}, quality="high") == ("4:3", "2K", "high")


def test_a_job_that_fits_is_not_changed_again():
    once = ENGINE.fitted(job(size="1792x1024", quality="high", sets={"thinking": "minimal"}))

    assert ENGINE.fitted(once) == once


PICTURE = File("/nowhere", "image/png", 100)


@pytest.mark.parametrize(
    "asked, param",
    [
        ({"mask": PICTURE, "images": (PICTURE,)}, "mask"),
        ({"background": "transparent"}, "background"),
        ({"output_format": "webp"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"extras": {"person_generation": "allow_all"}}, "person_generation"),
        ({"size": "1024"}, "size"),
        ({"size": "0x5"}, "size"),
        ({"quality": "best"}, "quality"),
        ({"resolution": "8K"}, "resolution"),
        ({"resolution": "512"}, "resolution"),
        ({"model": LITE, "resolution": "2K"}, "resolution"),
        ({"aspect_ratio": "7:3"}, "aspect_ratio"),
        ({"model": PRO, "aspect_ratio": "1:8"}, "aspect_ratio"),
        ({"model": "gemini-5-image", "aspect_ratio": "wide"}, "aspect_ratio"),
        ({"images": (PICTURE,) * 15}, "image"),
        ({"images": (replace(PICTURE, size=(7 << 20) + 1),)}, "image"),
        ({"images": (replace(PICTURE, media_type="image/gif"),)}, "image"),
    ],
)
def test_what_cannot_be_is_refused_by_the_fields_name(asked, param):
    with pytest.raises(BadRequest) as caught:
        ENGINE.fitted(job(**asked))

    assert caught.value.param == param
    assert str(caught.value)


@pytest.mark.parametrize("sets", [{"aspect_ratio": "1:8"}, {"resolution": "512"}])
def test_a_parameter_of_the_name_that_the_model_cannot_honour_is_refused(sets):
    """C-156."""
    with pytest.raises(UnsupportedParameter):
        ENGINE.fitted(job(model=PRO, sets=sets))


@pytest.mark.parametrize(
    "model, error", [("gemini-3.8-flash", WrongModel), ("no-such-model", ModelNotFound)]
)
def test_a_model_that_does_not_draw_is_refused(model, error):
    with pytest.raises(error):
        ENGINE.fitted(job(model=model))


def make(sent: Errands, **more: Any) -> Any:
    return ENGINE.make(sent.errand, ENGINE.fitted(job(**more)))


def test_a_request_as_google_wants_it(send):
    sent = send(drawn(png()))
    more = {
        "size": "2048x2048",
        "quality": "high",
        "extras": {"seed": 7, "negative_prompt": "rain"},
    }
    make(sent, **more)

    (call,) = sent.asked
    assert call.path == f"/v1beta/models/{BANANA}:generateContent"
    assert "x-goog-api-key" in call.headers
    assert call.body == {
        "contents": [{"role": "user", "parts": [{"text": "A red kite\n\nAvoid: rain"}]}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {"aspectRatio": "1:1", "imageSize": "2K"},
            "thinkingConfig": {"thinkingLevel": "HIGH"},
            "seed": 7,
        },
    }


def test_pictures_to_be_edited_stand_before_the_words_whole(send):
    """flow.md 7.3; the files go through without being read into one text."""
    sent = send(drawn(png()))
    first, second = png(9, 9, padding=700_001), png(5, 5)
    make(sent, images=(sent.file(first), sent.file(second)))

    parts = sent.asked[0].body["contents"][0]["parts"]
    assert [base64.b64decode(part["inlineData"]["data"]) for part in parts[:2]] == [first, second]
    assert parts[0]["inlineData"]["mimeType"] == "image/png"
    assert parts[2] == {"text": "A red kite"}
    assert sent.asked[0].body["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"]}


# What comes of it.


@pytest.mark.parametrize("padding", [0, 100_000], ids=["short", "on disk"])
def test_drafts_are_skipped_and_pictures_come_as_they_are(send, padding):
    draft = {"thought": True, **drawn(png(1, 1))["candidates"][0]["content"]["parts"][0]}
    picture = png(1376, 768, padding=padding)
    made = make(send(drawn(draft, "A kite.", picture)), size="1792x1024", quality="high")

    (found,) = made.pictures
    assert Path(found.file.path).read_bytes() == picture
    assert (found.file.media_type, found.file.size) == ("image/png", len(picture))
    assert found.revised_prompt == "A kite."
    assert (made.size, made.output_format, made.quality) == ("1376x768", "png", "high")
    assert made.background == "opaque"
    assert made.usage == {
        "input_tokens": 270,
        "input_tokens_details": {"text_tokens": 12, "image_tokens": 258},
        "output_tokens": 1200,
        "total_tokens": 1470,
    }


def test_what_it_is_is_told_from_the_bytes(send):
    """The vendor chooses the format: the answer says which it is."""
    lying = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(JPEG).decode()}}
    made = make(send(drawn(lying)), output_format="png")

    assert made.pictures[0].file.media_type == "image/jpeg"
    assert (made.output_format, made.size) == ("jpeg", "16x9")


def test_several_pictures_are_several_calls_and_their_usage_is_added_up(send):
    sent = send(drawn(png()))
    made = make(sent, count=5)

    assert len(made.pictures) == len(sent.asked) == 5
    assert len({one.file.path for one in made.pictures}) == 5
    assert made.usage["total_tokens"] == 5 * 1470
    assert made.usage["input_tokens_details"]["image_tokens"] == 5 * 258


def test_more_pictures_than_wanted_are_cut(send):
    assert len(make(send(drawn(png(1, 1), png(2, 2)))).pictures) == 1
    assert len(make(send(drawn(png(1, 1), png(2, 2))), count=2).pictures) == 2


def test_what_worked_is_given_where_something_failed(send):
    """flow.md 7.1: partial success."""
    sent = send(drawn(png()), refused(503, "overloaded"), drawn(png()))

    assert len(make(sent, count=3).pictures) == 2


def test_one_failure_is_told_where_everything_failed(send):
    with pytest.raises(Throttled) as caught:
        make(send(refused(429, "quota")), count=3)

    assert caught.value.verdict == "rest"


def test_a_caller_who_hangs_up_ends_all_calls(send):
    def slow(call: Call) -> Reply:
        gevent.sleep(30)
        raise AssertionError("nobody waited")

    sent = send(slow)
    working = gevent.spawn(lambda: pytest.raises(CallerGone, make, sent, count=3))
    while len(sent.asked) < 3:
        gevent.sleep(0.01)
    sent.errand.leash.pull()

    working.get(timeout=5)


@pytest.mark.parametrize(
    "answer",
    [
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}},
        {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "not this"}},
        *(
            drawn(reason=reason)
            for reason in ("SAFETY", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION")
        ),
        {"candidates": [{"finishReason": "IMAGE_SAFETY", "finishMessage": "unsafe"}]},
    ],
)
def test_a_refusal_is_told_in_openais_words(send, answer):
    """flow.md 7.4."""
    sent = send(answer)
    with pytest.raises(ContentRefused) as caught:
        make(sent)

    error = caught.value
    assert (error.status, error.type, error.code, error.verdict) == (
        400,
        "image_generation_user_error",
        "moderation_blocked",
        "stop",
    )
    assert len(sent.asked) == 1


@pytest.mark.parametrize("reason", ["STOP", "NO_IMAGE", "IMAGE_OTHER", "OTHER"])
def test_a_model_that_only_talks_is_asked_once_more(send, reason):
    """Both answers count."""
    sent = send(drawn("I could draw a kite.", reason=reason), drawn(png()))
    made = make(sent)

    texts = [call.body["contents"][0]["parts"][-1]["text"] for call in sent.asked]
    assert texts == ["A red kite", f"A red kite\n\n{HINT}"]
    assert made.usage["total_tokens"] == 2 * 1470


def test_a_model_that_goes_on_talking_has_made_no_picture(send):
    sent = send(drawn("No. " * 200))
    with pytest.raises(NoPicture) as caught:
        make(sent)

    assert (caught.value.status, caught.value.code) == (502, "no_image_generated")
    assert caught.value.verdict == "stop"  # it has been paid for twice already
    assert "No. No." in str(caught.value) and len(str(caught.value)) < 400
    assert len(sent.asked) == 2


def test_an_answer_cut_short_is_not_asked_for_again(send):
    sent = send(drawn("A kite", reason="MAX_TOKENS"))
    with pytest.raises(NoPicture):
        make(sent)

    assert len(sent.asked) == 1


def test_who_brings_the_key_is_called_for_once(send):
    sent = send(drawn("I could."), verbatim=True)
    with pytest.raises(NoPicture):
        make(sent)

    assert len(sent.asked) == 1


def test_who_brings_the_key_hears_the_platforms_own_words(send):
    with pytest.raises(Verbatim) as caught:
        make(send(refused(429, "quota"), verbatim=True))

    assert b"quota" in caught.value.body


@pytest.mark.parametrize(
    "answer",
    [
        {"candidates": [{"content": {"parts": [{"inlineData": {"data": "!!"}}]}}]},
        {"candidates": [{"content": {"parts": [{"inlineData": {"data": "aGVsbG8="}}]}}]},
        {"candidates": [{"content": {"parts": ["text"]}}]},
        {"candidates": "none"},
        {"error": {"code": 500, "message": "with a status of success"}},
        [],
        b"<html>",
        b"",
    ],
)
def test_an_answer_that_makes_no_sense_is_no_picture(send, answer):
    saying = answer if not isinstance(answer, list) else b"[]"
    with pytest.raises(BadReply):
        make(send(saying))


@pytest.mark.parametrize(
    "status, message, error",
    [
        (400, "Invalid value at 'image_config'", RequestRefused),
        (404, "models/x is not found", RequestRefused),
        (403, "denied", CredentialRefused),
        (400, "API key not valid. Please pass a valid API key.", CredentialRefused),
    ],
)
def test_refusals_mean_what_they_mean_in_chats(send, status, message, error):
    with pytest.raises(error):
        make(send(refused(status, message)))
