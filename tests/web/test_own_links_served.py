"""Links that the gateway gave are good as input too, for whoever they were given to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.media.inbound import NEUTRAL
from tests.sdk.pictures import PAINTERS
from tests.stack import Stack

Call = Callable[..., requests.Response]
MODEL = PAINTERS["chatgpt"].model
EDIT = "/chatgpt/v1/images/edits"


@pytest.fixture(scope="module")
def link(call: Call) -> str:
    wish = {"model": MODEL, "prompt": "A kite", "response_format": "url"}
    told = call("POST", "/chatgpt/v1/images/generations", json=wish)
    return str(told.json()["data"][0]["url"])


def edit(call: Call, link: str, **more: Any) -> requests.Response:
    return call("POST", EDIT, json={"model": MODEL, "prompt": "at night", "image": link}, **more)


def test_a_link_of_ours_is_read_from_where_the_file_lies(
    call: Call, stack: Stack, link: str
) -> None:
    """C-163, C-165: no address of this machine may be called, so nobody was."""
    stack.simulators.clear("chatgpt")
    told = edit(call, link)

    assert told.status_code == 200, told.text
    (asked,) = stack.simulators.journal("chatgpt")
    assert asked["body"].count("filename=") == 1


def test_so_is_one_in_a_chat(call: Call, stack: Stack, link: str) -> None:
    """C-080: the platform is sent the picture itself."""
    stack.simulators.clear("claude_api")
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": link}},
    ]
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": content}]}
    told = call("POST", "/claude_api/v1/chat/completions", json=body)

    assert told.status_code == 200, told.text
    (asked,) = stack.simulators.journal("claude_api")
    sent = asked["body"]["messages"][0]["content"][1]["source"]
    assert base64.b64decode(sent["data"]) == requests.get(link, timeout=20).content


def test_what_was_another_s_or_is_no_link_of_ours_says_nothing_of_why(
    call: Call, stack: Stack, link: str
) -> None:
    """C-165, R-087."""
    stack.simulators.clear("chatgpt")
    other = stack.tokens("licence", "add", "--label", "curious").strip()
    seal = link.split("/")[-2]
    strange = [
        edit(call, link, licence=other),
        edit(call, link.replace(seal, seal[:-4] + "AAAA")),
        edit(call, link.replace("/media/", "/media/..%2F")),
        edit(call, link[:-4] + ".mp4"),
        edit(call, link.replace("http:", "https:")),
    ]

    for told in strange:
        assert told.status_code == 400, told.text
        error = told.json()["error"]
        assert (error["code"], error["message"]) == ("invalid_attachment", NEUTRAL)
    assert stack.simulators.journal("chatgpt") == []
