"""What is kept, for how long, and how much of it (R-086, R-087, R-091, R-092; C-263; S-050 to S-053)."""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from app.canonical.media import File
from app.canonical.media_type import ALLOWED
from app.errors import BadReply, NotFound, StorageFull, StorageTrouble
from app.media.kinds import ENDINGS, name_of
from app.media.links import Links
from app.media.local import Local
from app.media.place import checked
from app.media.store import ON_ITS_WAY_SECONDS, SPARE, YOUNG_SECONDS, Store
from app.storage.media import Kept, Media
from tests.media.samples import GIF, MP4, PDF, PNG, SVG, Clock
from tests.storage.databases import KINDS, made

OWNER = "0a1b2c3d"
LIFE = 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Media]:
    with made(request.param, tmp_path, request.node.name) as database:
        yield Media(database)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def make_store(table: Media, folder: Path, tmp_path: Path, clock: Clock) -> Callable[..., Store]:
    def make(**facts: Any) -> Store:
        links = Links(tmp_path / "link.key", clock, seconds=LIFE)
        facts = {"seconds": LIFE, "most": 1 << 30} | facts
        return Store(table, {"local": facts.pop("local", Local(folder))}, links, clock, **facts)

    return make


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    return make_store()


@pytest.fixture
def given(tmp_path: Path) -> Callable[[bytes], File]:
    """A file as an engine hands it over; what it says of its type is not believed."""

    def give(data: bytes) -> File:
        path = tmp_path / f"given-{len(os.listdir(tmp_path))}"
        path.write_bytes(data)
        return File(str(path), "text/html", 0)

    return give


def keep(store: Store, file: File, **facts: str) -> Kept:
    return store.keep(file, **{"owner": OWNER, "platform": "here", **facts})


def read(store: Store, kept: Kept) -> bytes:
    return b"".join(store.read(kept, 0, kept.size))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_is_found_and_read_again(store, given, clock, folder):
    kept = keep(store, given(MP4), task="video_1")

    assert store.find(kept.id) == kept
    assert (kept.owner, kept.platform, kept.task) == (OWNER, "here", "video_1")
    assert (kept.media_type, kept.size, kept.where) == ("video/mp4", len(MP4), "local")
    assert kept.expires_at - clock.now() == LIFE
    assert read(store, kept) == MP4
    assert b"".join(store.read(kept, 5, 9)) == MP4[5:9]
    assert re.fullmatch(r"[0-9a-f]{32}", kept.id)
    assert files(folder) == [folder / kept.id[:2] / f"{kept.id}.mp4"]


def test_only_its_owner_finds_it_by_its_id(store, given):
    """R-087: the owner stands in the query itself (S-013)."""
    kept = keep(store, given(PNG))

    assert store.find(kept.id, OWNER) == kept
    for id, owner in ((kept.id, "another"), (kept.id.upper(), OWNER), (kept.id, ""), ("", OWNER)):
        with pytest.raises(NotFound):
            store.find(id, owner)


def test_ten_thousand_guesses_find_nothing(store, given):
    """R-087."""
    kept = keep(store, given(PNG))
    near = [f"{int(kept.id, 16) + step & (1 << 128) - 1:032x}" for step in range(-100, 101) if step]
    guesses = [*near, *(f"{random.getrandbits(128):032x}" for _ in range(300))]

    for guess in guesses:
        with pytest.raises(NotFound):
            store.find(guess)
    opened = [
        seal
        for seal in (f"{9999999999 - n}-{random.getrandbits(256):043x}"[:54] for n in range(10_000))
        if _opens(store, seal, f"{kept.id}.png")
    ]
    assert opened == []


@pytest.mark.parametrize("data", [SVG, PDF, b"<html></html>", b"", b"\0" * 100])
def test_what_is_no_picture_film_or_sound_is_refused(store, given, data, folder, table):
    """R-090: a browser might run it."""
    with pytest.raises(BadReply, match="no picture, film or sound"):
        keep(store, given(data))

    assert not folder.exists() and table.held() == 0


def test_every_type_that_is_told_from_bytes_has_an_ending_but_documents():
    assert ALLOWED - ENDINGS.keys() == {"application/pdf"}
    assert len(set(ENDINGS.values())) == len(ENDINGS)
    for media_type in ENDINGS:
        assert checked(name_of("0" * 32, media_type))


def test_time_is_up_for_each_file_on_its_own(store, given, clock, folder):
    first = keep(store, given(PNG))
    clock.time += LIFE / 2
    second = keep(store, given(GIF))
    clock.time += LIFE / 2

    with pytest.raises(NotFound):
        store.find(first.id)
    assert store.sweep(clock.now()) == 1
    assert store.find(second.id) == second
    assert [path.stem for path in files(folder)] == [second.id]


def test_what_never_became_whole_is_nobodys_and_is_swept_out(store, given, table, clock, folder):
    """A process that died while it copied leaves a row and half a file."""
    half = Kept(
        id="ab" * 16,
        owner=OWNER,
        platform="here",
        task="",
        media_type="video/mp4",
        size=10,
        digest="",
        created_at=int(clock.now()),
        expires_at=int(clock.now() + ON_ITS_WAY_SECONDS),
        where="local",
    )
    table.add(half)
    (folder / "ab").mkdir(parents=True)
    (folder / "ab" / f".{half.id}.mp4").write_bytes(b"half")

    with pytest.raises(NotFound):
        store.find(half.id)
    assert store.sweep(clock.now()) == 0
    clock.time += ON_ITS_WAY_SECONDS
    assert store.sweep(clock.now()) == 1
    assert files(folder) == [] and table.held() == 0


def test_a_copy_that_fails_leaves_nothing(make_store, given, table, folder):
    class Broken(Local):
        def _copy(self, name: str, path: str) -> str:
            super()._copy(name, path)
            raise OSError(5, "input/output error")

    with pytest.raises(StorageTrouble):
        keep(make_store(local=Broken(folder)), given(PNG))

    assert files(folder) == [] and table.held() == 0


def test_a_full_disk_is_told_as_such_and_leaves_nothing(
    make_store, given, table, folder, monkeypatch
):
    """R-092: `/dev/full` is a real file on a real full disk."""

    def full(*_: Any) -> str:
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")
        return ""

    monkeypatch.setattr("app.media.local._write", full)
    with pytest.raises(StorageFull):
        keep(make_store(), given(PNG))

    assert files(folder) == [] and table.held() == 0


def test_new_work_is_refused_before_the_quota_is_passed_and_old_is_served(make_store, given, clock):
    """R-092."""
    store = make_store(most=3 * len(MP4))
    kept = [keep(store, given(MP4)) for _ in range(2)]

    store.check_room(len(MP4))
    with pytest.raises(StorageFull) as refusal:
        store.check_room(len(MP4) + 1)
    assert (refusal.value.status, refusal.value.code) == (507, "storage_full")
    assert [read(store, one) for one in kept] == [MP4, MP4]


def test_new_work_is_refused_where_the_disk_itself_is_full(make_store, folder):
    """R-092."""

    class Small(Local):
        def free(self) -> int | None:
            return SPARE + 10

    store = make_store(local=Small(folder))

    assert store.has_room(10) and not store.has_room(11)


def test_the_disk_has_some_room(folder):
    free = Local(folder).free()

    assert free is not None and 0 < free


def test_the_oldest_go_until_the_low_mark_when_there_is_too_much(make_store, given, clock):
    """R-092: nine tenths are too much, eight tenths are not."""
    store = make_store(most=10 * len(MP4), seconds=10 * YOUNG_SECONDS)
    kept = []
    for _ in range(9):
        kept.append(keep(store, given(MP4)))
        clock.time += 1
    clock.time += YOUNG_SECONDS

    assert store.sweep(clock.now()) == 0  # at the mark, not above it
    kept.append(keep(store, given(MP4)))
    assert not store.has_room(1)

    assert store.sweep(clock.now()) == 2
    assert store.has_room(2 * len(MP4))
    for one in kept[:2]:
        with pytest.raises(NotFound):
            store.find(one.id)
    assert [read(store, one) for one in kept[2:]] == [MP4] * 8


def test_nothing_young_goes_before_its_time(make_store, given, clock):
    """Somebody may be about to fetch it: new work waits instead."""
    store = make_store(most=10 * len(MP4), seconds=10 * YOUNG_SECONDS)
    kept = [keep(store, given(MP4)) for _ in range(10)]
    clock.time += YOUNG_SECONDS - 1

    assert store.sweep(clock.now()) == 0 and not store.has_room(1)
    assert read(store, kept[0]) == MP4


def test_several_may_sweep_at_once_and_count_each_file_once(make_store, given, clock):
    store = make_store()
    for _ in range(20):
        keep(store, given(PNG))
    clock.time += LIFE
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(store.sweep(clock.now()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 20 and len(counts) == 4


def test_what_was_removed_is_gone_at_once(store, given, folder):
    kept = keep(store, given(PNG))
    reading = store.read(kept, 0, kept.size)

    assert store.remove(kept) and not store.remove(kept)
    assert b"".join(reading) == PNG  # whoever has begun may finish
    for look in (lambda: store.find(kept.id), lambda: store.read(kept, 0, 1)):
        with pytest.raises(NotFound):
            look()
    assert files(folder) == []


@pytest.mark.parametrize(
    "change", ["cut", "grown", "gone", "folder", "link", "linked folder", "pipe"]
)
def test_a_file_that_is_not_what_it_was_is_not_given_out(store, given, folder, tmp_path, change):
    """R-086, R-091: no link is followed, and no broken file passes for a whole one."""
    kept = keep(store, given(MP4))
    path = folder / kept.id[:2] / f"{kept.id}.mp4"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / path.name).write_bytes(MP4)
    changes: dict[str, Callable[[], Any]] = {
        "cut": lambda: path.write_bytes(MP4[:-1]),
        "grown": lambda: path.write_bytes(MP4 + b"x"),
        "gone": path.unlink,
        "folder": lambda: (path.unlink(), path.mkdir()),
        "link": lambda: (path.unlink(), path.symlink_to(elsewhere / path.name)),
        "linked folder": lambda: (
            path.unlink(),
            path.parent.rmdir(),
            path.parent.symlink_to(elsewhere),
        ),
        "pipe": lambda: (path.unlink(), os.mkfifo(path)),
    }
    changes[change]()

    with pytest.raises(NotFound):
        store.read(kept, 0, kept.size)


def test_no_link_is_followed_when_something_is_written(make_store, given, folder, tmp_path):
    """R-091: a folder that somebody replaced by a link does not take our files elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.mkdir()
    for first in range(256):
        (folder / f"{first:02x}").symlink_to(elsewhere)

    with pytest.raises(StorageTrouble):
        keep(make_store(), given(PNG))
    assert os.listdir(elsewhere) == []


def test_nobody_else_can_read_the_folder(store, given, folder):
    kept = keep(store, given(PNG))
    modes = [folder, folder / kept.id[:2], folder / kept.id[:2] / f"{kept.id}.png"]

    assert [oct(path.stat().st_mode & 0o777) for path in modes] == ["0o700", "0o700", "0o600"]


def test_fifty_thousand_hostile_names_escape_nowhere(tmp_path, monkeypatch):
    """R-091: none of them is ever part of a path, nor opened by a link."""
    folder = tmp_path / "media"
    folder.mkdir()
    (tmp_path / "secret.mp4").write_bytes(MP4)
    local = Local(folder)
    asked: list[Any] = []
    monkeypatch.setattr("app.media.local.os.open", lambda *words, **_: asked.append(words))
    names = hostile(random.Random(91), 50_000)

    found = [name for name in names if _reaches(local, name, len(MP4))]

    assert len(set(names)) > 20_000
    assert found == [] and asked == []


def hostile(chance: random.Random, count: int) -> list[str]:
    bricks = [
        *(
            "../",
            "..\\",
            "%2e%2e/",
            "%2e%2e%2f",
            "..%00/",
            "/",
            "//",
            "\\",
            ".",
            "..",
            "~",
            "$HOME",
        ),
        *(
            "\0",
            "\n",
            "\r",
            " ",
            "\t",
            "\u2215",
            "\uff0e\uff0e\uff0f",
            "\u202e",
            "\ud800",
            "é",
            "０",
        ),
        *("secret.mp4", "etc/passwd", "a" * 32 + ".mp4", "A" * 32, "0" * 31, "0" * 32, "0" * 33),
        *(".mp4", ".MP4", ".php", ".", "::$DATA", "CON", "a" * 300, "file:", "?x=y", "#", ";"),
    ]
    ours = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{3,4}", re.ASCII)
    names = []
    while len(names) < count:
        name = "".join(chance.choices(bricks, k=chance.randint(1, 5)))
        if not ours.fullmatch(name):
            names.append(name)
    return names


def _reaches(local: Local, name: str, size: int) -> bool:
    try:
        local.open(name, size, 0, size)
    except NotFound:
        return False
    return True


def _opens(store: Store, seal: str, name: str) -> bool:
    try:
        store.behind(seal, name)
    except NotFound:
        return False
    return True


def test_a_slow_disk_does_not_hold_up_the_hub(make_store, given, folder, clock):
    """Off the hub, greenlets go on while a file is written and read."""
    turns = 0

    def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    store = make_store(local=Local(folder, off_hub=True))
    ticking = gevent.spawn(tick)
    try:
        kept = keep(store, given(MP4 * 1000))
        written = turns
        assert read(store, kept) == MP4 * 1000
    finally:
        ticking.kill()

    assert 0 < written < turns


# ---------------------------------------------------------------- links as input


def lent(store: Store, url: str, owner: str = OWNER, base: str = "http://here:81/") -> Any:
    found = store.lent(url, owner, base)
    return None if found is None else b"".join(found)


def test_a_link_opens_for_its_owner_under_every_name_of_ours(make_store, given):
    store = make_store(public_url="https://Media.example/files/")
    kept = keep(store, given(PNG))
    ours = store.link(kept)
    path = ours.removeprefix("https://Media.example/files")

    for url in (ours, ours.lower().replace(path.lower(), path), f"http://here:81{path}"):
        assert lent(store, url) == PNG, url
    for url in (
        f"http://here{path}",
        f"https://media.example{path}",
        "http://here:81/x",
        "http://[",
    ):
        assert lent(store, url) is None, url


def test_a_link_does_not_open_for_another_or_later_or_with_more_to_it(make_store, given, clock):
    store = make_store()
    url = store.link(keep(store, given(PNG)), "http://here:81")

    for words in (url + "?a", url.replace("/media/", "/media//"), url[:-4] + ".gif"):
        with pytest.raises(NotFound):
            lent(store, words)
    with pytest.raises(NotFound):
        lent(store, url, owner="another")
    clock.time += LIFE + 1
    with pytest.raises(NotFound):
        lent(store, url)
