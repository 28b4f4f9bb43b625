"""Calls to the shared gateway, as plain HTTP."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.stack import Stack

CHAT = "/chatgpt/v1/chat/completions"
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="session")
def call(stack: Stack) -> Callable[..., requests.Response]:
    """Calls a path of the gateway with its licence; `licence=None` sends none."""

    def call(
        method: str, path: str, *, licence: str | None = stack.licence, **more: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {licence}"} if licence else {}
        headers |= more.pop("headers", {})
        return requests.request(method, stack.url() + path, headers=headers, timeout=20, **more)

    return call


@pytest.fixture(scope="session")
def raw(stack: Stack) -> Callable[[bytes], bytes]:
    """Sends bytes as they are and gives whatever comes back before the connection ends."""

    def raw(data: bytes) -> bytes:
        port = int(stack.environ["TOKENS_PORT"])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(data)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer

    return raw
