"""Through an operator's proxy, by way of urllib3: the same answers, the same errors."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator

import gevent
import pytest
from gevent import monkey

from app.errors import BadReply, BrokenTransfer, ConnectionLost, OutOfFiles, TimedOut, Unreachable
from tests.scarce import no_descriptors
from tests.upstream.conftest import gone_at_once, pieces
from tests.upstream.rawserver import (
    CHUNKED,
    LAST,
    answers,
    answers_once,
    black_hole,
    chunk,
    head,
    is_silent_after,
    ok,
    resets_after,
    until,
)
from tests.upstream.test_tls import Authority

cooperative = pytest.mark.skipif(
    not monkey.is_module_patched("socket"),
    reason="urllib3 waits on the hub only where it is patched",
)


class Proxy:
    """Forwards whole connections: plain ones to the host of their first line, others by CONNECT."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._socks: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        for sock in (self._listener, *self._socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._socks.append(near)
                threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        if not (first := near.recv(65536)):
            return  # a caller who thought better of it
        line = first.split(b"\r\n", 1)[0].decode()
        self.lines.append(line)
        method, target, _ = line.split(" ")
        host = target.removeprefix("http://").split("/", 1)[0]
        far = socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])))
        self._socks.append(far)
        named = b""
        if method == "CONNECT":
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            named = f" http://{host}/".encode()
            far.sendall(first.replace(named, b" /", 1))
        threading.Thread(target=self._copy, args=(near, far, named), daemon=True).start()
        self._copy(far, near)

    def _copy(self, source: socket.socket, target: socket.socket, named: bytes = b"") -> None:
        """Servers are not told their own name, which only proxies are to hear."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(named, b" /", 1) if named else data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.stop()


@pytest.fixture
def proxied(call, proxy):
    """A client that reaches its server by the proxy."""
    return lambda *scripts, **settings: call(*scripts, proxy=proxy.url, **settings)


PACKED = gzip.compress(b"abcd", mtime=0)


@pytest.mark.parametrize(
    "sent, complete_by",
    [
        (CHUNKED + chunk(b"ab") + chunk(b"cd") + LAST, "chunked"),
        (ok(b"abcd"), "length"),
        (head() + b"abcd", "close"),
        (
            head("Content-Encoding: gzip", f"Content-Length: {len(PACKED)}") + PACKED,
            "length",
        ),
    ],
)
def test_a_whole_answer(proxied, proxy, sent, complete_by):
    client = proxied(answers_once(sent))
    answer = client.open(headers={"x-api-key": "k"})

    assert (answer.status, answer.complete_by) == (200, complete_by)
    assert b"".join(pieces(answer)) == b"abcd"
    assert answer.next(1) == b""
    assert proxy.lines == [f"POST {client.server.url} HTTP/1.1"]
    request = client.server.requests[0]
    assert (request.headers["x-api-key"], request.headers["accept-encoding"]) == ("k", "identity")
    assert request.body == b"{}"


def test_environment_and_netrc_have_no_say(proxied, proxy, monkeypatch, tmp_path):
    """R-115: neither around the proxy, nor with credentials of their own."""
    monkeypatch.setenv("no_proxy", "*")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client = proxied(answers(ok(b"", "Set-Cookie: canary=1; Path=/")))
    client.fetch()
    client.fetch()

    assert len(proxy.lines) >= 1
    for request in client.server.requests:
        assert not {"authorization", "cookie", "proxy-authorization"} & request.headers.keys()


def test_a_platform_behind_tls_is_reached_by_connect(proxied, proxy, tmp_path):
    authority = Authority(tmp_path)
    client = proxied(
        answers(ok(b"body")), context=authority.context("localhost"), ca_file=str(authority.file)
    )

    assert [client.fetch(), client.fetch()] == [b"body", b"body"]
    (line,) = proxy.lines
    assert line.startswith(f"CONNECT localhost:{client.server.port} ")


def test_a_certificate_that_is_wrong_ends_the_call(proxied, tmp_path):
    client = proxied(answers(ok()), context=Authority(tmp_path).context("localhost"))
    with pytest.raises(Unreachable):
        client.open()

    assert client.server.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + chunk(b"abcd") + b"9\r\nef",
        CHUNKED + chunk(b"abcd"),
        head("Content-Length: 9") + b"abcd",
    ],
)
def test_a_body_that_ends_too_early_is_broken(proxied, sent):
    answer = proxied(answers_once(sent)).open()
    with pytest.raises(BrokenTransfer):
        list(pieces(answer))


def test_a_redirect_is_an_answer(proxied, serve):
    elsewhere = serve(answers(ok()))
    sent = head(f"Location: {elsewhere.url}", "Content-Length: 0", status="307 Temporary")

    assert proxied(answers_once(sent)).open().status == 307
    assert elsewhere.connections == 0


@pytest.mark.parametrize("sent", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", head(*["X-A: b"] * 10_000)])
def test_a_head_that_makes_no_sense_is_a_bad_reply(proxied, sent):
    with pytest.raises(BadReply):
        proxied(answers_once(sent)).open()


def test_nothing_is_repeated_once_the_platform_has_read_it(proxied):
    client = proxied(resets_after(), answers(ok()))
    with pytest.raises(ConnectionLost) as caught:
        client.open()

    assert (caught.value.verdict, caught.value.may_retry) == ("stop", False)
    assert client.server.connections == 1


def test_a_head_that_does_not_come_in_time_is_a_timeout(proxied):
    with pytest.raises(TimedOut):
        proxied(is_silent_after(), first_byte_seconds=0.1).open()


def test_a_proxy_that_is_not_there_is_unreachable(call):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        client = call(answers(ok()), proxy=f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(Unreachable) as caught:
            client.open()

    assert caught.value.verdict == "retry"


@pytest.mark.parametrize("host", ["127.0.0.1", "a-proxy.invalid"])
def test_for_want_of_descriptors_nobody_is_blamed_but_us(call, host):
    """R-145."""
    client = call(answers(ok()), proxy=f"http://{host}:3128")
    with no_descriptors(), pytest.raises(OutOfFiles):
        client.open()


def test_a_proxy_that_swallows_packets_costs_the_connect_time(call):
    with black_hole() as url, pytest.raises(Unreachable):
        call(answers(ok()), proxy=url, connect_seconds=0.1).open()


@cooperative
def test_silence_ticks(proxied):
    answer = proxied(is_silent_after(CHUNKED + chunk(b"ab"))).open()

    assert [answer.next(0.05) for _ in range(3)] == [b"ab", None, None]


@cooperative
@pytest.mark.parametrize("sent", [b"", CHUNKED + chunk(b"ab")], ids=["before the head", "mid-body"])
def test_a_leash_ends_a_call_at_once(proxied, sent):
    client = proxied(is_silent_after(sent))
    with gone_at_once(lambda: client.server.requests) as leash:
        list(pieces(client.open(leash=leash)))

    client.close()
    assert until(lambda: client.server.closed) == 1


@cooperative
def test_a_head_that_drips_is_a_timeout(proxied):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        while not peer.server.go.wait(0.02):
            peer.send(b"X-A: b\r\n")

    with pytest.raises(TimedOut), gevent.Timeout(2):
        proxied(script, connect_seconds=0.1, first_byte_seconds=0.1).open()
