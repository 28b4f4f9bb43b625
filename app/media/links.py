"""Links that open one file for a while, for browsers, which have no licence to show.

A link is a path without a query, and ends as its file does, because that is how clients know a film
from a picture. It is signed for reading alone: `/media/EXPIRES-SIGNATURE/ID.ENDING`. Whoever changes
any part of it holds a link that opens nothing. The signature is looked at before anything is looked
up, so how long a refusal takes says nothing of what is there (R-087).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from pathlib import Path

from app import key_file
from app.clock import Clock
from app.key_file import BadKeyFile

PREFIX = "/media"
LEAST_KEY = 32  # bytes; a shorter one, or none, stops us (S-007)
WORDS = "Signs links to files that were made. Every host that serves them needs the same."

_SEAL = re.compile(r"([1-9][0-9]{0,11})-([A-Za-z0-9_-]{43})", re.ASCII)


class Links:
    """Makes and reads links with the keys of one file: the first one signs, all of them count. The
    file is made when it is first needed.
    """

    def __init__(self, file: Path, clock: Clock, *, seconds: float) -> None:
        self._file = file
        self._clock = clock
        self._seconds = seconds
        self._keys: list[bytes] = []

    def path(self, name: str, until: float) -> str:
        """The link to a file that is there until then."""
        expires = str(int(min(self._clock.now() + self._seconds, until)))
        return f"{PREFIX}/{expires}-{_signature(self._known()[0], expires, name)}/{name}"

    def opens(self, seal: str, name: str) -> bool:
        """Whether this is the seal of a link of ours to this name, and still good."""
        found = _SEAL.fullmatch(seal)
        if found is None or not name.isascii():
            return False
        expires, signature = found.groups()
        matches = [
            hmac.compare_digest(_signature(key, expires, name), signature) for key in self._known()
        ]
        return any(matches) and self._clock.now() < int(expires)

    def _known(self) -> list[bytes]:
        if not self._keys:
            self._keys = _keys(self._file)
        return self._keys


def _signature(key: bytes, expires: str, name: str) -> str:
    said = f"tokens media link\nGET\n{expires}\n{name}".encode()
    digest = hmac.new(key, said, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _keys(file: Path) -> list[bytes]:
    if file.exists():
        written = key_file.load(file)
    else:
        written = key_file.make(file, secrets.token_hex(LEAST_KEY), WORDS)
    keys = [key.encode() for key in written]
    if any(len(key) < LEAST_KEY or len(set(key)) < 8 for key in keys):
        raise BadKeyFile(f"{file} holds a key that is too short to sign with")
    return keys
