"""`tokens doctor`: finds what is wrong, and says what to do."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from app.cli.doctor import examine
from app.config import Settings
from app.platforms import PLATFORMS
from tests.stack import Simulators


def found(done):
    return {one["check"]: (one["state"], one["what"], one["do"]) for one in json.loads(done.stdout)}


def base_urls(simulators: Simulators) -> dict[str, str]:
    return {f"TOKENS_{name.upper()}_BASE_URL": url for name, url in simulators.bases.items()}


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder: when it was changed, and what is in it."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


def test_a_good_installation_passes(tokens, simulators):
    keys = {f"TOKENS_{name.upper()}_KEYS": "sk-good" for name in simulators.bases}

    done = tokens("doctor", "--json", **base_urls(simulators), **keys)

    findings = found(done)
    assert done.returncode == 0, findings
    assert findings["chatgpt#1"][0] == findings["gemini#1"][0] == "ok"
    assert findings["write access"][0] == findings["settings"][0] == "ok"


def test_a_refused_key_is_named_by_its_number_and_not_shown(called, simulators):
    keys = {"TOKENS_CHATGPT_KEYS": "sk-good,sk-canary-revoked"}

    done = called("doctor", "--json", **base_urls(simulators), **keys)

    findings = found(done)
    assert done.returncode == 1
    assert findings["chatgpt#1"][0] == "ok"
    assert findings["chatgpt#2"][0] == "wrong" and "refused" in findings["chatgpt#2"][1]
    assert "canary" not in done.stdout + done.stderr


def test_an_address_nobody_listens_at_is_wrong(called):
    done = called(
        "doctor",
        "--json",
        TOKENS_GEMINI_BASE_URL="http://127.0.0.1:9",
        TOKENS_GEMINI_KEYS="k",
    )

    assert done.returncode == 1
    assert found(done)["gemini#1"][0] == "wrong"


@pytest.mark.parametrize("settings, check", [({"TOKENS_PRT": "1"}, "settings"), ({}, "keys")])
def test_what_is_missing_is_wrong_and_says_what_to_do(called, settings, check):
    done = called("doctor", "--json", "--offline", **settings)

    state, _, do = found(done)[check]
    assert done.returncode == 1
    assert state == "wrong" and do


def test_a_folder_that_is_not_there_is_told_and_not_made(called, tmp_path):
    url = f"sqlite:///{tmp_path}/not/there/tokens.db"

    findings = found(called("doctor", "--json", "--offline", TOKENS_DATABASE_URL=url))

    assert list(tmp_path.iterdir()) == []
    state, what, do = findings["database"]
    assert state == "note" and what == f"{tmp_path}/not/there/tokens.db is not there yet"
    assert "`tokens serve` or `tokens licence add`" in do
    state, what, _ = findings["write access"]
    assert state == "ok" and what.startswith(f"{tmp_path}/not/there can be made")


def test_a_folder_that_cannot_be_made_is_wrong(called, tmp_path):
    (tmp_path / "file").write_text("no folder")
    url = f"sqlite:///{tmp_path}/file/below/tokens.db"

    done = called("doctor", "--json", "--offline", TOKENS_DATABASE_URL=url)

    state, what, _ = found(done)["write access"]
    assert (state, what) == ("wrong", f"{tmp_path}/file is not a folder")


@pytest.mark.parametrize("closed", ["", "tokens.db"])
def test_what_cannot_be_written_is_wrong(tmp_path, monkeypatch, closed):
    """Told by the system's own answer, which root never hears."""
    (tmp_path / "tokens.db").touch()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / closed)
    doors = list(PLATFORMS.values())
    chosen = Settings.from_env({"TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db"}, doors)

    told = {one.check: one for one in examine(chosen, offline=True)}["write access"]

    assert told.state == "wrong" and told.what == f"{tmp_path / closed} cannot be written"
    assert told.do.startswith("chown it to ")


@pytest.mark.parametrize("kind", ["prepared", "empty", "foreign"])
def test_nothing_is_changed(called, tmp_path, kind):
    database = tmp_path / "tokens.db"
    if kind == "prepared":
        called("licence", "add")
    elif kind == "empty":
        database.touch()
    else:
        with sqlite3.connect(database) as foreign:
            foreign.execute("CREATE TABLE shopping (list TEXT)")
        foreign.close()
    before = contents(database.parent)

    findings = found(called("doctor", "--json", "--offline"))

    assert findings["database"][0] == ("ok" if kind == "prepared" else "note")
    after = contents(database.parent)
    before.pop(str(tmp_path)), after.pop(str(tmp_path))  # SQLite's own -shm comes and goes
    assert after == before


@pytest.mark.parametrize("content", [b"this was a shopping list" * 100, None])
def test_a_database_that_cannot_be_used_is_told_in_one_line(called, tmp_path, content):
    if content:
        (tmp_path / "tokens.db").write_bytes(content)
    else:
        (tmp_path / "tokens.db").mkdir()

    state, what, do = found(called("doctor", "--json", "--offline"))["database"]

    assert state == "wrong" and do
    assert what.startswith("cannot be used: ") and "\n" not in what and "sqlalche" not in what


def test_an_address_of_no_database_is_wrong(called):
    done = called(
        "doctor", "--json", "--offline", TOKENS_DATABASE_URL="mysql://name:canary@host/db"
    )

    state, what, do = found(done)["database"]
    assert done.returncode == 1 and "canary" not in done.stdout + done.stderr
    assert state == "wrong" and "TOKENS_DATABASE_URL should be sqlite:///FILE" in what and do


@pytest.mark.parametrize("more", [(), ("--offline",)])
def test_a_platform_without_a_key_is_not_called_and_its_settings_are_named(called, more):
    nowhere = {f"TOKENS_{name.upper()}_BASE_URL": "http://127.0.0.1:9" for name in PLATFORMS}

    findings = found(called("doctor", "--json", *more, **nowhere))

    for name, platform in PLATFORMS.items():
        state, what, do = findings[name]
        assert (state, what) == ("note", "no key")
        assert all(one in do for one in (f"TOKENS_{name.upper()}_KEYS", *platform.key_variables))
    assert "`make run` needs none" in findings["keys"][2]


def test_platforms_without_a_key_take_one_line_of_the_table(called):
    keys = {"TOKENS_CHATGPT_KEYS": "sk-good"}
    others = ", ".join(sorted({*PLATFORMS} - {"chatgpt"}))

    lines = called("doctor", "--offline", **keys).stdout.splitlines()

    (line,) = [one for one in lines if "gemini" in one]
    assert line.split()[:2] == ["keys", "note"] and line.endswith(f" to use one: {others}")
    assert not any("no key" in one for one in lines)
    assert found(called("doctor", "--json", "--offline", **keys))["gemini"][1] == "no key"


def test_the_only_platform_without_a_key_is_told_its_settings(called):
    keys = {f"TOKENS_{name.upper()}_KEYS": "sk-good" for name in PLATFORMS if name != "sora"}

    lines = called("doctor", "--offline", **keys).stdout.splitlines()

    (line,) = [one for one in lines if "no key" in one]
    assert line.split()[:2] == ["sora", "note"] and "set TOKENS_SORA_KEYS" in line


def test_a_port_that_is_taken_is_no_fault_while_it_may_be_ours(called):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        state, what, do = found(called("doctor", "--json", "--offline", TOKENS_PORT=port))["port"]

    assert state == "note" and f"cannot listen on 127.0.0.1:{port}" in what
    assert do.startswith("nothing if it is the gateway itself; otherwise end what listens there")


def test_an_access_log_that_cannot_be_is_wrong_and_not_made(called, tmp_path):
    log = tmp_path / "not/there/access.log"

    done = called("doctor", "--json", "--offline", TOKENS_LOG_FILE=str(log))

    state, what, do = found(done)["access log"]
    assert done.returncode == 1 and not log.parent.exists()
    assert state == "wrong" and str(log) in what and "TOKENS_LOG_FILE" in do


def test_an_address_that_is_none_of_this_machine_is_wrong(called):
    done = called("doctor", "--json", "--offline", TOKENS_HOST="192.0.2.1")  # of nobody's

    state, what, do = found(done)["port"]
    assert done.returncode == 1 and state == "wrong"
    assert "cannot listen on 192.0.2.1:8080" in what and "TOKENS_HOST" in do


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError()]
)
def test_a_host_that_cannot_be_resolved_is_wrong(tmp_path, monkeypatch, error):
    def nobody(*asked: object, **how: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    doors = list(PLATFORMS.values())
    env = {"TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db", "TOKENS_HOST": "nobody"}

    told = {one.check: one for one in examine(Settings.from_env(env, doors), offline=True)}["port"]

    assert told.state == "wrong" and "cannot listen on nobody:8080" in told.what
    assert "TOKENS_HOST" in told.do
