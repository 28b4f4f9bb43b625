"""deploy/multi-host.md, done as it says: two hosts on one machine, with a PostgreSQL, a Redis and an S3 service that
are set up by the page's own commands and settings. Only names, addresses and folders are put into them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.deploy.front import Certificate, Front
from tests.deploy.pages import blocks, page
from tests.deploy.service import OverSocket, Service
from tests.media.bucket import BUCKET, KEY, REGION, SECRET, Bucket
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.sdk.pictures import PAINTERS
from tests.stack import TOKENS, Simulators, compact, until

pytestmark = pytest.mark.slow
BLOCKS = blocks(page("multi-host.md"))
SETTINGS = {
    name: value.strip("'")
    for block in BLOCKS
    for name, value in re.findall(r"^(TOKENS_\w+)=(.*)$", block, re.MULTILINE)
}
PASSWORD = "a-password-for-both"
PRIVATE = "127.0.0.2"  # the address by which hosts reach each other
STATE = "/var/lib/tokens/var"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
DRAWING = {"model": PAINTERS["chatgpt"].model, "prompt": "A kite", "response_format": "url"}


def commands(word: str) -> list[str]:
    """The lines of the page that have this word in them."""
    found = [line for block in BLOCKS for line in block.splitlines() if word in line]
    assert found, f"the page says nothing of {word}"
    return found


def run(line: str, given: str = "", **environ: str) -> None:
    """As a shell does, without a terminal."""
    done = subprocess.run(
        ["sh", "-ec", line],
        input=given,
        text=True,
        capture_output=True,
        env=os.environ | environ,
        start_new_session=True,
        timeout=60,
    )
    assert done.returncode == 0, (line, done.stderr)


@pytest.fixture(scope="module")
def postgres(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that the page gives."""
    server = PostgresServer()
    try:
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
        for line in commands("runuser -u postgres"):
            run(line.replace("runuser -u postgres -- ", ""), f"{PASSWORD}\n" * 2, **place)
        folder = tmp_path_factory.mktemp("postgres")
        for line in commands("/etc/postgresql/15/main/"):
            line = line.replace("PRIVATE-ADDRESS", PRIVATE).replace(
                "PRIVATE-NETWORK", "127.0.0.0/8"
            )
            line = line.replace("/etc/postgresql/15/main/conf.d", str(folder))
            run(line.replace("/etc/postgresql/15/main", str(folder)))
        own = b"host postgres postgres 127.0.0.1/32 trust\n"  # the test's; everybody else is in the page
        server.set_up(
            {
                "postgresql.auto.conf": b"ssl = on\n" + (folder / "tokens.conf").read_bytes(),
                "pg_hba.conf": own + (folder / "pg_hba.conf").read_bytes(),
                "server.crt": certificate.file.read_bytes(),
                "server.key": certificate.key_file.read_bytes(),
            }
        )
        address = SETTINGS["TOKENS_DATABASE_URL"].replace("PASSWORD", PASSWORD)
        yield address.replace("db.internal", f"{PRIVATE}:{server.port}")
    finally:
        server.remove()


@pytest.fixture(scope="module")
def counters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of Redis."""
    folder = tmp_path_factory.mktemp("redis")
    file = folder / "redis.conf"
    (line,) = commands("/etc/redis/redis.conf")
    line = line.replace("PRIVATE-ADDRESS", PRIVATE).replace("PASSWORD", PASSWORD)
    run(line.replace("/etc/redis/redis.conf", str(file)))
    server = RedisServer(folder, file, PASSWORD)
    address = SETTINGS["TOKENS_REDIS_URL"].replace("PASSWORD", PASSWORD)
    yield address.replace("redis.internal:6379", f"{PRIVATE}:{server.port}")
    server.kill()


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    running = Bucket()
    yield running
    running.stop()


class Hosts:
    """The first is there before the second, and does not work in the background; the second does."""

    def __init__(
        self, simulators: Simulators, folder: Path, certificate: Certificate, **settings: str
    ) -> None:
        settings |= {"TOKENS_CHATGPT_KEYS": "", "TOKENS_SPOOL_FOLDER": str(folder / "mounted")}
        with ExitStack() as running:
            self.first = Service(simulators, folder / "first", "a", **settings)
            running.callback(self.first.stop)
            self.sockets = [self.first.socket_file, folder / "second" / "b.sock"]
            self.front = Front(_made(folder / "nginx"), self.sockets, certificate)
            running.callback(self.front.stop)
            self._add_key()
            # A link is sealed, once the key is known.
            assert until(lambda: self.ask(0, "/chatgpt/v1/images/generations", DRAWING)[0] == 200)
            second = _made(folder / "second")
            for line in commands("root@second"):
                run(self._here(line, second))
            self.second = Service(simulators, folder / "second", "b", **settings)
            running.callback(self.second.stop)
            self.second.work()
            self.stop = running.pop_all().close

    def _add_key(self) -> None:
        """A credential in the database, which only the key file opens."""
        words = [TOKENS, "credential", "add", "chatgpt", "--label", "for both"]
        done = subprocess.run(
            words, input=b"sk-of-the-first-host", env=self.first.environ, capture_output=True
        )
        assert done.returncode == 0, done.stderr

    def _here(self, line: str, second: Path) -> str:
        """A command for two machines, for one; who runs the tests stands for the user of the services."""
        line = line.replace("chown tokens:tokens", "ls").replace("ssh root@second", "sh -c")
        line = line.replace("scp ", "cp ").replace(f"root@second:{STATE}", str(second))
        where = second if "sh -c" in line else self.first.folder
        return line.replace(STATE, str(where))

    def ask(self, host: int, path: str, body: Any = None, licence: str = "") -> tuple[int, Any]:
        """What one of them answers: its status, and the JSON."""
        line = OverSocket(self.sockets[host])
        headers = {"Authorization": f"Bearer {licence or self.first.licence}"}
        headers["Content-Type"] = "application/json"
        line.request("GET" if body is None else "POST", path, body and compact(body), headers)
        answer = line.getresponse()
        told = json.loads(answer.read())
        line.close()
        return answer.status, told


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def hosts(
    simulators: Simulators,
    postgres: str,
    counters: str,
    bucket: Bucket,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hosts]:
    own = {
        "TOKENS_DATABASE_URL": postgres,
        "TOKENS_REDIS_URL": counters,
        "TOKENS_HOSTS": SETTINGS["TOKENS_HOSTS"],
        "TOKENS_MEDIA_S3_BUCKET": BUCKET,
        "TOKENS_MEDIA_S3_ENDPOINT": bucket.endpoint,
        "TOKENS_MEDIA_S3_REGION": REGION,
        "TOKENS_MEDIA_S3_KEY": KEY,
        "TOKENS_MEDIA_S3_SECRET": SECRET,
        "TOKENS_PUBLIC_URL": SETTINGS["TOKENS_PUBLIC_URL"],
    }
    assert own.keys() == SETTINGS.keys()
    more = {"TOKENS_LOOK_SECONDS": "0.1", "TOKENS_REST_SECONDS": "600"}
    more["TOKENS_MINUTE_WINDOW"] = "sliding"  # no new minute begins in the midst of a test
    running = Hosts(simulators, tmp_path_factory.mktemp("hosts"), certificate, **own, **more)
    yield running
    running.stop()


def test_the_database_takes_who_shows_the_password_over_tls_and_nobody_else(
    hosts: Hosts, postgres: str
) -> None:
    with psycopg.connect(postgres) as connection:
        shown = connection.execute("show idle_in_transaction_session_timeout").fetchone()
    assert shown == ("30s",)
    for refused in (postgres.replace("require", "disable"), postgres.replace(PASSWORD, "another")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(refused)


def test_licences_and_credentials_are_the_same_on_both(hosts: Hosts) -> None:
    """The key of the platform was given to the first, and its key file was copied."""
    for licence in (hosts.first.licence, hosts.second.licence):
        for host in (0, 1):
            assert hosts.ask(host, "/chatgpt/v1/chat/completions", CHAT, licence)[0] == 200


def test_limits_count_what_was_asked_of_both(hosts: Hosts) -> None:
    licence = hosts.first.new_licence("--rpm", "4")
    told = [
        hosts.ask(turn % 2, "/chatgpt/v1/chat/completions", CHAT, licence)[0] for turn in range(8)
    ]

    assert told == [200] * 4 + [429] * 4


def test_work_begun_on_one_is_done_on_the_other_and_given_out_by_both(
    hosts: Hosts, bucket: Bucket
) -> None:
    """What was uploaded lies in the folder that both have mounted, and the picture in the bucket."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    status, task = hosts.ask(0, "/chatgpt/v1/images/edits?async=true", {**DRAWING, "image": pixel})
    assert status == 200, task
    path = f"/chatgpt/v1/images/{task['id']}"

    def over() -> Any:
        told = hosts.ask(1, path)[1]
        return told if told["status"] in ("completed", "failed") else None

    found = until(over, 30)
    assert found and found["status"] == "completed", found
    link = found["data"][0]["url"]
    public = SETTINGS["TOKENS_PUBLIC_URL"]
    assert link.startswith(f"{public}/media/") and len(bucket.objects) >= 2
    given = [_file(one, link.removeprefix(public)) for one in hosts.sockets]
    assert given[0] == given[1] and given[0].startswith(b"\x89PNG")


def _file(socket_file: Path, path: str) -> bytes:
    line = OverSocket(socket_file)
    line.request("GET", path)
    answer = line.getresponse()
    content = answer.read()
    line.close()
    assert answer.status == 200, content
    return content


def test_a_key_that_was_refused_on_one_rests_on_both(hosts: Hosts) -> None:
    path, body = "/grok/v1/chat/completions", {**CHAT, "model": "grok-4.3"}
    hosts.first.simulators.mishap("grok", "refuse")
    assert hosts.ask(0, path, body)[0] == 503
    assert until(lambda: hosts.ask(1, path, body)[0] == 503, 2)
    hosts.first.simulators.clear("grok")

    status, told = hosts.ask(1, path, body)
    assert (status, told["error"]["code"]) == (503, "no_available_key")
    assert hosts.first.simulators.posts("grok") == []


def test_one_host_may_fail(hosts: Hosts) -> None:
    """Whoever comes by what divides callers is served by the other."""
    hosts.first.crash()
    for _ in range(4):
        answer = requests.get(f"{hosts.front.url}/health", timeout=20)
        assert answer.status_code == 200
    hosts.first.begin()
