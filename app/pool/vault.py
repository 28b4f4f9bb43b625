"""Opens what the database keeps sealed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.credential import Credential
from app.secret import Secret
from app.storage.credentials import Kept

log = logging.getLogger(__name__)


class Closed:
    """Leaves everything sealed, for those who only look: what they are given has no token."""

    def opened(self, kept: Iterable[Kept]) -> Iterator[tuple[str, Credential]]:
        for one in kept:
            yield one.platform, credential(one, {})


class Vault:
    """Makes credentials of what is kept. What was opened once stays open: a seal that changed, and
    that no key here opens, leaves the token as it was until the right key file comes.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._opened: dict[str, tuple[str, dict[str, str]]] = {}  # seal and secrets by name

    def opened(self, kept: Iterable[Kept]) -> Iterator[tuple[str, Credential]]:
        """The credentials that can be opened, each with its platform."""
        seal: Any = None
        known, self._opened = self._opened, {}
        for one in kept:
            before = known.get(one.name)
            if before is None or before[0] != one.sealed:
                # Slow to import, and many have nothing that is sealed.
                sealing = importlib.import_module("app.seal")
                try:
                    seal = seal or sealing.Seal.load(self._key_file)
                    before = (one.sealed, seal.open(one.name, one.sealed))
                except (sealing.BadKeyFile, sealing.CannotOpen) as error:
                    log.error(
                        "a credential cannot be opened",
                        extra={"credential": one.name, "why": str(error)},
                    )
            if before is not None:
                self._opened[one.name] = before
                yield one.platform, credential(one, before[1])


def credential(kept: Kept, secrets: dict[str, str]) -> Credential:
    """What is kept, ready to be used."""
    return Credential(
        label=kept.label or kept.name,
        token=Secret(secrets.get("token", "")),
        groups=kept.groups,
        id=kept.name,
        weight=kept.weight,
        priority=kept.priority,
        base_url=kept.base_url,
        proxy=Secret(secrets.get("proxy", "")),
        allowance=kept.allowance,
        enabled=kept.enabled,
    )
