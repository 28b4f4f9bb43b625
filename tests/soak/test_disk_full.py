"""R-141, R-142: a disk that is full refuses new charges, and nothing else; when there is room again, all is well."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from app.storage.database import Database
from tests.soak.books import check_whole, states
from tests.soak.crowd import crowd
from tests.stack import PATIENCE, Stack, missing, until

pytestmark = pytest.mark.slow
CHAT = "/chatgpt/v1/chat/completions"
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        missing("a disk of one's own (mount -t tmpfs, as root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(disk: Path) -> Path:
    """What takes all the room that is left."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        size = 65536
        while size:
            if file.write(bytes(size)) < size:
                size //= 2
    return ballast


def test_a_full_disk_refuses_what_would_cost_and_recovers_by_itself(
    simulators: Any, tmp_path: Path, disk: Path
) -> None:
    url = f"sqlite:///{disk}/tokens.db"
    stack = Stack(
        simulators,
        tmp_path / "stack",
        TOKENS_WORKERS="1",
        TOKENS_DATABASE_URL=url,
        TOKENS_JOURNAL_FILE=str(disk / "ledger.journal"),
    )
    headers = {"Authorization": f"Bearer {stack.licence}"}

    def ask() -> requests.Response:
        return requests.post(stack.url() + CHAT, json=HELLO, headers=headers, timeout=PATIENCE)

    try:
        told = crowd(int(stack.environ["TOKENS_PORT"]), stack.licence, 40)
        assert len(told.whole) == 40
        ballast = filled(disk)
        whole, refused = list(told.whole), None
        for _ in range(400):  # what is there of the log's room is used up first
            answer = ask()
            if answer.status_code != 200:
                refused = answer
                break
            whole.append(answer.headers["x-request-id"])
        assert refused is not None and refused.status_code == 503, refused
        assert refused.json()["error"]["code"] == "database_unavailable"
        assert int(refused.headers["retry-after"]) > 0
        models = requests.get(
            stack.url("chatgpt") + "/v1/models", headers=headers, timeout=PATIENCE
        )
        assert models.status_code == 200  # who only reads is served

        ballast.unlink()
        assert until(lambda: ask().status_code == 200, 10.0)
        with closing(Database(url)) as database:
            found = states(database)
            assert [name for name in whole if found.get(name) != "charged"] == []
            check_whole(database)
    finally:
        stack.stop()


def nonsense(port: int) -> bytes:
    """The answer to what is no HTTP."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        line.sendall(b"nonsense\r\n\r\n")
        return line.recv(4096)


def test_where_nothing_can_be_logged_calls_are_served(
    simulators: Any, tmp_path: Path, disk: Path
) -> None:
    """R-142: neither of the access log nor of errors is there room for a line."""
    (tmp_path / "stack").mkdir()
    noise, log = disk / "stderr.log", disk / "access.log"
    (tmp_path / "stack" / "stderr.log").symlink_to(noise)
    stack = Stack(simulators, tmp_path / "stack", TOKENS_WORKERS="2", TOKENS_LOG_FILE=str(log))
    port = int(stack.environ["TOKENS_PORT"])
    try:
        assert len(crowd(port, stack.licence, 20).whole) == 20
        ballast = filled(disk)
        lengths = log.stat().st_size, noise.stat().st_size
        told = crowd(port, stack.licence, 200)
        assert len(told.whole) == 200, told.others
        assert b" 400 " in nonsense(port)  # which would be worth a line among the errors
        assert log.stat().st_size - lengths[0] < 4096 and noise.stat().st_size == lengths[1]

        ballast.unlink()
        answer = requests.post(
            stack.url() + CHAT,
            json=HELLO,
            headers={"Authorization": f"Bearer {stack.licence}"},
            timeout=PATIENCE,
        )
        request = answer.headers["x-request-id"]
        assert answer.status_code == 200 and until(lambda: request in log.read_text())
        nonsense(port)
        assert until(lambda: noise.stat().st_size > lengths[1])
    finally:
        stack.stop()
