"""What is left of something in a gateway: in its files, and in the memory of its processes.

The memory is read as the kernel shows it to whoever started the process (`/proc/PID/mem`), so this
is for Linux. A gateway that is looked into runs Python with two switches of its own.
`PYTHONMALLOC=debug` overwrites what is freed, so what is found is what something still holds, and
not merely what nobody has had a use for since. (A buffer that grew may have been moved and leave a
copy that is nobody's: heads that come in more than one read prove nothing.) And without the garbage
collector, objects that only hold each other are found every time, and not just when it has not come
round yet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.stack import ROOT, Stack, missing

PIECE = 1 << 24
OVERLAP = 256  # bytes; nothing that is looked for is longer


def telling(folder: Path) -> dict[str, str]:
    """Settings for a gateway whose memory tells what is held; a file of theirs goes to the folder."""
    (folder / "sitecustomize.py").write_text("import gc\n\ngc.disable()\n")
    return {"PYTHONMALLOC": "debug", "PYTHONPATH": f"{folder}:{ROOT}"}


def in_memory(stack: Stack, mark: str, length: int) -> set[str]:
    """What begins with `mark` and is `length` characters long, wherever it lies in what the
    gateway's processes may write to.
    """
    if not sys.platform.startswith("linux"):
        missing("/proc, where the kernel shows the memory of a process,")
    wanted = mark.encode()
    return {
        piece[at : at + length].decode("ascii", "replace")
        for pid in processes(stack.pid)
        for piece in _pieces(pid)
        for at in _at(piece, wanted)
    }


def processes(pid: int) -> list[int]:
    """gunicorn's own process, and its workers'."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [int(one) for each in threads for one in (each / "children").read_text().split()]
    return [pid, *(one for child in children for one in processes(child))]


def _at(data: bytes, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def _pieces(pid: int) -> Iterator[bytes]:
    """The memory, in pieces that overlap."""
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except PermissionError:
        missing("permission to read the memory of another process")
    with memory:
        for start, end in _regions(pid):
            for at in range(start, end, PIECE):
                try:
                    memory.seek(at)
                    yield memory.read(min(PIECE + OVERLAP, end - at))
                except OSError:  # has just been given back, or is a device's
                    break


def _regions(pid: int) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, may, *_ = line.split()
        if may.startswith("rw"):
            start, _, end = where.partition("-")
            yield int(start, 16), int(end, 16)


def in_files(folder: Path, *words: str) -> set[tuple[str, str]]:
    """Which of these words are in which file below the folder."""
    contents = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        (name, word)
        for name, content in contents.items()
        for word in words
        if word.encode() in content
    }
