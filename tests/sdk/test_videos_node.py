"""The official OpenAI SDK for Node, films, on every platform that makes them: a script plays the
scenes, and what came of them is judged here.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk import scenes
from tests.sdk.films import MODELS
from tests.sdk.scenes import Json
from tests.sdk.stage import played
from tests.stack import Stack

MISSING: Json = {"error": "NotFoundError", "status": 404}
DONE = ["completed", True]
SCENES: Json = {
    "created": ["video", "number", "number", "string", True],
    "retrieved": ["completed", 100, None, True],
    "content": [200, "video/mp4", True, True],
    "part": [206, True],
    "reference": DONE,
    "remixed": [True, *DONE],
    "edited": DONE,
    "extended": DONE,
    "listed": True,
    "deleted": ["video.deleted", True, 404],
    "failed": ["failed", True],
    "too_early": {"error": "ConflictError", "status": 409},
    "wrong_model": MISSING,
    "wrong_size": {"error": "BadRequestError", "status": 400},
    "nobodys": MISSING,
}


@pytest.fixture(params=sorted(MODELS), scope="module")
def outcomes(request: pytest.FixtureRequest, studio: Stack) -> Json:
    """What came of the scenes on one platform: a run each, so that runs can be shared out."""
    name = str(request.param)
    door = {"name": name, "url": studio.url(name), "licence": studio.licence, "model": MODELS[name]}
    told: Json = played("videos", "openai", {"doors": [door], "png": scenes.PNG_URL})[name]
    return told


@pytest.mark.parametrize("scene, wanted", SCENES.items(), ids=list(SCENES))
def test_a_scene_comes_to_what_it_should(outcomes: Json, scene: str, wanted: Any) -> None:
    """C-191 to C-204, C-211, K-105 to K-107."""
    assert outcomes[scene] == wanted
