"""`tokens serve` on a unix socket: what it refuses before anything is started."""

from __future__ import annotations

import socket

import pytest


def test_a_socket_that_somebody_listens_at_is_not_taken_away(called, tmp_path):
    file = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(file))
        other.listen()
        done = called("serve", TOKENS_SOCKET_FILE=str(file))

    assert done.returncode == 1
    assert "address already in use" in done.stderr and "TOKENS_SOCKET_FILE" in done.stderr


def test_a_socket_that_was_left_behind_is(called, tmp_path):
    file = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(file))

    with pytest.raises(AssertionError, match="it would have served"):
        called("serve", TOKENS_SOCKET_FILE=str(file))


@pytest.mark.parametrize(
    "name, why", [("missing/web.sock", "no such file"), ("a-file", "file exists")]
)
def test_a_place_for_no_socket_is_refused(called, tmp_path, name, why):
    (tmp_path / "a-file").write_text("not a socket")
    done = called("serve", TOKENS_SOCKET_FILE=str(tmp_path / name))

    assert done.returncode == 1
    assert why in done.stderr and "TOKENS_SOCKET_FILE" in done.stderr


def test_doctor_says_where_it_would_listen(called, tmp_path):
    file = tmp_path / "web.sock"
    done = called("doctor", "--offline", TOKENS_SOCKET_FILE=str(file))

    assert f"{file} is free" in done.stdout
