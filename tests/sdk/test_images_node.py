"""The official OpenAI SDK for Node, images, on every platform that makes them: a script plays the
scenes, and what came of them is judged here.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk import scenes
from tests.sdk.pictures import DRAWING, PAINTERS
from tests.sdk.scenes import Json
from tests.sdk.stage import played
from tests.stack import Stack

BAD: Json = {"error": "BadRequestError", "status": 400}
SCENES: Json = {
    "several": [[True, False], [True, False]],
    "link": [200, True, False],
    "edited": True,
    "edited_several": True,
    "streamed": "image_generation.completed",
    "refused": BAD,
    "wrong_size": BAD,
    "wrong_model": {"error": "NotFoundError", "status": 404},
    "no_picture": BAD,
}


@pytest.fixture(scope="module")
def outcomes(stack: Stack) -> Json:
    """What came of the scenes, by platform and scene."""
    doors = [
        {
            "name": name,
            "url": stack.url(name),
            "licence": stack.licence,
            "model": PAINTERS[name].model,
            "refusal": PAINTERS[name].refusal,
        }
        for name in DRAWING
    ]
    return played("images", "openai", {"doors": doors, "png": scenes.PNG_URL})


@pytest.mark.parametrize("platform", DRAWING)
@pytest.mark.parametrize("scene, wanted", SCENES.items(), ids=list(SCENES))
def test_a_scene_comes_to_what_it_should(
    outcomes: Json, platform: str, scene: str, wanted: Any
) -> None:
    """C-158, C-161, C-165, C-169, K-097 to K-099, K-101, K-103."""
    assert outcomes[platform][scene] == wanted
