"""Whose doing an error was: the caller's, the platform's, or the gateway's and so its operator's.

Codes that are not here come from platforms, which make up as many as they like; they are counted
together.
"""

from __future__ import annotations

from typing import Literal

Blame = Literal["caller", "platform", "gateway"]
BLAMES: tuple[Blame, ...] = ("caller", "platform", "gateway")
OTHER = "other"
PASSED_ON = "refused"  # in the platform's own words, whatever they say

_CODES: dict[Blame, str] = {
    "caller": """invalid_request invalid_value tools_not_supported unsupported_fields
        unknown_model_parameter conflicting_model_parameters unsupported_model_parameter
        model_not_supported moderation_blocked group_not_found invalid_attachment
        context_length_exceeded output_length_exceeded invalid_api_key forbidden price_unknown
        not_found model_not_found endpoint_not_supported method_not_allowed video_not_ready
        idempotency_in_progress idempotency_answer_too_large video_expired image_expired
        request_too_large unsupported_media_type range_not_satisfiable idempotency_key_reused
        rpm_exceeded tpm_exceeded rpd_exceeded tpd_exceeded budget_exceeded insufficient_quota
        concurrency_exceeded caller_gone""",
    "platform": """rate_limit_exceeded upstream_error upstream_unreachable
        upstream_connection_lost upstream_bad_reply upstream_truncated upstream_empty
        upstream_timeout no_image_generated""",
    "gateway": """internal_error no_available_key database_unavailable storage_unavailable
        storage_full interrupted gateway_overloaded""",
}
BLAMED: dict[str, Blame] = {
    code: blame for blame, codes in _CODES.items() for code in codes.split()
}
KINDS = (*BLAMED, PASSED_ON, OTHER)


def kind_of(code: str) -> str:
    """The code, if it is one that is counted by itself."""
    return code if code in BLAMED or code == PASSED_ON else OTHER


def blame_of(code: str, status: int) -> Blame:
    """Where the code alone does not say, the status does."""
    known = BLAMED.get(code)
    if known is not None:
        return known
    return "platform" if status >= 500 or status == 429 else "caller"
