"""What Google's engines for films say, as they word it."""

from __future__ import annotations

from typing import Any

from app.canonical.media import VideoJob
from app.platforms import flow
from app.simulators.exchange import Call, Reply
from tests.platforms.told import Errands

ENGINE = flow.PLATFORM.videos
assert ENGINE is not None
OMNI, VEO = "gemini-omni-1.1-flash", "veo-3.1-generate-preview"
NAME, OPERATION = "v1_abc", f"models/{VEO}/operations/x1"
MP4 = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4
URI = "https://generativelanguage.googleapis.com/v1beta/files/f123"
FILE = {"name": "files/f123", "state": "ACTIVE"}


def job(model: str = OMNI, **more: Any) -> VideoJob:
    return ENGINE.fitted(VideoJob(**{"model": model, "prompt": "A boat leaves", **more}))


def begin(sent: Errands, model: str = OMNI, **more: Any) -> Any:
    name = ENGINE.begin(sent.errand, job(model, **more))
    assert name == (OPERATION if model == VEO else NAME)
    return sent.asked[-1].body


def interaction(status: str = "completed", *content: Any, **more: Any) -> dict[str, Any]:
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "A boat leaves"}]},
        {"type": "thought", "signature": "Qw==", "summary": []},
    ]
    if content:
        steps.append({"type": "model_output", "content": list(content)})
    usage = {"total_input_tokens": 20, "total_output_tokens": 46336, "total_tokens": 46356}
    times = {"created": "2026-11-20T10:00:00Z", "updated": "2026-11-20T10:00:30Z"}
    return {"id": NAME, "status": status, "steps": steps, "usage": usage, **times, **more}


def video(uri: str = URI) -> dict[str, Any]:
    return {"type": "video", "mime_type": "video/mp4", "uri": uri}


def operation(**response: Any) -> dict[str, Any]:
    return {"name": OPERATION, "done": True, "response": response}


def samples(film: dict[str, Any]) -> dict[str, Any]:
    return operation(generateVideoResponse={"generatedSamples": [{"video": film}]})


BEGUN, STARTED = interaction("in_progress"), {"name": OPERATION}


def fetched(sent: Errands, result: str) -> bytes:
    answer = ENGINE.fetch(sent.errand, result)
    try:
        return answer.read(1 << 20, 5)
    finally:
        answer.close()


def film(call: Call) -> Reply:
    return Reply(200, MP4, content_type="video/mp4")


def moved(location: str) -> Reply:
    return Reply(302, b"", {"location": location})
