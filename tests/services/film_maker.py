"""A platform that makes films and pictures, in memory: what it does is said beforehand, and what it
was asked is there to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.canonical.events import Trouble
from app.canonical.media import File, ImageJob, Picture, Pictures, Progress, VideoJob
from app.media.job import Folders, written
from app.media.links import Links
from app.media.local import Local
from app.media.store import Store
from app.pool.pool import Pool
from app.services.media_work import MediaWork
from app.services.sources import Persistence, Sources
from app.services.workbench import Workbench
from app.storage.database import Database
from app.storage.licences import Licences
from app.storage.media import Media
from app.storage.tasks import Task, Tasks, new_id
from app.upstream.platform import Platform
from app.upstream.transport import Deadlines, Transport
from tests.media.samples import PNG

JOB_SECONDS = 1200.0


def box(name: bytes, data: bytes = b"") -> bytes:
    return (len(data) + 8).to_bytes(4, "big") + name + data


FILM = box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", b"\0" * 40) + box(b"mdat", b"m" * 500)


class Film:
    """An answer whose body is this."""

    status = 200

    def __init__(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.headers = {"content-length": str(len(body))} if headers is None else headers
        self._pieces = [body, b""] if body else [b""]
        self.closed = False

    def next(self, seconds: float) -> bytes | None:
        return self._pieces.pop(0)

    def close(self) -> None:
        self.closed = True


@dataclass
class Maker:
    """Both engines in one. `says` are what it does, one after the other, for each kind of question; the
    last one is repeated. What is an exception is raised, what is a function is called.
    """

    says: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    streams = False

    def read_error(self, status: int, body: Any) -> Trouble:
        return Trouble("", "", "")

    def fitted(self, job: Any) -> Any:
        return job

    def count(self, what: str) -> int:
        return sum(one[0] == what for one in self.asked)

    def _answer(self, *asked: str) -> Any:
        place = self.count(asked[0])
        self.asked.append(asked)
        lines = self.says.get(asked[0]) or [USUAL[asked[0]]]
        said = lines[min(place, len(lines) - 1)]
        if isinstance(said, BaseException):
            raise said
        return said() if callable(said) else said

    # ------------------------------------------------------------ films

    def begin(self, errand: Any, job: VideoJob) -> str:
        self._answer("begin", errand.credential.id)
        return f"job-{self.count('begin')}"

    def look(self, errand: Any, name: str) -> Progress:
        return self._answer("look", name, errand.credential.id)

    def fetch(self, errand: Any, result: str) -> Any:
        return self._answer("fetch", result, errand.credential.id)

    def cancel(self, errand: Any, name: str) -> None:
        self._answer("cancel", name, errand.credential.id)

    # ------------------------------------------------------------ pictures

    def make(self, errand: Any, job: ImageJob) -> Pictures:
        said = self._answer("make", errand.credential.id)
        pictures = tuple(
            Picture(File(str(errand.spool.keep(data)), "image/png", len(data)), "nicer")
            for data in said
        )
        return Pictures(pictures=pictures, usage={"total_tokens": 7}, size="2x3")

    def stream(self, errand: Any, job: ImageJob) -> Iterator[Any]:
        raise NotImplementedError


DONE = Progress(state="done", percent=100, result="there", seconds=8)
USUAL: dict[str, Any] = {
    "begin": None,
    "look": DONE,
    "fetch": lambda: Film(FILM),
    "cancel": None,
    "make": (PNG,),
}


class Workshop:
    """A worker with all it needs, on a database."""

    def __init__(
        self, database: Database, folder: Path, clock: Any, pool: Pool, maker: Maker
    ) -> None:
        self.database = database
        self.folder = folder
        self.clock = clock
        self.pool = pool
        self.maker = maker
        self.tasks = Tasks(database)
        self.folders = Folders(folder / "spool")
        links = Links(folder / "link.key", clock, seconds=1000.0)
        self.store = Store(
            Media(database),
            {"local": Local(folder / "media")},
            links,
            clock,
            seconds=86400.0,
            most=1 << 30,
        )
        self.work = self.worker()

    def worker(self, **changes: Any) -> MediaWork:
        """Another worker on the same rows; `changes` are parts of its bench."""
        parts: dict[str, Any] = {
            "tasks": self.tasks,
            "folders": self.folders,
            "store": self.store,
            "sources": Sources(self.pool, self.clock, Persistence()),
            "transport": Transport(Deadlines()),
            "base_urls": {"p": "http://127.0.0.1:9"},
            "licence": Licences(self.database).find,
            "clock": self.clock,
            "attempts": 3,
            "answer_bytes": 1 << 20,
        }
        maker = changes.pop("maker", self.maker)
        platform: Any = Platform.__new__(Platform)
        object.__setattr__(platform, "name", "p")
        object.__setattr__(platform, "images", maker)
        object.__setattr__(platform, "videos", maker)
        object.__setattr__(platform, "stills", changes.pop("stills", None))
        return MediaWork(Workbench(**parts | changes), {"p": platform})

    def add(self, kind: str = "video", **changes: Any) -> Task:
        name = new_id(kind)  # type: ignore[arg-type]
        job: Any = VideoJob if kind == "video" else ImageJob
        now = self.clock.now()
        values = {
            "id": name,
            "kind": kind,
            "platform": "p",
            "engine": "p",
            "owner": "open",
            "model": "film",
            "job": written(job(model="film-1", prompt="a sea"), self.folders.make(name)),
            "created_at": now,
            "deadline": now + JOB_SECONDS,
        }
        return self.tasks.add(Task(**{**values, **changes}))

    def row(self, task: Task) -> Task:
        found = self.tasks.find(task.id)
        assert found is not None
        return found

    def step(self, task: Task) -> Task:
        """One step as soon as it is due."""
        due_at = self.row(task).due_at
        assert due_at is not None, "it is over"
        self.clock.at = max(self.clock.at, due_at)
        assert self.work.step(task.id)
        return self.row(task)

    def through(self, task: Task, most: int = 400) -> Task:
        """Steps until it is over."""
        for _ in range(most):
            if (now := self.row(task)).is_over:
                return now
            self.step(task)
        raise AssertionError("it does not end")

    def kept(self) -> list[str]:
        """The files that are kept."""
        rows = "SELECT id FROM media WHERE digest <> ''"
        return list(self.database.read(lambda one: one.execute(sa.text(rows)).scalars().all()))


def watch_settling(database: Database) -> Callable[[], dict[str, int]]:
    """The database itself counts from now on how often each task is settled."""
    sql = ["CREATE TABLE settlings (id VARCHAR(40))"]
    if database.is_sqlite:
        sql.append(
            "CREATE TRIGGER settled AFTER UPDATE OF settled ON tasks WHEN NEW.settled <> '' "
            "BEGIN INSERT INTO settlings VALUES (NEW.id); END"
        )
    else:
        sql += [
            "CREATE FUNCTION note_settled() RETURNS trigger AS "
            "'BEGIN INSERT INTO settlings VALUES (NEW.id); RETURN NEW; END' LANGUAGE plpgsql",
            "CREATE TRIGGER settled AFTER UPDATE OF settled ON tasks FOR EACH ROW "
            "WHEN (NEW.settled <> '') EXECUTE FUNCTION note_settled()",
        ]

    def work(connection: sa.Connection) -> None:
        for line in sql:
            connection.execute(sa.text(line))

    database.write(work)

    def counted() -> dict[str, int]:
        query = sa.text("SELECT id, count(*) FROM settlings GROUP BY id")
        rows = database.read(lambda connection: connection.execute(query).all())
        return {row[0]: row[1] for row in rows}

    return counted


def hurried(database: Database) -> None:
    """What is written is not waited for until it is on a disk."""
    off = "PRAGMA synchronous = OFF" if database.is_sqlite else "SET synchronous_commit = off"

    def set_off(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(off)
        cursor.close()
        if not database.is_sqlite:
            connection.commit()

    database.engine.dispose()
    sa.event.listen(database.engine, "connect", set_off)
