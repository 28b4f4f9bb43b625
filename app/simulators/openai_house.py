"""What both OpenAI simulators share: the account, headers, refusals, the models, the errors.

The refusal of a wrong key shows both ends of the key, as the vendor's does, and every reply names
the account: things a gateway must not hand on. A reply without a request id does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.simulators.exchange import Call, Reply, as_json
from app.simulators.mishaps import Mishap
from app.simulators.openai_checks import Refused
from app.simulators.openai_models import described, draws, listing, require_known
from app.simulators.simulator import Simulator

ORGANIZATION = "org-simulated0000000000000"
PROJECT = "proj_simulated0000000000000"
RETRY_FLOOR = 1  # the vendor never says less than a second

Route = Callable[[Call], Reply]

ACCOUNT: dict[str, str] = {
    "openai-version": "2020-10-01",
    "openai-organization": ORGANIZATION,
    "openai-project": PROJECT,
    "openai-processing-ms": "12",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999900",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "3ms",
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "cf-cache-status": "DYNAMIC",
    "cf-ray": "9a1b2c3d4e5f6071-SIM",
    "server": "cloudflare",
    "set-cookie": "__cf_bm=simulated; path=/; HttpOnly; Secure; SameSite=None",
    "x-content-type-options": "nosniff",
}


class OpenaiSimulator(Simulator):
    """Answers `/v1/models` and hands everything else to the routes of a subclass."""

    def routes(self, call: Call) -> dict[str, Route]:
        """By method, for this path; empty when the path is not one of ours."""
        raise NotImplementedError

    def answer(self, call: Call) -> Reply:
        try:
            return self._headed(self._routed(call))
        except Refused as refused:
            return self.told(refused)

    def told(self, refused: Refused) -> Reply:
        """The refusal as a reply."""
        return self._headed(Reply(refused.status, as_json(refused.envelope())))

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        refused = _REFUSALS[kind](mishap, self.credential(call))
        reply = self.told(refused)
        if mishap.status:
            reply = replace(reply, status=mishap.status)
        if kind == "throttle" or (kind == "overload" and mishap.seconds):
            seconds = max(RETRY_FLOOR, math.ceil(mishap.seconds))
            waiting = {"retry-after": str(seconds), "retry-after-ms": str(seconds * 1000)}
            left = {"x-ratelimit-remaining-requests": "0"}
            reply = replace(reply, headers={**reply.headers, **waiting, **left})
        return reply

    def _routed(self, call: Call) -> Reply:
        found = _model_routes(call) or self.routes(call)
        if not found:
            raise Refused(f"Invalid URL ({call.method} {call.path})", status=404)
        if call.method not in found:
            raise Refused(
                f"Not allowed to {call.method} on {call.path} "
                f"(HINT: perhaps you meant to use a different HTTP method?)",
                status=405,
            )
        return found[call.method](call)

    def _headed(self, reply: Reply) -> Reply:
        own = {"x-request-id": self.mint("req_", 32)}
        return replace(reply, headers={**ACCOUNT, **own, **reply.headers})


def read_json(call: Call) -> Any:
    """The body of a POST; raises the vendor's refusal when it is not JSON."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            f"Unsupported content type: '{kind}'. This API method only accepts "
            "'application/json' requests.",
            code="unsupported_content_type",
        )
    try:
        return call.parsed()
    except (ValueError, RecursionError):
        raise Refused(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly.)"
        ) from None


def _model_routes(call: Call) -> dict[str, Route]:
    if call.path == "/v1/models":
        return {"GET": lambda _: Reply(200, as_json(listing()))}
    model = call.path.removeprefix("/v1/models/")
    return {} if model in (call.path, "") else {"GET": lambda _: _one_model(model)}


def _one_model(model: str) -> Reply:
    if not draws(model):
        require_known(model)
    return Reply(200, as_json(described(model)))


def _keyless(_mishap: Mishap, _key: str) -> Refused:
    return Refused(
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        status=401,
    )


def _refuse(_mishap: Mishap, key: str) -> Refused:
    shown = f"{key[:8]}{'*' * max(3, len(key) - 12)}{key[-4:]}" if len(key) > 12 else "***"
    return Refused(
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
        status=401,
    )


def _forbid(_mishap: Mishap, _key: str) -> Refused:
    return Refused(
        "Country, region, or territory not supported",
        code="unsupported_country_region_territory",
        status=403,
        kind="request_forbidden",
    )


def _throttle(mishap: Mishap, _key: str) -> Refused:
    seconds = max(RETRY_FLOOR, math.ceil(mishap.seconds))
    return Refused(
        f"Rate limit reached for requests in organization {ORGANIZATION} on requests per min "
        f"(RPM): Limit 10000, Used 10000, Requested 1. Please try again in {seconds}s.",
        code="rate_limit_exceeded",
        status=429,
        kind="requests",
    )


def _broke(_mishap: Mishap, _key: str) -> Refused:
    return Refused(
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        status=429,
        kind="insufficient_quota",
    )


def _overload(_mishap: Mishap, _key: str) -> Refused:
    return Refused(
        "The server is currently overloaded with other requests. Please try again later.",
        code="server_is_overloaded",
        status=503,
        kind="service_unavailable_error",
    )


def _fail(_mishap: Mishap, _key: str) -> Refused:
    return Refused(
        "The server had an error while processing your request. Sorry about that!",
        status=500,
        kind="server_error",
    )


_REFUSALS: dict[str, Callable[[Mishap, str], Refused]] = {
    "keyless": _keyless,
    "refuse": _refuse,
    "forbid": _forbid,
    "throttle": _throttle,
    "broke": _broke,
    "overload": _overload,
    "fail": _fail,
}
