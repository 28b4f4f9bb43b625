"""A platform whose pictures and films are large. It stands in for every vendor at once, takes what it
is sent and answers in the vendor's shape; what a vendor refuses is for the simulators to say.
"""

from __future__ import annotations

import base64
import json
import random
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.media.samples import PNG

MEGABYTE = 1 << 20
FTYP, MOOV = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", b"\0\0\0\x08moov"
_NOISE = random.Random(15).randbytes(MEGABYTE)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def picture(megabytes: int) -> bytes:
    return PNG + (_NOISE * megabytes)[: megabytes * MEGABYTE - len(PNG)]


class Giant:
    """`answers` is how many pictures of `megabytes` each an answer holds, `film` how large a film is."""

    def __init__(self) -> None:
        self.answers, self.megabytes, self.film = 1, 1, 1
        self.bodies: list[bytes] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def held(self) -> Iterator[bytes]:
        """The pieces of a film: three boxes, the last of which is nearly all of it."""
        rest = self.film * MEGABYTE - len(FTYP) - len(MOOV)
        yield FTYP + MOOV + rest.to_bytes(4) + b"mdat" + bytes(MEGABYTE - len(FTYP) - len(MOOV) - 8)
        for _ in range(self.film - 1):
            yield _NOISE

    def text(self) -> str:
        return base64.b64encode(picture(self.megabytes)).decode()

    def told(self, method: str, path: str, body: bytes) -> Any:
        """What it says; `None` where the answer is a film, bytes where it is no JSON."""
        if method == "GET" and path.startswith("/picture"):
            return picture(int(path.removeprefix("/picture/")))
        if ":generateContent" in path:
            blob = {"inlineData": {"mimeType": "image/png", "data": self.text()}}
            content = {"role": "model", "parts": [blob]}
            return {"candidates": [{"content": content, "finishReason": "STOP"}]}
        if "/images/" in path:
            return self._pictures(body)
        if path.endswith("/content") or path.endswith("/film"):
            return None
        if method == "POST":
            return {"id": "one", "request_id": "one", "status": "queued"}
        film = {"url": f"{self.url}/film", "duration": 8}
        return {"id": "one", "status": "completed", "progress": 100, "video": film}

    def _pictures(self, body: bytes) -> Any:
        data = [{"b64_json": self.text()} for _ in range(self.answers)]
        if b'name="stream"' not in body and b'"stream":true' not in body[:2000]:
            return {"created": 1, "data": data}
        kinds = ["partial_image"] * (self.answers - 1) + ["completed"]
        events = [{"type": f"image_edit.{kind}", **one} for kind, one in zip(kinds, data)]
        return b"".join(
            f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events
        )


def _handler(giant: Giant) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.command == "POST":
                giant.bodies.append(body)
            told = giant.told(self.command, self.path.partition("?")[0], body)
            self.send_response(200)
            if told is None:
                self._send("video/mp4", giant.film * MEGABYTE, giant.held())
            elif isinstance(told, bytes):
                kind = "text/event-stream" if told.startswith(b"event") else "image/png"
                self._send(kind, len(told), iter([told]))
            else:
                data = json.dumps(told).encode()
                self._send("application/json", len(data), iter([data]))

        def _send(self, kind: str, size: int, pieces: Iterator[bytes]) -> None:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)

        do_GET = do_POST = serve

    return Handler
