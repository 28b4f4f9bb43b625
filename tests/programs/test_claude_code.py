"""Claude Code, without its screen."""

from __future__ import annotations

import pytest

from tests.models import DIRECT, MODELS
from tests.programs.workshop import SAID, SAY, Workshop, npm, order

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
# Models whose answers end with something that the next turn should bring back: a signature of
# Google's, a phase of OpenAI's. Claude Code prints the last block alone.
ENDING_IN_A_MARK = [("gemini", "gemini-3.1-pro-preview"), ("codex", "gpt-5.4")]


def claude(workshop: Workshop, platform: str, model: str, prompt: str) -> str:
    return workshop.run(
        npm("claude"),
        *("--print", prompt, "--model", model, "--allowedTools", "Bash"),
        **QUIET,
        ANTHROPIC_BASE_URL=workshop.stack.url(platform),
        ANTHROPIC_AUTH_TOKEN=workshop.stack.licence,
    )


@pytest.mark.parametrize("platform", ["claude", "claude_api"])
def test_it_prints_the_answer(workshop: Workshop, platform: str) -> None:
    said = claude(workshop, platform, MODELS[platform].plain, SAY)

    assert said.strip() == SAID
    assert len(workshop.asked(platform)) == 1


@pytest.mark.parametrize(
    "platform, model", [(name, MODELS[name].thinking) for name in DIRECT] + ENDING_IN_A_MARK
)
def test_it_runs_its_tool_and_tells_the_result(
    workshop: Workshop, platform: str, model: str
) -> None:
    prompt = order("Bash", command="cat note.txt", description="Read the note")
    said = claude(workshop, platform, model, prompt)

    assert [workshop.word in each for each in workshop.asked(platform)] == [False, True]
    assert "The tools answered" in said and workshop.word in said
