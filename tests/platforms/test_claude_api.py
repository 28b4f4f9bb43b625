"""What is Claude API's own: its headers, its token counts, and bodies that pass untouched."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.platforms import PLATFORMS
from tests.models import MODELS
from tests.platforms.callers import CALLERS, Caller, Messages
from tests.platforms.conftest import Pair
from tests.stack import Json, Stack

MODEL = MODELS["claude_api"].plain


@pytest.fixture
def claude(stack: Stack) -> Pair:
    stack.simulators.clear("claude_api")
    return Pair("claude_api", Messages(), stack)


def _headers(claude: Pair) -> Json:
    headers: Json = claude.asked[-1]["headers"]
    return headers


def test_a_body_passes_untouched_with_every_field_in_it(claude: Pair) -> None:
    """C-215."""
    more: Any = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": "u1"},
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }
    path, body = claude.ask("hello", **more)
    heard = claude.caller.call(claude.base, (path, body), claude.stack.licence)

    assert (heard.status, claude.asked[-1]["body"]) == (200, body)


@pytest.mark.parametrize(
    "given, sent", [(None, "b-2,c-3"), ("a-1, b-2", "a-1,b-2,c-3")], ids=["none", "some"]
)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_the_operators_beta_features_join_the_callers(
    caller: Caller, given: str | None, sent: str, gateway: Callable[..., Stack]
) -> None:
    """C-216: no value twice, the caller's own first; callers of other dialects have none."""
    claude = Pair("claude_api", caller, gateway(TOKENS_CLAUDE_API_BETAS="b-2, c-3"))
    claude.simulators.clear("claude_api")
    headers = {"anthropic-beta": given} if given else {}

    assert claude.call("hello", headers=headers).status == 200
    assert _headers(claude)["anthropic-beta"] == (
        sent if caller.name == "anthropic_messages" else "b-2,c-3"
    )


@pytest.mark.parametrize(
    "given, sent",
    [
        ({}, ("2023-06-01", None)),
        (
            {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2"},
            ("2023-06-01", "a-1,b-2"),
        ),
    ],
    ids=["nothing", "both"],
)
def test_version_and_beta_headers_reach_the_platform(
    claude: Pair, given: dict[str, str], sent: tuple[str, str | None]
) -> None:
    """C-216, C-217."""
    assert claude.call("hello", headers=given).status == 200
    headers = _headers(claude)

    assert (headers["anthropic-version"], headers.get("anthropic-beta")) == sent
    assert "x-api-key" in headers and "authorization" not in headers


def test_tokens_are_counted_by_the_platform(claude: Pair) -> None:
    """C-018."""
    _, body = claude.ask("How many tokens is this?")
    del body["max_tokens"]
    url = f"{claude.base}/v1/messages/count_tokens"
    answer = requests.post(url, json=body, headers={"x-api-key": claude.stack.licence}, timeout=10)
    heard = claude.call("How many tokens is this?")

    assert answer.status_code == 200
    assert answer.json()["input_tokens"] == claude.caller.usage(heard.json)[0]


def test_cached_input_is_counted_apart_and_in_full(claude: Pair) -> None:
    """C-094: Anthropic leaves cached tokens out of its input; Chat Completions and our log do
    not.
    """
    mark = {"type": "ephemeral"}
    system = [{"type": "text", "text": "Know this by heart. " * 900, "cache_control": mark}]
    first = claude.call("hello")  # without, to see what the rest costs
    path, body = claude.ask("hello", system=system)
    written, read = (
        claude.caller.call(claude.base, (path, body), claude.stack.licence) for _ in range(2)
    )
    lines = [claude.stack.line(heard.headers["x-request-id"]) for heard in (written, read)]

    assert written.json["usage"]["cache_creation_input_tokens"] > 1000
    assert read.json["usage"]["cache_read_input_tokens"] > 1000
    assert lines[0]["tokens_in"] == lines[1]["tokens_in"] == claude.caller.usage(read.json)[0]
    assert lines[1]["tokens_cached"] == read.json["usage"]["cache_read_input_tokens"]
    assert claude.caller.usage(first.json)[0] < 100


def test_claude_code_may_knock_first(claude: Pair) -> None:
    """C-228: `HEAD` on its base, then a call with a query it does not explain."""
    knock = requests.head(claude.base, timeout=10)
    path, body = claude.ask("simulate: say Hello", stream=True)
    heard = claude.caller.call(claude.base, (path, body), claude.stack.licence, query="beta=true")

    assert knock.status_code < 500
    assert claude.caller.texts(heard) == "Hello"


@pytest.mark.parametrize("platform", ["claude", "claude_api"])
def test_models_go_by_their_dotted_names_too(platform: str) -> None:
    """A-9: as products spell them, with and without parameters."""
    catalogue = PLATFORMS[platform].catalogue
    dashed = re.compile(r"(claude-[a-z]+-\d)-(\d)")
    dotted = {
        dashed.sub(r"\1.\2", one.id): one.id for one in catalogue.models if dashed.match(one.id)
    }

    assert len(dotted) >= 11
    assert {name: catalogue.names.read(name).model for name in dotted} == dotted
    assert catalogue.names.read("claude-opus-4.5-thinking").sets == {"think": True}
