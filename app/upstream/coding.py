"""Undoing gzip and deflate, for an upstream that compresses although it was asked not to.

What comes out is bounded twice: a slice at a time, because a small read can inflate a thousandfold,
and in all. Gzip may come in several members, one after the other. `deflate` on the wire is either
of two formats, told apart by their first two bytes.
"""

from __future__ import annotations

import zlib
from typing import Any

from app.errors import BadReply

SLICE = 1 << 20
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_TELLING = 2  # bytes that tell what follows


class Inflated:
    """`pending` says that there may be more without feeding anything; `complete`, that the end has
    been seen.
    """

    __slots__ = ("pending", "complete", "_coding", "_engine", "_rest", "_left")

    def __init__(self, coding: str, most: int) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise BadReply("the platform's answer has a coding that is not read here")
        self.pending = False
        self.complete = False
        self._coding = coding
        self._engine: Any = None
        self._rest = b""
        self._left = most

    def feed(self, data: bytes) -> bytes:
        """What these bytes hold, up to one slice; while `pending`, feed nothing to get the next."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self._engine is None:
            if len(data) < _TELLING:
                self._rest = data
                return b""
            self._begin(data)
        if self._engine is None:
            self.pending = False
            return b""
        try:
            out: bytes = self._engine.decompress(data, SLICE)
        except zlib.error as error:
            raise BadReply("the platform's answer cannot be decompressed") from error
        self._left -= len(out)
        if self._left < 0:
            raise BadReply("the platform's answer is too large")
        if self._engine.eof:
            self._rest, self._engine = self._engine.unused_data, None
            self.pending, self.complete = len(self._rest) >= _TELLING, True
        else:
            self._rest = self._engine.unconsumed_tail
            self.pending = len(out) == SLICE
        return out

    def _begin(self, data: bytes) -> None:
        """An engine for what `data` is the beginning of; none for what follows the end and is no
        further member.
        """
        if self.complete and (self._coding == "deflate" or not data.startswith(_GZIP_MAGIC)):
            return
        self.complete = False
        self._engine = zlib.decompressobj(
            _deflate_format(data) if self._coding == "deflate" else _GZIP
        )


def _deflate_format(data: bytes) -> int:
    """zlib's, as the standard has it, or the bare one that some servers send instead."""
    is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return _ZLIB if is_zlib else _RAW
