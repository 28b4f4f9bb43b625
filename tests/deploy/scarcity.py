"""The kernel's part where a unit may have only so much memory (`MemoryMax`) and goes on without the process that
had most of it (`OOMPolicy=continue`): where a test has no control group of its own, it is played here.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.deploy.service import Service

PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK_SECONDS = 0.01


@contextmanager
def scarce(service: Service, bytes_more: int) -> Iterator[list[int]]:
    """While the block runs, the service may grow by so many bytes. The value is who was killed for it."""
    killed: list[int] = []
    done = threading.Event()
    most = sum(_held(service).values()) + bytes_more

    def watch() -> None:
        while not done.wait(LOOK_SECONDS):
            held = _held(service)
            if sum(held.values()) > most:
                largest = max(held, key=lambda pid: held[pid])
                os.kill(largest, signal.SIGKILL)
                killed.append(largest)
                while largest in _held(service) and not done.wait(LOOK_SECONDS):
                    pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        done.set()
        watcher.join()


def _held(service: Service) -> dict[int, int]:
    """The bytes that each of its processes has for itself."""
    found = {}
    for pid in (service.pid, *service.workers):
        with suppress(FileNotFoundError, ProcessLookupError):
            _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
            if own := (int(resident) - int(shared)) * PAGE:
                found[pid] = own
    return found
