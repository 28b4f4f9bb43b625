"""Which process this is, so that others can tell when it is no more; and what it leaves then."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path


def leave_no_core() -> None:
    """Should this process or one that it begins crash, its memory is not written into a file: callers'
    tokens are in it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def began(pid: int) -> int:
    """When a process began, in the kernel's own count; 0 if there is none of that number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return int(stat.rpartition(b")")[2].split()[19])


def place() -> str:
    """Where process numbers mean the same as here: a host since it was started, and a namespace of it,
    for two containers may have one host name.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return f"{socket.gethostname()}/{boot}-{os.stat('/proc/self/ns/pid').st_ino}"


def me() -> str:
    """This process, by a name that no other process ever has."""
    pid = os.getpid()
    return f"{place()}:{pid}:{began(pid)}"


def is_gone(name: str) -> bool:
    """Whether a process of that name was here once and is no more. Of other places nothing is known."""
    where, pid, since = name.rsplit(":", 2)
    return where == place() and began(int(pid)) != int(since)
