"""Where an attachment's bytes are, from the one field callers put all three forms in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.attachments import decoded, source
from app.canonical.parts import Inline, Link
from app.errors import BadAttachment

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(8)).decode()
TRICKY = base64.b64encode(b"GIF89a\xfb\xef\xbe\xff").decode()  # has both + and /


@pytest.mark.parametrize(
    "text, found",
    [
        ("https://x/y.png", Link("https://x/y.png")),
        ("HTTPS://X/y ", Link("HTTPS://X/y")),
        (PNG, Inline("image/png", PNG)),
        (f" {PNG[:8]}\n{PNG[8:]}\r\n", Inline("image/png", PNG)),
        (PNG.rstrip("="), Inline("image/png", PNG)),
        (TRICKY.replace("+", "-").replace("/", "_"), Inline("image/gif", TRICKY)),
        (f"data:image/png;base64,{PNG}", Inline("image/png", PNG)),
        (f"DATA:Image/PNG;charset=x; Base64,{PNG}", Inline("image/png", PNG)),
        (f"data:application/pdf;base64,{PNG}", Inline("application/pdf", PNG)),
        (f"data:;base64,{PNG}", Inline("image/png", PNG)),
        (f"data:application/octet-stream;base64,{JPEG}", Inline("image/jpeg", JPEG)),
        (f"data:image/jpg;base64,{PNG}", Inline("image/png", PNG)),
        ("data:image/jpg;base64,AAAA", Inline("image/jpeg", "AAAA")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_attachment_is_an_address_or_bytes_in_any_spelling(text, found):
    """C-058 to C-061."""
    assert source(text, param="p") == found


@pytest.mark.parametrize(
    "text",
    ["", " ", "=", "====", "A", "AAAA", "https:/x", "ftp://x", "C:\\a.png", "hello world", "AA=A"]
    + [
        "AAAA=",
        f"{PNG}===",
        f"{PNG}!",
        "data:",
        "data:image/png",
        "data:image/png,AAAA",
        "data:image/png;base64,",
    ]
    + ["data:;base64,AAAA", "data:image/png;base64,%%%", "data:image/png;base64,é", "图片"],
)
def test_anything_else_is_refused_by_its_place(text):
    """C-066."""
    with pytest.raises(BadAttachment) as refused:
        source(text, param="messages[0].content[1]")
    assert refused.value.param == "messages[0].content[1]"


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "FTP://x/y.png", " gopher://x", "git+ssh://x", "https:/x"]
)
def test_an_address_of_another_kind_is_told_apart_from_bad_base64(text):
    """C-064, C-066."""
    with pytest.raises(BadAttachment, match="p: only http, https and data addresses are taken"):
        source(text, param="p")


def test_bytes_that_show_no_type_are_what_the_field_says():
    assert source("AAAA", param="p", named="audio/wav") == Inline("audio/wav", "AAAA")


@given(st.binary(min_size=1, max_size=200))
def test_bytes_come_back_as_they_went_in(data):
    text = base64.b64encode(data).decode()
    found = source(text, param="p", named="x/y")

    assert isinstance(found, Inline) and decoded(found, param="p") == data


@given(st.text(max_size=40) | st.text("data:;bse64,=+/-_ A", max_size=30))
def test_any_text_is_an_attachment_or_refused(text):
    for given_ in (text, "data:" + text, "data:x/y;base64," + text):
        try:
            found = source(given_, param="p", named="x/y")
        except BadAttachment:
            continue
        assert isinstance(found, Link) or decoded(found, param="p")


def test_base64_that_was_never_checked_is_refused_when_decoded():
    with pytest.raises(BadAttachment):
        decoded(Inline("x/y", "%"), param="p")
