"""Our messages in Chinese, by their English templates. A test looks for messages that are missing here."""

from __future__ import annotations

CHINESE: dict[str, str] = {}
