"""What a run has cost, where Cursor tells the account: it does not tell everybody yet."""

from __future__ import annotations

import logging
import time
from typing import Any

from app.errors import UpstreamError
from app.platforms.cursor_desk import Desk, Json

log = logging.getLogger(__name__)

REFUSED = 3600.0  # seconds that an account which is not told is not asked for again


class Meter:
    """Reads usage; one for the worker."""

    def __init__(self) -> None:
        self._refused: dict[str, float] = {}  # accounts, and until when

    def read(self, desk: Desk, agent: str, run: str) -> Json | None:
        """The usage of one run, or None where it has to be estimated."""
        account = desk.fingerprint
        if time.monotonic() < self._refused.get(account, 0.0):
            return None
        try:
            told = desk.ask("GET", f"/agents/{agent}/usage?runId={run}")
            if told.status == 403 and desk.attempt.repeated:  # nothing is kept of a brought token
                self._refused[account] = time.monotonic() + REFUSED
            runs = told.json.get("runs") if told.status == 200 else ()
        except UpstreamError as error:
            log.warning("the usage of a run cannot be had: %s", error)
            return None
        usage: Any = next((one.get("usage") for one in runs or () if one.get("id") == run), None)
        return usage if isinstance(usage, dict) else None
