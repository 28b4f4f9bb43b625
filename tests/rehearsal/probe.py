"""What somebody could do who had taken over a service: tries it, as the process that a unit starts, and prints
what it managed as one line of JSON. It is run with the program's own Python, so it imports nothing else.

    python probe.py PID-OF-ANOTHER-USER PID-OF-A-SERVICE
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
NEW_USER_NAMESPACE = 0x10000000
STATE = Path("/var/lib/tokens")
OWN_FOLDERS = (STATE, Path("/tmp"), Path("/run/tokens-web-probe"))
FORBIDDEN_FOLDERS = tuple(
    map(
        Path,
        "/ /opt/tokens /etc /etc/tokens /home /root /run /usr /var/log /var/www /boot /sys /proc/sys".split(),
    )
)


def is_writable(folder: Path) -> bool:
    file = folder / "probe"
    try:
        file.write_text("x")
    except OSError:
        return False
    file.unlink()
    return True


def is_done(act: Callable[[], Any]) -> bool:
    """Whether it came to its end; what the kernel refuses raises."""
    try:
        act()
    except (OSError, ValueError):
        return False
    return True


def called(name: str, *words: Any) -> int:
    found = int(getattr(LIBC, name)(*words))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def look_at(pid: int) -> None:
    """As a debugger does."""
    called("ptrace", PTRACE_ATTACH, pid, None, None)
    called("ptrace", PTRACE_DETACH, pid, None, None)


@contextmanager
def own_file() -> Iterator[Path]:
    file = STATE / "probe"
    file.write_text("x")
    yield file
    file.unlink()


def make_it_roots() -> None:
    with own_file() as file:
        file.chmod(0o4755)
        if not file.stat().st_mode & 0o4000:
            raise OSError("the bit is not there")


def make_device() -> None:
    device = STATE / "probe.device"
    os.mknod(device, 0o600 | 0o020000, os.makedev(1, 1))
    device.unlink()


def attempts(stranger: int, service: int) -> dict[str, Callable[[], Any]]:
    """What must not work, by name."""
    return {
        "read the settings' file": Path("/etc/tokens/tokens.env").read_bytes,
        "read /etc/shadow": Path("/etc/shadow").read_bytes,
        "read the certificate's key": Path(
            "/etc/letsencrypt/live/localhost/privkey.pem"
        ).read_bytes,
        "see homes": lambda: _some(Path("/home")) or _some(Path("/root")),
        "see other users' processes": lambda: os.stat(f"/proc/{stranger}"),
        "signal other users' processes": lambda: os.kill(stranger, 0),
        "trace a service": lambda: look_at(service),
        "become root": lambda: os.setuid(0),
        "make a file root's": lambda: os.chown(STATE, 0, 0),
        "make a program that runs as its owner": make_it_roots,
        "make a device": make_device,
        "see the machine's memory": lambda: os.open("/dev/mem", os.O_RDONLY),
        "see the kernel's log": lambda: os.open("/dev/kmsg", os.O_RDONLY),
        "make a user namespace": lambda: called("unshare", NEW_USER_NAMESPACE),
        "mount": lambda: called("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "change the root": lambda: os.chroot("/tmp"),
        "name the machine": lambda: called("sethostname", b"probe", 5),
        "set the clock": lambda: called(
            "clock_settime", 0, ctypes.byref((ctypes.c_long * 2)(0, 0))
        ),
        "listen to the network": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "talk to the kernel's network": lambda: socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW
        ).close(),
        "turn memory into code": lambda: mmap.mmap(
            -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        ).close(),
        "have real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "have more files than the unit says": lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (1 << 18, 1 << 18)
        ),
    }


def _some(folder: Path) -> bool:
    if not os.listdir(folder):
        raise OSError(f"nothing in {folder}")
    return True


def status() -> dict[str, str]:
    """What the kernel says of this process."""
    wanted = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Uid")
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: fields[name].split()[0] for name in wanted}


def main(stranger: int, service: int) -> None:
    tried = attempts(stranger, service)
    print(
        json.dumps(
            {
                "writable": [str(one) for one in OWN_FOLDERS if is_writable(one)],
                "written": [str(one) for one in FORBIDDEN_FOLDERS if is_writable(one)],
                "managed": [name for name, act in tried.items() if is_done(act)],
                "tried": len(tried) + len(FORBIDDEN_FOLDERS),
                "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
                "seen": [str(Path(f"/proc/{service}").exists())],
                "status": status(),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
