"""Long base64 texts in JSON become files; everything else stays what JSON says it is."""

import base64
import os

import gevent
import gevent.socket
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lift import LEAST, MOST_LEFT, MOST_TEXT, Lifted, Lifter, Overfull, Unread, lifted, on_disk
from app.spool import Base64, Pieces, Spool, Whole, json_pieces
from app.turn import give_way

BIG = os.urandom(300_001)
TEXT = base64.b64encode(BIG).decode()


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path) as spool:
        yield spool


def cut(raw, size):
    return (raw[at : at + size] for at in range(0, len(raw), size))


def read(spool, raw, size=65536):
    return lifted(cut(raw, size), spool)


@pytest.mark.parametrize(
    "written, declared",
    [
        (TEXT, ""),
        (TEXT.rstrip("="), ""),
        (base64.urlsafe_b64encode(BIG).decode(), ""),
        ("data:image/png;base64," + TEXT, "image/png"),
        ("data:;base64," + TEXT, ""),
        ("data:video/mp4;codecs=avc1;base64," + TEXT, "video/mp4"),
    ],
)
@pytest.mark.parametrize("slash", ["/", "\\/"])
@pytest.mark.parametrize("size", [7, 65536, 1 << 30])
def test_long_base64_becomes_a_file(spool, written, declared, slash, size):
    """However the JSON comes, and with slashes escaped as PHP does it."""
    raw = orjson.dumps({"a": [{"b": written}], "c": 'x"\\'}).replace(b"/", slash.encode())

    found = read(spool, raw, size)

    one = found["a"][0]["b"]
    assert found["c"] == 'x"\\'
    assert one.path.read_bytes() == BIG
    assert (one.size, one.declared) == (len(BIG), declared)
    assert list(spool.folder.iterdir()) == [one.path]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_base64_in_lines_becomes_a_file(spool, end):
    """As `base64` on the command line writes it."""
    text = base64.encodebytes(BIG).decode().replace("\n", end)

    assert read(spool, orjson.dumps([text]))[0].path.read_bytes() == BIG


@pytest.mark.parametrize(
    "text",
    [
        "y" * LEAST + "!",
        TEXT + "\t",
        TEXT + "==" + TEXT,
        TEXT + '\\"',
        "\\" * LEAST,
        '"' * LEAST,
        "data:text/plain," + "x" * LEAST,
        TEXT[: LEAST - 1],
    ],
)
@pytest.mark.parametrize("size", [7, 65536])
def test_other_texts_stay(spool, text, size):
    assert read(spool, orjson.dumps([text, {"a": text}]), size) == [text, {"a": text}]
    assert list(spool.folder.iterdir()) == []


def test_what_is_too_long_for_a_text_is_not_read(spool):
    text = "é" * MOST_TEXT
    assert read(spool, orjson.dumps([text, "x"])) == [Unread(2 * MOST_TEXT), "x"]
    assert list(spool.folder.iterdir()) == []


def test_only_so_much_is_left(spool):
    with pytest.raises(Overfull):
        read(spool, b"[" + b'"words",' * (MOST_LEFT // 8) + b"1]")


def test_events_are_read_alike(spool):
    """A text that a comment leaves open is over with its line."""
    events = f': it is 5" wide\n\nevent: a\ndata: {{"b": "{TEXT}"}}\n\ndata: 1\n\n'.encode()
    lifter = Lifter(spool)
    left = b"".join(map(lifter.feed, cut(events, 1000)))

    assert left == ': it is 5" wide\n\nevent: a\ndata: {"b": "\ufdd00"}\n\ndata: 1\n\n'.encode()
    assert lifter.put_back("\ufdd00").path.read_bytes() == BIG


def test_nobody_can_name_a_file_by_writing_the_mark(spool):
    assert read(spool, orjson.dumps(["\ufdd00", "\ufdd0x", "\ufdd0"])) == [
        "\ufdd00",
        "\ufdd0x",
        "\ufdd0",
    ]


@pytest.mark.parametrize("raw", [b"", b'{"a', b'{"a": "' + TEXT.encode(), b"[" + b'"x",' * 9])
def test_what_is_not_json_is_refused(spool, raw):
    with pytest.raises(ValueError):
        read(spool, raw)


def test_of_two_files_each_comes_to_its_place(spool):
    one, two = base64.b64encode(b"1" * LEAST).decode(), base64.b64encode(b"2" * LEAST).decode()

    found = read(spool, orjson.dumps({"images": [one, "x", two]}))

    assert [open(each.path, "rb").read(1) for each in found["images"] if each != "x"] == [
        b"1",
        b"2",
    ]
    assert isinstance(found["images"][0], Lifted)


@given(st.binary(max_size=2000))
def test_pieces_are_what_their_length_says(tmp_path_factory, data):
    with Spool(tmp_path_factory.getbasetemp()) as spool:
        path = spool.keep(data)
        pieces = Pieces(b'{"x":"', Base64(path), b'","y":', Whole(path), b"}")
        once, again = b"".join(pieces), b"".join(pieces)

    assert once == again == b'{"x":"' + base64.b64encode(data) + b'","y":' + data + b"}"
    assert len(pieces) == len(once)


def test_a_spool_leaves_nothing(tmp_path):
    with Spool(tmp_path) as spool:
        spool.keep(b"x")
        assert spool.folder.stat().st_mode & 0o077 == 0

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 1, 2, 3, 700_001])
def test_json_holds_files_as_text(spool, size):
    data = os.urandom(size)
    path = spool.keep(data)
    body = json_pieces({"b": [Base64(path), {"c": Base64(path)}], "text": '"é'})

    text = base64.b64encode(data).decode()
    assert orjson.loads(b"".join(body)) == {"b": [text, {"c": text}], "text": '"é'}
    assert len(body) == len(b"".join(body))


def test_json_holds_nothing_else(spool):
    with pytest.raises(TypeError):
        json_pieces({"a": object()})


@pytest.mark.parametrize("data", [b"", b"x", BIG[: LEAST // 2], BIG])
def test_what_base64_holds_is_on_disk_short_or_long(spool, data):
    (given,) = read(spool, orjson.dumps([base64.b64encode(data).decode()]))
    found = on_disk(given, spool)

    assert (found.path.read_bytes(), found.size) == (data, len(data))


@pytest.mark.parametrize("value", ["a b", "!", "a", None, 3, "aé"])
def test_what_is_not_base64_is_not_put_on_disk(spool, value):
    with pytest.raises(ValueError):
        on_disk(value, spool)


def test_others_go_on_meanwhile(spool):
    """R-048: who waits for a connection hears of it while a large body is read, and when its files are sent
    on. Counted in work done, not in time: a busy machine is slow.
    """
    text = base64.b64encode(os.urandom(8 << 20))
    near, far = gevent.socket.socketpair()
    heard = []

    def listen():
        while near.recv(1):
            heard.append(len(fed))

    def feed():
        for piece in cut(b'["' + text + b'"]', 65536):
            fed.append(piece)
            far.send(b"x")
            yield piece
            give_way()

    fed = []
    listening = gevent.spawn(listen)
    (one,) = lifted(feed(), spool)
    most = max(after - before for before, after in zip(heard, heard[1:], strict=False))
    assert len(fed) > 100 and most <= 2

    heard.clear()
    for piece in json_pieces([Base64(one.path)]):
        fed.append(piece)
        far.send(b"x")
    assert max(after - before for before, after in zip(heard, heard[1:], strict=False)) <= 3
    far.close()
    listening.join()
    near.close()
