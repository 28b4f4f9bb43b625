"""Requests as they go out, and heads as they come in."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import gevent
import pytest
from gevent import socket as gsocket

from app.errors import BadReply, OutOfFiles, TimedOut, Unreachable, UpstreamError
from app.upstream.transport import Deadlines, Transport
from tests.scarce import no_descriptors
from tests.upstream.rawserver import (
    Peer,
    answers,
    answers_once,
    black_hole,
    head,
    is_silent_after,
    ok,
    until,
)


def test_a_request_carries_what_was_passed_and_what_is_ours_to_say(call):
    client = call(answers(ok()))
    client.fetch(body=b"[1]", headers={"authorization": "Bearer k", "content-type": "text/x"})
    (request,) = client.server.requests

    assert request.line == "POST /v1/chat HTTP/1.1"
    assert sorted(request.pairs) == [
        ("Accept-Encoding", "identity"),
        ("Content-Length", "3"),
        ("Host", f"localhost:{client.server.port}"),
        ("User-Agent", "tokens-gateway"),
        ("authorization", "Bearer k"),
        ("content-type", "text/x"),
    ]
    assert request.body == b"[1]"


@pytest.mark.parametrize(
    "name",
    [
        "accept-encoding",
        "Connection",
        "CONTENT-LENGTH",
        "Expect",
        "host",
        "Transfer-Encoding",
    ],
)
def test_what_is_ours_to_say_is_said_once_whatever_was_passed(call, name):
    client = call(answers(ok()))
    client.fetch(headers={name: "7"})
    names = [given.lower() for given, _ in client.server.requests[0].pairs]

    assert sorted(names) == ["accept-encoding", "content-length", "host", "user-agent"]
    assert "7" not in client.server.requests[0].headers.values()


@pytest.mark.parametrize("name", ["User-Agent", "user-agent"])
def test_a_user_agent_that_was_passed_is_the_only_one(call, name):
    client = call(answers(ok()))
    client.fetch(headers={name: "theirs"})

    assert [
        pair for pair in client.server.requests[0].pairs if pair[0].lower() == "user-agent"
    ] == [(name, "theirs")]


@pytest.mark.parametrize(
    "method, body, length", [("GET", None, None), ("POST", None, "0"), ("POST", b"", "0")]
)
def test_a_request_without_a_body_says_so_where_one_is_expected(call, method, body, length):
    client = call(answers(ok()))
    client.fetch(method, body)

    assert client.server.requests[0].headers.get("content-length") == length


@pytest.mark.parametrize("size", [1, 65536, 65537, 5 << 20])
def test_bodies_of_any_size_arrive_whole(call, size):
    client = call(answers(ok()))
    client.fetch(body=bytes(range(256)) * (size // 256 + 1))

    assert client.server.requests[0].body == bytes(range(256)) * (size // 256 + 1)


def test_the_query_goes_along_and_the_fragment_does_not(call):
    client = call(answers(ok()))
    client.fetch("GET", None, url=client.server.url + "?a=b&c=%20#fragment")

    assert client.server.requests[0].line == "GET /v1/chat?a=b&c=%20 HTTP/1.1"


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "b\r\nX-C: d"}, {"X-A": "b\nc"}, {"X-A\r\n": "b"}, {"X-A": "b\0"}, {"X-A": "你"}],
)
def test_a_header_that_would_be_two_is_never_sent(call, headers):
    client = call(answers(ok()))
    with pytest.raises(ValueError):
        client.open(headers=headers)

    assert client.server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/",
        "localhost/v1",
        "http:///v1",
        "http://user:secret@localhost/v1",
        "http://localhost/a b",
        "http://localhost/\x00",
    ],
)
def test_an_address_that_is_none_is_never_called(call, url):
    with pytest.raises(ValueError):
        call(answers(ok())).open(url=url)


def test_interim_answers_are_skipped(call):
    hint = head("Link: </style.css>", status="103 Early Hints")
    client = call(answers(head(status="100 Continue") + hint, ok(b"body", "X-A: b")))
    answer = client.open()

    assert (answer.status, answer.headers["x-a"], answer.read(9, 1)) == (200, "b", b"body")
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        head("X-Long: " + "x" * (1 << 20)),
        head("X-Long: " + "x" * 70_000),
        head(*["X-A: b"] * 10_000),
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("Content-Length: 5", "Content-Length: 6"),
        head("Content-Length: -5"),
        head("Transfer-Encoding: chunked, gzip"),
        head(status="101 Switching Protocols"),
        head(status="100 Continue") * 1000,
        b"HTTP/1.1 200 OK\r\nX-",
    ],
    ids=[
        "not HTTP",
        "1 MB of header",
        "70 KB of header",
        "10,000 headers",
        "length and chunks",
        "two lengths",
        "negative length",
        "unknown transfer",
        "upgrade",
        "1,000 interim answers",
        "cut",
    ],
)
def test_a_head_that_makes_no_sense_is_a_bad_reply(call, sent):
    """R-038. The connection is closed, and nothing is repeated."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        peer.hang_up()
        peer.wait_for_close()

    client = call(script)
    with pytest.raises(BadReply):
        client.open()

    assert client.server.connections == 1


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_redirects_are_answers_and_credentials_go_nowhere(call, serve, status):
    """R-110: not followed, whatever the method; the body is left where it is."""
    elsewhere = serve(answers(ok()))
    sent = head(f"Location: {elsewhere.url}", "Content-Length: 9", status=status)
    client = call(is_silent_after(sent))
    answer = client.open(headers={"authorization": "Bearer k", "x-api-key": "k"})
    answer.close()

    assert (answer.status, answer.headers["location"]) == (int(status[:3]), elsewhere.url)
    assert until(lambda: client.server.closed) == 1
    assert elsewhere.connections == 0


def test_cookies_are_not_kept(call):
    client = call(answers(ok(b"", "Set-Cookie: canary=1; Path=/")))
    client.fetch()
    client.fetch()

    assert "cookie" not in client.server.requests[1].headers


def test_an_answer_given_before_the_request_was_read_counts(call):
    """A platform that refuses a large body need not read it to its end."""

    def script(peer: Peer) -> None:
        while b"\r\n\r\n" not in peer.sock.recv(65536):
            pass
        peer.send(head("Content-Length: 4", status="413 Too Large") + b"much")
        peer.sock.shutdown(socket.SHUT_RD)
        peer.server.go.wait(5)
        peer.reset()

    client = call(script, answers(ok()))
    client.server.go.set()
    answer = client.open(body=bytes(32 << 20))

    assert (answer.status, answer.read(9, 1)) == (413, b"much")
    answer.close()
    assert client.fetch() == b""


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_head_that_does_not_come_in_time_is_a_timeout(call, sent):
    """R-031."""
    client = call(is_silent_after(sent), first_byte_seconds=0.1)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        client.open()

    assert 0.09 < time.monotonic() - started < 0.6
    assert until(lambda: client.server.closed) == 1


def test_a_head_that_drips_has_no_more_time_than_another(call):
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        while not peer.server.go.wait(0.01):
            peer.send(b"X-A: b\r\n")

    client = call(script)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        client.open(first_byte_seconds=0.15)

    assert 0.14 < time.monotonic() - started < 1


def test_a_head_without_an_end_is_given_up_at_64_kilobytes(call):
    client = call(is_silent_after(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000))
    with pytest.raises(BadReply, match="too long"):
        client.open(first_byte_seconds=3)


def test_a_head_that_begins_late_has_no_more_time_than_another(call):
    def script(peer: Peer) -> None:
        peer.request()
        peer.server.go.wait(5)
        peer.send(b"HTTP/1.1 200 OK\r\n")
        peer.wait_for_close()

    client = call(script)
    gevent.spawn_later(0.25, client.server.go.set)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        client.open(first_byte_seconds=0.3)

    assert 0.29 < time.monotonic() - started < 0.5


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_the_end_of_a_head_may_be_cut(call, cut):
    def script(peer: Peer) -> None:
        peer.request()
        sent = head("Content-Length: 4")
        peer.send(sent[:-cut])
        peer.server.go.wait(5)
        peer.send(sent[-cut:] + b"body")
        peer.wait_for_close()

    client = call(script)
    gevent.spawn_later(0.05, client.server.go.set)

    assert client.fetch() == b"body"


def test_a_request_nobody_reads_is_a_timeout(call):
    client = call(lambda peer: peer.server.go.wait(5), first_byte_seconds=0.1)
    with pytest.raises(TimedOut):
        client.open(body=bytes(64 << 20))


def test_a_closed_port_is_unreachable(call):
    client = call(answers(ok()))
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable) as caught:
            client.open(url=f"http://127.0.0.1:{bound.getsockname()[1]}/")

    assert (caught.value.verdict, caught.value.code) == ("retry", "upstream_unreachable")


def test_an_address_that_swallows_packets_costs_the_connect_time_and_no_more(call):
    """R-037."""
    client = call(answers(ok()), connect_seconds=0.15)
    started = time.monotonic()
    with black_hole() as url, pytest.raises(Unreachable) as caught:
        client.open(url=url)

    assert 0.14 < time.monotonic() - started < 0.6
    assert caught.value.verdict == "retry"


def test_a_name_that_is_never_found_costs_the_connect_time_and_no_more(call, monkeypatch):
    monkeypatch.setattr(gsocket, "getaddrinfo", lambda *arguments: gevent.sleep(5))
    client = call(answers(ok()), connect_seconds=0.1)
    started = time.monotonic()
    with pytest.raises(Unreachable):
        client.open()

    assert time.monotonic() - started < 0.6


def test_a_second_address_is_tried_when_the_first_swallows_packets(call, monkeypatch):
    client = call(answers(ok(b"body")), connect_seconds=1)
    with black_hole() as url:
        ports = urlsplit(url).port, client.server.port
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", p)) for p in ports]
        monkeypatch.setattr(gsocket, "getaddrinfo", lambda *arguments: found)

        assert client.fetch() == b"body"


def test_an_address_of_a_kind_that_this_host_has_not_is_passed_over(call, monkeypatch):
    """As IPv6 where the kernel has none."""
    client = call(answers(ok(b"body")))
    kinds = socket.AF_INET, 9999
    found = [
        (kind, socket.SOCK_STREAM, 0, "", ("127.0.0.1", client.server.port))
        for kind in reversed(kinds)
    ]
    monkeypatch.setattr(gsocket, "getaddrinfo", lambda *arguments: found)

    assert client.fetch() == b"body"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid"])
def test_a_name_that_leads_nowhere_is_unreachable(host):
    transport = Transport(Deadlines())
    with pytest.raises(Unreachable):
        transport.open("GET", f"http://{host}/", {}, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "a-platform.invalid"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_for_want_of_descriptors_nobody_is_blamed_but_us(scheme, host):
    """R-145: also where it is the name that cannot be looked up, or who signs certificates."""
    transport = Transport(Deadlines())
    with no_descriptors(), pytest.raises(OutOfFiles) as caught:
        transport.open("GET", f"{scheme}://{host}/", {}, None)

    assert (caught.value.status, caught.value.retry_after) == (503, 2.0)
    assert not isinstance(caught.value, UpstreamError)
    with pytest.raises(Unreachable):
        transport.open("GET", f"{scheme}://a-platform.invalid/", {}, None)


def test_environment_and_netrc_have_no_say(call, serve, monkeypatch, tmp_path):
    """R-115."""
    canary = serve(answers_once(ok(b"canary")))
    client = call(answers(ok(b"body")))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("no_proxy", "")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert client.fetch() == b"body"
    assert canary.connections == 0
    assert "authorization" not in client.server.requests[0].headers
