"""Keeps what was made: where, for how long, and how much of it.

Time is up for each file on its own. When all of them together come near the quota, the oldest go
before their time, but none that somebody may still be waiting to fetch; if that is not enough, new
work is refused before it costs anything and what is there is still given out (R-092).
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from app.canonical.media import File
from app.canonical.media_type import HEAD_BYTES, sniff
from app.clock import Clock
from app.errors import BadReply, GatewayError, NotFound, StorageFull
from app.media.kinds import ENDINGS, name_of
from app.media.links import PREFIX, Links
from app.media.place import NOTHING, Place
from app.storage.media import Kept, Media, Where

log = logging.getLogger(__name__)

HIGH, LOW = 90, 80  # of a hundred: where the sweep begins to make room, and where it stops
YOUNG_SECONDS = 3600.0  # so long nothing goes before its time
ON_ITS_WAY_SECONDS = 3600.0  # after which a file that never became whole is swept out
SPARE = 64 << 20  # bytes of the disk that are left for others

_BATCH = 500


class Store:
    """Everything that is kept. `places` are where files may lie; new ones go `into` one of them."""

    def __init__(
        self,
        table: Media,
        places: Mapping[Where, Place],
        links: Links,
        clock: Clock,
        *,
        into: Where = "local",
        seconds: float,
        most: int,
        public_url: str = "",
    ) -> None:
        self._table = table
        self._places = places
        self._into = into
        self._links = links
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self.public_url = public_url

    def keep(self, file: File, *, owner: str, platform: str, task: str = "") -> Kept:
        """Keeps a copy. What it is, is told from its bytes; a `BadReply` where it is nothing we keep."""
        with open(file.path, "rb") as given:
            media_type = sniff(given.read(HEAD_BYTES))
            size = os.fstat(given.fileno()).st_size
        if media_type not in ENDINGS:
            raise BadReply("what the platform made is no picture, film or sound")
        now = int(self._clock.now())
        kept = Kept(
            id=secrets.token_hex(16),
            owner=owner,
            platform=platform,
            task=task,
            media_type=media_type,
            size=size,
            digest="",
            created_at=now,
            expires_at=int(now + ON_ITS_WAY_SECONDS),
            where=self._into,
        )
        self._table.add(kept)
        try:
            digest = self._places[kept.where].put(_name(kept), file.path)
        except BaseException:
            self._drop(kept)
            raise
        expires_at = int(self._clock.now() + self._seconds)
        self._table.finish(kept.id, digest=digest, expires_at=expires_at)
        return replace(kept, digest=digest, expires_at=expires_at)

    def find(self, id: str, owner: str | None = None) -> Kept:
        """What is kept under this id and, if an owner is named, is the owner's; or `NotFound`."""
        kept = self._table.find(id, self._clock.now(), owner)
        if kept is None:
            raise NotFound(NOTHING)
        return kept

    def behind(self, seal: str, name: str) -> Kept:
        """What a link leads to, or `NotFound`, whatever is wrong with it."""
        if not self._links.opens(seal, name):
            raise NotFound(NOTHING)
        kept = self.find(name.partition(".")[0])
        if _name(kept) != name:
            raise NotFound(NOTHING)
        return kept

    def lent(self, url: str, owner: str, base_url: str = "") -> Iterator[bytes] | None:
        """What the owner's own link leads to, or `NotFound`; None where it is no link of ours at all.
        Links begin with the operator's word for where we are, or as the caller reached us.
        """
        for base in (self.public_url, base_url):
            rest = _behind(url, base)
            if rest is not None and rest.startswith(f"{PREFIX}/"):
                seal, _, name = rest.removeprefix(f"{PREFIX}/").partition("/")
                kept = self.behind(seal, name)
                if kept.owner != owner:
                    raise NotFound(NOTHING)
                return self.read(kept, 0, kept.size)
        return None

    def read(self, kept: Kept, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, in pieces. `NotFound` at once if it is gone."""
        place = self._places.get(kept.where)
        if place is None:
            log.error("a file lies where no setting leads", extra={"where": kept.where})
            raise NotFound(NOTHING)
        return place.open(_name(kept), kept.size, start, end)

    def link(self, kept: Kept, base_url: str = "") -> str:
        """An absolute address that opens it for a while. `base_url` is where the caller reached us."""
        return self.beginning(base_url) + self._links.path(_name(kept), kept.expires_at)

    def beginning(self, base_url: str) -> str:
        """What links begin with: where the caller reached us, unless the operator says something else."""
        return (self.public_url or base_url).rstrip("/")

    def remove(self, kept: Kept) -> bool:
        """Whether it was there. Links to it open nothing from now on."""
        place = self._places.get(kept.where)
        if place is not None:
            place.remove(_name(kept), whole=kept.digest != "")
        return self._table.remove(kept.id)

    def has_room(self, size: int = 0) -> bool:
        """Whether so many more bytes may be kept, for what is about to be made."""
        if self._table.held() + size > self._most:
            return False
        free = self._places[self._into].free()
        return free is None or free >= size + SPARE

    def check_room(self, size: int = 0) -> None:
        """Refuses what would be made and could not be kept, before it costs anything."""
        if not self.has_room(size):
            raise StorageFull("there is no room left for what would be made")

    def sweep(self, now: float) -> int:
        """Removes what is out of date and, where there is too much, the oldest; says how many went.
        Any number of processes may do it at once.
        """
        gone = 0
        while batch := self._table.expired(now, _BATCH):
            went = self._drop_all(batch)
            gone += went
            if not went:
                break
        held = self._table.held()
        if held * 100 <= self._most * HIGH:
            return gone
        return gone + self._thin_out(now, held - self._most * LOW // 100)

    def _thin_out(self, now: float, wanted: int) -> int:
        gone = 0
        while wanted > 0 and (batch := self._table.oldest(now - YOUNG_SECONDS, _BATCH)):
            going = []
            for kept in batch:
                if wanted <= 0:
                    break
                going.append(kept)
                wanted -= kept.size
            went = self._drop_all(going)
            gone += went
            if not went:
                break
        return gone

    def _drop_all(self, batch: Iterable[Kept]) -> int:
        return sum(map(self._drop, batch))

    def _drop(self, kept: Kept) -> bool:
        """As `remove`, for those who cannot do anything about it if that fails: the next sweep can."""
        try:
            return self.remove(kept)
        except GatewayError as error:
            log.warning("a file could not be removed", extra={"media": kept.id, "why": str(error)})
            return False


def _name(kept: Kept) -> str:
    return name_of(kept.id, kept.media_type)


def _behind(url: str, base: str) -> str | None:
    """The path of `url` below `base`, if it is there; hosts and schemes are the same in any case."""
    try:
        asked, ours = urlsplit(url), urlsplit(base.rstrip("/"))
    except ValueError:
        return None
    place = asked.scheme.lower(), asked.netloc.lower()
    if not base or place != (ours.scheme.lower(), ours.netloc.lower()):
        return None
    path = asked.path + (f"?{asked.query}" if asked.query else "")
    return path[len(ours.path) :] if path.startswith(ours.path + "/") else None
