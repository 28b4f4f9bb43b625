"""The platforms. This folder is the only place that knows their names."""

from __future__ import annotations

from app.platforms import (
    chatgpt,
    claude,
    claude_api,
    codex,
    cursor,
    flow,
    gemini,
    gemini_official,
    grok,
    sora,
)
from app.upstream.platform import Platform

MODULES = (chatgpt, claude, claude_api, codex, cursor, flow, gemini, gemini_official, grok, sora)
PLATFORMS: dict[str, Platform] = {module.PLATFORM.name: module.PLATFORM for module in MODULES}
PLANNED: tuple[str, ...] = ()  # prefixes that have nothing behind them yet
BLUEPRINTS = tuple(module.bp for module in MODULES)
