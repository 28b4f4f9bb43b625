"""Rotation while others are at work: whatever they do, and wherever it stops, all can be opened
(S-005). On both databases, with real key files.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import key_file
from app import seal as sealing
from app.cli import seal as command
from app.cli.keeping import Keeping
from app.config import Settings
from app.seal import Seal, new_key, save
from app.storage.database import Database
from tests.storage.databases import KINDS, made

EVERYTHING = {"token 0", "token 1", "token 2"}


class Host:
    """One who has the database and the key file."""

    def __init__(self, database: Database, file: Path) -> None:
        self.file = file
        self.keeping = Keeping(Settings(seal_file=str(file)), database)
        self.table = self.keeping.table

    def add(self, token: str) -> None:
        self.keeping.add("grok", {"token": token}, {})

    def edit(self, token: str) -> None:
        """Gives the first one another token."""
        self.keeping.change(self.table.all()[0], {}, {"token": token})

    def rotate(self) -> None:
        command._rotate(self.file, self.table)
        command._prune(self.file, self.table)

    def tokens(self) -> set[str]:
        seal = Seal.load(self.file)
        return {seal.open(one.name, one.sealed)["token"] for one in self.table.all()}


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name) as database:
        yield database


@pytest.fixture
def host(database, tmp_path) -> Host:
    host = Host(database, tmp_path / "seal.key")
    for place in range(3):
        host.add(f"token {place}")
    return host


@pytest.fixture
def other(database, tmp_path) -> Iterator[Host]:
    """Somebody else on the same machine, who has looked at the key file before."""
    beside = Database(database.url.render_as_string(hide_password=False))
    host = Host(beside, tmp_path / "seal.key")
    assert host.keeping.seal
    yield host
    beside.close()


@pytest.mark.parametrize(
    "act, expected",
    [
        (lambda other: other.add("another"), EVERYTHING | {"another"}),
        (lambda other: other.edit("new"), {"new", "token 1", "token 2"}),
        (lambda other: other.rotate(), EVERYTHING),
        (lambda other: command._prune(other.file, other.table), EVERYTHING),
    ],
    ids=["add", "edit", "rotate", "prune"],
)
@pytest.mark.parametrize("writing", [1, 2])
def test_nothing_is_lost_to_one_who_comes_between(
    host, other, monkeypatch, act: Callable[[Host], None], expected, writing
):
    """The other one begins while the first writes the key file, for the first or second time."""
    beside = threading.Thread(target=lambda: act(other))
    written = [0]

    def meanwhile(*words):
        written[0] += 1
        if written[0] == writing:
            beside.start()
            beside.join(0.3)  # it waits for us, and we for nobody
        save(*words)

    monkeypatch.setattr(command, "save", meanwhile)
    host.rotate()
    beside.join()
    assert host.tokens() == expected
    host.rotate()
    assert host.tokens() == expected and len(Seal.load(host.file).keys) == 1


def test_one_who_has_read_the_keys_before_seals_with_those_of_now(host, other):
    host.rotate()
    other.add("another")
    other.edit("new")

    assert host.tokens() == {"new", "token 1", "token 2", "another"}


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "chown", "chmod", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_wherever_the_disk_gives_up_all_can_be_opened(host, monkeypatch, step, call, fault):
    """S-005."""
    calls, real = [0], getattr(os, step)

    def fails(*words):
        calls[0] += 1
        if calls[0] == call:
            raise fault
        return real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(sealing.os, step, fails)
        try:
            host.rotate()
        except (OSError, KeyboardInterrupt):
            pass  # that is the point
    assert host.tokens() == EVERYTHING
    assert [one.name for one in host.file.parent.glob("seal.key*")] == ["seal.key"]
    host.rotate()
    assert host.tokens() == EVERYTHING and len(Seal.load(host.file).keys) == 1


@pytest.mark.parametrize("call", range(1, 4))
def test_a_rotation_that_stops_among_its_seals_changes_none(host, monkeypatch, call):
    """S-005: all or none."""
    before, calls, real = [one.sealed for one in host.table.all()], [0], Seal.close

    def fails(*words):
        calls[0] += 1
        if calls[0] == call:
            raise KeyboardInterrupt
        return real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(Seal, "close", fails)
        with pytest.raises(KeyboardInterrupt):
            host.rotate()
    assert [one.sealed for one in host.table.all()] == before
    assert host.tokens() == EVERYTHING


def test_the_new_key_is_on_the_disk_before_anything_is_sealed_with_it(host, monkeypatch):
    """A crash of the machine must not leave the database with seals of a key that was never written."""
    order: list[str] = []
    for owner, name in ((os, "replace"), (key_file, "sync"), (Seal, "close")):
        real = getattr(owner, name)

        def noted(*words, real=real, name=name):
            order.append(name)
            return real(*words)

        monkeypatch.setattr(owner, name, noted)
    command._rotate(host.file, host.table)

    assert order == ["replace", "sync", "close", "close", "close"]


def test_whoever_could_read_the_key_file_still_can(tmp_path):
    """Root rotates, and the gateway's own user reads."""
    file = tmp_path / "seal.key"
    keys = Seal.make(file).keys
    os.chmod(file, 0o440)
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    before = file.stat()
    save(file, [new_key(), *keys])
    after = file.stat()

    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o440 and after.st_ino != before.st_ino


def test_a_key_file_that_is_a_link_stays_one(tmp_path):
    file, link = tmp_path / "elsewhere.key", tmp_path / "seal.key"
    keys = Seal.make(file).keys
    link.symlink_to(file)
    save(link, [new_key(), *keys])

    assert link.is_symlink() and Seal.load(file).keys[1:] == keys


def test_what_a_dead_process_left_is_in_nobodys_way(tmp_path):
    file = tmp_path / "seal.key"
    left = tmp_path / f"seal.key.{os.getpid()}"
    left.write_text("half a k")
    os.chmod(left, 0o400)
    keys = Seal.make(file).keys
    left.write_text("half a k")
    save(file, keys)

    assert Seal.load(file).keys == keys and not left.exists()


def test_a_seal_in_another_row_does_not_open(host):
    """S-004: neither listed, nor used, nor rotated."""
    one, two, _ = host.table.all()
    host.table.reseal(lambda kept: {one.id: two.sealed})

    assert host.keeping.hint(host.table.all()[0]) == ""
    with pytest.raises(command.Complaint, match=f"does not open {one.name}"):
        host.rotate()
    host.edit("given again")
    host.rotate()
    assert host.tokens() == {"given again", "token 1", "token 2"}


def test_keys_of_another_database_take_in_nothing_new(host, tmp_path):
    other = tmp_path / "other.key"
    Seal.make(other)
    os.replace(other, host.file)

    with pytest.raises(command.Complaint, match="opens none of the credentials"):
        host.keeping.check_file()
