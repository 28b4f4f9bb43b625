"""What a platform's refusal means, for the caller and for the credential that met it."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.events import Trouble
from app.errors import (
    BadReply,
    ContextTooLong,
    CredentialRefused,
    QuotaSpent,
    RequestRefused,
    Throttled,
    TimedOut,
    UpstreamError,
)
from app.upstream.refusals import from_stream, refusal, retry_after

NOW = 1_795_000_000.0
BROKE = "Your credit balance is too low to access the API."


def refused(status, message="", code="", headers=None, **more) -> UpstreamError:
    trouble = Trouble(message, status, code, **more)
    return refusal(status, headers or {}, trouble, model="m-1", now=NOW)


@pytest.mark.parametrize(
    "status, message, code, made, verdict",
    [
        (400, "bad field", "", RequestRefused, "stop"),
        (404, "no such model", "", RequestRefused, "stop"),
        (413, "", "", RequestRefused, "stop"),
        (422, "", "", RequestRefused, "stop"),
        (418, "", "", RequestRefused, "stop"),
        (400, "This model's maximum context length is 9 tokens", "", ContextTooLong, "stop"),
        (400, "prompt is too long: 9 > 8", "", ContextTooLong, "stop"),
        (
            413,
            "The input token count exceeds the maximum number of tokens",
            "",
            ContextTooLong,
            "stop",
        ),
        (400, "", "context_length_exceeded", ContextTooLong, "stop"),
        (401, "", "", CredentialRefused, "retire"),
        (402, "", "", QuotaSpent, "rest"),
        (403, "", "", CredentialRefused, "retire"),
        (400, "", "API_KEY_INVALID", CredentialRefused, "retire"),
        (400, BROKE, "", QuotaSpent, "rest"),
        (404, "", "insufficient_quota", QuotaSpent, "rest"),
        (400, "API key expired. Please renew the API key.", "", CredentialRefused, "retire"),
        (429, "", "", Throttled, "rest"),
        (429, "", "insufficient_quota", QuotaSpent, "rest"),
        (408, "", "", UpstreamError, "retry"),
        (409, "", "", UpstreamError, "retry"),
        (425, "", "", UpstreamError, "retry"),
        (500, "", "", UpstreamError, "retry"),
        (503, "", "", UpstreamError, "retry"),
        (529, "", "", UpstreamError, "retry"),
        (504, "", "", TimedOut, "retry"),
        (302, "", "", BadReply, "retry"),
        (100, "", "", BadReply, "retry"),
    ],
)
def test_a_status_and_some_words_are_one_of_our_errors(status, message, code, made, verdict):
    """C-126, K-085, K-090."""
    error = refused(status, message, code)

    assert (type(error), error.verdict) == (made, verdict)


def test_what_the_request_did_wrong_is_told_in_the_platforms_words():
    error = refused(422, "top_p: {too} high", "bad_top_p", param="top_p")

    told = str(error), error.status, error.code, error.param, error.may_retry
    assert told == ("top_p: {too} high", 422, "bad_top_p", "top_p", False)
    assert str(refused(413)) == "the platform refused the request with status 413"


def test_an_unknown_model_is_named_by_the_name_that_was_asked_for():
    """K-089."""
    error = refused(404, "gone")

    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert str(error) == "the platform does not know the model m-1: gone"


def test_too_long_a_conversation_is_told_in_the_words_clients_look_for():
    """K-090."""
    error = refused(400, "prompt is too long")

    assert (error.status, error.code) == (400, "context_length_exceeded")
    assert "maximum context length" in str(error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500])
@pytest.mark.parametrize("code", ["insufficient_quota", "invalid_api_key", "permission_error", ""])
def test_the_callers_of_a_gateway_do_not_hear_of_its_keys(status, code):
    """K-093: relays take a whole channel out of service on such words."""
    for error in (refused(status, BROKE, code), from_stream(Trouble(BROKE, 0, code), model="m")):
        words = f"{error} {error.code} {error.type} {error.status}".lower()
        for word in (
            "credit ",
            "credit balance",
            "quota",
            "api_key",
            "permission",
            "401",
            "403",
            "402",
        ):
            assert word not in words


def test_long_words_are_cut():
    assert len(str(refused(400, "x" * 10_000))) == 2000


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e12"}, 3600.0),
        ({"retry-after": "inf"}, 3600.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        (
            {"retry-after": format_datetime(datetime.fromtimestamp(NOW + 90, timezone.utc), True)},
            90.0,
        ),
        (
            {"retry-after": format_datetime(datetime.fromtimestamp(NOW - 90, timezone.utc), True)},
            0.0,
        ),
        ({"retry-after": "Mon, 99 Foo 2026 99:99:99 GMT"}, None),
    ],
    ids=str,
)
def test_how_long_to_wait_is_believed_within_limits(headers, seconds):
    """R-069."""
    assert retry_after(headers, NOW) == seconds
    assert refused(429, headers=headers).retry_after == seconds
    assert refused(503, headers=headers).retry_after == seconds


def test_a_wait_in_the_body_wins_over_the_headers():
    assert refused(429, headers={"retry-after": "7"}, retry_after=9.5).retry_after == 9.5
    assert refused(429, retry_after=10.0**12).retry_after == 3600.0


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} -?\d+ [\d:.]+ \S*"))
def test_any_header_is_a_wait_or_none(text):
    """R-069."""
    for name in ("retry-after", "retry-after-ms"):
        found = retry_after({name: text}, NOW)
        assert found is None or 0 <= found <= 3600


@pytest.mark.parametrize(
    "trouble, made",
    [
        (Trouble("overloaded"), UpstreamError),
        (Trouble("", 429), Throttled),
        (Trouble("", 401), CredentialRefused),
        (Trouble("bad", 400), RequestRefused),
        (Trouble(BROKE), QuotaSpent),
        (Trouble(BROKE, 503), QuotaSpent),
        (Trouble("", 200), BadReply),
    ],
    ids=str,
)
def test_an_error_inside_a_stream_means_what_it_would_have_meant_before(trouble, made):
    """R-012."""
    assert type(from_stream(trouble, model="m")) is made


def test_a_failure_inside_a_stream_is_told_in_the_platforms_words():
    """R-012: it did not answer with the status its error speaks of."""
    error = from_stream(Trouble("overloaded", 529, retry_after=7.0), model="m")

    assert (type(error), str(error), error.retry_after) == (
        UpstreamError,
        "the platform broke off with an error: overloaded",
        7.0,
    )


@pytest.mark.parametrize(
    "headers, message, kind, seconds",
    [
        ({}, "", "requests", None),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"},
            "",
            "tokens",
            360,
        ),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "17ms"},
            "",
            "requests",
            0.017,
        ),
        (
            {"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "1s"},
            "",
            "requests",
            None,
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": datetime.fromtimestamp(
                    NOW + 40, timezone.utc
                )
                .isoformat()
                .replace("+00:00", "Z"),
            },
            "",
            "tokens",
            40,
        ),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{NOW + 9:.0f}"},
            "",
            "requests",
            9,
        ),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "whenever"},
            "",
            "requests",
            None,
        ),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "retry-after": "3",
                "x-ratelimit-reset-tokens": "9s",
            },
            "",
            "tokens",
            3,
        ),
        ({}, "Rate limit reached on tokens per min (TPM): Limit 9", "tokens", None),
        ({}, "Rate limit reached on requests per day (RPD): Limit 9", "day", None),
        ({}, "Quota exceeded for quota metric 'GenerateRequestsPerDay'", "day", None),
    ],
    ids=str,
)
def test_throttling_names_the_limit_and_when_it_is_over(headers, message, kind, seconds):
    """What is held against a key is what the platform named, for as long as it said."""
    error = refused(429, message, headers=headers)

    assert (error.kind, error.whole) == (kind, False)
    assert error.retry_after == (seconds if seconds is None else pytest.approx(seconds, abs=0.001))


@given(st.text(max_size=30) | st.from_regex(r"(\d+[dhms]){0,4}(\d+ms)?"))
def test_any_reset_is_a_wait_or_none(text):
    """R-069."""
    found = refused(
        429, headers={"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": text}
    ).retry_after
    assert found is None or 0 <= found <= 3600


def test_a_credential_is_refused_as_a_whole_or_for_one_model():
    assert [refused(status).whole for status in (401, 403, 402)] == [True, False, True]
    assert [refused(status).kind for status in (401, 402, 429, 500)] == [
        "refused",
        "quota",
        "requests",
        "fault",
    ]
