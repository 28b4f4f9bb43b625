"""The credentials of the database as commands keep them: sealed on the way in, opened on the way out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.cli.credential_fields import changed, check_unsealed
from app.cli.words import Complaint, said
from app.config import Settings
from app.credential import Credential, fingerprint
from app.limits import BOUNDLESS
from app.pool.board import make_boards
from app.pool.rest import Rest, forgiven
from app.pool.vault import credential
from app.seal import BadKeyFile, CannotOpen, Seal
from app.storage.credentials import AlreadyKept, Credentials, Kept, new_name
from app.storage.database import Database
from app.storage.health import Health

LOST = "put the right file in its place, or give each credential its token again: `tokens credential edit ID --token`"


class NoneKept(Credentials):
    """The table before there is a database. Looking makes none."""

    def __init__(self) -> None:
        pass

    def _select(self, condition: object) -> list[Kept]:
        return []


class Keeping:
    """The table of credentials with the keys that open it."""

    def __init__(self, chosen: Settings, database: Database | None) -> None:
        self.table = Credentials(database) if database else NoneKept()
        self._database = database
        self._redis_url = chosen.redis_url
        self._file = Path(chosen.seal_file)
        self._loaded: tuple[tuple[int, int], Seal] | None = None

    @property
    def seal(self) -> Seal:
        """The keys as they are in their file now; a new file where nothing was ever sealed."""
        if not self._file.exists() and not self.table.all():
            return self._made()
        try:
            return self._load()
        except BadKeyFile as error:
            raise Complaint(f"{error}; {LOST}") from error

    def _load(self) -> Seal:
        """Reads the file again only when there is another one: a rotation may go on beside us."""
        try:
            found = self._file.stat()
        except OSError:
            return Seal.load(self._file)  # which says what is wrong with it
        known = found.st_ino, found.st_mtime_ns
        if self._loaded is None or self._loaded[0] != known:
            self._loaded = known, Seal.load(self._file)
        return self._loaded[1]

    def check_file(self) -> None:
        """Complains where a new token would be sealed with the keys of some other database."""
        kept = self.table.all()
        if not kept:
            return
        seal = self.seal
        for one in reversed(kept):
            with suppress(CannotOpen):
                seal.open(one.name, one.sealed)
                return
        raise Complaint(f"{self._file} opens none of the credentials; {LOST}")

    def _made(self) -> Seal:
        try:
            seal = Seal.make(self._file)
        except OSError as error:
            raise Complaint(f"cannot write {self._file}: {error.strerror}") from error
        except BadKeyFile as error:
            raise Complaint(f"{error}; remove it, or correct TOKENS_SEAL_FILE") from error
        print(
            f"made {self._file}: it alone opens the tokens; keep a copy of it, apart from the database's",
            file=sys.stderr,
        )
        return seal

    def add(self, platform: str, secrets: Mapping[str, str], values: Mapping[str, Any]) -> Kept:
        """Raises `AlreadyKept` for a token that is there."""
        return self.table.add(self.row(platform, secrets, values))

    def row(
        self, platform: str, secrets: Mapping[str, str], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A row for the table; complains of a token outside the seal."""
        check_unsealed(secrets, values)
        name = new_name()
        given = dict(values)
        return {
            "allowance": changed(BOUNDLESS, given.pop("limits", {})),
            **given,
            "name": name,
            "platform": platform,
            "sealed": self._sealing(name, secrets),
            "fingerprint": fingerprint(platform, secrets["token"]),
            "created_at": int(time.time()),
        }

    def _sealing(self, name: str, secrets: Mapping[str, str]) -> Callable[[], str]:
        """Seals when it is called: a key may have been dropped in the meantime."""
        return lambda: self.seal.close(name, {k: v for k, v in secrets.items() if v})

    def find(self, name: str, known: Mapping[str, Any]) -> Kept:
        """The credential of that name, number or label; one from the settings is complained of."""
        if (kept := self.named(name, known)) is not None:
            return kept
        raise Complaint(f"{name} is a key in the settings; change TOKENS_..._KEYS instead")

    def named(self, name: str, known: Mapping[str, Any]) -> Kept | None:
        """The credential of that name, number or label; None for one of those that are `known` from
        the settings.
        """
        if (kept := self.table.find(name)) is not None:
            return kept
        if name in known:
            return None
        labelled = [one for one in self.table.all() if name and one.label == name]
        if len(labelled) > 1:
            names = ", ".join(one.name for one in labelled)
            raise Complaint(f"{names} are all called {said(name)}; take the name of one")
        if labelled:
            return labelled[0]
        raise Complaint(f"there is no credential {said(name)}; `tokens credential list` shows all")

    def secrets(self, kept: Kept) -> dict[str, str]:
        try:
            return self.seal.open(kept.name, kept.sealed)
        except CannotOpen as error:
            raise Complaint(f"{kept.name} cannot be opened: {error}; {LOST}") from error

    def opened(self, kept: Kept) -> Credential:
        return credential(kept, self.secrets(kept))

    def change(
        self, kept: Kept, values: Mapping[str, Any], secrets: Mapping[str, str] | None = None
    ) -> Kept:
        """Changes columns, and puts other secrets into the seal if there are any."""
        columns = dict(values)
        if secrets is None:
            check_unsealed(self._known(kept) or {}, values)
        else:
            check_unsealed(secrets, asdict(kept) | columns)
            columns["sealed"] = self._sealing(kept.name, secrets)
            columns["fingerprint"] = fingerprint(kept.platform, secrets["token"])
        try:
            return self.table.change(kept, columns)
        except AlreadyKept as twin:
            raise Complaint(f"{kept.platform} has this token already, as {twin.name}") from twin

    def forgive(self, kept: Kept) -> None:
        """Nothing is held against it any more."""
        now = time.time()
        assert self._database is not None, "a credential was found without one"
        rests = [Rest(**row) for row in Health(self._database).of(kept.name)]
        pardons = [forgiven(one.credential, one.model, one.kind, now) for one in rests]
        if pardons:
            for board in make_boards(self._database, self._redis_url):
                board.tell(pardons, {}, now)

    def hint(self, kept: Kept) -> str:
        """The end of the token, by which its owner knows it again; dots where it is too short to tell."""
        known = self._known(kept)
        if known is None:
            return ""
        token = known.get("token", "")
        return f"…{token[-4:]}" if len(token) > 20 else "…"

    def _known(self, kept: Kept) -> dict[str, str] | None:
        """The secrets, if they can be opened."""
        try:
            return self._load().open(kept.name, kept.sealed)
        except (BadKeyFile, CannotOpen):
            return None


def all_keys(chosen: Settings) -> dict[str, tuple[str, Credential]]:
    """The keys in the settings with their platforms, by name and by label."""
    found = [(name, key) for name, one in chosen.platforms.items() for key in one.keys]
    return {word: (name, key) for name, key in found for word in (key.id, key.label)}
