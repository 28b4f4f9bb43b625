"""The official SDKs with an idempotency key: their own retries lead to the first call's answer."""

from __future__ import annotations

import io
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from app.simulators.pictures import picture
from tests.models import MODELS
from tests.sdk.pictures import PAINTERS
from tests.stack import Stack, until

MODEL = MODELS["chatgpt"].plain


@pytest.fixture
def keyed() -> Any:
    return {"extra_headers": {"Idempotency-Key": secrets.token_hex(8)}}


@pytest.fixture
def client(stack: Stack) -> openai.OpenAI:
    """As it comes: it retries twice."""
    return openai.OpenAI(base_url=f"{stack.url('chatgpt')}/v1", api_key=stack.licence, timeout=20)


def asked(stack: Stack, text: str) -> int:
    return sum(text in str(one["body"]) for one in stack.simulators.journal("chatgpt"))


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_chat_that_is_repeated_while_it_runs_gets_the_same_answer(
    client: openai.OpenAI, stack: Stack, keyed: Any
) -> None:
    """R-061, R-062: 409 with `Retry-After` is what the SDK waits for."""
    text = f"simulate: slow seconds=1.2\n{secrets.token_hex(6)}"

    def ask() -> Any:
        return client.chat.completions.create(model=MODEL, messages=said(text), **keyed)

    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(ask)
        assert until(lambda: asked(stack, text[-12:]))
        assert ask() == first.result()
    assert asked(stack, text[-12:]) == 1


def test_a_stream_is_the_same_again(client: openai.OpenAI, stack: Stack, keyed: Any) -> None:
    text = secrets.token_hex(6)
    once, again = (
        list(client.chat.completions.create(model=MODEL, messages=said(text), stream=True, **keyed))
        for _ in range(2)
    )

    assert len(once) > 2 and once == again
    assert asked(stack, text) == 1


def test_a_form_is_the_same_again(client: openai.OpenAI, stack: Stack, keyed: Any) -> None:
    text = secrets.token_hex(6)
    once, again = (
        client.images.edit(
            model=PAINTERS["chatgpt"].model,
            image=io.BytesIO(picture(64, 48, "given")),
            prompt=text,
            **keyed,
        )
        for _ in range(2)
    )

    assert once == again and asked(stack, text) == 1


def test_another_chat_under_the_key_is_an_error_that_is_not_retried(
    client: openai.OpenAI, keyed: Any
) -> None:
    """R-063."""
    client.chat.completions.create(model=MODEL, messages=said("one"), **keyed)

    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model=MODEL, messages=said("two"), **keyed)
    assert refused.value.code == "idempotency_key_reused"


def test_anthropics_sdk_gets_the_same_answer(stack: Stack, keyed: Any) -> None:
    client = anthropic.Anthropic(base_url=stack.url("chatgpt"), api_key=stack.licence, timeout=20)
    text = secrets.token_hex(6)
    once, again = (
        client.messages.create(model=MODEL, max_tokens=400, messages=said(text), **keyed)
        for _ in range(2)
    )

    assert once == again and asked(stack, text) == 1
