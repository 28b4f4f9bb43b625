"""The platforms. This folder is the only place that knows their names."""

from __future__ import annotations

from app.platforms import chatgpt, claude, claude_api, codex, gemini
from app.upstream.platform import Platform

MODULES = (chatgpt, claude, claude_api, codex, gemini)
PLATFORMS: dict[str, Platform] = {module.PLATFORM.name: module.PLATFORM for module in MODULES}
BLUEPRINTS = tuple(module.bp for module in MODULES)
