"""Counting what a platform does not count: usage is always told, estimated where nobody gave it
(C-092).
"""

from __future__ import annotations

from app.canonical.events import Usage

BYTES_PER_TOKEN = 4  # of English text in the common tokenisers; an estimate needs no better
MOST_INPUT = 2_000_000  # bytes of a request that may be text; the rest is attachments


def estimated(request_bytes: int, answer_characters: int) -> Usage:
    """A usage nobody reported, marked as such."""
    asked = max(1, min(request_bytes, MOST_INPUT) // BYTES_PER_TOKEN)
    return Usage(asked, -(-answer_characters // BYTES_PER_TOKEN), estimated=True)
