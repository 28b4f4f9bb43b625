"""Where the fetcher goes, and where it does not (R-107 to R-112, R-115, R-120; S-033 to S-039)."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.clock import SystemClock
from app.errors import BadAttachment, OutOfFiles
from app.media.destination import Refusal
from app.media.inbound import Fetched, Fetcher

if TYPE_CHECKING:
    from tests.media.conftest import Certificates, FileServer, Internet

PUBLIC, ALSO_PUBLIC = "93.184.216.34", "93.184.216.35"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x02\x00\x00\x00\x03\x08\x02\x00\x00\x00"
NEUTRAL = "^the address could not be used$"

Make = Callable[..., Fetcher]


def answer(body: bytes = PNG, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, Location=location)


def test_a_file_comes_with_the_type_its_bytes_show(fetcher: Fetcher, server: FileServer) -> None:
    server.routes["/a.txt"] = answer(Content_Type="text/plain")

    fetched = fetcher.basket().fetch("http://good.test/a.txt")

    assert fetched == Fetched(PNG, "image/png")


def test_the_request_says_nothing_about_us_or_the_caller(
    fetcher: Fetcher, server: FileServer
) -> None:
    server.routes["/a?b=c"] = answer()

    fetcher.basket().fetch("http://good.test/a?b=c")

    assert server.heads == [
        b"GET /a?b=c HTTP/1.1\r\nHost: good.test\r\nUser-Agent: tokens-gateway\r\nAccept: */*\r\n"
        b"Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n"
        + PNG[:16]
        + b"\r\nd\r\n"
        + PNG[16:]
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + PNG,
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
        answer(Content_Encoding="identity", Set_Cookie="a=b"),
    ],
    ids=["chunked", "until the end", "after an interim answer", "with a cookie"],
)
def test_every_ordinary_framing_is_read(fetcher: Fetcher, server: FileServer, wire: bytes) -> None:
    server.routes["/a"] = wire

    assert fetcher.basket().fetch("http://good.test/a").data == PNG


# Where we go


@pytest.mark.parametrize(
    "answers",
    [
        *([PUBLIC, "127.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, ALSO_PUBLIC, "fe80::1%eth0"]),
        *(["::ffff:169.254.169.254"], ["0.0.0.0"], ["not an address"], []),
        [f"93.184.216.{last}" for last in range(49)] + ["192.168.0.1"],
    ],
    ids=str,
)
def test_one_bad_answer_is_enough_to_stay_away(
    fetcher: Fetcher, internet: Internet, answers: list[str]
) -> None:
    internet.names["good.test"] = answers

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("http://good.test/a")

    assert internet.dialled == []


def test_fifty_good_answers_are_fine(
    fetcher: Fetcher, server: FileServer, internet: Internet
) -> None:
    server.routes["/a"] = answer()
    internet.names["good.test"] = [f"93.184.216.{last}" for last in range(50)]

    assert fetcher.basket().fetch("http://good.test/a").data == PNG
    assert internet.dialled == [("93.184.216.0", 80)]


@pytest.mark.parametrize(("dead", "tries"), [(1, 2), (2, 3), (3, 3), (9, 3)])
def test_a_dead_address_gives_way_to_the_next_up_to_three(
    fetcher: Fetcher, server: FileServer, internet: Internet, dead: int, tries: int
) -> None:
    server.routes["/a"] = answer()
    internet.names["good.test"] = [f"93.184.216.{last}" for last in range(10)]
    internet.unreachable = set(internet.names["good.test"][:dead])

    try:
        fetcher.basket().fetch("http://good.test/a")
    except BadAttachment as error:
        assert (dead >= tries, str(error)) == (True, NEUTRAL.strip("^$"))

    assert (len(internet.dialled), server.arrivals) == (tries, int(dead < tries))


def test_a_name_that_nobody_knows_is_not_dialled(fetcher: Fetcher, internet: Internet) -> None:
    with pytest.raises(BadAttachment, match=NEUTRAL) as caught:
        fetcher.basket().fetch("http://nobody.test/a")

    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert internet.dialled == []


@pytest.mark.parametrize("step", ["resolve", "connect"])
def test_for_want_of_descriptors_nobody_is_blamed_but_us(make_fetcher: Make, step: str) -> None:
    """R-145."""

    def full(*_: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(OutOfFiles):
        make_fetcher(**{step: full}).basket().fetch("http://good.test/a")


def test_a_name_is_looked_up_once_and_the_judged_answer_dialled(
    make_fetcher: Make, server: FileServer, internet: Internet
) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    server.routes["/a"] = answer()
    basket = make_fetcher(resolve=lambda host: next(answers)).basket()

    assert basket.fetch("http://good.test/a").data == PNG
    with pytest.raises(BadAttachment, match=NEUTRAL):
        basket.fetch("http://good.test/a")
    assert internet.dialled == [(PUBLIC, 80)]


def test_a_connection_that_ends_elsewhere_is_dropped_before_a_word(
    make_fetcher: Make, server: FileServer
) -> None:
    def astray(address: str, port: int, seconds: float) -> socket.socket:
        return socket.create_connection(("127.0.0.1", server.port), timeout=seconds)

    with pytest.raises(BadAttachment, match=NEUTRAL) as caught:
        make_fetcher(connect=astray).basket().fetch("http://good.test/a")

    assert isinstance(caught.value.__cause__, Refusal)
    assert server.heads == []


def test_a_public_address_of_our_own_is_refused(make_fetcher: Make, internet: Internet) -> None:
    fetcher = make_fetcher(own=lambda address: address == PUBLIC)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("http://good.test/a")

    assert internet.dialled == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f.1", "017700000001", "127.1", "0", "localhost", "[::1]"),
        *("localhost.", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fec0::1]"),
        *("①②⑦.0.0.1", "１２７.０.０.１", "127。0。0。1", "127.0.0.1.", "[::127.0.0.1]", "[::]"),
        *("169.254.169.254", "0xa9fea9fe", "[2001:0:7f00:1:0:0:f7f7:f7f7]", "[64:ff9b:1::1.1.1.1]"),
    ],
)
def test_no_spelling_of_an_inner_address_is_dialled(internet: Internet, host: str) -> None:
    with pytest.raises(BadAttachment, match=NEUTRAL):
        Fetcher(connect=internet.connect).basket().fetch(f"http://{host}/")

    assert internet.dialled == []


# Hosts the operator named


def trusted(make_fetcher: Make, internet: Internet, *entries: str) -> Fetcher:
    internet.names["inner.test"] = ["10.0.0.1"]
    internet.server.routes["/a"] = answer()
    return make_fetcher(allowed_hosts=entries, own=lambda address: True)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("inner.test", "http://inner.test/a"),
        ("Inner.Test", "http://INNER.test./a"),
        ("inner.test", "http://inner.test:443/a"),
        ("inner.test:8080", "http://inner.test:8080/a"),
        ("inner.test:80", "http://inner.test/a"),
    ],
)
def test_a_named_host_may_have_an_inner_address(
    make_fetcher: Make, internet: Internet, entry: str, url: str
) -> None:
    internet.names["inner.test."] = ["10.0.0.1"]
    fetcher = trusted(make_fetcher, internet, entry)

    assert fetcher.basket().fetch(url).data == PNG


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("inner.test", "http://inner.test:8080/a"),
        ("inner.test:8080", "http://inner.test/a"),
        ("inner.test:8080", "http://inner.test:8081/a"),
        ("test", "http://inner.test/a"),
        ("other.test", "http://inner.test/a"),
        ("", "http://inner.test/a"),
    ],
)
def test_a_named_host_opens_nothing_else(
    make_fetcher: Make, internet: Internet, entry: str, url: str
) -> None:
    fetcher = trusted(make_fetcher, internet, entry)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch(url)

    assert internet.dialled == []


@pytest.mark.parametrize("port", [0, 1, 22, 25, 81, 444, 6379, 8080, 8443, 65535])
def test_only_the_usual_ports_are_dialled(fetcher: Fetcher, internet: Internet, port: int) -> None:
    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch(f"http://good.test:{port}/a")

    assert (internet.lookups, internet.dialled) == ([], [])


def test_plain_http_can_be_switched_off(make_fetcher: Make, internet: Internet) -> None:
    with pytest.raises(BadAttachment, match=NEUTRAL):
        make_fetcher(allow_http=False).basket().fetch("http://good.test/a")

    assert internet.lookups == []


# Redirects


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_a_redirect_is_followed_and_carries_nothing_along(
    fetcher: Fetcher, server: FileServer, internet: Internet, status: str
) -> None:
    internet.names["next.test"] = [ALSO_PUBLIC]
    server.routes["/a"] = redirect("http://next.test/b", status)
    server.routes["/b"] = answer()

    assert fetcher.basket().fetch("http://good.test/a").data == PNG
    assert internet.dialled == [(PUBLIC, 80), (ALSO_PUBLIC, 80)]
    assert server.heads[1] == server.heads[0].replace(b"/a", b"/b").replace(b"good", b"next")


@pytest.mark.parametrize("status", ["300 M", "304 N", "305 U", "306 X", "201 C", "101 S"])
def test_other_answers_with_a_location_are_not_followed(
    fetcher: Fetcher, server: FileServer, status: str
) -> None:
    server.routes["/a"] = redirect("/b", status)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("http://good.test/a")

    assert len(server.heads) == 1


@pytest.mark.parametrize("hops", range(11))
def test_three_redirects_are_followed_and_no_more(
    fetcher: Fetcher, server: FileServer, hops: int
) -> None:
    for hop in range(hops):
        server.routes[f"/{hop}"] = redirect(f"/{hop + 1}")
    server.routes[f"/{hops}"] = answer()

    try:
        fetcher.basket().fetch("http://good.test/0")
    except BadAttachment:
        assert hops > 3

    assert len(server.heads) == min(hops + 1, 4)


@pytest.mark.parametrize(
    "location",
    [
        *("http://inner.test/", "//inner.test/", "http://127.0.0.1/", "http://[::1]/", "http://0/"),
        *("http://169.254.169.254/latest/", "http://2130706433/", "http://good.test:22/"),
        *("http://user:pw@good.test/b", "file:///etc/passwd", "gopher://good.test/", "//"),
        *("http://good.test\\@127.0.0.1/", "http://nobody.test/", "", "http://[::ffff:10.0.0.1]/"),
    ],
)
@pytest.mark.parametrize("hop", range(3))
def test_every_hop_is_judged_like_the_first(
    make_fetcher: Make, server: FileServer, internet: Internet, location: str, hop: int
) -> None:
    def resolve(host: str) -> Any:
        return internet.names[host] if host in internet.names else socket.gethostbyname_ex(host)[2]

    internet.names.update({"inner.test": ["10.0.0.1"], "nobody.test": [], "::1": ["::1"]})
    internet.names["::ffff:a00:1"] = ["::ffff:10.0.0.1"]
    for earlier in range(hop):
        server.routes[f"/{earlier}"] = redirect(f"/{earlier + 1}")
    server.routes[f"/{hop}"] = redirect(location)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        make_fetcher(resolve=resolve).basket().fetch("http://good.test/0")

    assert internet.dialled == [(PUBLIC, 80)] * (hop + 1)


def test_a_redirect_out_of_a_named_host_is_judged_like_any_other(
    make_fetcher: Make, internet: Internet
) -> None:
    internet.names["other.test"] = ["10.0.0.2"]
    fetcher = trusted(make_fetcher, internet, "inner.test")
    internet.server.routes["/a"] = redirect("http://other.test/a")

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("http://inner.test/a")

    assert internet.dialled == [("10.0.0.1", 80)]


def test_a_redirect_to_plain_http_is_refused_where_http_is_off(
    make_fetcher: Make, tls_server: FileServer, internet: Internet
) -> None:
    internet.server = tls_server
    tls_server.routes["/a"] = redirect("http://good.test/b")

    with pytest.raises(BadAttachment, match=NEUTRAL):
        make_fetcher(allow_http=False).basket().fetch("https://good.test/a")

    assert internet.dialled == [(PUBLIC, 443)]


# TLS


def test_tls_is_spoken_to_the_name_at_the_judged_address(
    fetcher: Fetcher, tls_server: FileServer, internet: Internet
) -> None:
    internet.server = tls_server
    tls_server.routes["/a"] = answer(PNG + bytes(200_000))

    assert fetcher.basket().fetch("https://good.test/a").data == PNG + bytes(200_000)
    assert internet.dialled == [(PUBLIC, 443)]


@pytest.mark.parametrize("case", ["another name", "unknown authority", "an address", "no TLS"])
def test_a_certificate_that_does_not_fit_is_refused(
    make_fetcher: Make, tls_server: FileServer, internet: Internet, case: str
) -> None:
    internet.server = internet.server if case == "no TLS" else tls_server
    internet.names.update({"other.test": [PUBLIC], PUBLIC: [PUBLIC]})
    host = {"another name": "other.test", "an address": PUBLIC}.get(case, "good.test")
    settings = {"ca_file": ""} if case == "unknown authority" else {}
    fetcher = make_fetcher(seconds=0.5 if case == "no TLS" else 5.0, **settings)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch(f"https://{host}/a")

    assert tls_server.heads == []


# The environment


def test_nothing_in_the_environment_is_used(
    make_fetcher: Make,
    tls_server: FileServer,
    internet: Internet,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    canary, keys = internet.server, tmp_path / "keys"
    netrc = "machine good.test login canary password canary\ndefault login canary password canary\n"
    (tmp_path / ".netrc").write_text(netrc)
    (tmp_path / ".netrc").chmod(0o600)
    for name in ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy"):
        monkeypatch.setenv(name, f"http://canary:canary@127.0.0.1:{canary.port}")
        monkeypatch.setenv(name.upper(), f"http://canary:canary@127.0.0.1:{canary.port}")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    internet.server = tls_server
    tls_server.routes["/a"] = answer(Set_Cookie="canary=1")
    basket = make_fetcher().basket()

    for _ in range(2):
        basket.fetch("https://good.test/a")

    assert (canary.arrivals, keys.exists()) == (0, False)
    assert [b"canary" in head or b"uthorization" in head for head in tls_server.heads] == [
        False
    ] * 2


def test_the_system_file_of_roots_is_not_what_is_trusted(
    tls_server: FileServer,
    internet: Internet,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    internet.server = tls_server
    tls_server.routes["/a"] = answer()
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file)
    fetcher = Fetcher(resolve=internet.resolve, connect=internet.connect)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("https://good.test/a")


# Many at once


def test_a_request_may_name_ten_addresses(fetcher: Fetcher, server: FileServer) -> None:
    server.routes["/a"] = answer()
    basket, refused = fetcher.basket(), 0

    for _ in range(100):
        try:
            basket.fetch("http://good.test/a")
        except BadAttachment as error:
            assert str(error) == "a request may name at most 10 addresses"
            refused += 1

    assert (refused, server.arrivals) == (90, 10)


def test_a_refused_address_counts_as_one(make_fetcher: Make) -> None:
    basket = make_fetcher(request_urls=1).basket()

    with pytest.raises(BadAttachment, match=NEUTRAL):
        basket.fetch("file:///etc/passwd")
    with pytest.raises(BadAttachment, match="at most 1 addresses"):
        basket.fetch("http://good.test/a")


def test_a_host_sees_at_most_four_at_once_and_other_hosts_do_not_wait(
    make_fetcher: Make, server: FileServer, internet: Internet
) -> None:
    inside, most, lock, full, gate = (
        [0],
        [0],
        threading.Lock(),
        threading.Event(),
        threading.Event(),
    )

    def hold(server: FileServer, connection: socket.socket) -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            if inside[0] == 4:
                full.set()
        gate.wait(5)
        with lock:
            inside[0] -= 1
        connection.sendall(answer())

    server.routes.update({"/a": hold, "/b": answer()})
    internet.names["other.test"] = [ALSO_PUBLIC]
    fetcher = make_fetcher()
    fetched: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: fetched.append(fetcher.basket().fetch("http://good.test/a").data)
        )
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    assert full.wait(5)

    other = fetcher.basket().fetch("http://other.test/b").data
    gate.set()
    for thread in threads:
        thread.join(5)

    assert (other, fetched, most[0]) == (PNG, [PNG] * 12, 4)


def test_waiting_for_a_host_counts_towards_the_time(
    make_fetcher: Make, server: FileServer, internet: Internet
) -> None:
    arrived, gate = threading.Event(), threading.Event()

    def hold(server: FileServer, connection: socket.socket) -> None:
        arrived.set()
        gate.wait(5)
        connection.sendall(answer())

    server.routes["/a"] = hold
    clock = GenerousClock()
    fetcher, fetched = make_fetcher(per_host=1, seconds=0.3, clock=clock), []
    first = threading.Thread(
        target=lambda: fetched.append(fetcher.basket().fetch("http://good.test/a").data)
    )
    first.start()
    assert arrived.wait(5)

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("http://good.test/a")
    gate.set()
    first.join(5)

    assert (server.arrivals, fetched) == (1, [PNG])


class GenerousClock(SystemClock):
    """The machine's clock, except that whoever asks first gets a minute more."""

    def __init__(self) -> None:
        self._gifts = [60.0]

    def ticks(self) -> float:
        return super().ticks() + (self._gifts.pop() if self._gifts else 0)
