"""Files that hold keys of the operator's, one a line, which only their owner can read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


class BadKeyFile(Exception):
    """The key file cannot be used; says why and what to do."""


def load(file: Path) -> list[str]:
    """Its keys, of which there is at least one."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        raise BadKeyFile(f"there is no file {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not a key file"
        raise BadKeyFile(f"{file} cannot be read: {why.lower()}") from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise BadKeyFile(f"there is no key in {file}")
    return keys


def make(file: Path, key: str, words: str) -> list[str]:
    """A new file with this key. Of two who make it at once, both get the same."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    write(fresh, [key], words)
    try:
        os.link(fresh, file)
    except FileExistsError:
        pass  # somebody was quicker, and theirs is the one that counts
    finally:
        fresh.unlink()
    sync(file.parent)
    return load(file)


def write(file: Path, keys: Sequence[str], words: str) -> None:
    """The keys below a line that says what they are for."""
    file.unlink(missing_ok=True)  # one that died may have left it, and nobody can write to it
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(f"# {words}\n" + "".join(f"{key}\n" for key in keys))
        opened.flush()
        os.fsync(opened.fileno())


def sync(folder: Path) -> None:
    """A new name in a folder is on the disk only when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
