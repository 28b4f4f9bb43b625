"""Links and what they open, in this process, on a clock that is moved by hand (C-115, C-202; R-087,
R-089, R-090, R-091; S-050 to S-052).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from flask.testing import FlaskClient
from hypothesis import given as example
from hypothesis import strategies as st

from app.canonical.media import File
from app.config import BadSetting, Settings
from app.factory import create_app
from app.key_file import BadKeyFile
from app.media.links import Links
from app.media.store import Store
from app.storage.database import Database
from app.storage.media import Kept
from app.storage.schema import prepare
from app.web.gateway import KEY
from tests.media.samples import GIF, MP3, MP4, PNG, Clock
from tests.media.test_store import hostile

DAY = 86400.0
NOTHING = "there is nothing at this path"
POLYGLOT = GIF + b"<html><script>alert(document.domain)</script></html>"
Keep = Callable[..., Kept]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def store(folder: Path, clock: Clock) -> Iterator[Store]:
    yield client_of(folder, clock).application.extensions[KEY].media


@pytest.fixture(scope="module")
def client(store: Store, folder: Path, clock: Clock) -> FlaskClient:
    return client_of(folder, clock)


def client_of(folder: Path, clock: Clock, **settings: str) -> FlaskClient:
    """One of several workers: they share a database, a folder and a file with keys."""
    env = {
        "TOKENS_DATABASE_URL": f"sqlite:///{folder}/tokens.db",
        "TOKENS_LOG_FILE": str(folder / "access.log"),
        "TOKENS_MEDIA_FOLDER": str(folder / "media"),
        "TOKENS_LINK_FILE": str(folder / "link.key"),
    }
    prepare(Database(env["TOKENS_DATABASE_URL"]))
    return create_app(Settings.from_env(env | settings), clock=clock).test_client()


@pytest.fixture
def keep(store: Store, tmp_path: Path) -> Keep:
    def keep(data: bytes = MP4, **facts: str) -> Kept:
        path = tmp_path / "made"
        path.write_bytes(data)
        file = File(str(path), "text/html", len(data))
        return store.keep(file, **{"owner": "0a1b2c3d", "platform": "here", **facts})

    return keep


def link(store: Store, kept: Kept) -> str:
    return urlsplit(store.link(kept, "http://gateway.example/")).path


def refused(answer) -> bool:
    """404 in our envelope, the same whatever is wrong."""
    error = answer.get_json()["error"]
    return (answer.status_code, error["code"], error["message"]) == (404, "not_found", NOTHING)


def test_a_link_is_absolute_ends_as_the_file_does_and_has_no_query(store, keep):
    """C-115, K-026."""
    kept = keep()
    url = urlsplit(store.link(kept, "http://gateway.example/"))

    assert (url.scheme, url.netloc, url.query, url.fragment) == ("http", "gateway.example", "", "")
    assert re.fullmatch(rf"/media/\d+-[\w-]{{43}}/{kept.id}\.mp4", url.path, re.ASCII)


def test_the_operators_word_for_the_address_goes_before_the_callers(folder, clock, keep):
    public = client_of(folder, clock, TOKENS_PUBLIC_URL="https://media.example/tokens/")
    store = public.application.extensions[KEY].media

    assert store.link(keep(), "http://evil.example").startswith(
        "https://media.example/tokens/media/"
    )


@pytest.mark.parametrize(
    "data, content_type, disposition",
    [
        (MP4, "video/mp4", "inline"),
        (PNG, "image/png", "inline"),
        (POLYGLOT, "image/gif", "inline"),
        (MP3, "audio/mpeg", "attachment"),
    ],
)
def test_a_file_comes_as_what_it_is_and_can_do_nothing(
    client, store, keep, data, content_type, disposition
):
    """C-202, R-090. That SVG and HTML are never kept is in tests/media/test_store.py."""
    kept = keep(data)
    answer = client.get(link(store, kept), headers={"Origin": "https://chat.example"})

    assert (answer.status_code, answer.data) == (200, data)
    headers = answer.headers
    assert headers["Content-Type"] == content_type
    assert headers["Content-Length"] == str(len(data))
    assert headers["Content-Disposition"].startswith(f'{disposition}; filename="{kept.id}.')
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private" and headers["Accept-Ranges"] == "bytes"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "content-range" in headers["Access-Control-Expose-Headers"]
    assert "Set-Cookie" not in headers


SIZE = len(MP4)


@pytest.mark.parametrize(
    "asked, start, end",
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=5-", 5, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
        ("bytes=0-999999999", 0, SIZE),
        ("bytes=-999999999", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    ],
)
def test_a_part_is_given_where_one_is_asked_for(client, store, keep, asked, start, end):
    """C-202."""
    answer = client.get(link(store, keep()), headers={"Range": asked})

    assert answer.data == MP4[start:end] and answer.headers["Content-Length"] == str(end - start)
    is_part = (start, end) != (0, SIZE)
    assert answer.status_code == (206 if is_part else 200)
    where = f"bytes {start}-{end - 1}/{SIZE}" if is_part else None
    assert answer.headers.get("Content-Range") == where


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-5", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes 0-1", "=", ""],
)
def test_a_range_that_is_none_or_several_gives_the_whole_file(client, store, keep, asked):
    answer = client.get(link(store, keep()), headers={"Range": asked})

    assert (answer.status_code, answer.data) == (200, MP4)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused(client, store, keep, asked):
    answer = client.get(link(store, keep()), headers={"Range": asked})

    assert answer.status_code == 416 and answer.headers["Content-Range"] == f"bytes */{SIZE}"
    assert answer.get_json()["error"]["code"] == "range_not_satisfiable"


def test_a_part_of_another_version_is_not_given(client, store, keep):
    path = link(store, keep())
    whole = client.get(path)

    def part(version: str) -> int:
        headers = {"Range": "bytes=0-1", "If-Range": version}
        return client.get(path, headers=headers).status_code

    assert part(whole.headers["ETag"]) == part(whole.headers["Last-Modified"]) == 206
    assert part('"another"') == part("Thu, 01 Jan 1970 00:00:00 GMT") == 200
    assert part(f"W/{whole.headers['ETag']}") == 200


def test_what_the_browser_has_is_not_sent_again(client, store, keep):
    path = link(store, keep())
    etag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": etag})

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    assert client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_head_says_what_get_would_and_sends_nothing(client, store, keep):
    path = link(store, keep())
    get, head = client.get(path), client.head(path, headers={"Range": "bytes=0-1"})
    told = ("Content-Type", "Content-Length", "ETag", "Accept-Ranges", "Content-Disposition")

    assert (head.status_code, head.data) == (200, b"")
    assert [head.headers[name] for name in told] == [get.headers[name] for name in told]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_link_is_for_reading_alone(client, store, keep, method):
    """R-089: altered method."""
    path = link(store, keep())

    assert client.open(path, method=method).status_code == 405
    assert client.get(path).status_code == 200


def test_a_link_ends_with_its_day_or_with_its_file_whichever_comes_first(
    client, store, keep, clock, folder
):
    """R-089."""
    kept = keep()
    path = link(store, kept)
    began = clock.time
    try:
        clock.time = began + DAY - 1
        assert client.get(path).status_code == 200
        for later in (DAY, DAY + 300):  # five minutes of another clock change nothing
            clock.time = began + later
            assert refused(client.get(path))
        assert client.get(link(store, kept)).status_code == 200  # a new link, the same file
        clock.time = kept.expires_at - 10
        last = link(store, kept)
        assert client.get(last).status_code == 200
        clock.time = kept.expires_at
        assert refused(client.get(last))
    finally:
        clock.time = began


def test_a_file_that_was_removed_stays_removed(client, store, keep):
    """R-089: replay after delete."""
    kept = keep()
    path = link(store, kept)
    assert client.get(path).status_code == 200

    store.remove(kept)

    assert refused(client.get(path)) and refused(client.head(path) and client.get(path))


def test_no_alteration_of_a_link_opens_anything(client, store, keep):
    """R-089: every character of it changed, and the parts of two links mixed."""
    one, other = keep(), keep(PNG)
    path, another = link(store, one), link(store, other)
    _, _, seal, name = path.split("/")
    expires, _, signature = seal.partition("-")
    altered = [f"/media/{int(expires) + step}-{signature}/{name}" for step in (-1, 1, 300, 86400)]
    altered += [f"/media/0{seal}/{name}", f"/media/+{seal}/{name}", f"/media/{seal}=/{name}"]
    altered += [
        f"/media/{seal}/{one.id}.{end}" for end in ("MP4", "mov", "html", "svg", "mp4.html")
    ]
    altered += [f"/media/{seal}/{one.id.upper()}.mp4", f"/media/{seal}/{one.id}"]
    altered += [f"/media/{seal}/{other.id}.png", f"/media/{another.split('/')[2]}/{name}"]
    altered += [f"/media/{expires}-/{name}", f"/media/{signature}/{name}", f"/media//{name}"]
    for at in range(len("/media/"), len(path)):
        if path[at] not in "/-.":
            altered.append(path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :])

    assert len(altered) > 90
    assert [one for one in altered if not refused(client.get(one))] == []
    assert client.get(path).status_code == 200


def test_hostile_paths_lead_nowhere(client, store, keep, folder):
    """R-091: over HTTP, with a good seal and without. Fifty thousand more are in tests/media."""
    (folder / "secret.mp4").write_bytes(MP4)
    seal = link(store, keep()).split("/")[2]
    names = hostile(random.Random(92), 500)
    paths = [f"/media/{seal}/{quote(name, errors='surrogatepass')}" for name in names]
    paths += [f"/media/{quote(name, errors='surrogatepass')}" for name in names]

    answers = [client.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {404}


@example(st.text(max_size=120), st.text(max_size=80))
def test_whatever_the_seal_it_is_refused_without_an_error(seal, name):
    links = Links(KEYS / "link.key", Clock(), seconds=60)

    assert not links.opens(seal, name)


KEYS = Path("unset")


@pytest.fixture(autouse=True, scope="module")
def _keys(tmp_path_factory: pytest.TempPathFactory) -> None:
    globals()["KEYS"] = tmp_path_factory.mktemp("keys")


def test_guesses_are_refused_before_anything_is_looked_up(client, store, keep, monkeypatch):
    """R-087: the time a refusal takes cannot tell what is there, because nothing has been asked."""
    kept = keep()
    asked: list[str] = []
    monkeypatch.setattr(type(store._table), "find", lambda *words: asked.append(words))
    seal = "9999999999-" + "A" * 43

    assert refused(client.get(f"/media/{seal}/{kept.id}.mp4"))
    assert refused(client.get(f"/media/{seal}/{'0' * 32}.mp4"))
    assert asked == []


def test_two_links_with_the_same_end_differ_for_each_file(store, keep):
    seals = {link(store, keep()).split("/")[2] for _ in range(5)}

    assert len(seals) == 5


def test_the_key_is_made_once_and_its_owner_alone_can_read_it(tmp_path):
    file = tmp_path / "new" / "link.key"
    first, second = (Links(file, Clock(), seconds=60) for _ in range(2))
    path = first.path("a.mp4", 2_000_000_000)

    assert second.opens(path.split("/")[2], "a.mp4")
    assert oct(file.stat().st_mode & 0o777) == "0o400"


def test_links_of_an_older_key_count_as_long_as_it_stands_in_the_file(tmp_path):
    old, new, file = "0123456789abcdef" * 2, "fedcba9876543210" * 2, tmp_path / "link.key"
    file.write_text(f"{old}\n")
    seal = Links(file, Clock(), seconds=60).path("a.mp4", 2_000_000_000).split("/")[2]

    file.write_text(f"{new}\n{old}\n")
    assert Links(file, Clock(), seconds=60).opens(seal, "a.mp4")
    file.write_text(f"{new}\n")
    assert not Links(file, Clock(), seconds=60).opens(seal, "a.mp4")


@pytest.mark.parametrize("words", ["", "# nothing\n", "short\n", "0" * 64 + "\n", "changeme\n"])
def test_a_key_that_anybody_could_guess_is_refused(tmp_path, words):
    """S-007."""
    file = tmp_path / "link.key"
    file.write_text(words)

    with pytest.raises(BadKeyFile):
        Links(file, Clock(), seconds=60).path("a.mp4", 2_000_000_000)
    with pytest.raises(BadSetting, match="TOKENS_LINK_FILE"):  # nobody starts with one, either
        client_of(tmp_path, Clock())


def test_the_log_knows_the_file_but_not_the_link(client, store, keep, folder):
    kept = keep(task="video_1")
    path = link(store, kept)
    client.get(path, headers={"Range": "bytes=0-9"}).close()
    lines = (folder / "access.log").read_text().splitlines()

    assert path.split("/")[2] not in "".join(lines)
    line = next(line for line in reversed(lines) if kept.id in line)
    assert '"bytes":10' in line and '"licence":"0a1b2c3d"' in line and '"status":206' in line
