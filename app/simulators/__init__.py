"""Offline upstreams: one WSGI application per platform, written from the vendors' protocols alone.

They share nothing with the gateway's own readers and writers, so that a mistake made there is not
made here too. A simulator is imported when it is first made, because most tests need only one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from app.simulators.simulator import Simulator

_CLASSES: dict[str, str] = {
    "chatgpt": "ChatgptSimulator",
    "codex": "CodexSimulator",
    "cursor": "CursorSimulator",
    "claude": "ClaudeSimulator",
    "claude_api": "ClaudeApiSimulator",
    "flow": "FlowSimulator",
    "gemini": "GeminiSimulator",
    "gemini_official": "GeminiOfficialSimulator",
    "grok": "GrokSimulator",
    "sora": "SoraSimulator",
}


def _maker(module: str, class_name: str) -> Callable[[], Simulator]:
    def make() -> Simulator:
        simulator: Simulator = getattr(import_module(f"app.simulators.{module}"), class_name)()
        return simulator

    return make


SIMULATORS: dict[str, Callable[[], Simulator]] = {
    name: _maker(name, class_name) for name, class_name in _CLASSES.items()
}
