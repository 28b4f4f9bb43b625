"""Somebody who wants to be told: an HTTP server on loopback that keeps what comes in."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.stack import until

HEARD = 204
NEVER = 0  # in place of a status: the connection stays open, and nothing is said


@dataclass(frozen=True, slots=True)
class Message:
    """One request as it came in."""

    method: str
    headers: Mapping[str, str]
    body: bytes

    def verified(self, secret: str) -> dict[str, Any]:
        """What it says, if standardwebhooks.com's own code finds that it is ours and fresh."""
        told: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return told

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def stamp(self) -> int:
        return int(self.headers["webhook-timestamp"])

    @property
    def task(self) -> str:
        return str(json.loads(self.body)["data"]["id"])


class Receiver:
    """What came in at each path, and the statuses that the next requests there are answered with."""

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {}
        self._came: dict[str, list[Message]] = {}
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def came(self, path: str, many: int = 1, seconds: float = 30.0) -> list[Message]:
        """What came in there, as soon as there is so much of it."""
        found = until(lambda: len(self._came.get(path, ())) >= many, seconds)
        assert found, f"{self.heard(path)} instead of {many} at {path}"
        return self.heard(path)

    def heard(self, path: str) -> list[Message]:
        """What has come in there by now."""
        return list(self._came.get(path, ()))

    def take(self, path: str, message: Message) -> int:
        self._came.setdefault(path, []).append(message)
        waiting = self.answers.get(path)
        status = waiting.pop(0) if waiting else HEARD
        if status == NEVER:
            self._over.wait(60)
        return status

    def let_go(self) -> None:
        """Of those who wait for an answer."""
        self._over.set()

    def stop(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Says nothing: what came is in the receiver."""

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(self.path, Message(self.command, headers, body))
            if status == NEVER:
                return
            self.send_response(status)
            self.send_header("Location", receiver.url("/elsewhere"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = serve

    return Handler
