"""What counts for nothing in a picture or a film: told from what an engine takes, and from what a shape
has become.
"""

from __future__ import annotations

from typing import Any

import pytest

from app.canonical.media import ImageJob
from app.errors import Lossy
from app.platforms import PLATFORMS
from app.services.losses import neglected, note
from app.wire import openai_images, openai_videos

PICTURE, FILM = {"prompt": "A kite", "model": "m"}, {"prompt": "A boat", "model": "m"}


def drawn(platform: str, model: str, fields: dict[str, Any]) -> tuple[str, ...]:
    engine = PLATFORMS[platform].images
    assert engine is not None
    fields = PICTURE | fields
    asked = openai_images.read_job(fields, model)
    return neglected(fields, asked, engine.fitted(asked), engine.takes(asked))


def filmed(platform: str, model: str, fields: dict[str, Any], **more: Any) -> tuple[str, ...]:
    engine = PLATFORMS[platform].videos
    assert engine is not None
    fields = FILM | fields
    asked = openai_videos.read_job(fields, model, **more)
    return neglected(fields, asked, engine.fitted(asked), engine.takes(asked))


GPT, GROK, BANANA, LITE = (
    ("chatgpt", "gpt-image-2"),
    ("grok", "grok-imagine-image"),
    ("flow", "gemini-nano-banana-2.1"),
    ("flow", "gemini-3.1-flash-lite-image"),
)


@pytest.mark.parametrize(
    "where, fields, lost",
    [
        (GPT, {"quality": "high", "output_format": "webp", "output_compression": 50}, ""),
        (GPT, {"moderation": "low", "user": "u", "background": "opaque"}, ""),
        (GPT, {"resolution": "4K", "aspect_ratio": "16:9"}, ""),
        (GPT, {"style": "vivid", "seed": 3, "negative_prompt": "r"}, "negative_prompt seed style"),
        (GPT, {"input_fidelity": "high", "nonsense": 1}, "input_fidelity nonsense"),
        (("chatgpt", "gpt-image-1.5"), {"resolution": "4K"}, "resolution"),
        (("chatgpt", "gpt-image-1.5"), {"aspect_ratio": "16:9"}, "aspect_ratio"),
        (("sora", "gpt-image-2"), {"style": "vivid", "seed": 3}, "seed style"),
        (GROK, {"quality": "high"}, "quality"),
        (GROK, {"quality": "standard", "user": "u", "resolution": "2K"}, ""),
        (GROK, {"moderation": "low", "style": "vivid", "seed": 3}, "moderation seed style"),
        (GROK, {"moderation": "auto", "background": "opaque", "output_format": "jpeg"}, ""),
        (GROK, {"output_format": "png", "negative_prompt": "r"}, "negative_prompt output_format"),
        (GROK, {"size": "1536x1024"}, ""),
        (GROK, {"size": "1792x1024"}, ""),
        (GROK, {"size": "1000x300"}, "size"),
        (GROK, {"size": "1024x1024", "aspect_ratio": "16:9"}, "size"),
        (("grok", "grok-imagine-image-2.0"), {"quality": "low"}, ""),
        (("grok", "grok-imagine-image-2.0"), {"quality": "high"}, "quality"),
        (BANANA, {"seed": 3, "negative_prompt": "r", "quality": "hd", "resolution": "4K"}, ""),
        (BANANA, {"user": "u", "output_format": "png", "style": "x"}, "output_format style user"),
        (LITE, {"quality": "high"}, "quality"),
    ],
)
def test_of_a_picture(where: tuple[str, str], fields: dict[str, Any], lost: str) -> None:
    assert drawn(*where, fields) == tuple(lost.split())


SORA, XAI, OMNI = (
    ("sora", "sora-2"),
    ("grok", "grok-imagine-video"),
    ("flow", "gemini-omni-1.1-flash"),
)


@pytest.mark.parametrize(
    "where, fields, lost",
    [
        (SORA, {"seconds": "8", "size": "1280x720", "aspect_ratio": "16:9"}, ""),
        (SORA, {"size": "1920x1080"}, "size"),
        (SORA, {"orientation": "portrait", "resolution": "720p", "generate_audio": True}, ""),
        (SORA, {"size": "1280x720", "orientation": "portrait"}, "size"),
        (SORA, {"negative_prompt": "r", "seed": 3, "nonsense": 1}, "negative_prompt nonsense seed"),
        (XAI, {"duration": 6, "size": "1280x720", "generate_audio": "false", "hd": True}, ""),
        (XAI, {"size": "1792x1024", "seed": 3}, "seed size"),
        (OMNI, {"duration": 6, "size": "1920x1080", "seed": 3, "negative_prompt": "r"}, ""),
        (OMNI, {"size": "1000x700", "fps": 24}, "fps size"),
    ],
)
def test_of_a_film(where: tuple[str, str], fields: dict[str, Any], lost: str) -> None:
    assert filmed(*where, fields) == tuple(lost.split())


def test_of_a_film_that_is_made_of_another() -> None:
    """Its length and its shape are the other's, and the caller's own word for it is told."""
    fields = {"duration": 8, "orientation": "portrait", "resolution": "720p"}
    lost = filmed("sora", "sora-2", fields, shape="remix", source="video_x")
    assert lost == ("duration", "orientation", "resolution")
    named = {"seconds": 8, "aspect_ratio": "16:9"}
    assert filmed("sora", "sora-2", {}, shape="remix", source="video_x", sets=named) == ()


def test_of_a_chat_the_words_before_the_last_and_whatever_chats_have_besides() -> None:
    job = ImageJob(model="m", prompt="A kite")
    body = {
        "messages": [],
        "max_tokens": 100,
        "temperature": 0.5,
        "background": False,
        "response_format": {"type": "text"},
        "stream_options": {"include_usage": True},
        "generationConfig": {"topK": 3, "maxOutputTokens": 9, "responseModalities": ["IMAGE"]},
    }
    assert neglected(body, job, job, set(), earlier=True) == (
        "messages (earlier)",
        "temperature",
        "topK",
    )


def test_what_is_lost_is_written_down_and_refused_to_the_strict() -> None:
    record: dict[str, Any] = {}
    note(record, (), strict=True)
    assert record == {}
    with pytest.raises(Lossy) as caught:
        note(record, ("seed", "style"), strict=True)
    assert (caught.value.param, record["dropped"]) == ("seed", ("seed", "style"))
