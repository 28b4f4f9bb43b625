"""Links that a platform does not open: fetched, and put in as what they turned out to be."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from app.canonical.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Stored,
    Text,
    ToolResult,
    Video,
)
from app.canonical.request import ChatRequest, Turn
from app.errors import BadAttachment
from app.services.attachments import inlined

URL = "https://files.example/x"


@dataclass
class Found:
    media_type: str
    data: bytes


class Basket:
    """A fetcher that finds what it was told to, and remembers what it was asked for."""

    def __init__(self, **found: str) -> None:
        self.found = found
        self.asked: list[tuple[str, frozenset[str]]] = []

    def fetch(self, url: str, *, kinds: frozenset[str]) -> Found:
        self.asked.append((url, kinds))
        name = url.rpartition("/")[2]
        if name not in self.found:
            raise BadAttachment("nothing is there")
        return Found(self.found[name], name.encode())


def upstream(*inlines: str, **more: Any) -> Any:
    return SimpleNamespace(INLINES=frozenset(inlines), **more)


def asked(*parts: Any) -> ChatRequest:
    return ChatRequest("m", (Turn("user", (Text("look"),)), Turn("user", parts)), (Text("system"),))


def put_in(part: Any, dialect: Any, basket: Any) -> Any:
    return inlined(asked(part), dialect, lambda: basket).turns[1].parts[0]


def inline(media_type: str, name: str = "x") -> Inline:
    return Inline(media_type, base64.b64encode(name.encode()).decode())


@pytest.mark.parametrize(
    "part, kind, media_type, put",
    [
        (Image(Link(URL), "low"), "image", "image/png", Image(inline("image/png"), "low")),
        (Image(Link(URL)), "image", "video/mp4", Video(inline("video/mp4"))),
        (Image(Link(URL)), "image", "audio/wav", Audio(inline("audio/wav"))),
        (
            Document(Link(URL), "a.pdf"),
            "document",
            "application/pdf",
            Document(inline("application/pdf"), "a.pdf"),
        ),
        (Document(Link(URL)), "document", "image/png", Image(inline("image/png"))),
        (Audio(Link(URL)), "audio", "audio/mpeg", Audio(inline("audio/mpeg"))),
        (Video(Link(URL)), "video", "video/mp4", Video(inline("video/mp4"))),
        (Video(Link(URL)), "video", "audio/mp4", Audio(inline("audio/mp4"))),
    ],
    ids=str,
)
def test_a_link_becomes_what_is_behind_it(part, kind, media_type, put):
    """C-064, C-084."""
    assert put_in(part, upstream(kind), Basket(x=media_type)) == put


@pytest.mark.parametrize("url", ["http://files.example/x", "HTTP://files.example/x"])
def test_plain_http_is_fetched_for_platforms_that_open_only_https(url):
    basket = Basket(x="image/png")

    assert put_in(Image(Link(url)), upstream(), basket) == Image(inline("image/png"))


@pytest.mark.parametrize(
    "part, dialect",
    [
        (Image(Link(URL)), upstream("document")),
        (Image(Link(URL)), upstream("image", takes_link=lambda url: url == URL)),
        (Image(inline("image/png")), upstream("image")),
        (Document(Stored("d", "f-1")), upstream("document")),
        (Text(URL), upstream("image")),
    ],
    ids=["kind", "link", "inline", "stored", "text"],
)
def test_what_the_platform_can_use_is_left_alone(part, dialect):
    basket = Basket()

    assert put_in(part, dialect, basket) == part and basket.asked == []


def test_a_request_without_links_needs_no_fetcher():
    request = asked(Text("x"))

    def no_basket() -> Any:
        raise AssertionError("nobody should ask for one")

    assert inlined(request, upstream("image"), no_basket) is request


def test_links_in_results_of_tools_are_fetched_too():
    result = ToolResult("c", (Text("see"), Image(Link(URL))))

    put = put_in(result, upstream("image"), Basket(x="image/png"))
    assert put == ToolResult("c", (Text("see"), Image(inline("image/png"))))


@pytest.mark.parametrize("within_result", [False, True])
def test_what_cannot_be_fetched_is_named_by_its_place(within_result):
    """C-065: by the place where the caller's own dialect has it."""
    link = Link(URL, place="input[0].content[1].image_url")
    part: Any = ToolResult("c", (Image(link),)) if within_result else Image(link)
    with pytest.raises(BadAttachment) as refused:
        inlined(asked(Text("a"), part), upstream("image"), Basket)
    assert refused.value.param == "input[0].content[1].image_url"
