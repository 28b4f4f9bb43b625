"""The platforms. This folder is the only place that knows their names."""

from __future__ import annotations

from pathlib import Path

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
PRICES: dict[str, Path] = {  # the files that say what their models cost
    name: Path(__file__).parent / "prices" / f"{name}.json" for name in PLATFORMS
}
BLUEPRINTS = tuple(module.bp for module in MODULES)
