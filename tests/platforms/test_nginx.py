"""Behind nginx, configured as the README says: what is broken still looks broken, and nothing is
held back.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platforms.callers import CALLERS, Caller
from tests.platforms.conftest import Pair
from tests.stack import Stack, free_port, program, until

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; gzip on; gzip_types application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 1h;
    }}
  }}
}}
"""


class Behind(Stack):
    """The same gateway, reached through nginx."""

    def __init__(self, stack: Stack, url: str) -> None:
        self.__dict__.update(stack.__dict__)
        self._front = url

    def url(self, platform: str = "") -> str:
        return f"{self._front}/{platform}" if platform else self._front


@pytest.fixture(scope="module")
def behind(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    path, folder, port = program("nginx"), tmp_path_factory.mktemp("nginx"), free_port()
    written = folder / "nginx.conf"
    written.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=stack.url()))
    command = [path, "-c", str(written), "-p", str(folder), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert until(lambda: _listens(port)), _read(folder / "error.log")
    yield Behind(stack, f"http://127.0.0.1:{port}")
    process.terminate()
    process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else "no error log"


@pytest.fixture(params=CALLERS, ids=lambda caller: caller.name)
def fronted(request: pytest.FixtureRequest, behind: Stack) -> Pair:
    behind.simulators.clear("chatgpt")
    caller: Caller = request.param
    return Pair("chatgpt", caller, behind)


def test_a_truncated_stream_still_breaks_off(fronted: Pair) -> None:
    """M-01, R-001: with HTTP/1.0 to the gateway, nginx would end it as if it were whole."""
    heard = fronted.call("simulate: cut after=2\nsimulate: words=9", stream=True)

    assert heard.broken and not fronted.caller.is_whole(heard)
    assert fronted.caller.failure(heard) is not None


def test_words_are_handed_on_as_they_come(fronted: Pair) -> None:
    """R-035, R-036: neither collected nor compressed, although nginx compresses."""
    asked = fronted.ask("simulate: stall seconds=0.5 after=2\nsimulate: words=9", stream=True)
    headers = {"accept-encoding": "gzip"}
    began = time.monotonic()
    with fronted.caller.send(fronted.base, asked, fronted.stack.licence, headers=headers) as answer:
        pieces = answer.iter_content(None)
        content = next(pieces)
        waited = time.monotonic() - began
        content += b"".join(pieces)

    assert waited < 0.5 and b"word9" in content
    assert "content-encoding" not in answer.headers


def test_hanging_up_reaches_the_platform(fronted: Pair) -> None:
    """R-025."""
    before = fronted.simulators.hangups("chatgpt")
    asked = fronted.ask("simulate: words=4000 pace=0.02", stream=True)
    with fronted.caller.send(fronted.base, asked, fronted.stack.licence) as answer:
        next(answer.iter_content(None))

    assert until(lambda: fronted.simulators.hangups("chatgpt") > before, 2)
