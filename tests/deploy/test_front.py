"""The nginx file that we ship: what is broken still looks broken, nothing is held back, and nobody can pass
for somebody else.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from tests.deploy.conftest import Place
from tests.deploy.front import Front
from tests.deploy.service import Service, opened
from tests.platforms.callers import CALLERS, Caller
from tests.platforms.conftest import Pair
from tests.stack import program, until

pytestmark = pytest.mark.slow
FORGED = {
    "X-Forwarded-For": "192.0.2.7",
    "X_Forwarded_For": "192.0.2.7",
    "X-Real-IP": "192.0.2.7",
    "Forwarded": "for=192.0.2.7;proto=http;host=evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Ssl": "off",
    "Script-Name": "/evil",
    "Script_Name": "/evil",
    "Proxy": "http://evil.example",
}


@pytest.fixture(params=CALLERS, ids=lambda caller: caller.name)
def fronted(request: pytest.FixtureRequest, service: Service) -> Pair:
    service.simulators.clear("chatgpt")
    caller: Caller = request.param
    return Pair("chatgpt", caller, service)


def probed(front: Front, licence: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
    """A stream of the gateway's own, without a platform."""
    given = {"Authorization": f"Bearer {licence}", **(headers or {})}
    url = f"{front.url}/health/stream"
    return requests.post(url, params=query, headers=given, stream=True, timeout=20)


def seen(answer: requests.Response) -> Any:
    """What the gateway says that it has seen of the request."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text.split("data: ", 1)[1].split("\n")[0])


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
    licence = fronted.stack.licence
    with fronted.caller.send(fronted.base, asked, licence, headers=headers) as answer:
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


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_both_versions_of_http_show_a_broken_answer(service: Service, version: str) -> None:
    front = service.front
    curl = [program("curl"), version, "-sS", "--cacert", str(front.certificate.file), "-X", "POST"]
    curl += ["-H", f"Authorization: Bearer {service.licence}", "-w", "%{http_version}"]

    def end(words: str) -> tuple[int, str]:
        url = f"{front.url}/health/stream?{words}"
        done = subprocess.run([*curl, url], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout[-3:].lstrip("\n")

    spoken = "2" if version == "--http2" else "1.1"
    assert end("pieces=2") == (0, spoken)
    broken, _ = end("pieces=2&end=broken")
    assert broken in (18, 56, 92)  # a transfer that stops short, in curl's words


def test_nobody_says_who_he_is_but_nginx(service: Service) -> None:
    """R-101: whatever a caller makes up, and whichever way it is written."""
    found = seen(probed(service.front, service.licence, FORGED))

    assert (found["address"], found["scheme"]) == ("127.0.0.1", "https")
    assert (found["host"], found["path"]) == ("localhost", "/health/stream")
    arrived = {name.lower() for name in FORGED} & set(found["headers"])
    assert arrived == {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-ssl", "script-name"}


def test_who_asks_for_another_name_gets_no_answer(service: Service) -> None:
    front = service.front
    with opened(front) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert line.recv(100) == b""
    with socket.create_connection(("127.0.0.1", front.port)) as sock:
        with pytest.raises(ssl.SSLError):
            front.trust.wrap_socket(sock, server_hostname="evil.example")


def test_plain_http_is_sent_on_and_proofs_for_certbot_are_served(service: Service) -> None:
    front = service.front
    plain = f"http://localhost:{front.plain_port}"
    proof = front.folder / ".well-known" / "acme-challenge" / "word"
    proof.parent.mkdir(parents=True, exist_ok=True)
    proof.write_text("proof")

    sent = requests.get(f"{plain}/v1/models?a=b", allow_redirects=False, timeout=10)
    assert (sent.status_code, sent.headers["location"]) == (301, "https://localhost/v1/models?a=b")
    found = requests.get(f"{plain}/.well-known/acme-challenge/word", timeout=10)
    assert (found.status_code, found.text) == (200, "proof")


def test_the_logs_have_no_licence_and_no_link(service: Service, place: Place) -> None:
    """Neither of calls that are answered, nor of those that are so large that nginx writes them to a file,
    nor of those that it cannot hand over.
    """
    gone = place({"proxy_pass http://tokens;": "proxy_pass http://unix:/nowhere.sock;"})
    for front in (service.front, gone):
        models = f"{front.url}/gemini/v1beta/models"
        requests.get(f"{models}?key={service.licence}", timeout=10)
        large = f"{models}/gemini-2.5-flash:generateContent?key={service.licence}"
        requests.post(large, json={"contents": "a" * (2 << 20)}, timeout=10)
        requests.get(f"{front.url}/media/a-seal-of-ours/file.png", timeout=10)
        requests.get(f"{front.url}/chatgpt/{service.licence}", timeout=10)

        assert until(lambda: ":generateContent" in front.log and "/chatgpt/tok-..." in front.log)
        for written in (front.log, front.complaints):
            assert service.licence not in written and "a-seal-of-ours" not in written


def test_what_nginx_says_itself_is_json(service: Service, place: Place) -> None:
    gone = place({"proxy_pass http://tokens;": "proxy_pass http://unix:/nowhere.sock;"})
    answer = requests.get(f"{gone.url}/health", timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "gateway_unavailable")

    front = service.front
    with opened(front) as line:
        head = "POST /chatgpt/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        line.sendall(f"{head}Content-Length: {130 << 20}\r\n\r\n".encode())
        told = b""
        while not told.endswith(b"}}"):
            told += line.recv(4096)
    assert told.startswith(b"HTTP/1.1 413") and b'"request_too_large"' in told


def test_one_address_has_so_many_calls_at_a_time(place: Place, service: Service) -> None:
    front = place({"limit_conn tokens_callers 256;": "limit_conn tokens_callers 2;"})
    with ExitStack() as stack:
        held = [
            stack.enter_context(probed(front, service.licence, silence=5)).iter_content(None)
            for _ in range(2)
        ]
        assert all(map(next, held))
        refused = requests.get(f"{front.url}/health", headers=FORGED, timeout=10)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
