"""Workers that are killed, again and again, and others that take their place.

`python -m tests.worker.kennel WORKERS DEATHS SEED` in an environment of settings. Each worker is the
real one in a process of its own, with a platform that writes down what it is asked. They kill
themselves with signal 9 at the edges of what they do, until there were so many deaths; after that
they live until the kennel is told to end, by TERM.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import random  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import app.worker  # noqa: E402
from app.canonical.events import Trouble  # noqa: E402
from app.canonical.media import File, ImageJob, Picture, Pictures, Progress, VideoJob  # noqa: E402
from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.platforms import PLATFORMS  # noqa: E402
from app.services import films, media_work, sweep  # noqa: E402
from app.services.media_work import MediaWork  # noqa: E402
from app.web.gateway import KEY  # noqa: E402
from tests.media.samples import PNG  # noqa: E402
from tests.services.film_maker import FILM, Film  # noqa: E402
from tests.services.test_crashes import Fate, Mortal  # noqa: E402

CHANCE = 0.06  # of dying at an edge
FILM_SECONDS = 0.6
NAME = "chatgpt"

media_work.LEASE_SECONDS = 1.5
app.worker.RENEW_SECONDS = 0.4
app.worker.SWEEP_SECONDS = 0.1
sweep.PUT_AGAIN_SECONDS = 1.5
films.LONGEST_GAP = 0.3


class Journal:
    """What a platform was asked, one line each, by whom and when."""

    streams = False

    def __init__(self, file: Path, chance: random.Random) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._chance = chance

    def _note(self, what: str, task: str) -> None:
        time.sleep(self._chance.random() * 0.05)
        os.write(self._file, f"{what} {task} {time.time()} {os.getpid()}\n".encode())
        time.sleep(self._chance.random() * 0.05)

    def read_error(self, status: int, body: Any) -> Trouble:
        return Trouble("", "", "")

    def fitted(self, job: Any) -> Any:
        return job

    def begin(self, errand: Any, job: VideoJob) -> str:
        self._note("begin", job.prompt)
        return f"{job.prompt} {time.time()}"

    def look(self, errand: Any, name: str) -> Progress:
        task, began = name.split()
        self._note("look", task)
        done = time.time() > float(began) + FILM_SECONDS
        return Progress(state="done" if done else "running", result=task)

    def fetch(self, errand: Any, result: str) -> Any:
        self._note("fetch", result)
        return Film(FILM)

    def cancel(self, errand: Any, name: str) -> None:
        self._note("cancel", name.split()[0])

    def make(self, errand: Any, job: ImageJob) -> Pictures:
        self._note("make", job.prompt)
        path = errand.spool.keep(PNG)
        return Pictures(pictures=(Picture(File(str(path), "image/png", len(PNG))),))

    def stream(self, errand: Any, job: ImageJob) -> Any:
        raise NotImplementedError


def live(journal: Path, seed: int, is_mortal: bool) -> None:
    """A worker's life."""
    chance = random.Random(seed)

    def dies(edge: str) -> str:
        if is_mortal and chance.random() < CHANCE:
            return chance.choice(("before", "after"))
        return ""

    class Killed(Fate):
        def meet(self, edge: str, do: Any) -> Any:
            when = self._dies(edge)
            if when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = do()
            if when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return done

    settings = Settings.from_env(os.environ, list(PLATFORMS.values()))
    maker: Any = Journal(journal, chance)
    platform = replace(PLATFORMS[NAME], videos=maker, images=maker)
    gateway = create_app(settings, platforms=[platform]).extensions[KEY]
    fate, bench = Killed(dies), gateway.work._bench
    mortal: Any = Mortal(maker, fate)
    tasks: Any = Mortal(bench.tasks, fate)
    store: Any = Mortal(bench.store, fate)
    work = MediaWork(
        replace(bench, tasks=tasks, store=store),
        {NAME: replace(platform, videos=mortal, images=mortal)},
    )
    app.worker.Worker(replace(gateway, work=work), settings).run()


def main(workers: int, deaths: int, seed: int) -> None:
    journal = Path(os.environ["TOKENS_SPOOL_FOLDER"]).parent / "journal"
    living: set[int] = set()
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ending.append(number))
    born = died = 0
    while not ending:
        while len(living) < workers:
            born += 1
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # it is for us or for them
            if not (child := os.fork()):
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
                live(journal, seed * 1000 + born, died < deaths)
                os._exit(0)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            living.add(child)
        for child in list(living):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                living.discard(child)
                died += 1
                print(f"died {os.waitstatus_to_exitcode(status)}", flush=True)
        time.sleep(0.02)
    for child in living:
        os.kill(child, signal.SIGTERM)
    for child in living:
        _, status = os.waitpid(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
