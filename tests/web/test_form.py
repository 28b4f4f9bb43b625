"""Fields with files in them: JSON and forms say the same, and what is damaged is refused clearly."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest, TooLarge
from app.lift import LEAST, Lifted
from app.spool import Spool
from app.web.form import MOST_PARTS, read_fields
from app.web.intake import DEEPEST, SMALL

MOST = 4 << 20
BOUNDARY = "b0undary"
NOISE = random.Random(7).randbytes(LEAST + 3)  # longer than any text that is left where it is


def request(body: bytes, kind: str, **environ: Any) -> Request:
    values = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body), "CONTENT_TYPE": kind}
    return Request({**values, "CONTENT_LENGTH": str(len(body)), **environ})


def part(name: str, value: str | bytes, more: str = "") -> bytes:
    """A part of a form; bytes are a file."""
    if isinstance(value, bytes):
        more = '; filename="a.png"' + more
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


KIND = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    with Spool(folder) as spool:
        yield spool


def plain(value: Any) -> Any:
    """With the bytes of files in place of the files."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, Lifted):
        held = value.path.read_bytes()
        assert value.size == len(held)
        return held
    return value


def fields_of(body: bytes, spool: Spool, kind: str = KIND, **environ: Any) -> Any:
    return plain(read_fields(request(body, kind, **environ), spool, MOST))


def test_a_form_without_files_is_one_under_its_own_name(spool):
    """C-159: and what curl calls one because nobody has named it is JSON (C-082)."""
    kind = "application/x-www-form-urlencoded"
    body = b"model=m&prompt=a+red%20kite&n=2&image%5B%5D=a&image%5B%5D=b&style="
    told = {"model": "m", "prompt": "a red kite", "n": "2", "image": ["a", "b"], "style": ""}
    assert fields_of(body, spool, kind) == told
    assert fields_of(b' {"prompt": "a=b"}', spool, kind) == {"prompt": "a=b"}
    with pytest.raises(BadRequest, match="not valid JSON"):
        fields_of(b"nonsense", spool, kind)
    with pytest.raises(TooLarge):
        fields_of(b"&".join([b"a=b"] * (MOST_PARTS + 1)), spool, kind)


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\ufdd0"), max_size=200)


@given(fields=st.dictionaries(NAMES, TEXTS, max_size=8), chunked=st.booleans())
def test_json_and_a_form_say_the_same(folder, fields, chunked):
    """C-159, C-160."""
    more = {"CONTENT_LENGTH": ""} if chunked else {}
    with Spool(folder) as spool:
        told = fields_of(form(*(part(*one) for one in fields.items())), spool, **more)
        asked = fields_of(json.dumps(fields).encode(), spool, "application/json", **more)

        assert told == asked == fields
        assert list(spool.folder.iterdir()) == []  # nothing of this needs a file
    assert not spool.folder.exists()


@given(data=st.binary(max_size=3000), cut=st.integers(0, 20))
def test_a_file_comes_as_it_is(folder, data, cut):
    """C-165, C-166; also where its bytes look like a boundary's."""
    data = data[:cut] + b"\r\n--" + BOUNDARY.encode()[:cut] + data[cut:]
    if f"\r\n--{BOUNDARY}".encode() in data:
        return
    with Spool(folder) as spool:
        assert fields_of(form(part("image", data)), spool) == {"image": data}


@pytest.mark.parametrize(
    "parts, expected",
    [
        ([("image", b"1")], {"image": b"1"}),
        ([("image", b"1"), ("image", b"2"), ("image", b"3")], {"image": [b"1", b"2", b"3"]}),
        ([("image[]", b"1")], {"image": [b"1"]}),
        ([("image[]", b"1"), ("image[]", b"2")], {"image": [b"1", b"2"]}),
        ([("image[0]", b"1"), ("image[1]", b"2")], {"image": [b"1", b"2"]}),
        ([("image", b"1"), ("image[]", b"2")], {"image": [b"1", b"2"]}),
        (
            [("image[]", "https://a.test/b"), ("image[]", b"2")],
            {"image": ["https://a.test/b", b"2"]},
        ),
        (
            [("images[0][image_url]", "u"), ("images[1][image_url]", "v")],
            {"images": [{"image_url": "u"}, {"image_url": "v"}]},
        ),
        ([("images[][image_url]", "u")], {"images": {"image_url": "u"}}),
        ([("image[image_url][url]", "u")], {"image": {"image_url": {"url": "u"}}}),
        ([("input_reference[image_url]", "u")], {"input_reference": {"image_url": "u"}}),
        (
            [("input_reference[type]", "t"), ("input_reference[image_url]", "u")],
            {"input_reference": {"type": "t", "image_url": "u"}},
        ),
    ],
)
def test_names_with_brackets_mean_what_json_would_say(spool, parts, expected):
    """C-164 to C-166, K-095, K-096."""
    assert fields_of(form(*(part(*one) for one in parts)), spool) == expected


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_a_long_text_in_base64_becomes_a_file(spool, encode, head):
    """C-166; in JSON and in a form alike."""
    text = head + encode(NOISE).decode()
    told = read_fields(request(form(part("image", text)), KIND), spool, MOST)["image"]
    body = json.dumps({"image": text, "pad": "." * SMALL}).encode()
    asked = read_fields(request(body, ""), spool, MOST)["image"]

    assert told.path.read_bytes() == asked.path.read_bytes() == NOISE
    assert told.declared == asked.declared == ("image/png" if head else "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{end}{'kite ' * LEAST}", id=repr(end))
        for end in ("", "\t", "\r\n", '"', "\\", "\\u0041", '","', "\0", "\ufdd00", "风筝")
    ]
    + [pytest.param("x" * (4 * LEAST + 1), id="as long as no base64 is")],
)
def test_a_long_text_that_is_no_base64_stays_a_text(spool, text):
    assert fields_of(form(part("prompt", text)), spool) == {"prompt": text}
    body = json.dumps({"prompt": text, "pad": "." * SMALL}).encode()
    assert fields_of(body, spool, "application/json")["prompt"] == text


def test_a_long_text_that_is_not_utf8_is_read_like_a_short_one(spool):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'.encode()
    for length in (3, LEAST):
        told = fields_of(form(head + b"\xff " * length + b"\r\n"), spool)
        assert told == {"prompt": "\ufffd " * length}


def test_an_empty_file_field_is_an_empty_text(spool):
    """What browsers send where nothing was chosen."""
    told = fields_of(form(part("mask", "", '; filename=""')), spool)

    assert told == {"mask": ""}


GOOD = form(part("prompt", "a kite"), part("image", b"12345"))


@pytest.mark.parametrize(
    "body, kind",
    [
        (GOOD, "multipart/form-data"),
        (GOOD, "multipart/form-data; boundary="),
        (GOOD, "multipart/form-data; boundary=another"),
        (b"", KIND),
        (GOOD[:-30], KIND),
        (form(part("", "x")), KIND),
        (form(part("a[b", "x")), KIND),
        (form(part("[a]", "x")), KIND),
        (form(f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n".encode()), KIND),
        (form(f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()), KIND),
        (form(f"--{BOUNDARY}\r\n\r\nx\r\n".encode()), KIND),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b'{"a": ', "application/json"),
        (b'{"model": "a", "model": "b"}', "application/json"),
        (b" " * SMALL + b"[]", "application/json"),
        (b" " * SMALL + b'{"a": ', "application/json"),
        (b" " * SMALL + b"[" * 900 + b"]" * 900, "application/json"),
        (b" " * SMALL + b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "application/json"),
        (b'{"a":' + b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1) + b"}", "application/json"),
    ],
)
def test_what_is_damaged_is_a_bad_request(spool, body, kind):
    with pytest.raises(BadRequest) as caught:
        read_fields(request(body, kind), spool, MOST)

    assert str(caught.value)


@given(
    place=st.integers(0, len(GOOD) - 1), byte=st.binary(min_size=1, max_size=1), cut=st.booleans()
)
def test_no_damage_is_more_than_a_bad_request(folder, place, byte, cut):
    body = GOOD[:place] + (b"" if cut else byte + GOOD[place + 1 :])
    with Spool(folder) as spool:
        try:
            told = read_fields(request(body, KIND), spool, MOST)
        except BadRequest:
            return
        assert isinstance(told, dict)


def test_too_many_parts_are_too_large(spool):
    assert fields_of(form(*[part("a", "x")] * MOST_PARTS), spool) == {"a": ["x"] * MOST_PARTS}
    with pytest.raises(TooLarge, match=str(MOST_PARTS)):
        fields_of(form(*[part("a", "x")] * (MOST_PARTS + 1)), spool)


@pytest.mark.parametrize("kind", [KIND, "application/json"])
@pytest.mark.parametrize("more", [{}, {"CONTENT_LENGTH": ""}], ids=["known", "chunked"])
def test_a_body_over_the_limit_is_too_large(spool, kind, more):
    """C-081."""
    with pytest.raises(TooLarge):
        fields_of(form(part("image", bytes(MOST))), spool, kind, **more)


def test_a_large_json_body_leaves_only_what_it_held(spool):
    body = json.dumps({"image": base64.b64encode(NOISE).decode(), "pad": "." * SMALL}).encode()
    told = read_fields(request(body, "application/json"), spool, MOST)

    assert list(spool.folder.iterdir()) == [told["image"].path]


def test_a_long_text_of_a_form_leaves_only_what_it_held(spool):
    text = part("image", base64.b64encode(NOISE).decode())
    told = read_fields(request(form(text, part("prompt", "a\t" * LEAST)), KIND), spool, MOST)

    assert list(spool.folder.iterdir()) == [told["image"].path]
