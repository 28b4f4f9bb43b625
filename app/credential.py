"""What a call to a platform is signed with."""

from __future__ import annotations

from dataclasses import dataclass

from app.secret import Secret

GROUPS = ("free", "plus", "pro", "team", "max", "business", "ultra")  # known without being used


@dataclass(frozen=True, slots=True)
class Credential:
    """A platform token, the name by which logs may speak of it, and the groups it belongs to."""

    label: str
    token: Secret
    groups: tuple[str, ...] = ()
