"""Workers that tell each other what they know, through the database and through Redis."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest
import redis as redis_client

from app.credential import fingerprint
from app.errors import GatewayError, Throttled
from app.pool import redis_board
from app.pool.board import Board, DatabaseBoard, News
from app.pool.choice import Wanted
from app.pool.keeper import Keeper
from app.pool.pool import Pool
from app.pool.redis_board import RESTS, SESSIONS, RedisBoard
from app.pool.rest import Rest
from app.pool.vault import Vault
from app.seal import Seal
from app.storage.credentials import Credentials
from app.storage.database import Database
from app.storage.health import Health
from tests.pool.conftest import key, picked
from tests.storage.databases import KINDS, made

REDIS = "redis://127.0.0.1:6379/9"
M = Wanted("m")


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch, redis_address: str) -> Iterator[redis_client.Redis]:
    """Redis, with streams of this test's own."""
    client = redis_client.Redis.from_url(redis_address)
    mark = uuid.uuid4().hex[:8]
    names = [f"{RESTS}:{mark}", f"{SESSIONS}:{mark}"]
    monkeypatch.setattr("app.pool.redis_board.RESTS", names[0])
    monkeypatch.setattr("app.pool.redis_board.SESSIONS", names[1])
    monkeypatch.setattr("app.pool.redis_board.PROBES", f"{RESTS}:{mark}:probes")
    monkeypatch.setattr("app.pool.redis_board.MOST", dict.fromkeys(names, 1000))
    yield client
    client.delete(*names)


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name) as found:
        yield found


@pytest.fixture(params=[*KINDS, "redis"])
def make_board(request, tmp_path) -> Iterator[Callable[[], Board]]:
    """Makes boards that see the same."""
    if request.param == "redis":
        request.getfixturevalue("redis")
        yield lambda: RedisBoard(REDIS)
        return
    with made(request.param, tmp_path, request.node.name) as found:
        yield lambda: DatabaseBoard(found)


class Worker:
    """A pool and its keeper, without the greenlet."""

    def __init__(self, clock, *boards, keys=(), **more) -> None:
        self.pool = Pool({"p": keys or (key("a"), key("b"))}, clock, boards=boards, **more)
        self.keeper = Keeper(self.pool, list(boards), clock)
        self.keeper.look()

    def look(self) -> None:
        self.keeper.look()

    def fail(self, error=None) -> str:
        lease = self.pool.pick("p", M)
        lease.failed(error or Throttled("slow").after(30))
        lease.give_back()
        return lease.credential.id


def test_what_one_worker_learns_the_others_hear(clock, make_board):
    """R-071."""
    one, other = Worker(clock, make_board()), Worker(clock, make_board())
    assert one.fail() == "a"
    one.look()
    other.look()

    assert [picked(other.pool) for _ in range(3)] == ["b"] * 3


def test_of_two_ends_the_later_counts_everywhere(clock, make_board):
    """R-070: whoever tells first."""
    one, other = Worker(clock, make_board()), Worker(clock, make_board())
    one.fail(Throttled("slow").after(60))
    clock.at += 1
    other.fail(Throttled("slow").after(5))
    for _ in range(2):
        one.look()
        other.look()
    clock.at += 30

    assert [set(picked(w.pool) for _ in range(4)) for w in (one, other)] == [{"b"}, {"b"}]


def test_one_probe_is_out_however_many_workers_there_are(clock, make_board):
    """R-073."""
    workers = [Worker(clock, make_board(), keys=(key("a"),)) for _ in range(4)]
    workers[0].fail(Throttled("slow").after(5))
    for worker in workers:
        worker.look()
    clock.at += 5
    leases = [worker.pool.pick("p", M) for worker in workers]
    probes = [lease for lease in leases if lease is not None]
    assert len(probes) == 1

    probes[0].accepted()
    for _ in range(2):
        for worker in workers:
            worker.look()
    clock.at += 6
    assert [picked(worker.pool) for worker in workers] == ["a"] * 4


def test_a_session_that_moved_has_moved_for_everyone(clock, make_board):
    """C-236."""
    one, other = Worker(clock, make_board()), Worker(clock, make_board())
    first = session(one)
    one.look()
    other.look()
    lease = one.pool.pick("p", M, "s")
    lease.failed(Throttled("slow").after(30))
    moved = session(one)
    assert moved != first
    one.look()
    clock.at += 60  # the key rests no longer
    other.look()

    assert session(other) == moved


def session(worker: Worker) -> str:
    lease = worker.pool.pick("p", M, "s")
    lease.accepted()
    lease.give_back()
    return lease.credential.id


def test_who_comes_later_knows_what_was_told_before(clock, make_board):
    """A restart forgets nothing."""
    one = Worker(clock, make_board())
    one.fail()
    kept = session(one)
    one.look()
    late = Worker(clock, make_board())

    assert picked(late.pool) == "b"
    assert session(late) == kept == "b"


class Broken:
    """A board that cannot be reached, for as long as the test says."""

    def __init__(self, board) -> None:
        self.board, self.works = board, False

    def __getattr__(self, name):
        def call(*words):
            if not self.works:
                raise GatewayError("out of reach")
            return getattr(self.board, name)(*words)

        return call


def test_a_board_out_of_reach_stops_nobody_and_is_told_everything_later(clock, make_board):
    """R-143: the worker decides alone, and makes up for it."""
    broken = Broken(make_board())
    one, other = Worker(clock, broken), Worker(clock, make_board())
    one.fail()
    one.look()
    assert picked(one.pool) == "b"
    other.look()
    assert {picked(other.pool) for _ in range(4)} == {"a", "b"}

    broken.works = True
    one.look()
    other.look()
    assert {picked(other.pool) for _ in range(4)} == {"b"}


def test_one_board_out_of_reach_does_not_keep_the_other_from_working(clock, make_board):
    """R-143: Redis may come and go."""
    one = Worker(clock, Broken(make_board()), make_board())
    other = Worker(clock, make_board())
    one.fail()
    one.look()
    other.look()

    assert {picked(other.pool) for _ in range(4)} == {"b"}


def test_what_has_been_over_for_a_day_is_swept_out_of_the_database(clock, database):
    one = Worker(clock, DatabaseBoard(database))
    one.fail(Throttled("slow").after(30))
    one.look()
    for hours, left in ((2, 1), (25, 0)):
        clock.at += hours * 3600
        one.look()
        assert len(Health(database).of("a")) == left


def test_a_redis_that_forgot_everything_goes_on(clock, redis):
    """R-143: what was read stays known, and what comes later is heard."""
    one, other = Worker(clock, RedisBoard(REDIS)), Worker(clock, RedisBoard(REDIS))
    one.fail()
    one.look()
    other.look()
    assert redis.delete(redis_board.RESTS) == 1
    one.look()
    other.look()
    assert picked(other.pool) == "b"

    one.fail()
    one.look()
    other.look()
    assert picked(other.pool) is None


def test_a_redis_that_is_not_there_is_our_trouble_alone(clock):
    board = RedisBoard("redis://127.0.0.1:9/0")
    for call in (
        board.news,
        lambda: board.tell([Rest("a", "", "quota", 1, 2, 0, "x")], {}, 1.0),
        lambda: board.claim(Rest("a", "", "quota", 1, 2, 0, "x"), 3.0),
    ):
        with pytest.raises(GatewayError) as caught:
            call()
        assert caught.value.status == 503


# ---------------------------------------------------------------- credentials


def kept(table: Credentials, seal: Seal, name: str, **more):
    """A credential in the database, sealed."""
    token = more.pop("token", f"token-{name}")
    return table.add(
        {
            "name": name,
            "platform": "p",
            "sealed": seal.close(name, {"token": token}),
            "fingerprint": fingerprint("p", token),
            "created_at": 1,
            **more,
        }
    )


def test_credentials_of_the_database_join_those_of_the_settings(clock, database, tmp_path):
    """And come and go without a restart (R-078: what is lent stays lent)."""
    file = tmp_path / "seal.key"
    seal, table = Seal.make(file), Credentials(database)
    one = Worker(clock, DatabaseBoard(database), vault=Vault(file), keys=(key("a"),))
    first = kept(table, seal, "cr_1", groups=("mine",), weight=2)
    one.look()
    assert {picked(one.pool) for _ in range(6)} == {"a", "cr_1"}
    assert one.pool.knows_group("mine")

    lease = one.pool.pick("p", Wanted("m", ("mine",)))
    table.remove(first)
    one.look()
    assert {picked(one.pool) for _ in range(6)} == {"a"}
    lease.accepted()
    lease.give_back(5)


def test_another_token_is_another_credential(clock, database, tmp_path):
    """Nothing is held against a key that was exchanged."""
    file = tmp_path / "seal.key"
    seal, table = Seal.make(file), Credentials(database)
    row = kept(table, seal, "cr_1", priority=1)
    one = Worker(clock, DatabaseBoard(database), vault=Vault(file), keys=(key("a"),))
    assert one.fail() == "cr_1"
    assert picked(one.pool) == "a"
    one.look()
    table.change(row, {"sealed": seal.close("cr_1", {"token": "other"}), "fingerprint": "f" * 32})
    one.look()

    assert picked(one.pool) == "cr_1"


def test_a_credential_that_cannot_be_opened_is_left_out_and_told(clock, database, tmp_path, caplog):
    """S-005: losing the key file is no reason to stop."""
    file = tmp_path / "seal.key"
    table = Credentials(database)
    kept(table, Seal.make(tmp_path / "lost.key"), "cr_lost")
    kept(table, Seal.make(file), "cr_good")
    one = Worker(clock, DatabaseBoard(database), vault=Vault(file), keys=(key("a"),))

    assert {picked(one.pool) for _ in range(6)} == {"a", "cr_good"}


def test_what_was_opened_stays_open_until_the_right_key_comes(clock, database, tmp_path):
    """Rotation on one host, before the others have the new file (S-005)."""
    file = tmp_path / "seal.key"
    seal, table = Seal.make(file), Credentials(database)
    row = kept(table, seal, "cr_1")
    one = Worker(clock, DatabaseBoard(database), vault=Vault(file), keys=(key("a"),))
    newer = Seal.make(tmp_path / "newer.key")
    table.reseal(lambda kept: {row.id: newer.close("cr_1", {"token": "token-cr_1"})})
    one.look()

    assert {picked(one.pool) for _ in range(6)} == {"a", "cr_1"}


def test_many_workers_write_at_once_and_nothing_is_lost(clock, database):
    """Each tells of a key of its own; in the end everyone knows of all."""
    keys = tuple(key(f"k{i}") for i in range(8))
    workers = [Worker(clock, DatabaseBoard(database), keys=keys) for _ in range(8)]

    def tell(place: int) -> None:
        rest = Rest(f"k{place}", "", "quota", clock.at, clock.at + 60, 0, "spent")
        workers[place].pool.take(News(rests=[rest]))
        board = DatabaseBoard(database)
        board.tell([rest], {f"s{place}": (f"k{place}", int(clock.at) + 60)}, clock.at)

    threads = [threading.Thread(target=tell, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for worker in workers:
        worker.look()

    assert [picked(worker.pool) for worker in workers] == [None] * 8
