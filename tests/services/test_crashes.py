"""Workers that die at every edge, thousands of times (R-081, R-082, C-208).

Here a death is an exception that nothing catches, before or after what a step does to the world: the
row, the platform, the store. tests/worker kills processes in earnest.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from app.canonical.media import Progress
from app.services.media_work import LEASE_SECONDS
from app.services.sweep import Sweep
from tests.pool.conftest import Clock, key, pool_of
from tests.services.film_maker import DONE, Maker, Workshop, hurried, watch_settling
from tests.storage.databases import KINDS, made

RUNNING = Progress(state="running", percent=50)
EDGES = {"lease", "move", "submitted", "begin", "look", "fetch", "cancel", "make", "keep"}
MOST_EDGES = 16  # no job has more
LIVES = int(
    os.environ.get("SOAK_LIVES", "300")
)  # on each of two databases; reliability asks for 1,000
ASKINGS = 500


class Died(BaseException):
    """What kill -9 does, as far as the world sees it."""


class Fate:
    """Says at which of the edges to come a worker dies, and notes where it did."""

    def __init__(self, dies: Callable[[str], str]) -> None:
        self._dies = dies
        self.deaths: list[tuple[str, str]] = []

    def meet(self, edge: str, do: Callable[[], Any]) -> Any:
        when = self._dies(edge)
        if when == "before":
            self.deaths.append((edge, when))
            raise Died
        done = do()
        if when == "after":
            self.deaths.append((edge, when))
            raise Died
        return done


class Mortal:
    """The same thing, whose edges are met by a fate."""

    def __init__(self, thing: Any, fate: Fate) -> None:
        self._thing = thing
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in EDGES:
            return found
        return lambda *words, **named: self._fate.meet(name, lambda: found(*words, **named))


@pytest.fixture(params=KINDS)
def kind_of_database(request):
    return request.param


@pytest.fixture
def shop(kind_of_database, tmp_path, request, monkeypatch):
    """Without waiting for disks: nobody pulls a plug here."""
    clock = Clock()
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with made(kind_of_database, tmp_path, request.node.name) as database:
        hurried(database)
        yield Workshop(database, tmp_path, clock, pool_of(clock, key("a"), key("b")), Maker())


def lived_through(shop: Workshop, kind: str, fate: Fate, *, cancelled_at: int = -1) -> Any:
    """A task from its beginning to its end, by workers that die as their fate has it."""
    shop.maker = maker = Maker({"look": [RUNNING, DONE]})
    task = shop.add(kind)
    for place in range(60):
        now = shop.row(task)
        if now.is_over:
            return now, maker
        if place == cancelled_at:
            shop.tasks.cancel(task.id, shop.clock.at)
            now = shop.row(task)
        shop.clock.at = max(shop.clock.at, now.due_at or 0.0)
        worker = shop.worker(
            tasks=Mortal(shop.tasks, fate),
            store=Mortal(shop.store, fate),
            maker=Mortal(maker, fate),
        )
        try:
            worker.step(task.id)
        except Died:
            shop.clock.at += LEASE_SECONDS  # until somebody else may go on
    raise AssertionError("it does not end")


def check(over: Any, maker: Maker, fate: Fate, kept: set[str]) -> None:
    """Nothing is asked for twice, nothing is lost that need not be, and a result is there."""
    assert maker.count("begin") <= 1 and maker.count("make") <= 1
    asked = {"begin", "make"} & {one[0] for one in maker.asked}
    in_doubt = over.state == "lost"
    if not fate.deaths:
        assert not in_doubt
    if in_doubt:
        assert not over.upstream and "media" not in over.result
        # It died between saying that it would ask and saving what came of that.
        assert {("begin", "before"), ("begin", "after"), ("make", "before"), ("make", "after")} | {
            ("move", "before"),
            ("move", "after"),
            ("submitted", "before"),
        } >= {fate.deaths[-1]}
    if over.state == "completed":
        assert asked and {one["id"] for one in over.result["media"]} <= kept
    assert over.state in ("completed", "lost", "cancelled"), over


@pytest.mark.parametrize("kind", ["video", "image"])
def test_one_death_at_every_edge(shop, kind):
    """R-081, R-082: every edge once, before and after what it does. Lost is only what died between
    saying that the platform would be asked and saving what it said.
    """
    settled = watch_settling(shop.database)
    ends: dict[tuple[str, str], set[str]] = {}
    died = 0
    for place in range(MOST_EDGES):
        for when in ("before", "after"):
            edges = iter([""] * place + [when])
            fate = Fate(lambda edge: next(edges, ""))
            over, maker = lived_through(shop, kind, fate)
            check(over, maker, fate, set(shop.kept()))
            assert settled()[over.id] == 1
            died += len(fate.deaths)
            for death in fate.deaths:
                ends.setdefault(death, set()).add(over.state)

    asks = "begin" if kind == "video" else "make"
    saves = "submitted" if kind == "video" else "move"
    doubtful = {(asks, "before"), (asks, "after"), (saves, "before"), ("move", "after")}
    assert {death for death, states in ends.items() if "lost" in states} == doubtful
    assert died >= (24 if kind == "video" else 12)
    assert "lost" not in ends[("keep", "after")] | ends[("lease", "after")]


# Where a worker can die between saying that it will ask and saving what came of that.
AROUND = {
    "video": (("begin", "before"), ("begin", "after"), ("submitted", "before")),
    "image": (("make", "before"), ("make", "after")),
}


@pytest.mark.slow
def test_five_hundred_deaths_around_the_asking_ask_nobody_twice(shop):
    """R-081: each is lost, told as such and settled once, however many workers come after."""
    settled = watch_settling(shop.database)
    chance = random.Random(81)
    asked = 0
    for place in range(ASKINGS):
        kind = ("video", "image")[place % 2]
        point = chance.choice(AROUND[kind])
        struck: list[str] = []

        def dies(edge: str) -> str:
            if struck or edge != point[0]:
                return ""
            struck.append(edge)
            return point[1]

        fate = Fate(dies)
        over, maker = lived_through(shop, kind, fate)
        assert fate.deaths == [point] and over.state == "lost", (point, over)
        assert not shop.work.step(over.id) and not shop.tasks.due(shop.clock.at + 1e6, 9, 1.0)
        times = maker.count("begin") + maker.count("make")
        assert times == (0 if point[1] == "before" and point[0] != "submitted" else 1)
        asked += times

    assert set(settled().values()) == {1} and len(settled()) == ASKINGS
    assert shop.tasks.counts() == {"lost": ASKINGS} and asked > ASKINGS // 3


@pytest.mark.slow
def test_many_deaths_of_many_workers(shop):
    """R-082: jobs of both kinds, some of them cancelled on the way, with up to six deaths each."""
    settled = watch_settling(shop.database)
    chance = random.Random(82)
    states: dict[str, int] = {}
    deaths = begun = 0
    for _ in range(LIVES):
        left = chance.randint(0, 6)

        def dies(edge: str) -> str:
            nonlocal left
            if not left or chance.random() > 0.25:
                return ""
            left -= 1
            return chance.choice(("before", "after"))

        fate = Fate(dies)
        cancelled_at = chance.randint(0, 8) if chance.random() < 0.2 else -1
        kind = chance.choice(("video", "image"))
        over, maker = lived_through(shop, kind, fate, cancelled_at=cancelled_at)
        assert maker.count("begin") <= 1 and maker.count("make") <= 1
        if over.state == "completed":
            shop.store.find(over.result["media"][0]["id"], "open")
        begun += maker.count("begin") + maker.count("make")
        deaths += len(fate.deaths)
        states[over.state] = states.get(over.state, 0) + 1

    counted = settled()
    assert set(counted.values()) == {1} and len(counted) == LIVES
    assert shop.tasks.counts() == states
    assert states.keys() == {"completed", "lost", "cancelled"}
    assert deaths > LIVES and begun > LIVES // 2

    # Nothing is left lying about once its time is up, whoever dropped it.
    shop.clock.at += 1e8
    Sweep(shop.tasks, shop.folders, shop.store, shop.clock, print, 3600.0).tidy()
    assert not list(shop.folders.older(1e12)) and shop.tasks.counts() == {}
    assert not [path for path in (shop.folder / "media").rglob("*") if path.is_file()]
