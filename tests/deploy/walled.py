"""Runs a program in which memory cannot become code: `python -m tests.deploy.walled PROGRAM WORDS...`

It asks the kernel for what systemd asks it for where a unit says `MemoryDenyWriteExecute=yes`: a filter of
system calls, which every kernel of the last ten years has.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys

NO_NEW_PRIVILEGES, FILTER_CALLS, BY_PROGRAM = 38, 22, 2  # for prctl
WRITE_AND_RUN, RUN, SHARED_RUN = 0x6, 0x4, 0o100000
LOAD, SAME, AND, END = 0x20, 0x15, 0x54, 0x06  # of the filter's language
NUMBER, THIRD_WORD = 0, 32  # where a call's number and its third word stand
REFUSE, ALLOW = 0x00050001, 0x7FFF0000
# mmap, mprotect, pkey_mprotect, shmat
CALLS = {"x86_64": (9, 10, 329, 30), "aarch64": (222, 226, 288, 196)}
REFUSED = (WRITE_AND_RUN, RUN, RUN, SHARED_RUN)  # if all these bits are in its third word


def wall_in() -> None:
    """For this process and what it becomes."""
    steps = []
    for call, bits in zip(CALLS[platform.machine()], REFUSED):
        steps += [(LOAD, 0, 0, NUMBER), (SAME, 0, 4, call), (LOAD, 0, 0, THIRD_WORD)]
        steps += [(AND, 0, 0, bits), (SAME, 0, 1, bits), (END, 0, 0, REFUSE)]
    steps.append((END, 0, 0, ALLOW))
    written = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(written))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((NO_NEW_PRIVILEGES, 1, 0, 0, 0), (FILTER_CALLS, BY_PROGRAM, program)):
        if libc.prctl(*words):
            raise OSError(ctypes.get_errno(), "this kernel filters no system calls")


if __name__ == "__main__":
    wall_in()
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except PermissionError:
        os.execv(sys.argv[1], sys.argv[1:])
    raise SystemExit("memory can become code")
