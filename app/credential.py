"""What a call to a platform is signed with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from app.limits import BOUNDLESS, Allowance
from app.secret import Secret

GROUPS = ("free", "plus", "pro", "team", "max", "business", "ultra")  # known without being used


@dataclass(frozen=True, slots=True)
class Credential:
    """A platform token and how it is to be used. `label` is for people, `id` for the records; both
    may be logged. An empty `base_url` or `proxy` is the platform's.
    """

    label: str
    token: Secret
    groups: tuple[str, ...] = ()
    id: str = ""
    weight: int = 1
    priority: int = 0
    base_url: str = ""
    proxy: Secret = field(default_factory=lambda: Secret(""))
    allowance: Allowance = BOUNDLESS
    enabled: bool = True


def fingerprint(platform: str, token: str) -> str:
    """What tells two tokens apart without telling the tokens."""
    return hashlib.sha256(f"{platform}\n{token}".encode()).hexdigest()[:32]
