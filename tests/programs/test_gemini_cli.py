"""Gemini CLI, without its screen."""

from __future__ import annotations

import json

import pytest

from tests.models import DIRECT, MODELS
from tests.programs.workshop import SAID, SAY, Workshop, npm, order

SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
}


def gemini(workshop: Workshop, platform: str, model: str, prompt: str) -> str:
    settings = workshop.home / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(SETTINGS))
    return workshop.run(
        npm("gemini"),
        *("--prompt", prompt, "--model", model),
        GOOGLE_GEMINI_BASE_URL=workshop.stack.url(platform),
        GEMINI_API_KEY=workshop.stack.licence,
        GEMINI_CLI_TRUST_WORKSPACE="true",
    )


def test_it_prints_the_answer(workshop: Workshop) -> None:
    said = gemini(workshop, "gemini", MODELS["gemini"].plain, SAY)

    assert said.strip() == SAID
    assert len(workshop.asked("gemini")) == 1


@pytest.mark.parametrize("platform", DIRECT)
def test_it_runs_its_tool_and_tells_the_result(workshop: Workshop, platform: str) -> None:
    model = MODELS[platform].thinking
    said = gemini(workshop, platform, model, order("read_file", file_path="note.txt"))

    assert [workshop.word in each for each in workshop.asked(platform)] == [False, True]
    assert "The tools answered" in said and workshop.word in said
