"""Small wishes, on every platform in every dialect: cells of the matrix that no SDK test has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.models import DIRECT
from tests.platforms.album import shown_at
from tests.platforms.callers import NATIVE, Caller, Heard
from tests.platforms.conftest import Pair
from tests.sdk.scenes import PNG
from tests.stack import Json, Stack

WORDS = " ".join(f"word{number}" for number in range(1, 60))
LIMITS: dict[str, Json] = {
    "openai_chat": {"max_tokens": 16},
    "openai_responses": {"max_output_tokens": 16},
    "anthropic_messages": {"max_tokens": 16},
    "gemini_generate": {"generationConfig": {"maxOutputTokens": 16}},
}
STOPS: dict[str, Json] = {
    "openai_chat": {"stop": ["word7"]},
    "anthropic_messages": {"stop_sequences": ["word7"]},
    "gemini_generate": {"generationConfig": {"stopSequences": ["word7"]}},
}
ENDS = {
    "openai_chat": lambda told: told["choices"][0]["finish_reason"] == "length",
    "openai_responses": lambda told: told["incomplete_details"]["reason"] == "max_output_tokens",
    "anthropic_messages": lambda told: told["stop_reason"] == "max_tokens",
    "gemini_generate": lambda told: told["candidates"][0]["finishReason"] == "MAX_TOKENS",
}


def _ask(pair: Pair, more: Json, *, stream: bool) -> Heard:
    asked: Any = pair.ask(f"simulate: say {WORDS}", stream=stream, **more)
    return pair.caller.call(pair.base, asked, pair.stack.licence)


@pytest.mark.feature("limit on the answer")
@pytest.mark.parametrize("platform", DIRECT)
def test_an_answer_can_be_limited(pair: Pair) -> None:
    """C-071, C-072, C-093."""
    heard = _ask(pair, LIMITS[pair.caller.name], stream=False)

    assert heard.status == 200, heard.content
    assert WORDS.startswith(pair.caller.text(heard.json).strip()) and ENDS[pair.caller.name](
        heard.json
    )
    assert pair.caller.usage(heard.json)[1] <= 16


@pytest.mark.feature("stop")
@pytest.mark.parametrize(
    "caller", [NATIVE[name] for name in STOPS], ids=lambda caller: str(caller.name)
)
def test_an_answer_stops_where_it_is_told_to(
    platform: str, caller: Caller, stack: Stack, stream: bool
) -> None:
    """C-074. Responses have no stop sequences."""
    pair = Pair(platform, caller, stack)
    heard = _ask(pair, STOPS[pair.caller.name], stream=stream)
    text = pair.caller.texts(heard) if stream else pair.caller.text(heard.json)

    assert heard.status == 200, heard.content
    assert text.strip() == WORDS.partition(" word7")[0]


PICTURES: dict[str, Callable[[str], Json]] = {
    "openai_chat": lambda url: {
        "messages": _said({"type": "image_url", "image_url": {"url": url}})
    },
    "openai_responses": lambda url: {"input": _said({"type": "input_image", "image_url": url})},
    "anthropic_messages": lambda url: {
        "messages": _said({"type": "image", "source": {"type": "url", "url": url}})
    },
    "gemini_generate": lambda url: {
        "contents": [
            {"role": "user", "parts": [{"fileData": {"fileUri": url, "mimeType": "image/png"}}]}
        ]
    },
}


def _said(part: Json) -> list[Json]:
    return [{"role": "user", "content": [part]}]


@pytest.fixture(scope="module")
def album() -> Iterator[str]:
    """The address of a picture on this machine."""
    with shown_at(PNG) as address:
        yield address


@pytest.fixture
def trusting(album: str, gateway: Callable[..., Stack]) -> Stack:
    """A gateway that may fetch the picture."""
    return gateway(TOKENS_FETCH_ALLOWED_HOSTS=urlsplit(album).netloc)


@pytest.mark.feature("image by URL")
def test_a_linked_picture_arrives(pair: Pair, album: str, trusting: Stack) -> None:
    """C-058, C-064: fetched by us, except where the caller's bytes pass untouched to a platform
    that fetches for itself.
    """
    pair = pair.on(trusting)
    path, body = pair.ask("")
    body |= PICTURES[pair.caller.name]("https://example.com/a.png" if pair.is_raw else album)
    heard = pair.caller.call(pair.base, (path, body), pair.stack.licence)

    assert heard.status == 200, heard.content
    assert "image" in pair.caller.text(heard.json).partition("I also received")[2]


def _cached(pair: Pair, told: Json) -> tuple[int, int]:
    """Tokens that were read from the cache, and all that were read."""
    usage = told.get("usage") or told.get("usageMetadata")
    assert usage is not None
    if pair.caller.name == "openai_chat":
        return usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]
    if pair.caller.name == "openai_responses":
        return usage["input_tokens_details"]["cached_tokens"], usage["input_tokens"]
    if pair.caller.name == "anthropic_messages":
        read = usage["cache_read_input_tokens"]
        return read, usage["input_tokens"] + read
    return usage["cachedContentTokenCount"], usage["promptTokenCount"]


@pytest.mark.feature("cached usage")
def test_cached_tokens_are_told_and_counted_once(pair: Pair) -> None:
    """C-094: among all that were read."""
    plain = pair.call("simulate: say Hi, and nothing else of any kind").json
    heard = pair.call("simulate: cached simulate: say Hi, and nothing else of any kind").json
    cached, read = _cached(pair, heard)

    assert 0 < cached < read
    assert pair.caller.usage(heard)[0] == read
    assert abs(read - pair.caller.usage(plain)[0]) < 10
