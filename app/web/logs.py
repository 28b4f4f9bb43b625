"""One line of JSON per request, written when the answer is over; and the root of all other log
lines.

Lines are written straight to the file descriptor: the logging module costs more than everything
else in this file.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import Any

import orjson

from app.canonical.events import Usage
from app.clock import Clock
from app.storage.licences import PREFIX

_PREFIX = PREFIX.encode()
_LICENCE = re.compile(re.escape(_PREFIX) + rb"[\w-]+")


class AccessLog:
    """`-` writes to standard output; anything else is a file that is appended to."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        if path == "-":
            self._fd = sys.stdout.fileno()
        else:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def write(self, record: dict[str, Any]) -> None:
        """Never raises: a full disk must not stop the service."""
        usage = record.pop("usage", None)
        if isinstance(usage, Usage):
            record["tokens_in"] = usage.input
            record["tokens_out"] = usage.output
            if usage.cached:
                record["tokens_cached"] = usage.cached
            if usage.reasoning:
                record["tokens_reasoning"] = usage.reasoning
            if usage.estimated:
                record["tokens_estimated"] = True
        line = orjson.dumps({"at": round(self._clock.now(), 3), **record}, default=str)
        if _PREFIX in line:  # some paste it behind the address, or in place of a model
            line = _LICENCE.sub(_PREFIX + b"...", line)
        try:
            os.write(self._fd, line + b"\n")
        except OSError as error:
            logging.getLogger(__name__).debug("access line lost", extra={"why": str(error)})


class JsonLines(logging.Formatter):
    """Other log lines in the same form: a constant message, what varies in fields."""

    _PLAIN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "log": record.name,
            "message": record.getMessage(),
        }
        line.update(
            (name, value) for name, value in vars(record).items() if name not in self._PLAIN
        )
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def set_up_logging() -> None:
    """Everything below `app` to standard error, one JSON object a line; of huey what is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("app", logging.INFO), ("huey", logging.WARNING)):
        root = logging.getLogger(name)
        root.handlers[:] = [handler]
        root.setLevel(level)
        root.propagate = False
