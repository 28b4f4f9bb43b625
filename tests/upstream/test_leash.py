"""A call that is ended from outside ends at once, wherever it stands (R-026, R-027)."""

from __future__ import annotations

import socket

import gevent
import pytest
from gevent import socket as gsocket

from app.errors import CallerGone, Interrupted
from app.upstream import line
from app.upstream.leash import Leash
from tests.upstream.conftest import gone_at_once
from tests.upstream.rawserver import (
    CHUNKED,
    answers,
    black_hole,
    chunk,
    head,
    is_silent_after,
    ok,
    until,
)


def test_before_the_head(call):
    client = call(is_silent_after(), answers(ok()))
    with gone_at_once(lambda: client.server.requests) as leash:
        client.open(leash=leash)

    assert until(lambda: client.server.closed) == 1
    assert client.server.connections == 1


def test_in_the_middle_of_the_head(call):
    client = call(is_silent_after(b"HTTP/1.1 200 OK\r\nX-"), answers(ok()))
    with gone_at_once(lambda: client.server.requests) as leash:
        client.open(leash=leash)

    assert client.server.connections == 1


def test_while_sending(call):
    client = call(lambda peer: peer.server.go.wait(5))
    with gone_at_once(lambda: client.server.connections) as leash:
        client.open(body=bytes(64 << 20), leash=leash)


def test_on_a_connection_that_served_before_nothing_is_repeated(call):
    def script(peer):
        peer.request()
        peer.send(ok())
        peer.request()
        peer.wait_for_close()

    client = call(script, answers(ok()))
    client.fetch()
    with gone_at_once(lambda: len(client.server.requests) == 2) as leash:
        client.open(leash=leash)

    assert client.server.connections == 1


@pytest.mark.parametrize(
    "sent", [CHUNKED + chunk(b"ab"), head("Content-Length: 9") + b"ab", head() + b"ab"]
)
def test_in_the_middle_of_the_body(call, sent):
    client = call(is_silent_after(sent))
    got = []
    with gone_at_once(lambda: got) as leash:
        answer = client.open(leash=leash)
        got.append(answer.next(1))
        answer.next(5)
    answer.close()

    assert got == [b"ab"]
    assert until(lambda: client.server.closed) == 1


def test_while_the_whole_body_is_awaited(call):
    client = call(is_silent_after(CHUNKED))
    with gone_at_once(lambda: client.server.requests) as leash:
        client.open(leash=leash).read(100, 5)


def test_while_connecting(call):
    client = call(answers(ok()))
    with black_hole() as url, gone_at_once() as leash:
        client.open(url=url, leash=leash)


def test_while_a_name_is_looked_up(call, monkeypatch):
    monkeypatch.setattr(gsocket, "getaddrinfo", lambda *arguments: gevent.sleep(5))
    client = call(answers(ok()))
    with gone_at_once() as leash:
        client.open(leash=leash)


def test_while_connecting_and_too_late_to_stop_it(call, monkeypatch):
    """What was meant for the wait that is over must not hit the next one."""
    leash, reached = Leash(), line._reached

    def reached_and_pulled(*arguments):
        sock = reached(*arguments)
        leash.pull()
        return sock

    monkeypatch.setattr(line, "_reached", reached_and_pulled)
    with pytest.raises(CallerGone):
        call(answers(ok())).open(leash=leash)

    gevent.sleep(0.01)


@pytest.mark.parametrize("stopping, end", [(False, CallerGone), (True, Interrupted)])
def test_a_call_ends_with_what_the_leash_was_first_pulled_for(call, stopping, end):
    leash = Leash()
    leash.pull(stopping=stopping)
    leash.pull(stopping=True)
    with pytest.raises(CallerGone) as raised:
        call(answers(ok())).open(leash=leash)

    assert type(raised.value) is end


def test_a_leash_that_was_pulled_before_lets_nothing_out(call):
    client = call(answers(ok()))
    leash = Leash()
    leash.pull()
    with pytest.raises(CallerGone):
        client.open(leash=leash)

    assert client.server.connections == 0


def test_a_connection_that_is_back_in_the_pool_is_out_of_reach(call):
    client = call(answers(ok(b"body")))
    leash = Leash()
    client.fetch(leash=leash)
    leash.pull()

    assert client.fetch() == b"body"
    assert client.server.connections == 1


def test_a_leash_can_be_pulled_twice_and_with_nothing_on_it():
    leash = Leash()
    leash.pull()
    leash.pull()

    assert leash.pulled


def test_what_a_pulled_leash_is_given_to_hold_ends_at_once():
    leash = Leash()
    leash.pull()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        leash.hold(ours)

        assert theirs.recv(1) == b""
