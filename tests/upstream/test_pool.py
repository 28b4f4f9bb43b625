"""Connections are kept, used again, and given up when they are dead, old or too many."""

from __future__ import annotations

import contextlib
import os
import time

import gevent
import pytest

from app.errors import ConnectionLost, UpstreamError
from app.upstream import lean
from tests.upstream.rawserver import (
    CHUNKED,
    LAST,
    Peer,
    answers,
    answers_once,
    chunk,
    head,
    ok,
    resets_after,
    until,
)


def closes_when_told(peer: Peer) -> None:
    """Answers once, and closes while the connection is idle."""
    peer.request()
    peer.send(ok(b"first"))
    peer.server.go.wait(5)
    peer.hang_up()
    peer.wait_for_close()


def drops_the_second(peer: Peer) -> None:
    """Answers once, reads the next request in full and resets."""
    peer.request()
    peer.send(ok(b"first"))
    peer.request()
    peer.reset()


@pytest.mark.parametrize(
    "answer", [ok(b"body"), ok(), CHUNKED + chunk(b"body") + LAST, head(status="204 No Content")]
)
def test_a_connection_serves_again_once_its_answer_was_read_to_the_end(call, answer):
    client = call(answers(answer))
    bodies = {client.fetch() for _ in range(3)}

    assert len(bodies) == 1
    assert (client.server.connections, len(client.server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"body", "Connection: close"),
        head("Content-Length: 4", version="1.0") + b"body",
        ok(b"body") + b"and more than was announced",
        CHUNKED + chunk(b"body") + LAST + b"and more",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(call, answer):
    client = call(answers(answer))

    assert [client.fetch(), client.fetch()] == [b"body", b"body"]
    assert client.server.connections == 2


def test_an_answer_left_before_its_end_closes_its_connection(call):
    client = call(answers(CHUNKED + chunk(b"beginning")))
    answer = client.open()
    answer.next(1)
    answer.close()
    answer.close()

    assert until(lambda: client.server.closed) == 1


def test_an_answer_nobody_reads_closes_its_connection(call):
    client = call(answers(ok(b"body")))
    client.open().close()

    assert until(lambda: client.server.closed) == 1


def test_the_connection_used_last_is_used_first(call):
    client = call(answers(ok(b"x")))
    first, second = client.open(), client.open()
    first.read(9, 1), second.read(9, 1)
    second.close()
    first.close()
    lines = client.transport._lean._idle[("http", "localhost", client.server.port)]
    newest = lines[-1]
    client.fetch()

    assert lines[-1] is newest


def test_no_more_connections_are_kept_than_the_pool_holds(call):
    client = call(answers(ok(b"x")), pool_size=2)
    open_ones = [client.open() for _ in range(5)]
    for answer in open_ones:
        answer.read(9, 1)
        answer.close()

    assert until(lambda: client.server.closed == 3)
    assert client.server.connections == 5


def test_closing_the_transport_closes_what_is_kept(call):
    client = call(answers(ok(b"x")))
    client.fetch()
    client.transport.close()

    assert until(lambda: client.server.closed) == 1


def test_connections_idle_for_too_long_are_closed_though_nobody_calls(call, monkeypatch):
    monkeypatch.setattr(lean, "IDLE_SECONDS", 0.05)
    client = call(answers(ok(b"x")))
    client.fetch()

    assert until(lambda: client.server.closed) == 1
    assert until(lambda: client.transport._lean._sweeper is None) is True


def test_a_connection_too_old_is_not_used(call, monkeypatch):
    client = call(answers(ok(b"x")))
    client.fetch()
    monkeypatch.setattr(lean, "IDLE_SECONDS", 0.0)
    client.fetch()

    assert client.server.connections == 2


def test_a_connection_closed_while_idle_is_not_used(call):
    """R-039: noticed before anything is sent, so nothing is repeated either."""
    client = call(closes_when_told, answers(ok(b"second")))
    client.fetch()
    client.server.go.set()
    kept = client.transport._lean._idle[("http", "localhost", client.server.port)]
    until(lambda: not kept[0].is_alive())

    assert client.fetch(repeat_stale=False) == b"second"
    assert len(client.server.requests) == 2


def test_a_connection_that_dies_under_a_request_is_replaced_once(call):
    """R-039: no byte of an answer on a connection that had served before."""
    client = call(drops_the_second, answers(ok(b"second")))

    assert [client.fetch(), client.fetch()] == [b"first", b"second"]
    assert (client.server.connections, len(client.server.requests)) == (2, 3)


def test_a_request_is_sent_a_second_time_but_not_a_third(call):
    client = call(drops_the_second, resets_after(), answers(ok(b"third")))
    client.fetch()
    with pytest.raises(ConnectionLost) as caught:
        client.fetch()

    assert caught.value.verdict == "stop"
    assert client.server.connections == 2


def test_nothing_is_repeated_where_that_is_forbidden(call):
    client = call(drops_the_second, answers(ok(b"second")))
    client.fetch()
    with pytest.raises(ConnectionLost) as caught:
        client.fetch(repeat_stale=False)

    assert (caught.value.verdict, caught.value.may_retry) == ("retry", None)
    assert (client.server.connections, len(client.server.requests)) == (1, 2)


@pytest.mark.parametrize("script", [resets_after(), answers_once()], ids=["reset", "closed"])
def test_nothing_is_repeated_on_a_fresh_connection(call, script):
    """R-040: the platform read the whole request, and may have acted on it."""
    client = call(script, answers(ok(b"second")))
    with pytest.raises(ConnectionLost) as caught:
        client.fetch()

    assert (caught.value.verdict, caught.value.may_retry) == ("stop", False)
    assert (client.server.connections, len(client.server.requests)) == (1, 1)


def test_nothing_is_repeated_once_a_byte_has_come(call):
    def half_a_head(peer: Peer) -> None:
        peer.request()
        peer.send(ok(b"first"))
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nX-")
        peer.hang_up()
        peer.wait_for_close()

    client = call(half_a_head, answers(ok(b"second")))
    client.fetch()
    with pytest.raises(UpstreamError, match="broke off"):
        client.fetch()

    assert client.server.connections == 1


def test_many_calls_leave_no_open_files_behind(call):
    def script(peer: Peer) -> None:
        turn = peer.server.connections % 4
        peer.request()
        if turn == 0:
            peer.reset()
            return
        if turn == 1:
            peer.send(CHUNKED + chunk(b"cut"), b"5\r\nab")
        elif turn == 2:
            peer.send(ok(b"body"))
        else:
            peer.send(b"nonsense\r\n\r\n")
        peer.hang_up()
        peer.wait_for_close()

    client = call(script)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(200):
        with contextlib.suppress(UpstreamError):
            client.fetch()
    client.transport.close()

    assert until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert client.server.connections >= 150


def test_calls_at_the_same_time_do_not_wait_for_each_other(call):
    def script(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            if len(peer.server.requests) == 20:
                peer.server.go.set()
            peer.server.go.wait(5)
            peer.send(ok(request.body))

    client = call(script)
    started = time.monotonic()
    jobs = [gevent.spawn(client.fetch, body=b"%d" % number) for number in range(20)]
    gevent.joinall(jobs, timeout=5)

    assert [job.value for job in jobs] == [b"%d" % number for number in range(20)]
    assert time.monotonic() - started < 4
