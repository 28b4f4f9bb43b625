"""What callers send along, in every form they send it in, and what is told of the forms that are wrong."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.media import File
from app.errors import BadAttachment, BadRequest
from app.lift import Lifted
from app.media.inbound import Fetcher
from app.services.material import PICTURES_AND_FILMS, Material
from app.simulators.pictures import picture
from app.spool import Spool
from tests.media.samples import MP3, MP4, PDF, SVG

PNG = picture(9, 7, "kite")  # with + and / in its base64
TEXT = base64.b64encode(PNG).decode()
SAFE = base64.urlsafe_b64encode(PNG).decode()
assert set(TEXT) - set(SAFE)


class Server:
    """Serves one file on loopback, to as many as come."""

    def __init__(self, data: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        self._answer = head + data
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while not connection.recv(65536).endswith(b"\r\n\r\n"):
                    pass
                connection.sendall(self._answer)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path) as spool:
        yield spool


@pytest.fixture
def material(spool: Spool) -> Material:
    return Material(spool, Fetcher().basket)


def opened(file: File) -> bytes:
    data = Path(file.path).read_bytes()
    assert file.size == len(data)
    return data


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        SAFE,
        TEXT.rstrip("="),
        "\n".join(TEXT[at : at + 76] for at in range(0, len(TEXT), 76)) + "\n",
        f"data:image/png;base64,{TEXT}",
        f"DATA:image/png;charset=x;BASE64,{SAFE}",
        f"data:;base64,{TEXT}",
        f"data:text/html;base64,{TEXT}",
        {"image_url": TEXT},
        {"image_url": {"url": f"data:image/png;base64,{TEXT}", "detail": "low"}},
        {"type": "image_url", "url": TEXT},
        {"b64_json": TEXT},
        {"type": "base64", "media_type": "image/gif", "data": TEXT},
        {"image_url": TEXT, "file_id": None},
        {"image_url": None, "data": TEXT},
    ],
)
def test_a_picture_in_every_form(material, value):
    """C-162 to C-164; what it is is told from its bytes, not from what it is called."""
    for given_ in (value, [value]):
        (found,) = material.all(given_, "image")
        assert (opened(found), found.media_type) == (PNG, "image/png")


def test_an_upload_stays_where_it_is(material, spool):
    """C-165: without a name or a type of its own."""
    path = spool.keep(PNG)

    assert material.all(Lifted(path, len(PNG)), "image") == (
        File(str(path), "image/png", len(PNG)),
    )


@given(data=st.binary(max_size=64), safe=st.booleans(), padded=st.booleans())
def test_base64_of_either_alphabet_is_undone(tmp_path_factory, data, safe, padded):
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(PNG + data).decode()
    with Spool(tmp_path_factory.getbasetemp() / "either") as spool:
        found = Material(spool, Fetcher().basket).one(text if padded else text.rstrip("="), "mask")
        assert found is not None and opened(found) == PNG + data


@pytest.mark.parametrize("nothing", [None, "", []])
def test_nothing_is_nothing(material, nothing):
    assert material.all(nothing, "image") == ()
    assert material.one(nothing, "mask") is None


@pytest.mark.parametrize("wrap", [str, lambda url: {"image_url": url}, lambda url: {"url": url}])
def test_a_link_is_fetched(spool, wrap):
    """C-162, C-164."""
    server = Server(PNG)
    try:
        fetcher = Fetcher(allowed_hosts=[server.host])
        (found,) = Material(spool, fetcher.basket).all(wrap(f"HTTP://{server.host}/kite"), "image")
        assert (opened(found), found.media_type) == (PNG, "image/png")
    finally:
        server.stop()


def test_what_is_behind_a_link_must_be_a_picture(spool):
    server = Server(PDF + bytes(100))
    try:
        material = Material(spool, Fetcher(allowed_hosts=[server.host]).basket)
        with pytest.raises(BadAttachment) as caught:
            material.all([TEXT, f"http://{server.host}/"], "image")
        assert caught.value.param == "image[1]"
    finally:
        server.stop()


def test_links_of_one_request_are_counted_together(spool):
    material = Material(spool, Fetcher(request_urls=2).basket)
    for _ in range(2):
        with pytest.raises(BadAttachment, match="could not be used"):
            material.one("http://127.0.0.1/kite", "image")
    with pytest.raises(BadAttachment, match="2 addresses"):
        material.one("http://127.0.0.1/kite", "image")


def wide(side: int) -> str:
    head = bytearray(PNG)
    head[16:24] = side.to_bytes(4) * 2
    return base64.b64encode(head).decode()


@pytest.mark.parametrize(
    "value",
    [
        5,
        True,
        " ",
        {},
        {"file_id": "file-1"},
        {"file_id": "file-1", "image_url": None},
        {"url": None},
        {"image_url": {"url": 7}},
        {"image_url": [TEXT]},
        [[TEXT]],
        "kite.png",
        "file:///etc/passwd",
        "ftp://a.test/kite.png",
        "http://127.0.0.1/kite.png",
        "data:image/png,kite",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,!!",
        TEXT[:8] + "ü" + TEXT[8:],
        TEXT[: len(TEXT) // 4 * 4 - 3],
        base64.b64encode(PNG[:20]).decode(),
        wide(6400),
        *(base64.b64encode(one).decode() for one in (MP3, MP4, PDF, SVG, b"hello")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_is_told_by_its_place(material, value):
    """C-065: 400, by the field and the index."""
    with pytest.raises(BadAttachment) as caught:
        material.one(value, "mask")
    assert (caught.value.status, caught.value.param) == (400, "mask")
    with pytest.raises(BadAttachment) as caught:
        material.all([TEXT, value], "image")
    assert caught.value.param == "image[1]"
    assert str(caught.value)


def test_a_file_that_is_damaged_or_too_large_says_so(material):
    for value, words in (
        ({"file_id": "file-1"}, "files are not kept"),
        (base64.b64encode(PNG[:20]).decode(), "damaged"),
        (wide(6400), "40 million"),
        (base64.b64encode(PDF).decode(), "type"),
        ("kite.png", "base64"),
    ):
        with pytest.raises(BadAttachment, match=words):
            material.one(value, "image")


def test_a_film_counts_only_where_films_do(material):
    data = base64.b64encode(MP4).decode()

    assert material.one(data, "video", PICTURES_AND_FILMS).media_type == "video/mp4"
    with pytest.raises(BadAttachment):
        material.one(data, "image")


def test_too_many_are_refused_unlooked_at(material):
    assert len(material.all([TEXT] * 16, "image")) == 16
    for given_, most in (([TEXT] * 17, 16), ([5, 5], 1)):
        with pytest.raises(BadRequest) as caught:
            material.all(given_, "image", most=most)
        assert caught.value.param == "image"
