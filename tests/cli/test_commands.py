"""Every command: its help, its lists, its complaints and its exit codes."""

from __future__ import annotations

import configparser
import json
import os
import socket
import sys

import pytest

from app.cli import COMMANDS
from app.cli.settings import rows
from app.config import Settings
from app.platforms import PLATFORMS
from tests.stack import ROOT


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(called, command):
    done = called(command, "--help")

    assert done.returncode == 0
    assert COMMANDS[command][1:] in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", ["explain", "seal", "simulate"])
def test_a_command_is_a_process(tokens, command):
    """Those that no other test starts as one."""
    assert COMMANDS[command][1:] in " ".join(tokens(command, "--help").stdout.split())


@pytest.mark.parametrize(
    "words, says",
    [
        ((), "COMMAND; see `tokens --help`"),
        (("dance",), "'dance'"),
        (("licence",), "VERB; see `tokens licence --help`"),
        (("licence", "dance"), "'dance'"),
        (("licence", "add", "--expires"), "--expires"),
        (("licence", "extend", "3", "-3d"), "-3d begins with a minus"),
        (("licence", "add", "--expires", "-3d"), "-3d begins with a minus"),
        (("licence", "add", "--label", "two\nlines"), "cannot be read"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_with_2_and_one_sentence(called, words, says):
    done = called(*words)

    assert done.returncode == 2
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_bytes_that_are_no_text_are_refused_with_2_and_one_sentence(tokens):
    """In a process of its own, where the system hands over the bytes."""
    done = tokens("licence", "add", "--label", "\udcff")

    assert done.returncode == 2
    assert "cannot be read" in done.stderr and done.stderr.count("\n") == 1


def test_the_version_is_the_one_of_the_package(tokens):
    package = configparser.ConfigParser()
    package.read(ROOT / "setup.cfg")

    assert tokens("--version").stdout == f"tokens {package['metadata']['version']}\n"


def test_a_misspelt_setting_is_refused_and_the_right_one_is_named(called):
    done = called("settings", TOKENS_CHATGTP_KEYS="sk-1")

    assert done.returncode == 1
    assert "there is no setting TOKENS_CHATGTP_KEYS" in done.stderr
    assert "TOKENS_CHATGPT_KEYS" in done.stderr


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("TOKENS_PORT", "many", "should be a whole number"),
        ("TOKENS_PORT", "0", "should be a positive number"),
        ("TOKENS_PORT", "70000", "at most 65535"),
        ("TOKENS_SILENCE_SECONDS", "nan", "should be a positive number"),
        ("TOKENS_ROOT_OPEN", "perhaps", "should be true or false"),
        ("TOKENS_CHATGPT_BASE_URL", "ftp://x", "should be an http(s) address"),
        ("TOKENS_GEMINI_BASE_URL", "http://user:word@x", "should be an http(s) address"),
        ("TOKENS_ROOT_PLATFORM", "nobody", "names no platform"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(called, name, value, says):
    done = called("settings", **{name: value})

    assert done.returncode == 1
    assert name in done.stderr and says in done.stderr


def test_settings_are_listed_without_secrets(tokens):
    done = tokens(
        "settings",
        "--json",
        TOKENS_CHATGPT_KEYS="sk-canary-1,sk-canary-2",
        TOKENS_REDIS_URL="redis://:canary-word@127.0.0.1/0",
    )
    listed = {row["setting"]: row["value"] for row in json.loads(done.stdout)}

    assert listed["TOKENS_CHATGPT_KEYS"] == "2 set"
    assert listed["TOKENS_PORT"] == "8080"
    assert "canary" not in done.stdout


def test_the_vendors_own_variable_is_the_second_choice():
    doors = list(PLATFORMS.values())
    given = {"OPENAI_API_KEY": "sk-vendor", "TOKENS_CODEX_KEYS": "sk-a, sk-b"}

    settings = Settings.from_env(given, doors)

    keys = {
        name: [key.token.reveal() for key in one.keys] for name, one in settings.platforms.items()
    }
    assert keys["chatgpt"] == ["sk-vendor"]
    assert keys["codex"] == ["sk-a", "sk-b"]
    assert all("sk-" not in str(row["value"]) for row in rows(settings))


def test_routes_are_listed_with_their_audience(tokens):
    listed = {row["path"]: row for row in json.loads(tokens("routes", "--json").stdout)}

    assert listed["/health"]["for"] == "anyone"
    for name in PLATFORMS:
        assert listed[f"/{name}/v1/chat/completions"] == {
            "path": f"/{name}/v1/chat/completions",
            "methods": ["POST"],
            "for": "licence",
        }


def test_a_taken_port_is_one_clear_sentence(tokens):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = tokens("serve", TOKENS_PORT=port)

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr and "TOKENS_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["not/there/access.log", "."])
def test_an_access_log_that_cannot_be_is_one_clear_sentence(tokens, called, tmp_path, place):
    for call, command in ((called, "serve"), (tokens, "run")):
        done = call(command, TOKENS_LOG_FILE=str(tmp_path / place))

        assert done.returncode == 1
        assert "the access log" in done.stderr and "TOKENS_LOG_FILE" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://name:canary@host/db", "sqlite://", "sqlite:///:memory:"]
)
def test_an_address_of_no_database_is_one_clear_sentence(called, url):
    for words in (("licence", "list"), ("serve",)):
        done = called(*words, TOKENS_DATABASE_URL=url)

        assert done.returncode == 1
        assert "TOKENS_DATABASE_URL should be sqlite:///FILE or postgresql://" in done.stderr
        assert "canary" not in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(
    sys.platform != "linux" or not os.path.isdir("/proc/self"), reason="needs /proc"
)
def test_an_unwritable_place_for_the_database_is_one_clear_sentence(tokens):
    done = tokens("serve", TOKENS_DATABASE_URL="sqlite:////proc/self/tokens.db")

    assert done.returncode == 1
    assert "the database cannot be used" in done.stderr and "Traceback" not in done.stderr
