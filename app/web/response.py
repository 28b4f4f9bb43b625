"""An answer on its way through gunicorn: the head goes out with the first of the body, in one piece.

Two sends wake whoever waits for the answer twice, and the first of them for nothing.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from gunicorn.http import wsgi

MOST_TOGETHER = 1 << 16  # bytes that are worth copying behind the head


class LeanResponse(wsgi.Response):  # type: ignore[misc]
    """What gunicorn makes for each request."""

    def send_headers(self) -> None:
        if not self.headers_sent:
            self.sock.sendall(self._head())

    def write(self, data: bytes) -> None:
        if self._omits_body:
            data = b""
        elif self.response_length is not None:
            data = data[: self.response_length - self.sent]
            self.sent += len(data)
        elif data and self.chunked:
            data = b"%X\r\n%b\r\n" % (len(data), data)
        if not self.headers_sent:
            if len(data) > MOST_TOGETHER:
                self.send_headers()
            else:
                data = self._head() + data
        if data:
            self.sock.sendall(data)

    def close(self) -> None:
        last = b"" if self.headers_sent else self._head()
        if self.chunked:
            last += b"0\r\n\r\n"
        if last:
            self.sock.sendall(last)

    def _head(self) -> bytes:
        self.headers_sent = True
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}",
            f"Date: {_date(int(time.time()))}",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}",
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
