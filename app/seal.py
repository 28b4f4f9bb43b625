"""Sealing: what is kept of platform tokens can be read only with a key the operator owns.

The keys are in a file of their own, one a line, apart from the database: neither is worth anything
without the other. The first key seals; all of them open. A seal names its owner inside, so that a
row's secret copied into another row does not open there (S-004).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

OWNER = "owner"


class CannotOpen(Exception):
    """None of the keys opens it, or it was sealed for somebody else."""


class BadKeyFile(Exception):
    """The key file cannot be used; says why and what to do."""


class Seal:
    """Closes and opens with the keys of one file."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._all = MultiFernet([Fernet(key) for key in keys])
        self._first = Fernet(keys[0])

    @classmethod
    def load(cls, file: Path) -> Seal:
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
        try:
            return cls(keys)
        except (
            ValueError
        ) as error:  # its words would quote nothing, but they explain nothing either
            raise BadKeyFile(f"{file} holds a line that is no key") from error

    @classmethod
    def make(cls, file: Path) -> Seal:
        """A new file with a new key, which only its owner can read. Of two who make it at once, both
        get the same.
        """
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        _write(fresh, [new_key()])
        try:
            os.link(fresh, file)
        except FileExistsError:
            pass  # somebody was quicker, and theirs is the one that counts
        finally:
            fresh.unlink()
        _sync(file.parent)
        return cls.load(file)

    def close(self, owner: str, secrets: dict[str, str]) -> str:
        """The secrets of `owner`, for keeping."""
        return self._first.encrypt(json.dumps({**secrets, OWNER: owner}).encode()).decode()

    def open(self, owner: str, sealed: str) -> dict[str, str]:
        try:
            secrets: dict[str, str] = json.loads(self._all.decrypt(sealed.encode()))
        except (InvalidToken, ValueError) as error:
            raise CannotOpen("none of the keys opens it") from error
        if secrets.pop(OWNER, None) != owner:
            raise CannotOpen("it was sealed for another credential")
        return secrets

    def is_current(self, sealed: str) -> bool:
        """Whether the first key alone opens it."""
        try:
            self._first.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True


def new_key() -> str:
    return Fernet.generate_key().decode()


def save(file: Path, keys: Sequence[str]) -> None:
    """Puts these keys in place of those in the file, all at once or not at all, and for good: what
    is sealed with them next must not outlive them. Whoever could read the file still can.
    """
    file = file.resolve()  # a link stays one
    before = file.stat()
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        _write(fresh, keys)
        os.chown(fresh, before.st_uid, before.st_gid)  # root rotates, the gateway reads
        os.chmod(fresh, stat.S_IMODE(before.st_mode))
        os.replace(fresh, file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _write(file: Path, keys: Sequence[str]) -> None:
    words = "# Opens the platform tokens in the database. Keep a copy apart from the database's.\n"
    file.unlink(missing_ok=True)  # one that died may have left it, and nobody can write to it
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(words + "".join(f"{key}\n" for key in keys))
        opened.flush()
        os.fsync(opened.fileno())


def _sync(folder: Path) -> None:
    """A new name in a folder is on the disk only when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
