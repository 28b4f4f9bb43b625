"""R-141: a disk that is full refuses new charges, and nothing else; when there is room again, all is well."""

from __future__ import annotations

import os
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
        ballast = disk / "ballast"
        with open(ballast, "wb") as file, pytest.raises(OSError):
            while True:
                file.write(bytes(65536))
                file.flush()
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
