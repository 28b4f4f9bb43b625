"""Model names with parameters, aliases and groups, as the gateway serves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from app.platforms import PLATFORMS
from tests.platforms.callers import CALLERS, Caller, Heard
from tests.platforms.conftest import Pair
from tests.stack import Stack

CHAT, RESPONSES, MESSAGES, GENERATE = CALLERS


def _ask(stack: Stack, platform: str, caller: Caller, model: str, **more) -> tuple[Heard, list]:
    stack.simulators.clear(platform)
    pair = Pair(platform, caller, stack)
    heard = caller.call(pair.base, caller.ask(model, "hello", **more), stack.licence)
    return heard, pair.asked


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_effort_in_the_name_reaches_the_platform(
    stack: Stack, caller: Caller, stream: bool
) -> None:
    """C-090, C-146, C-153: in every dialect, also where the bytes would pass untouched."""
    heard, asked = _ask(stack, "codex", caller, "gpt-5.2-high", stream=stream)

    assert heard.status == 200, heard.content
    assert (asked[0]["body"]["model"], asked[0]["body"]["reasoning"]["effort"]) == (
        "gpt-5.2",
        "high",
    )
    assert heard.headers["x-tokens-model"] == "gpt-5.2"
    if caller is CHAT and not stream:
        assert heard.json["model"] == "gpt-5.2-high"


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
@pytest.mark.parametrize("budget", [None, 2000])
def test_thinking_in_the_name_reaches_the_platform_with_a_budget(
    stack: Stack, caller: Caller, budget: int | None
) -> None:
    """C-132: 1024 tokens where nobody says how many."""
    more = {} if budget is None else {"thinking_budget": budget}
    limit = {} if caller in (RESPONSES, GENERATE) else {"max_tokens": 8000}
    heard, asked = _ask(stack, "claude", caller, "claude-sonnet-4-5-thinking", **limit, **more)
    assert heard.status == 200, heard.content
    told, google = (
        asked[0]["body"]["thinking"],
        _ask(stack, "gemini", caller, "gemini-2.5-flash-thinking", **limit, **more)[1][0]["body"][
            "generationConfig"
        ]["thinkingConfig"],
    )

    assert (told["type"], told["budget_tokens"]) == ("enabled", budget or 1024)
    assert (google["thinkingBudget"], google["includeThoughts"]) == (budget or 1024, True)


def test_the_name_wins_over_the_body(stack: Stack) -> None:
    """C-146."""
    _, asked = _ask(stack, "codex", CHAT, "gpt-5.2-low", reasoning_effort="high")

    assert asked[0]["body"]["reasoning"]["effort"] == "low"


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_an_alias_reaches_the_model_it_stands_for(stack: Stack, caller: Caller) -> None:
    heard, asked = _ask(stack, "chatgpt", caller, "gpt-5-2-thinking")

    assert heard.status == 200, heard.content
    assert asked[0]["body"]["model"] == heard.headers["x-tokens-model"] == "gpt-5.2"


@pytest.mark.parametrize(
    "platform, model, code, words",
    [
        ("codex", "gpt-4o-high-30s", "unknown_model_parameter", ["30s"]),
        ("codex", "gpt-5.2-low-high", "conflicting_model_parameters", ["low", "high"]),
        ("chatgpt", "gpt-5.2-gizmo-g-1", "unsupported_model_parameter", ["gizmo"]),
        ("chatgpt", "gpt-5.2|[nobody]", "group_not_found", ["nobody"]),
        ("chatgpt", "gpt-5.2|free", "invalid_value", ["|[group]"]),
    ],
)
def test_a_name_that_makes_no_sense_is_400_and_the_platform_is_not_asked(
    stack: Stack, platform: str, model: str, code: str, words: list[str]
) -> None:
    """C-140, C-141, C-145, C-151, C-152, C-156."""
    heard, asked = _ask(stack, platform, CHAT, model)
    error = heard.json["error"]

    assert (heard.status, error["code"], error["param"], asked) == (400, code, "model", [])
    assert all(word in error["message"] for word in words)


def test_a_known_group_without_a_key_is_503(stack: Stack) -> None:
    """C-151."""
    heard, asked = _ask(stack, "chatgpt", CHAT, "gpt-5.2|[team,plus]")

    assert (heard.status, heard.json["error"]["code"], asked) == (503, "no_available_key", [])


@pytest.mark.parametrize(
    "model, header, attempts",
    [
        ("gpt-4o", None, 2),
        ("gpt-4o|[ours]", None, 1),
        ("gpt-4o|[nearly, ours]", None, 1),
        ("gpt-4o|[plus]", "ours", 2),
        ("gpt-4o", "ours", 1),
    ],
)
def test_a_group_chooses_among_the_keys(
    gateway: Callable[..., Stack], model: str, header: str | None, attempts: int
) -> None:
    """C-147, C-149, C-150: the first key has been revoked, the second is good."""
    keys = "sim-revoked|plus,sim-good|plus|ours,sim-revoked|nearly"
    stack = gateway(TOKENS_CHATGPT_KEYS=keys)
    stack.simulators.clear("chatgpt")
    pair = Pair("chatgpt", CHAT, stack)
    headers = {"x-tokens-custom-group": header} if header else {}
    heard = CHAT.call(pair.base, CHAT.ask(model, "hello"), stack.licence, headers=headers)

    assert heard.status == 200, heard.content
    assert (heard.json["model"], len(pair.asked)) == ("gpt-4o", attempts)


def test_a_list_of_groups_that_is_none_is_400(stack: Stack) -> None:
    """C-150."""
    heard = CHAT.call(
        stack.url("chatgpt"),
        CHAT.ask("gpt-4o", "hello"),
        stack.licence,
        headers={"x-tokens-custom-group": ",,"},
    )

    assert (heard.status, heard.json["error"]["param"]) == (400, "x-tokens-custom-group")


def test_models_can_be_listed_with_their_parameters(stack: Stack) -> None:
    """C-154."""
    url, headers = stack.url("codex") + "/v1/models", {"authorization": f"Bearer {stack.licence}"}
    plain, full = (
        {one["id"] for one in requests.get(url + query, headers=headers, timeout=10).json()["data"]}
        for query in ("", "?expand=params")
    )

    assert plain < full and full - plain >= {"gpt-5.2-low", "gpt-5.6-sol-max"}


def test_the_operators_own_file_adds_names(gateway: Callable[..., Stack], tmp_path: Path) -> None:
    """A-9: and says where the engine is not what the name promises."""
    alias = {"name": "old-one", "model": "gpt-4o", "note": "gpt-4o answers"}
    model = {"id": "brand-new", "name": "Brand New", "context": 1, "max_output": 1}
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"chatgpt": {"aliases": [alias], "models": [model]}}))
    stack = gateway(TOKENS_MODELS_FILE=str(file))
    heard, asked = _ask(stack, "chatgpt", CHAT, "old-one")

    assert (asked[0]["body"]["model"], heard.json["model"]) == ("gpt-4o", "old-one")
    assert heard.headers["x-tokens-model-note"] == "gpt-4o answers"


def test_every_listed_name_means_itself_and_every_alias_a_listed_model() -> None:
    """C-143: no parameter of the platform's takes a name apart that the platform has."""
    for platform in PLATFORMS.values():
        names, ids = platform.catalogue.names, {one.id for one in platform.catalogue.models}
        assert all(names.read(name).model == name for name in ids)
        for alias in names.aliases:
            assert alias.model in ids and alias.name not in ids
            assert alias.note.isascii(), "it goes into a header"
