"""`tokens seal`: the rotation of keys, rehearsed (S-005)."""

from __future__ import annotations

import json

import pytest

from app.cli import seal as command
from app.seal import Seal
from app.storage.credentials import Credentials
from app.storage.database import Database
from tests.storage.databases import fill


@pytest.fixture
def file(tmp_path):
    return tmp_path / "seal.key"


@pytest.fixture
def table(environ, file):
    """Three credentials, sealed with the first key."""
    database = Database(environ["TOKENS_DATABASE_URL"])
    fill(database)
    table, seal = Credentials(database), Seal.make(file)
    for place in range(3):
        name = f"cr_{place}"
        sealed = seal.close(name, {"token": f"token {place}"})
        row = {"name": name, "platform": "grok", "sealed": sealed, "fingerprint": name}
        table.add(row | {"created_at": 1})
    yield table
    database.close()


def tokens_in(table, file) -> list[str]:
    seal = Seal.load(file)
    return [seal.open(one.name, one.sealed)["token"] for one in table.all()]


EXPECTED = ["token 0", "token 1", "token 2"]


def test_rotation_seals_everything_anew_and_drops_the_old_key(called, table, file):
    before, sealed = Seal.load(file), [one.sealed for one in table.all()]
    done = called("seal", "rotate", "--json")
    assert "is sealed with a new key; copies of" in done.stderr

    assert json.loads(done.stdout) == [{"key": 1, "seals": True, "opens": 3}]
    assert tokens_in(table, file) == EXPECTED
    assert not set(before.keys) & set(Seal.load(file).keys)
    assert not set(sealed) & {one.sealed for one in table.all()}


def test_the_old_key_may_be_kept_for_other_hosts(called, table, file):
    before = Seal.load(file)
    done = called("seal", "rotate", "--keep", "--json")
    assert [row["opens"] for row in json.loads(done.stdout)] == [3, 0]
    assert Seal.load(file).keys[1:] == before.keys

    called("seal", "prune")
    assert len(Seal.load(file).keys) == 1 and tokens_in(table, file) == EXPECTED


@pytest.mark.parametrize(
    "step", ["app.cli.seal.save", "app.storage.credentials.Credentials.reseal"]
)
@pytest.mark.parametrize("call", [1, 2])
def test_a_rotation_that_is_interrupted_leaves_everything_open(
    table, file, monkeypatch, step, call
):
    """S-005: at each of its steps."""
    calls = [0]
    *place, name = step.rsplit(".", 1)
    owner = command if "save" in step else Credentials
    real = getattr(owner, name)

    def fails(*words):
        calls[0] += 1
        if calls[0] == call:
            raise KeyboardInterrupt
        return real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        try:
            command._rotate(file, table)
            command._prune(file, table)
        except KeyboardInterrupt:
            pass  # that is the point
    assert tokens_in(table, file) == EXPECTED

    command._rotate(file, table)
    command._prune(file, table)
    assert tokens_in(table, file) == EXPECTED and len(Seal.load(file).keys) == 1


def test_what_cannot_be_opened_stops_a_rotation(called, table, file):
    lost = Seal.make(file.with_name("lost")).close("cr_0", {"token": "x"})
    table.reseal(lambda kept: {kept[0].id: lost})
    done = called("seal", "rotate")

    assert done.returncode == 1 and "does not open cr_0" in done.stderr
    assert json.loads(called("seal", "show", "--json").stdout)[-1] == {
        "key": "lost",
        "seals": False,
        "opens": 1,
    }


def test_without_a_key_file_there_is_nothing_to_rotate(called):
    done = called("seal", "show")

    assert done.returncode == 1 and "there is no file" in done.stderr
