"""The tables that Chat Completions and Responses have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    base64_text,
    boolean,
    data_url,
    integer,
    mapping,
    null,
    number,
    one_of,
    record,
    string,
)

NAME = string(least=1, most=64, pattern="[a-zA-Z0-9_-]+")
EFFORT = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")
VERBOSITY = one_of("low", "medium", "high")
IMAGE_TYPES = ("image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp")
FILE_TYPES = (
    "application/pdf",
    "text/plain",
    "text/markdown",
    "text/csv",
    "text/html",
    "application/json",
)
LONGEST_IMAGE = 20_971_520


def typed(
    required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None
) -> Check:
    """A record that also has the `type` by which it was chosen."""
    return record({"type": anything, **(required or {})}, optional)


def image_address(value: Any, at: str) -> None:
    """A web address, or a data URL of an image. Web addresses are not fetched."""
    string(least=1, most=LONGEST_IMAGE)(value, at)
    if value.startswith("data:"):
        data_url(value, at, IMAGE_TYPES, "invalid_image_url")
    elif not value.startswith(("http://", "https://")):
        raise Refused(
            f"Invalid '{at}': expected a URL with a supported scheme, or a data URL.",
            at,
            "invalid_image_url",
        )


def file_data(value: Any, at: str) -> None:
    """A data URL, or base64 alone."""
    string(least=1)(value, at)
    if value.startswith("data:"):
        data_url(value, at, FILE_TYPES, "invalid_value")
    else:
        base64_text(value, at)


BREAKPOINT = record({"mode": one_of("explicit")})

SHARED: dict[str, Check] = {
    "model": string(least=1),
    "stream": null(boolean),
    "temperature": null(number(0, 2)),
    "top_p": null(number(0, 1)),
    "top_logprobs": null(integer(0, 20)),
    "user": null(string()),
    "safety_identifier": null(string(most=64)),
    "prompt_cache_key": null(string()),
    "prompt_cache_retention": null(one_of("in_memory", "24h")),
    "prompt_cache_options": null(
        record({}, {"mode": one_of("implicit", "explicit"), "ttl": one_of("30m")})
    ),
    "metadata": null(mapping(most=16, key=64, value_check=string(most=512))),
    "store": null(boolean),
    "parallel_tool_calls": null(boolean),
    "moderation": null(record({"model": string()}, {"policy": anything})),
}

LOCATION: dict[str, Check] = {
    "country": null(string()),
    "region": null(string()),
    "city": null(string()),
    "timezone": null(string()),
}
CONTEXT_SIZE = one_of("low", "medium", "high")
