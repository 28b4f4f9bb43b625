"""Serves simulators on loopback ports, and lets tests steer them from another process.

Every simulator also answers `GET` and `DELETE /_simulator/journal`, `POST /_simulator/mishaps`
(a list of `{kind, seconds, after, status}`), `POST /_simulator/clock` (`{forward}` seconds) and
`GET /_simulator/hangups`, without a credential
and outside the journal; callers that are not on this machine get 404 there.

`Running` runs the servers in a thread with a gevent hub of its own, so a test needs neither
monkey patching nor a second process. Only the thread that owns a hub may stop its servers: the
other side wakes it through an async watcher, the one watcher that may be touched from outside.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Self

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from app.simulators.exchange import Environ, as_json, read_call
from app.simulators.mishaps import Mishap
from app.simulators.simulator import Simulator, StartResponse

CONTROL = "/_simulator/"
LOOPBACK = ("127.", "::1", "::ffff:127.")
PREFIXES = {
    "chatgpt": "/v1",
    "codex": "/v1",
    "grok": "/v1",
    "sora": "/v1",
}  # how much of the path a vendor's SDK wants given
PATIENCE = 10.0

Steered = Callable[[Environ, StartResponse], Iterable[bytes]]


def steerable(simulator: Simulator) -> Steered:
    """The simulator with its control routes in front."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not str(environ.get("PATH_INFO", "")).startswith(CONTROL):
            return simulator(environ, start_response)
        status, answer = _control(simulator, environ)
        body = as_json(answer)
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    return application


class Servers:
    """Running servers, one port each."""

    def __init__(self, servers: Mapping[str, WSGIServer]) -> None:
        self._servers = dict(servers)
        self.ports: dict[str, int] = {
            name: int(server.server_port) for name, server in servers.items()
        }

    def stop(self) -> None:
        """Stops at once; streams in progress break off."""
        for server in self._servers.values():
            server.stop(timeout=0)


def serve(
    simulators: Mapping[str, Simulator], ports: Mapping[str, int], host: str = "127.0.0.1"
) -> Servers:
    """Starts a server per simulator on the running hub; port 0, or none given, takes a free one."""
    started: dict[str, WSGIServer] = {}
    for name, simulator in simulators.items():
        server = WSGIServer((host, ports.get(name, 0)), steerable(simulator), log=None)
        server.start()
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # callers inherit it
        started[name] = server
    return Servers(started)


class Running:
    """Simulators that run while a `with` block does."""

    def __init__(self, simulators: Mapping[str, Simulator]) -> None:
        self.simulators: dict[str, Simulator] = dict(simulators)
        self._ports: dict[str, int] = {}
        self._ready = threading.Event()
        self._wake: Callable[[], None] = _nothing
        self._thread = threading.Thread(target=self._run, name="simulators", daemon=True)

    def url(self, name: str) -> str:
        """The base address as the vendor's SDK wants it."""
        return self.origin(name) + PREFIXES.get(name, "")

    def origin(self, name: str) -> str:
        """The address without any path."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(PATIENCE) or not self._ports:
            raise RuntimeError("the simulators did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._wake()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        done = Event()
        hub = gevent.get_hub()
        watcher = hub.loop.async_()
        watcher.start(done.set)
        self._wake = watcher.send
        try:
            servers = serve(self.simulators, {})
            self._ports = servers.ports
            self._ready.set()
            done.wait()
            servers.stop()
        finally:
            self._ready.set()
            watcher.stop()
            watcher.close()
            hub.destroy(destroy_loop=True)


def _nothing() -> None:
    """Before the hub runs there is nobody to wake."""


def _control(simulator: Simulator, environ: Environ) -> tuple[int, Any]:
    if not str(environ.get("REMOTE_ADDR", "")).startswith(LOOPBACK):
        return 404, {"error": "not found"}
    call = read_call(environ)
    match call.method, call.path.removeprefix(CONTROL):
        case "GET", "journal":
            return 200, [asdict(entry) for entry in simulator.journal.entries()]
        case "DELETE", "journal":
            simulator.journal.clear()
            return 200, {"cleared": True}
        case "GET", "hangups":
            return 200, {"hangups": simulator.hangups}
        case "POST", "clock":
            return _put_forward(simulator, call.raw)
        case "POST", "mishaps":
            return _queue(simulator, call.raw)
    return 404, {"error": "not found"}


def _put_forward(simulator: Simulator, raw: bytes) -> tuple[int, Any]:
    try:
        seconds = float(json.loads(raw)["forward"])
    except (ValueError, TypeError, KeyError) as error:
        return 400, {"error": str(error)}
    simulator.clock.move(seconds)
    return 200, {"now": simulator.clock.now()}


def _queue(simulator: Simulator, raw: bytes) -> tuple[int, Any]:
    try:
        mishaps = [Mishap(**each) for each in json.loads(raw)]
    except (ValueError, TypeError) as error:
        return 400, {"error": str(error)}
    simulator.mishaps.queue(*mishaps)
    return 200, {"queued": len(mishaps)}
