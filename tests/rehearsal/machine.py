"""A Debian 12 of its own that systemd boots: made by debootstrap, run by systemd-nspawn.

It has its own files, processes and control groups, and shares this machine's network.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.stack import until

NEEDED = ("debootstrap", "systemd-nspawn", "nsenter", "git")
PORTS = (80, 443, *range(8101, 8111))  # nginx's, and the simulators'
CLEAN = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}
BOOT_SECONDS = 120
GROUPS = Path("/sys/fs/cgroup")
LIMITED = ("memory", "pids")
# Where this machine's control groups are of the first version, one in it can have either those of the second, by
# which its systemd hears of it when the last process of a service has ended, or those that limit memory. These are
# read-only to begin with.
OPEN_GROUPS = "for one in memory pids; do mount -o remount,rw,bind /sys/fs/cgroup/$one; done; "
INIT = "/lib/systemd/systemd"


def lacking() -> list[str]:
    """What is needed and not here, in words."""
    words = [f"the program {one}" for one in NEEDED if shutil.which(one) is None]
    if os.geteuid():
        words.append("to be root")
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                words.append(f"that nobody listens on port {port}")
    return words


class CommandFailed(Exception):
    """Says the command and its last words."""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[Path] = []

    def make(self, files: Path | None) -> None:
        """The bare system. `files` are laid over it: what this place needs to reach packages."""
        words = ["debootstrap", "--include=dbus,ca-certificates", "bookworm", str(self.root)]
        with (self.folder / "debootstrap.log").open("wb") as log:
            subprocess.run(words, check=True, stdout=log, stderr=log, timeout=900)
        if files is not None:
            shutil.copytree(files, self.root, dirs_exist_ok=True)
        words = ["chroot", str(self.root), "update-ca-certificates"]
        subprocess.run(words, check=True, capture_output=True, timeout=60)

    def boot(self, *, for_memory: bool = False) -> str:
        """Begins it, and says what systemd thinks of it once all services have begun. `for_memory` is
        needed where `MemoryMax` shall hold.
        """
        words = ["systemd-nspawn", "-D", str(self.root), "--link-journal=no", "--console=pipe"]
        words += ["--kill-signal=SIGRTMIN+3", f"--machine={self.folder.name}", "--quiet"]
        if not Path("/run/systemd/system").is_dir():
            words += ["--register=no", "--keep-unit"]
        environ = dict(os.environ)
        into = ""
        if for_memory and self.is_first_version:
            self._make_groups()
            into = "".join(f"echo $$ > {group}/cgroup.procs; " for group in self._groups)
            environ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "0"
            words += ["sh", "-c", f"{OPEN_GROUPS} exec {INIT}"]
        else:
            environ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
            words += [INIT]
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-ec", into + 'exec "$@"', "sh", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )
        assert until(self._is_up, BOOT_SECONDS), (self.folder / "console.log").read_text()
        return self.do("systemctl is-system-running --wait || true").strip()

    @property
    def is_first_version(self) -> bool:
        return (GROUPS / "memory" / "memory.limit_in_bytes").exists()

    @property
    def init(self) -> int:
        """The pid, out here, of the process that is the first in there."""
        assert self._process is not None
        pid = self._process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not found:
            raise FileNotFoundError("it has not begun, or has ended")
        return int(found[0])

    def do(self, commands: str, seconds: float = 900) -> str:
        """What a shell of root's prints. The first command that fails is the last."""
        environ = [f"{name}={value}" for name, value in CLEAN.items()]
        words = ["nsenter", "-t", str(self.init), "-a", "env", "-i", *environ]
        done = subprocess.run(
            [*words, "sh", "-ec", f"cd /root; {commands}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        if done.returncode:
            raise CommandFailed(f"ended with {done.returncode}:\n{commands}\n{done.stdout[-2000:]}")
        return done.stdout

    def path(self, inside: str) -> Path:
        """A file in there as it is seen from here, also below /run."""
        return Path(f"/proc/{self.init}/root{inside}")

    def power_off(self) -> float:
        """As an administrator does; how many seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self.do("systemctl --no-block poweroff")
        self._process.wait(700)
        return time.monotonic() - began

    def cut(self) -> None:
        """As a power cut does: nobody is asked."""
        assert self._process is not None
        os.kill(self.init, signal.SIGKILL)
        self._process.wait(60)

    def remove(self) -> None:
        """Leaves nothing of it."""
        if self._process is not None and self._process.poll() is None:
            self.cut()
        for group in self._groups:
            assert until(lambda: _is_removed(group)), f"{group} is in use"
        shutil.rmtree(self.folder)

    def _is_up(self) -> bool:
        assert self._process is not None
        try:
            state = self.do("systemctl is-system-running || true").strip()
            return state in ("running", "degraded")
        except (CommandFailed, FileNotFoundError):
            return self._process.poll() is not None

    def _make_groups(self) -> None:
        """Groups below the one that we are in, for what is in there."""
        own = dict(
            line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()
        )
        self._groups = [GROUPS / one / own[one].lstrip("/") / self.folder.name for one in LIMITED]
        for group in self._groups:
            group.mkdir(exist_ok=True)


def _is_removed(group: Path) -> bool:
    """Groups are removed from below, once nobody is in them."""
    try:
        for folder in sorted((one for one in group.rglob("*") if one.is_dir()), reverse=True):
            folder.rmdir()
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
