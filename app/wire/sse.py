"""Server-sent events as bytes: whole frames out of arbitrary pieces.

Splits on LF, CRLF and CR, also when a pair is cut between two reads; strips one leading byte order
mark; knows nothing of Unicode line ends, because bytes do not have any. Works on bytes throughout:
only whole events are ever decoded.
"""

from __future__ import annotations

from app.errors import BadReply

Frame = tuple[bytes, bytes]  # (event name or empty, data)

MOST_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_USUAL_ENDS = (b"\n\n", b"\n\r\n")
# With a blank line events end. "\n\r" would be one too, but is nearly always one of which half has come.
_ENDS = (*_USUAL_ENDS, b"\r\r")


class Frames:
    """Feed it what arrived, get the frames that are complete. A frame over `most_bytes` is
    refused.
    """

    __slots__ = ("_rest", "_more", "_size", "_most", "_first", "_plain")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._rest = b""
        self._more: list[bytes] = []  # what came after `_rest` and holds no line end
        self._size = 0  # of all that waits
        self._most = most_bytes
        self._first = True
        self._plain = True  # no CR seen yet: the fast split is enough

    @property
    def pending(self) -> bool:
        """Whether part of a frame is waiting for its rest."""
        return bool(self._rest) or self._first

    def feed(self, data: bytes) -> list[Frame]:
        """Every frame that `data` completes."""
        if self._first:
            data = self._start(data)
        if self._rest:
            if self._only_grows(data):
                return []
            data = b"".join((self._rest, *self._more, data))
            self._more.clear()
        if self._plain and b"\r" in data:
            self._plain = False
        blocks = data.split(b"\n\n") if self._plain else self._split(data)
        self._rest = blocks.pop()
        self._wait(len(self._rest))
        frames: list[Frame] = []
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
                frames.append((b"", block[6:]))
            elif (frame := _named(block) or _fields(block)) is not None:
                frames.append(frame)
        return frames

    def finish(self) -> list[Frame]:
        """The frame that a transfer ended in without a blank line, if it is one."""
        rest = b"".join((self._rest, *self._more)).strip(b"\r\n")
        self._rest = b""
        self._more.clear()
        frame = _fields(rest) if rest else None
        return [frame] if frame is not None else []

    def _only_grows(self, data: bytes) -> bool:
        """Whether `data` is only more of a line, as most of a large frame is; then it is put aside, so
        that a frame of many reads is not copied and searched at each of them.
        """
        if b"\n" in data or b"\r" in data or self._rest.endswith(b"\r"):
            return False
        self._more.append(data)
        self._wait(self._size + len(data))
        return True

    def _wait(self, size: int) -> None:
        self._size = size
        if size > self._most:
            raise BadReply(
                "the platform sent an event of more than {limit} bytes", limit=self._most
            )

    def _start(self, data: bytes) -> bytes:
        """Takes off a byte order mark, which may itself come in pieces."""
        data = self._rest + data
        self._rest = b""
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._rest = data
            return b""
        self._first = False
        return data.removeprefix(_BOM)

    def _split(self, whole: bytes) -> list[bytes]:
        """Split with any line ends. A CR at the very end may be half of a CRLF: it waits."""
        held = b""
        if whole.endswith(b"\r"):
            whole, held = whole[:-1], b"\r"
        whole = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blocks = whole.split(b"\n\n")
        blocks[-1] += held
        return blocks


class WholeEvents:
    """Lets bytes pass as they are, but only whole events of them: what is not whole yet is kept back.
    How large an event may be is for `Frames` to see to, which are fed the same.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """What may pass by now; mostly `data` itself."""
        if data.endswith(_USUAL_ENDS):
            if not self._kept:
                return data
            end = len(data)
        else:
            end = _last_end(data) or self._seam(data)
        if not end:
            if data:
                self._kept.append(data)
            return b""
        if not self._kept and end == len(data):
            return data
        out = b"".join((*self._kept, data[:end]))
        self._kept = [data[end:]] if end < len(data) else []
        return out

    def take(self) -> bytes:
        """What is kept back, which is so no longer."""
        out = b"".join(self._kept)
        self._kept.clear()
        return out

    def _seam(self, data: bytes) -> int:
        """Where in `data` an event ends whose blank line began in what is kept back; 0 if none does."""
        begun = b"".join(one[-2:] for one in self._kept[-2:])[-2:]
        return max(_last_end(begun + data[:2]) - len(begun), 0)


def frame(data: bytes, event: bytes = b"") -> bytes:
    """One event as bytes, ready to send."""
    if event:
        return b"event: " + event + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


def comment(text: bytes) -> bytes:
    """A line that every reader skips; it only shows that we are alive."""
    return b": " + text + b"\n\n"


KEEP_ALIVE = comment(b"keep-alive")  # must not begin with "ping": one client takes that for the end


def _last_end(data: bytes) -> int:
    """Where the last event ends that is whole; 0 where none does. To look for a byte costs next to
    nothing, to look for two does not.
    """
    ends = _ENDS if b"\r" in data else _ENDS[:1] if b"\n" in data else ()
    return max((data.rfind(one) + len(one) for one in ends if one in data), default=0)


def _named(block: bytes) -> Frame | None:
    """The commonest frame of dialects that name their events; None where a closer look is
    needed.
    """
    if not block.startswith(b"event: ") or block.count(b"\n") != 1 or b"\r" in block:
        return None
    event, _, data = block.partition(b"\ndata: ")
    return (event[7:], data) if data else None


def _fields(block: bytes) -> Frame | None:
    """The event and data of a block; None for a comment or a block without data."""
    event, data = b"", []
    for line in block.replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ")
    return (event, b"\n".join(data)) if data else None
