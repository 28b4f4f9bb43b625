"""What an upstream's refusal means: a status and what the platform said, to one of our errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from app.canonical.events import Trouble
from app.errors import (
    BadReply,
    ContextTooLong,
    CredentialRefused,
    GatewayError,
    QuotaSpent,
    RequestRefused,
    Throttled,
    TimedOut,
    UpstreamError,
)

LONGEST_WAIT = 3600.0
LONGEST_WORDS = 2000
LONG_AGO = 1e9  # seconds since 1970; more than that is no span, but a moment
_BAD_KEY = frozenset(
    "api_key_invalid authentication_error forbidden invalid_api_key permission_error".split()
)
_BAD_KEY_WORDS = re.compile(r"api key (?:has )?expired|api key not valid", re.IGNORECASE)
_SPENT = frozenset(("billing_error", "insufficient_quota"))
_SPENT_WORDS = re.compile(
    r"credit balance is too low|insufficient[ _](?:quota|balance|credits?)|spending limit",
    re.IGNORECASE,
)
_A_DAY = re.compile(r"per[ _-]?day|daily|\b[rt]pd\b", re.IGNORECASE)
_TOKENS = re.compile(r"tokens?[ _-]per|\btpm\b|token_count|input[ _-]tokens", re.IGNORECASE)
_REMAINING = re.compile(
    r"(?:[a-z]+-)?ratelimit-(?:remaining-(?P<what>[\w-]+)|(?P<that>[\w-]+)-remaining)"
)
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_TOO_LONG = re.compile(
    r"maximum context length|context window|prompt is too long|exceeds the maximum number of tokens",
    re.IGNORECASE,
)


def refusal(
    status: int, headers: Mapping[str, str], trouble: Trouble, *, model: str, now: float
) -> UpstreamError:
    """The error that an answer with this status stands for, with the platform's words where they
    help the caller.
    """
    words = trouble.message[:LONGEST_WORDS]
    wait = (
        retry_after(headers, now) if trouble.retry_after is None else _clamped(trouble.retry_after)
    )
    if status == 402 or (400 <= status < 500 and _is_spent(trouble)):
        return _spent().after(wait)
    if status == 429:
        kind, seconds = _used_up(headers, now)
        kind = kind or _kind(f"{trouble.code} {trouble.message}")
        wait = seconds if wait is None else wait
        return Throttled("the platform asks for fewer requests", kind=kind).after(wait)
    if status in (401, 403) or (400 <= status < 500 and _blames_key(trouble)):
        return _key_refused(whole=status != 403)
    if status == 504:
        return TimedOut("the platform took too long to answer")
    if status in (408, 409, 425) or status >= 500:
        return UpstreamError("the platform answered with status {status}", status=status).after(
            wait
        )
    if 400 <= status < 500:
        return _fault(status, trouble, words, model)
    return BadReply("the platform answered with status {status}", status=status)


def from_stream(trouble: Trouble, *, model: str) -> UpstreamError:
    """The error behind an error event that came inside a stream."""
    wait = None
    if trouble.status:
        error = refusal(trouble.status, {}, trouble, model=model, now=0.0)
        if type(error) is not UpstreamError:
            return error
        wait = error.retry_after  # but not its words: the platform did not answer with that status
    if _is_spent(trouble):
        return _spent()
    if _blames_key(trouble):
        return _key_refused()
    words = trouble.message[:LONGEST_WORDS]
    error = UpstreamError("the platform broke off with an error: {words}", words=words).after(wait)
    if trouble.final:
        error.verdict, error.may_retry = "stop", False
    return error


def _blames_key(trouble: Trouble) -> bool:
    """Whether the platform finds fault with who calls, whatever status it says it with (K-093)."""
    return trouble.code.lower() in _BAD_KEY or _BAD_KEY_WORDS.search(trouble.message) is not None


def _key_refused(*, whole: bool = True) -> CredentialRefused:
    """`whole` is false where it may be the model alone that the credential is not for."""
    words = "the platform does not accept the credential it is called with"
    return CredentialRefused(words, whole=whole)


def _is_spent(trouble: Trouble) -> bool:
    """Whether the account behind the credential has nothing left, whatever the status says."""
    return trouble.code.lower() in _SPENT or _SPENT_WORDS.search(trouble.message) is not None


def _spent() -> QuotaSpent:
    return QuotaSpent("the platform does not accept the credential it is called with")


def _kind(words: str) -> str:
    """Which limit was met, as far as the platform says."""
    if _A_DAY.search(words):
        return "day"
    return "tokens" if _TOKENS.search(words) else "requests"


def _used_up(headers: Mapping[str, str], now: float) -> tuple[str, float | None]:
    """The limit of which the headers say that nothing remains, and in how many seconds it does
    again.
    """
    for name, value in headers.items():
        if value.strip() != "0" or (found := _REMAINING.fullmatch(name)) is None:
            continue
        kind = "tokens" if "token" in (found["what"] or found["that"]) else "requests"
        return kind, _until(headers.get(name.replace("remaining", "reset"), ""), now)
    return "", None


def _until(text: str, now: float) -> float | None:
    """Seconds until a moment, written as a span (`6m0s`), as seconds or as a date."""
    text = text.strip()
    if (seconds := _seconds(text)) is not None:
        return _clamped(seconds - now if seconds > LONG_AGO else seconds)
    if text and (found := _SPAN.fullmatch(text)) is not None:
        days, hours, minutes, rest, thousandths = (float(part or 0) for part in found.groups())
        minutes += 60 * (hours + 24 * days)
        return _clamped(60 * minutes + rest + thousandths / 1000)
    try:
        return _clamped(datetime.fromisoformat(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _fault(status: int, trouble: Trouble, words: str, model: str) -> UpstreamError:
    if trouble.code == "context_length_exceeded" or _TOO_LONG.search(words):
        return ContextTooLong(
            "the conversation exceeds the model's maximum context length: {words}", words=words
        )
    if status == 404:
        return RequestRefused(
            "the platform does not know the model {model}: {words}",
            status=404,
            code="model_not_found",
            param="model",
            model=model,
            words=words,
        )
    return RequestRefused(
        "{words}" if words else "the platform refused the request with status {status}",
        status=status,
        code=trouble.code or "invalid_request",
        param=trouble.param,
        words=words,
    )


def said_code(error: Mapping[str, Any]) -> str:
    """What a platform calls the failure of a job; its own trouble is never ours."""
    code = str(error.get("code") or "")
    return UpstreamError.code if code in ("", GatewayError.code) else code


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from whichever header says so; garbage says nothing (R-069)."""
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _clamped(milliseconds / 1000)
    text = headers.get("retry-after", "").strip()
    seconds = _seconds(text)
    if seconds is not None:
        return _clamped(seconds)
    try:
        return _clamped(parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if seconds == seconds else None


def _clamped(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT)
