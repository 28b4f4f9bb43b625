"""The official Node SDKs on every platform: scripts in `node/` play scenes, and what came of them
is judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.models import DIRECT, EVERY, MODELS
from tests.sdk import scenes
from tests.sdk.scenes import Json
from tests.sdk.stage import played
from tests.stack import Stack

PACKAGES = {"openai": "openai", "anthropic": "@anthropic-ai/sdk", "genai": "@google/genai"}
FIELDS = [["city", "days"], ["zone"]]
BOTH = ["weather", "clock"]
BROKEN = ("cut", "truncated", "failed")
NOT_FOR_AGENTS = {"forced_tool", "tools", "streamed_arguments", "form", "responses_tools"}

# What each scene must come to. A dict under "error" is what the SDK threw.
SCENES: dict[str, Json] = {
    "openai": {
        "text": [scenes.SAID, "stop", 0],
        "stream": scenes.COUNTED,
        "streamed_usage": 9,
        "forced_tool": ["weather"],
        "tools": [BOTH, "tool_calls", True],
        "streamed_arguments": FIELDS,
        "form": FIELDS[0],
        "picture": True,
        "responses_text": scenes.SAID,
        "responses_stream": scenes.COUNTED,
        "responses_tools": [list(pair) for pair in zip(BOTH, FIELDS, strict=True)],
        "models": True,
        "wrong_licence": {"error": "AuthenticationError", "status": 401},
        "wrong_field": {"error": "BadRequestError", "status": 400},
        "wrong_model": {"error": "NotFoundError", "status": 404},
        "throttled": {"error": "RateLimitError", "status": 429},
        "outage": {"error": "InternalServerError", "status": 502},
    },
    "anthropic": {
        "text": [scenes.SAID, "end_turn", True],
        "stream": [scenes.COUNTED, 9],
        "forced_tool": ["weather"],
        "tools": [BOTH, "tool_use", True],
        "streamed_arguments": FIELDS,
        "picture": True,
        "models": True,
        "wrong_licence": {"error": "AuthenticationError", "status": 401},
        "wrong_field": {"error": "BadRequestError", "status": 400},
        "wrong_model": {"error": "NotFoundError", "status": 404},
        "throttled": {"error": "RateLimitError", "status": 429},
        "outage": {"error": "InternalServerError", "status": 502},
    },
    "genai": {
        "text": [scenes.SAID, "STOP", 2],
        "stream": [scenes.COUNTED, 9],
        "forced_tool": ["weather"],
        "tools": [BOTH, True],
        "streamed_arguments": FIELDS,
        "form": FIELDS[0],
        "picture": True,
        "wrong_licence": {"error": "ApiError", "status": 401},
        "wrong_field": {"error": "ApiError", "status": 400},
        "wrong_model": {"error": "ApiError", "status": 404},
        "throttled": {"error": "ApiError", "status": 429},
        "outage": {"error": "ApiError", "status": 502},
    },
}


@pytest.fixture(scope="module")
def outcomes(stack: Stack) -> Callable[[str], Json]:
    """What came of an SDK's scenes, by platform and scene; each script runs once."""
    told = {
        "doors": [
            {
                "name": name,
                "url": stack.url(name),
                "licence": stack.licence,
                "plain": MODELS[name].plain,
                "thinking": MODELS[name].thinking,
            }
            for name in EVERY
        ],
        "prompts": {
            "say": scenes.SAY,
            "count": scenes.COUNT,
            "both": scenes.BOTH_TOOLS,
            "cut": scenes.CUT,
            "truncated": scenes.TRUNCATED,
            "error": scenes.ERROR,
        },
        "tools": scenes.TOOLS,
        "results": scenes.RESULTS,
        "png": scenes.PNG_URL,
    }

    @cache
    def run(sdk: str) -> Json:
        return played(sdk, PACKAGES[sdk], told)

    return run


@pytest.mark.parametrize(
    "sdk, scene, wanted, platform",
    [
        (sdk, scene, wanted, platform)
        for platform in EVERY
        for sdk, table in SCENES.items()
        for scene, wanted in table.items()
        if platform in DIRECT or scene not in NOT_FOR_AGENTS
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_scene_comes_to_what_it_should(
    outcomes: Callable[[str], Json], sdk: str, platform: str, scene: str, wanted: Any
) -> None:
    """C-028, C-038, C-052, C-087 to C-109, C-184, C-213 to C-226, K-057, K-089."""
    assert outcomes(sdk)[platform][scene] == wanted


@pytest.mark.parametrize("platform", EVERY)
@pytest.mark.parametrize("sdk", sorted(SCENES))
def test_thoughts_are_told_apart_from_the_answer(
    outcomes: Callable[[str], Json], sdk: str, platform: str
) -> None:
    """C-128."""
    shown = MODELS[platform].shows_thoughts

    assert outcomes(sdk)[platform]["thoughts"] == [scenes.SAID, shown]


@pytest.mark.parametrize("scene", BROKEN)
@pytest.mark.parametrize("platform", DIRECT)
@pytest.mark.parametrize("sdk", sorted(SCENES))
def test_a_stream_that_breaks_off_throws(
    outcomes: Callable[[str], Json], sdk: str, platform: str, scene: str
) -> None:
    """R-001, K-077: some words came, then an exception, never an end."""
    outcome = outcomes(sdk)[platform][scene]

    assert outcome.get("broken") is True, outcome
    assert scenes.COUNTED.startswith(outcome["text"]) and outcome["text"]
