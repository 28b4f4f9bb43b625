"""Secrets at rest."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.seal import BadKeyFile, CannotOpen, Seal, new_key, save

words = st.text(max_size=50)


@given(st.dictionaries(st.sampled_from(["token", "proxy"]), words), words)
def test_what_is_sealed_for_an_owner_opens_for_that_owner(secrets, owner):
    seal = Seal([new_key()])

    assert seal.open(owner, seal.close(owner, secrets)) == secrets


def test_a_seal_does_not_open_for_another_owner_nor_with_another_key():
    """S-004: a row's secret in another row is worth nothing."""
    seal = Seal([new_key()])
    sealed = seal.close("one", {"token": "t"})
    for owner, other in (("two", seal), ("one", Seal([new_key()]))):
        with pytest.raises(CannotOpen):
            other.open(owner, sealed)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_seal_that_was_tampered_with_does_not_open(place, change):
    seal = Seal([new_key()])
    sealed = seal.close("one", {"token": "a token of some length"}).encode()
    changed = bytearray(sealed)
    changed[place % len(sealed)] ^= change
    assume(read(bytes(changed)) != read(sealed))
    with pytest.raises(CannotOpen):
        seal.open("one", changed.decode("latin-1"))


def read(sealed: bytes) -> bytes:
    """What it says: base64 has bits at its end, and signs, that nobody looks at."""
    try:
        return base64.urlsafe_b64decode(sealed)
    except ValueError:
        return b""


def test_older_keys_open_and_the_first_one_seals():
    """S-005."""
    old, new = new_key(), new_key()
    sealed = Seal([old]).close("one", {"token": "t"})
    both = Seal([new, old])
    again = both.close("one", both.open("one", sealed))

    assert not both.is_current(sealed) and both.is_current(again)
    assert Seal([new]).open("one", again) == {"token": "t"}


def test_a_key_file_is_its_owners_alone(tmp_path):
    file = tmp_path / "state" / "seal.key"
    Seal.make(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert os.listdir(file.parent) == ["seal.key"]


def test_of_many_who_make_a_key_file_at_once_all_get_the_same(tmp_path):
    file = tmp_path / "seal.key"
    pids = iter(range(100, 200))
    with ThreadPoolExecutor(8) as threads, pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.seal.os.getpid", lambda: next(pids))
        made = list(threads.map(lambda _: Seal.make(file).keys, range(20)))

    assert len(set(made)) == 1 and Seal.load(file).keys == made[0]


@pytest.mark.parametrize(
    "text, says",
    [
        (None, "there is no file"),
        ("", "there is no key"),
        ("# x\n", "there is no key"),
        ("abc\n", "no key"),
    ],
)
def test_a_file_without_keys_is_told_as_such(tmp_path, text, says):
    file = tmp_path / "seal.key"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadKeyFile, match=says):
        Seal.load(file)


def test_keys_are_exchanged_all_at_once(tmp_path, monkeypatch):
    """S-005: interrupted, the file is what it was."""
    file = tmp_path / "seal.key"
    before = Seal.make(file).keys
    with monkeypatch.context() as patch:
        patch.setattr("app.seal.os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError):
            save(file, [new_key(), *before])

    assert Seal.load(file).keys == before
    save(file, [new_key(), *before])
    assert Seal.load(file).keys[1:] == before
