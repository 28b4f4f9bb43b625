"""The models the simulators know: those that are documented, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.platforms import PLATFORMS
from app.simulators import anthropic_models, flow_rules, gemini_models, grok_models, openai_models
from app.simulators.anthropic_checks import Refused as AnthropicRefused
from app.simulators.gemini_checks import Refused as GeminiRefused
from app.simulators.openai_checks import Refused as OpenaiRefused


def of_google(model: str) -> object:
    """Models for videos have a route of their own."""
    if model in flow_rules.MODELS:
        return flow_rules.require_model(model)
    return gemini_models.resolved(model)


ASK: dict[str, tuple[Callable[[str], object], type[Exception]]] = {
    "chatgpt": (openai_models.require_known, OpenaiRefused),
    "codex": (openai_models.require_known, OpenaiRefused),
    "claude": (anthropic_models.resolved, AnthropicRefused),
    "claude_api": (anthropic_models.resolved, AnthropicRefused),
    "gemini": (gemini_models.resolved, GeminiRefused),
    "gemini_official": (of_google, GeminiRefused),
    "grok": (grok_models.resolved, OpenaiRefused),
}


@pytest.mark.parametrize("name", sorted(ASK))
def test_every_model_of_our_catalogue_is_known(name: str) -> None:
    catalogue = PLATFORMS[name].catalogue
    ask, _ = ASK[name]

    for model in {
        *(one.id for one in catalogue.models),
        *(one.model for one in catalogue.names.aliases),
    }:
        if not catalogue.facts(model).makes:  # the others are not for chats
            ask(model)


@pytest.mark.parametrize("name", ["chatgpt", "codex", "sora"])
def test_every_model_of_our_catalogue_that_draws_does_so_and_does_not_chat(name: str) -> None:
    catalogue = PLATFORMS[name].catalogue
    models = {one.id for one in catalogue.models if catalogue.facts(one.id).makes == "image"}

    assert models and models <= {one["id"] for one in openai_models.listing()["data"]}
    for model in models:
        assert openai_models.draws(model) and not openai_models.known(model)


@pytest.mark.parametrize(
    "name, model",
    [
        ("chatgpt", "gpt-4o-2024-08-06"),
        ("chatgpt", "gpt-5.5-2026-04-23"),
        ("chatgpt", "ft:gpt-4o-mini:org::id"),
        ("claude_api", "claude-sonnet-4-5-20250929"),
        ("gemini", "gemini-3.1-flash-image"),
        ("gemini", "gemini-3.1-pro-preview-customtools"),
    ],
)
def test_documented_forms_of_a_model_are_known(name: str, model: str) -> None:
    ask, _ = ASK[name]
    ask(model)


@pytest.mark.parametrize(
    "name, model",
    [
        ("chatgpt", "gpt-9"),
        ("chatgpt", "gpt-7-unheard"),
        ("chatgpt", "gpt-4o-2024"),
        ("chatgpt", "o1"),
        ("chatgpt", "ft:gpt-9:org::id"),
        ("claude_api", "claude-nope-9"),
        ("claude_api", "claude-opus-4.5"),
        ("claude_api", "claude-opus-4-1"),
        ("claude_api", "claude-opus-5-20990101"),
        ("gemini", "gemini-9-pro"),
        ("gemini", "gemini-1.0-pro"),
        ("gemini", "gemini-2.5-flash-image"),
        ("grok", "grok-9"),
    ],
)
def test_any_other_model_is_not_found(name: str, model: str) -> None:
    ask, refused = ASK[name]
    with pytest.raises(refused) as told:
        ask(model)

    assert model in str(told.value)
