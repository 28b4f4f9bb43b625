"""The other Claude is the same simulator, and keeps its journal to itself."""

from __future__ import annotations

import anthropic

from app.simulators.serving import Running


def test_it_answers_the_vendors_own_client_and_remembers_it_alone(running: Running) -> None:
    client = anthropic.Anthropic(
        base_url=running.url("claude"), api_key="sk-sim", max_retries=0, timeout=10
    )
    message = client.messages.create(
        model="claude-sonnet-4-6", max_tokens=100, messages=[{"role": "user", "content": "hello"}]
    )

    assert message.content[0].type == "text" and "hello" in message.content[0].text
    assert len(running.simulators["claude"].journal.entries()) == 1
    assert running.simulators["claude_api"].journal.entries() == []
