"""A gateway in this process, called straight through WSGI, with films and pictures of one licence."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from app.canonical.media import File
from app.config import Settings
from app.factory import create_app
from app.platforms import PLATFORMS
from app.storage.database import Database
from app.storage.licences import Licences
from app.storage.media import Kept
from app.storage.schema import prepare
from app.storage.tasks import Task, Tasks, new_id
from app.web.gateway import KEY
from tests.media.samples import MP4, PNG

FILMS = sorted(name for name, one in PLATFORMS.items() if one.videos is not None)
PICTURES = sorted(name for name, one in PLATFORMS.items() if one.images is not None)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def of(self, name: str) -> tuple[int, Any, Mapping[str, str]]:
        """What an error says, whichever id it was asked for."""
        told = json.loads(self.body)
        del told["request_id"]
        words = told["error"]["message"]
        told["error"]["message"] = words.replace(f" {name[:60]} here", " ID here")
        own = ("x-request-id", "content-length")
        return self.status, told, {k: v for k, v in self.headers.items() if k not in own}


class House:
    """`owner` and `curious` are licences; what there is is the owner's."""

    def __init__(self, folder: Path, **more: str) -> None:
        url = f"sqlite:///{folder}/tokens.db"
        prepare(database := Database(url))
        licences = Licences(database)
        self.owner, owner = licences.add(time.time())
        self.curious, _ = licences.add(time.time())
        places = {
            "MEDIA_FOLDER": "media",
            "SPOOL_FOLDER": "spool",
            "LINK_FILE": "link.key",
            "QUEUE_FILE": "queue.db",
            "COUNTERS_FILE": "counters",
            "LOG_FILE": "access.log",
        }
        settings = {f"TOKENS_{name}": str(folder / place) for name, place in places.items()}
        settings["TOKENS_DATABASE_URL"] = url
        self.app: Flask = create_app(Settings.from_env(settings | more, list(PLATFORMS.values())))
        self.hub = self.app.extensions[KEY]
        self.tasks = Tasks(database)
        self._given, self._name = folder / "given", owner.name
        self.films = {name: self._made("video", name, MP4) for name in FILMS}
        self.pictures = {name: self._made("image", name, PNG) for name in PICTURES}

    @property
    def everything(self) -> list[Task]:
        return [*self.films.values(), *self.pictures.values()]

    def links(self) -> list[str]:
        """What opens the files that there are."""
        ids = (one["id"] for task in self.everything for one in task.result["media"])
        return [self.hub.media.link(self.hub.media.find(id)) for id in ids]

    def kept(self, data: bytes, platform: str = "sora", task: str = "") -> Kept:
        """A file of the owner's."""
        self._given.write_bytes(data)
        file = File(str(self._given), "", len(data))
        kept: Kept = self.hub.media.keep(file, owner=self._name, platform=platform, task=task)
        return kept

    def ask(
        self,
        method: str,
        path: str,
        licence: str,
        body: Any = None,
        environ: Mapping[str, str] | None = None,
    ) -> Answer:
        """`path` as it is after its escapes are read; `environ` is what else WSGI says."""
        told: list[Any] = []
        data = b"" if body is None else json.dumps(body).encode()
        raw, _, query = path.partition("?")
        asked = {
            "REQUEST_METHOD": method,
            "PATH_INFO": raw.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "gateway.example",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "gateway.example",
            "HTTP_AUTHORIZATION": f"Bearer {licence}",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(data),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **(environ or {}),
        }
        found: Any = self.app.wsgi_app(asked, lambda *words: told.append(words))
        try:
            content = b"".join(found)
        finally:
            found.close()
        status, headers = told[0][:2]
        return Answer(int(status[:3]), {name.lower(): value for name, value in headers}, content)

    def _made(self, kind: Any, platform: str, data: bytes) -> Task:
        """A task that is completed, with its file."""
        name, now = new_id(kind), time.time()
        kept = self.kept(data, platform, name)
        facts = {"owner": self._name, "platform": platform}
        times = {"created_at": now, "deadline": now + 900}
        job = {"prompt": "mine", "extras": {}}
        task = Task(id=name, kind=kind, engine=platform, model="m", job=job, **facts, **times)
        self.tasks.add(task)
        held = self.tasks.lease(name, now, 60)
        assert held is not None
        for state in ("submitting", "storing"):
            held = self.tasks.move(held, state, now)  # type: ignore[arg-type]
        result = {"result": {"media": [{"id": kept.id}]}, "expires_at": kept.expires_at}
        ended = self.tasks.move(held, "completed", now, **result)  # type: ignore[arg-type]
        assert ended is not None
        return ended
