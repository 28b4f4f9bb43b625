"""Pictures and films that a caller sends along: uploads, links, data URLs and bare base64, each
brought to disk and looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from app.canonical.media import File
from app.canonical.media_type import HEAD_BYTES, LONGEST_HEAD, MEASURED, pixels, sniff
from app.errors import BadAttachment, BadRequest
from app.lift import Lifted
from app.media.inbound import MOST_PIXELS, Basket
from app.spool import Spool

PICTURES = frozenset({"image/*"})
FILMS = frozenset({"video/*"})
PICTURES_AND_FILMS = PICTURES | FILMS
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LINKS = ("http://", "https://")
_KEYS = ("image_url", "url", "image", "b64_json", "data")  # what callers call it inside an object


class Material:
    """What one request brings. `field` names are for the caller, who is told where it is wrong."""

    def __init__(self, spool: Spool, basket: Callable[[], Basket]) -> None:
        self._spool = spool
        self._make_basket = basket
        self._basket: Basket | None = None

    def all(
        self, value: Any, field: str, kinds: Collection[str] = PICTURES, most: int = 16
    ) -> tuple[File, ...]:
        """Every file that `value` means: one thing or a list of things."""
        given = value if isinstance(value, list) else [] if value in (None, "") else [value]
        if len(given) > most:
            raise BadRequest(
                "{field} has more than {most} entries", param=field, field=field, most=most
            )
        if len(given) == 1:
            return (self._one(given[0], field, kinds),)
        return tuple(self._one(one, f"{field}[{at}]", kinds) for at, one in enumerate(given))

    def one(self, value: Any, field: str, kinds: Collection[str] = PICTURES) -> File | None:
        found = self.all(value, field, kinds, most=1)
        return found[0] if found else None

    def _one(self, value: Any, field: str, kinds: Collection[str]) -> File:
        if isinstance(value, dict):
            held = next((value[key] for key in _KEYS if value.get(key) is not None), None)
            if held is None and "file_id" in value:
                raise BadAttachment(
                    "{field}: files are not kept here, so send the file itself",
                    param=field,
                    field=field,
                )
            value = held.get("url") if isinstance(held, dict) else held
        if isinstance(value, Lifted):
            return self._looked_at(value.path, field, kinds)
        if not isinstance(value, str) or not value.strip():
            raise BadAttachment(
                "{field} must be a file, a link, a data URL or base64", param=field, field=field
            )
        value = value.strip()
        if value[:8].lower().startswith(_LINKS):
            return self._fetched(value, field, kinds)
        if _ADDRESS.match(value):
            raise BadAttachment(
                "{field}: only http, https and data addresses are taken", param=field, field=field
            )
        return self._looked_at(self._spool.keep(_decoded(value, field)), field, kinds)

    def _fetched(self, url: str, field: str, kinds: Collection[str]) -> File:
        if self._basket is None:
            self._basket = self._make_basket()
        try:
            return self._basket.save(url, self._spool.new(), kinds=kinds)
        except BadAttachment as error:
            error.param = field
            raise

    def _looked_at(self, path: Path, field: str, kinds: Collection[str]) -> File:
        with open(path, "rb") as file:
            head = file.read(LONGEST_HEAD)
        media_type = sniff(head[:HEAD_BYTES])
        if media_type is None or not _is_wanted(media_type, kinds):
            raise BadAttachment(
                "{field} is not of a type that can be used here", param=field, field=field
            )
        size = pixels(head, media_type)
        if size is None and media_type in MEASURED:
            raise BadAttachment("{field} is damaged", param=field, field=field)
        if size is not None and size > MOST_PIXELS:
            raise BadAttachment("{field} has more than 40 million pixels", param=field, field=field)
        return File(str(path), media_type, path.stat().st_size)


def _decoded(text: str, field: str) -> bytes:
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise BadAttachment("{field} is not a data URL in base64", param=field, field=field)
    text = "".join(text.split()).translate({0x2D: "+", 0x5F: "/"})
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAttachment("{field} is not valid base64", param=field, field=field) from error


def _is_wanted(media_type: str, kinds: Collection[str]) -> bool:
    return media_type in kinds or media_type.partition("/")[0] + "/*" in kinds
