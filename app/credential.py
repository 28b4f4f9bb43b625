"""What a call to a platform is signed with."""

from __future__ import annotations

from dataclasses import dataclass

from app.secret import Secret


@dataclass(frozen=True, slots=True)
class Credential:
    """A platform token, and the name by which logs may speak of it."""

    label: str
    token: Secret
