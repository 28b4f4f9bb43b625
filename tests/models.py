"""Which model of each platform the end-to-end tests talk to.

`plain` models do not think unless asked to, take every kind of sampling and any tool; `thinking`
models think when asked. None of them is an alias, so that what a platform calls itself is what it
was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.platforms import PLATFORMS


@dataclass(frozen=True, slots=True)
class Models:
    """`shows_thoughts` is whether the platform's protocol has a place for the words of a thought.
    `agents` says that a chat is an agent at work: one takes several calls, is not cut short by a
    connection, and takes no tools, documents or limits.
    """

    plain: str
    thinking: str
    shows_thoughts: bool = True
    agents: bool = False


MODELS: dict[str, Models] = {
    "chatgpt": Models("gpt-4o", "gpt-5.2", shows_thoughts=False),
    "claude": Models("claude-sonnet-4-6", "claude-sonnet-4-6"),
    "claude_api": Models("claude-sonnet-4-6", "claude-sonnet-4-6"),
    "codex": Models("gpt-4o", "gpt-5.2"),
    "cursor": Models("composer-2", "claude-4.6-sonnet-thinking", agents=True),
    "gemini_official": Models("gemini-2.5-flash-lite", "gemini-2.5-flash"),
    "grok": Models("grok-4.20-0309-non-reasoning", "grok-4.3"),
    "gemini": Models("gemini-2.5-flash-lite", "gemini-2.5-flash"),
}

EVERY = sorted(name for name, one in PLATFORMS.items() if one.talks)
DIRECT = [name for name in EVERY if not MODELS[name].agents]
