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

from app import key_file
from app.key_file import BadKeyFile as BadKeyFile

OWNER = "owner"
WORDS = "Opens the platform tokens in the database. Keep a copy apart from the database's."


class CannotOpen(Exception):
    """None of the keys opens it, or it was sealed for somebody else."""


class Seal:
    """Closes and opens with the keys of one file."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._all = MultiFernet([Fernet(key) for key in keys])
        self._first = Fernet(keys[0])

    @classmethod
    def load(cls, file: Path) -> Seal:
        return cls._of(key_file.load(file), file)

    @classmethod
    def make(cls, file: Path) -> Seal:
        """A new file with a new key, which only its owner can read. Of two who make it at once, both
        get the same.
        """
        return cls._of(key_file.make(file, new_key(), WORDS), file)

    @classmethod
    def _of(cls, keys: list[str], file: Path) -> Seal:
        try:
            return cls(keys)
        except (
            ValueError
        ) as error:  # its words would quote nothing, but they explain nothing either
            raise BadKeyFile(f"{file} holds a line that is no key") from error

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
        key_file.write(fresh, keys, WORDS)
        os.chown(fresh, before.st_uid, before.st_gid)  # root rotates, the gateway reads
        os.chmod(fresh, stat.S_IMODE(before.st_mode))
        os.replace(fresh, file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    key_file.sync(file.parent)
