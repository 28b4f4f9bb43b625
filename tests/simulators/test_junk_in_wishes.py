"""Whatever is put in the place of whatever in a wish for a picture or a film."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from app.simulators.flow import FlowSimulator
from app.simulators.gemini_official import GeminiOfficialSimulator
from app.simulators.grok import GrokSimulator
from app.simulators.simulator import Simulator
from tests.simulators.test_junk import spoilt, status

Json = dict[str, Any]

KEY = {"x-goog-api-key": "sim", "authorization": "Bearer sim", "host": "127.0.0.1:1"}
LINK: Json = {"url": "https://example.com/a.png"}
FRAME: Json = {"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}

WISHES: dict[str, tuple[Callable[[], Simulator], str, Json]] = {
    "picture": (
        FlowSimulator,
        "/v1beta/models/gemini-3.1-flash-image:generateContent",
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "a cat"},
                        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    ],
                }
            ],
            "generationConfig": {
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {"aspectRatio": "1:8", "imageSize": "512"},
            },
        },
    ),
    "interaction": (
        FlowSimulator,
        "/v1beta/interactions",
        {
            "model": "gemini-omni-1.1-flash",
            "input": [
                {"type": "image", "mime_type": "image/png", "data": "AAAA"},
                {"type": "text", "text": "from <FIRST_FRAME>"},
            ],
            "background": True,
            "response_format": {
                "type": "video",
                "aspect_ratio": "9:16",
                "resolution": "1080p",
                "duration": "5s",
                "delivery": "uri",
            },
            "generation_config": {"video_config": {"task": "image_to_video"}, "seed": 1},
            "labels": {"a": "b"},
        },
    ),
    "operation": (
        FlowSimulator,
        "/v1beta/models/veo-3.1-generate-preview:predictLongRunning",
        {
            "instances": [{"prompt": "a fox", "image": FRAME, "lastFrame": FRAME}],
            "parameters": {"aspectRatio": "16:9", "durationSeconds": 8, "sampleCount": 1},
        },
    ),
    "print": (
        FlowSimulator,
        "/v1beta/models/imagen-4.0-generate-001:predict",
        {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 1, "imageSize": "1K"}},
    ),
    "compatible": (
        GeminiOfficialSimulator,
        "/v1beta/openai/images/generations",
        {
            "model": "gemini-nano-banana-2.1",
            "prompt": "a cat",
            "n": 1,
            "size": "1024x1024",
            "extra_body": {"google": {"image_config": {"aspect_ratio": "1:1"}}},
        },
    ),
    "edit": (
        GrokSimulator,
        "/v1/images/edits",
        {"model": "grok-imagine-image", "prompt": "a hat", "images": [LINK, LINK], "n": 1},
    ),
    "film": (
        GrokSimulator,
        "/v1/videos/generations",
        {
            "model": "grok-imagine-video-1.5",
            "prompt": "a fox",
            "reference_images": [LINK],
            "reference_audios": [{"voice_id": "eve"}],
            "duration": 5,
            "output": {"upload_url": "https://example.com/"},
        },
    ),
    "extension": (
        GrokSimulator,
        "/v1/videos/extensions",
        {"model": "grok-imagine-video", "prompt": "on", "video": LINK, "duration": 5},
    ),
}


@pytest.mark.parametrize("wish", WISHES)
def test_junk_anywhere_in_a_wish_is_taken_or_refused(wish: str) -> None:
    make, path, good = WISHES[wish]
    answers = Counter(status(make(), path, KEY, body) for body in spoilt(good))

    assert status(make(), path, KEY, good) == 200
    assert set(answers) <= {200, 400, 404, 422}
    assert answers[400] + answers[422] > 20
