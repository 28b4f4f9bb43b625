"""Thought signatures: made when a part is sent, checked when a function call comes back.

A signature vouches for one function call, its name and arguments, so one that comes back on
another part is found out. Two well-known strings are accepted in place of any signature, for
conversations that were begun with another model.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

from app.simulators.gemini_checks import decoded

DUMMIES = frozenset(
    decoded(word)
    for word in ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
)


def of_call(name: str, args: Any) -> str:
    """The signature of a function call."""
    return _sealed(json.dumps([name, args], sort_keys=True))


def of_text(text: str) -> str:
    """The signature of an answer in words, which nobody checks."""
    return _sealed(text)


def fits(signature: str, name: str, args: Any) -> bool:
    """Whether a signature may stand on this call."""
    return decoded(signature) in DUMMIES or signature == of_call(name, args)


def _sealed(text: str) -> str:
    return base64.b64encode(b"\x12\x20" + sha256(text.encode("utf-8")).digest()).decode()
