"""The same vendor's API as the other Claude's, under another name and with a journal of its own."""

from __future__ import annotations

from app.simulators.claude_api import ClaudeApiSimulator


class ClaudeSimulator(ClaudeApiSimulator):
    name = "claude"
