"""Characters by OpenAI's Videos protocol: a film is sent along, and whoever is in it gets a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from app.canonical.media import Character, File
from app.errors import BadReply
from app.platforms.sora_videos import require_living
from app.secret import Secret
from app.upstream.media import Errand
from app.upstream.multipart import form
from app.upstream.platform import Send
from app.wire import openai_chat


class SoraCharacters:
    """`retired` is the address that has no films any more, and so nobody to be in them."""

    read_error = staticmethod(openai_chat.read_error)

    def __init__(self, follow: Callable[[str, Secret], Send], retired: str) -> None:
        self._follow = follow
        self._retired = retired

    def make(self, errand: Errand, film: File, name: str) -> Character:
        require_living(errand, self._retired)
        body, kind = form({"name": name}, [("video", film)])
        send = self._follow(f"{errand.base_url}/videos/characters", errand.credential.token)
        return _read(errand.ask("POST", send.url, send.headers, body, kind))

    def find(self, errand: Errand, id: str) -> Character:
        url = f"{errand.base_url}/videos/characters/{quote(id, safe='')}"
        send = self._follow(url, errand.credential.token)
        return _read(errand.ask("GET", send.url, send.headers))


def _read(told: Any) -> Character:
    try:
        id, name, at = told["id"], told.get("name") or "", int(told["created_at"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadReply("the platform sent an answer that makes no sense") from error
    if not isinstance(id, str) or not id or not isinstance(name, str):
        raise BadReply("the platform sent an answer that makes no sense")
    return Character(id, name, at)
