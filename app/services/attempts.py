"""Trying one credential after the other until one works: for calls whose answer is one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from app.credential import Credential
from app.errors import BadReply, UpstreamError, Verbatim
from app.services.sources import Lent, Source

T = TypeVar("T")


def until_one_works(
    source: Source, record: dict[str, Any], use: Callable[[Credential], T]
) -> tuple[T, Credential]:
    """What `use` made of the first credential that worked, and which that was. A platform that has
    accepted, and then answers badly, is not asked again: what it made has been paid for.
    """
    last: UpstreamError | None = None
    for number, lent in enumerate(source.candidates(), 1):
        note_attempt(record, number, source, lent)
        try:
            used = use(lent.credential)
            lent.accepted()
            return used, lent.credential
        except UpstreamError as error:
            if not error.asked:
                record["attempts"] = number - 1
            lent.failed(error)
            if source.only_once or error.verdict == "stop" or isinstance(error, BadReply):
                raise
            note_failure(record, source, lent, error)
            last = error
        except Verbatim:
            lent.accepted()  # at fault is the call
            raise
        finally:
            lent.give_back()
    raise source.ended(last)


def note_attempt(record: dict[str, Any], number: int, source: Source, lent: Lent) -> None:
    """An attempt begins."""
    record["attempts"] = number
    if not source.only_once:
        record["credential"] = lent.credential.id
    if "trail" in record:
        record["trail"].begin()


def note_failure(record: dict[str, Any], source: Source, lent: Lent, error: UpstreamError) -> None:
    """It has failed."""
    if not source.only_once:
        failed = {"credential": lent.credential.id, "outcome": error.code}
        record.setdefault("failed", []).append(failed)
    if "trail" in record:
        record["trail"].failed(error.code)
