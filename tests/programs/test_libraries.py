"""Libraries that programs are made of: LangChain, LiteLLM and the Vercel AI SDK.

A script plays the same scenes on every platform; what came of them is judged here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.models import DIRECT, MODELS
from tests.programs.workshop import (
    NODE,
    SAID,
    SAY,
    SCRIPTS,
    Json,
    open_workshop,
    order,
    python,
)
from tests.stack import Stack, missing, program

KINDS = {
    "langchain": ("chat", "responses"),
    "litellm": ("openai", "anthropic"),
    "ai": ("compatible", "openai", "anthropic"),
}


def command(library: str) -> list[str]:
    if library != "ai":
        return [python(), str(SCRIPTS / f"{library}_scenes.py")]
    if not (NODE / "node_modules" / "ai").is_dir():
        missing("the npm package ai (make programs)")
    return [program("node"), str(NODE / "ai.mjs")]


@dataclass(frozen=True)
class Played:
    """What came of a library's scenes, by platform and dialect, and what the platforms were asked."""

    library: str
    word: str
    found: Json
    asked: dict[str, list[str]]


@pytest.fixture(scope="module", params=KINDS)
def played(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Played:
    library = request.param
    workshop = open_workshop(stack, tmp_path_factory.mktemp(library))
    doors = [
        {
            "name": name,
            "url": stack.url(name),
            "licence": stack.licence,
            "model": MODELS[name].plain,
        }
        for name in DIRECT
    ]
    told = {
        "doors": doors,
        "say": SAY,
        "order": order("read_note", name="shopping"),
        "word": workshop.word,
    }
    said = workshop.run(*command(library), json.dumps(told), LITELLM_LOCAL_MODEL_COST_MAP="True")
    found = json.loads(said.splitlines()[-1])  # before it stand warnings of the library's
    asked = {name: workshop.asked(name) for name in DIRECT}
    return Played(library, workshop.word, found, asked)


@pytest.mark.parametrize("platform", DIRECT)
def test_it_is_answered_whole_and_streamed(played: Played, platform: str) -> None:
    found = played.found[platform]

    assert {kind: (one["text"], one["stream"]) for kind, one in found.items()} == dict.fromkeys(
        KINDS[played.library], (SAID, SAID)
    )


@pytest.mark.parametrize("platform", DIRECT)
def test_it_calls_its_function_and_tells_the_result(played: Played, platform: str) -> None:
    found, heard = played.found[platform], played.asked[platform]
    kinds = KINDS[played.library]

    assert {kind: one["called"] for kind, one in found.items()} == dict.fromkeys(
        kinds, [["read_note", {"name": "shopping"}]]
    )
    assert all(f"{played.word} in shopping" in one["after"] for one in found.values())
    assert len([each for each in heard if played.word in each]) == len(kinds)
