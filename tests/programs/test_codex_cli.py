"""Codex CLI, without its screen."""

from __future__ import annotations

import pytest

from tests.models import DIRECT, MODELS
from tests.programs.workshop import SAID, SAY, Workshop, npm, order

CONFIG = """
model = "{model}"
model_provider = "tokens"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.tokens]
name = "Tokens"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "LICENCE"
"""


def codex(workshop: Workshop, platform: str, model: str, prompt: str) -> str:
    """The sandbox is switched off: machines that run tests seldom let one be made."""
    config = workshop.home / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text(CONFIG.format(model=model, url=workshop.stack.url(platform)))
    return workshop.run(
        npm("codex"),
        *("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt),
        LICENCE=workshop.stack.licence,
    )


def test_it_prints_the_answer(workshop: Workshop) -> None:
    said = codex(workshop, "codex", MODELS["codex"].thinking, SAY)

    assert said.strip() == SAID
    assert len(workshop.asked("codex")) == 1


@pytest.mark.parametrize(
    "platform, model",
    [(name, MODELS[name].thinking) for name in DIRECT]
    + [("gemini", "gemini-3.1-pro-preview"), ("codex", "gpt-5.4")],
)
def test_it_runs_its_tool_and_tells_the_result(
    workshop: Workshop, platform: str, model: str
) -> None:
    said = codex(workshop, platform, model, order("exec_command", cmd="cat note.txt"))

    assert [workshop.word in each for each in workshop.asked(platform)] == [False, True]
    assert "The tools answered" in said and workshop.word in said
