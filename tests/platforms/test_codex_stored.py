"""Whose a stored response is, however the platform's answer arrives."""

from __future__ import annotations

import orjson
import pytest

from app.credential import Credential
from app.errors import NotFound
from app.platforms.codex_stored import MOST_SEEN, Stored
from app.secret import Secret
from app.storage.database import DatabaseTrouble
from app.upstream.leash import Leash
from app.upstream.platform import Attempt

FIRST = b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
OTHER = b'data: {"type":"x","response":{"metadata":{"id":"resp_2"}}}\n\n'


class Notes(dict):
    """A memory without a database."""

    def keep(self, owner, key, value, seconds, *, durable=True):
        self[owner, key] = value

    def find(self, owner, key):
        return self.get((owner, key))


class Full(Notes):
    def keep(self, *given, **more):
        raise DatabaseTrouble("the gateway's database cannot be used just now")


class Answered:
    """An answer of these pieces."""

    def __init__(self, *pieces: bytes, status: int = 200) -> None:
        self.status, self.headers = status, {}
        self._pieces = [*pieces, b""]

    def next(self, seconds):
        return self._pieces.pop(0)

    def read(self, limit, seconds):
        return b"".join(self._pieces)

    def close(self):
        self._pieces.clear()


def attempt(body=None, *, repeated=True):
    return Attempt(
        base_url="",
        credential=Credential("a", Secret("token")),
        caller="mine",
        model="m",
        framing="events",
        headers={},
        payload=orjson.dumps({"model": "m", **(body or {})}),
        leash=Leash(),
        seconds=1.0,
        repeated=repeated,
    )


def heard(notes, *pieces, status=200, body=None, repeated=True):
    """What the caller reads, and whose ids are known before each piece of it."""
    stored = Stored(notes, lambda transport, attempt: Answered(*pieces, status=status))
    answer = stored.open(None, attempt(body, repeated=repeated))
    told = []
    while piece := answer.next(1.0):
        told.append((piece, set(notes)))
    return told


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_an_id_is_known_before_the_caller_has_it(size):
    whole = b": hello\n\n" + OTHER + FIRST + FIRST.replace(b"resp_1", b"resp_3")
    told = heard(Notes(), *_cut(whole, size))

    assert b"".join(piece for piece, _ in told) == whole
    sent = b""
    for piece, known in told:
        sent += piece
        assert known <= {("mine", "resp_1"), ("mine", "resp_3")}
        assert FIRST not in sent or ("mine", "resp_1") in known


def _cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    "given", [{"status": 429}, {"body": {"store": False}}, {"repeated": False}]
)
def test_what_is_not_stored_for_us_is_not_remembered(given):
    notes = Notes()
    assert heard(notes, FIRST, **given) and not notes


def test_what_cannot_be_remembered_is_answered_all_the_same(caplog):
    assert [piece for piece, _ in heard(Full(), FIRST)] == [FIRST]
    assert "cannot be remembered" in caplog.text


def test_an_answer_without_an_id_is_not_looked_through_for_ever():
    notes, piece = Notes(), b": " + b"x" * 65536 + b"\n\n"
    heard(notes, *[piece] * (MOST_SEEN // len(piece) + 1), FIRST)

    assert not notes


@pytest.mark.parametrize("whole", [b"nonsense", b"[]", b'{"id":7}', b'{"id":"a b"}'])
def test_nonsense_is_nobodys(whole):
    notes = Notes()
    stored = Stored(notes, lambda transport, attempt: Answered(whole))

    assert stored.open(None, attempt()).read(99, 1.0) == whole and not notes
    with pytest.raises(NotFound):
        stored.check("mine", "a b", None)
