"""A string that does not show itself."""

from __future__ import annotations

import hmac


class Secret:
    """Holds a token; prints as dots, so that a log line or a traceback cannot leak it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The token itself, for the one place that puts it on the wire."""
        return self._value

    def __str__(self) -> str:
        return "••••"

    def __repr__(self) -> str:
        return "Secret(••••)"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        raise TypeError("a secret is not a key to look things up by")
