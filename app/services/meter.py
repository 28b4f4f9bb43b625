"""Counting what a platform does not count: usage is always told, estimated where nobody gave it
(C-092).
"""

from __future__ import annotations

from dataclasses import replace

from app.canonical.events import Usage

BYTES_PER_TOKEN = 4  # of English text in the common tokenisers; an estimate needs no better
MOST_INPUT = 2_000_000  # bytes of a request that may be text; the rest is attachments


def so_far(known: Usage | None, request_bytes: int, answer_characters: int) -> Usage:
    """The usage of an answer that has not come to its end, where platforms count: what they have said
    of it by then is no more than a beginning.
    """
    guess = estimated(request_bytes, answer_characters)
    if known is None:
        return guess
    return replace(known, output=max(known.output, guess.output), estimated=True)


def estimated(request_bytes: int, answer_characters: int) -> Usage:
    """A usage nobody reported, marked as such."""
    asked = max(1, min(request_bytes, MOST_INPUT) // BYTES_PER_TOKEN)
    return Usage(asked, -(-answer_characters // BYTES_PER_TOKEN), estimated=True)
