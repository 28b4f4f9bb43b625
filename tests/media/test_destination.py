"""No URL that two parsers could read differently gets as far as a lookup (R-111, R-114, R-119,
S-033).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from app.errors import BadAttachment
from app.media.destination import Destination, Refusal, read_destination, read_redirect
from app.media.inbound import Fetcher

if TYPE_CHECKING:
    from tests.media.conftest import Internet

GOOD, EVIL = "good.test", "127.0.0.1"

# Between two hosts, each of these is a separator to some parser and part of a name to another
QUARRELS = [
    *("\\", "@", "\\@", "@\\", "#@", "?@", "#\\@", ";@", "&@", ":@", ":80@", ":x@", "@@", "#"),
    *("\t", "\n", "\r", "\r\n", " ", "\x00", "\x0b", "\x0c", "\x1f", "\x7f", "\x85", "\xa0"),
    *("%", "%00", "%09", "%0a", "%0d%0a", "%20", "%23", "%2f", "%3f", "%40", "%5c", "%2e", "%61"),
    *("\u2028", "\u2029", "\u3000", "\u200b", "\ufeff", "\u00ad", "\u202e", "\ud800"),
    *("／", "＼", "＠", "？", "＃", "：", "％", "[", "]", "[]", "<", ">", '"', "'", "`", "{", "}"),
    *("|", "^", "*", ",", "(", ")", "!", "$", "=", "+", "~", ":", "::", "..", ":80:", ":80:80"),
]

SHAPES = [
    "http://{good}{quarrel}{evil}/",
    "http://{evil}{quarrel}{good}/x.png",
    "https://{good}:443{quarrel}{evil}:80/",
    "http://{quarrel}{evil}/",
]

WHOLE = [
    *(
        "",
        " ",
        "http",
        "http:",
        "http:/",
        "http://",
        "http:///",
        "http:///x",
        "http://?",
        "http://#",
    ),
    *("http://@/", "http://:80/", "http://:@/", "http://@127.0.0.1/", "http://user@good.test/"),
    *("http://user:pw@good.test/", "http://:pw@good.test/", "http:/good.test/", "http:good.test"),
    *(
        "http:\\\\good.test/",
        "http:/\\good.test/",
        "//good.test/x.png",
        "/x.png",
        "good.test/x.png",
    ),
    *(" http://good.test/", "http://good.test/ ", "\x00http://good.test/", "http://good.test/a b"),
    *(
        "http://good.test/\t",
        "http://good.test/\n.png",
        "ht\ntp://good.test/",
        "http\t://good.test/",
    ),
    *("http://good.test/\\..", "http://good.test/x#@127.0.0.1/", "http://good.test?@127.0.0.1/"),
    *("http://good.test?x=@y", "http://good.test#x", "http://.good.test/", "http://good..test/"),
    *("http://good.test../", "http://./", "http://../", "http://good.test:/x@:80/#@"),
    *(
        "http://good.test:0x50/",
        "http://good.test:-80/",
        "http://good.test:+80/",
        "http://a:65536/",
    ),
    *("http://good.test:99999999999/", "http://good.test:８０/", "http://good.test:80a/"),
    *("http://[::1/", "http://::1]/", "http://::1/", "http://[::1]x/", "http://[::1%25eth0]/"),
    *(
        "http://[fe80::1%eth0]/",
        "http://[::ffff:127.0.0.1%1]/",
        "http://[v1.x]/",
        "http://[1.1.1.1]/",
    ),
    *("http://[good.test]/", "http://[]/", "http://[::1]@good.test/", "http://[[::1]]/"),
    *(
        "hTTp://good.test\\@127.0.0.1/",
        "http://1.1.1.1\\@127.0.0.1/",
        "http://127.0.0.1\\.good.test/",
    ),
    *("http://xn--/\\", "http://" + "a" * 64 + ".test/", "http://good.test\ud83d/"),
]

# nothing but http and https is an address here
SCHEMES = [
    *("file:///etc/passwd", "file://good.test/x", "ftp://good.test/x", "gopher://good.test:70/_x"),
    *("data:image/png;base64,aGk=", "blob:http://good.test/1", "jar:http://good.test/x!/y"),
    *(
        "unix:///run/x.sock",
        "http+unix://%2Frun%2Fx/",
        "javascript:alert(1)",
        "dict://good.test:11/",
    ),
    *(
        "ldap://good.test/",
        "tftp://good.test/x",
        "ws://good.test/",
        "view-source:http://good.test/",
    ),
    *(
        "httpx://good.test/",
        "https+http://good.test/",
        "http.://good.test/",
        "about:blank",
        "s3://b/k",
    ),
    *("url:http://good.test/", "netdoc:///etc/passwd", "phar://x", "C:\\x.png", "\\\\good.test\\x"),
]

REFUSED = [
    *(s.format(good=GOOD, evil=EVIL, quarrel=q) for s in SHAPES for q in QUARRELS),
    *WHOLE,
    *SCHEMES,
]


def test_the_corpus_is_long_enough() -> None:
    assert len(set(REFUSED)) >= 200


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_a_quarrelsome_url_is_refused_before_any_lookup(
    fetcher: Fetcher, internet: Internet, url: str
) -> None:
    with pytest.raises(BadAttachment, match="^the address could not be used$"):
        fetcher.basket().fetch(url)

    assert (internet.lookups, internet.dialled) == ([], [])


READ = {
    "http://good.test": Destination("http", "good.test", 80, "/"),
    "HTTPS://Good.TEST/A.png": Destination("https", "good.test", 443, "/A.png"),
    "https://good.test:443/a": Destination("https", "good.test", 443, "/a"),
    "https://good.test:/a": Destination("https", "good.test", 443, "/a"),
    "https://good.test:0443/a": Destination("https", "good.test", 443, "/a"),
    "http://good.test:8080/a?b=c": Destination("http", "good.test", 8080, "/a?b=c"),
    "http://good.test?b=c": Destination("http", "good.test", 80, "/?b=c"),
    "http://good.test/@user/a.png": Destination("http", "good.test", 80, "/@user/a.png"),
    "http://good.test/a?mail=b@c": Destination("http", "good.test", 80, "/a?mail=b@c"),
    "http://good.test/a.pdf#page=2": Destination("http", "good.test", 80, "/a.pdf"),
    "http://good.test/../a/./b": Destination("http", "good.test", 80, "/a/b"),
    "http://good.test/ä.png": Destination("http", "good.test", 80, "/%C3%A4.png"),
    "http://good.test/%41%2f": Destination("http", "good.test", 80, "/%41%2F"),
    "http://good.test./a": Destination("http", "good.test.", 80, "/a"),
    "http://my_bucket.good.test/": Destination("http", "my_bucket.good.test", 80, "/"),
    "http://bücher.test/": Destination("http", "xn--bcher-kva.test", 80, "/"),
    "http://xn--bcher-kva.test/": Destination("http", "xn--bcher-kva.test", 80, "/"),
    "http://аррӏе.test/": Destination("http", "xn--80ak6aa92e.test", 80, "/"),  # Cyrillic, R-114
    "http://1.1.1.1/": Destination("http", "1.1.1.1", 80, "/"),
    "http://0x7f.1/": Destination("http", "0x7f.1", 80, "/"),
    "http://[2606:4700::0001]/": Destination("http", "2606:4700::1", 80, "/"),
}


@pytest.mark.parametrize("url", READ)
def test_an_ordinary_url_leads_where_it_says(url: str) -> None:
    assert read_destination(url) == READ[url]


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://good.test./", "good.test"),
        ("http://good.test:80/", "good.test"),
        ("http://good.test:443/", "good.test:443"),
        ("https://good.test:443/", "good.test"),
        ("http://[::1]/", "[::1]"),
        ("https://[::1]:8443/", "[::1]:8443"),
    ],
)
def test_the_host_header_has_a_port_only_when_it_is_not_the_usual_one(
    url: str, authority: str
) -> None:
    assert read_destination(url).authority == authority


HERE = Destination("https", "good.test", 443, "/a/b?c")


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/x", Destination("https", "good.test", 443, "/x")),
        ("x", Destination("https", "good.test", 443, "/a/x")),
        ("?d", Destination("https", "good.test", 443, "/a/b?d")),
        ("//other.test/x", Destination("https", "other.test", 443, "/x")),
        ("http://other.test:81/x", Destination("http", "other.test", 81, "/x")),
        ("/\xc3\xa4", Destination("https", "good.test", 443, "/%C3%A4")),
    ],
)
def test_a_redirect_starts_from_where_it_was_found(location: str, there: Destination) -> None:
    assert read_redirect(HERE, location) == there


@pytest.mark.parametrize(
    "location",
    [
        *("http://user:pw@good.test/", "http://good.test\\@127.0.0.1/", "\\\\127.0.0.1/x", "/\\x"),
        *(
            "//127.0.0.1\\.good.test/",
            "/a b",
            "\t//127.0.0.1/",
            "/x\ny",
            "/\xff",
            "//[::1",
            "//@x/",
        ),
        *("file:///etc/passwd", "ftp://good.test/", "data:image/png;base64,aGk=", "/" + "a" * 2048),
        *(
            "javascript:alert(1)",
            "http://good.test#@127.0.0.1/",
            "//good.test:80:80/",
            "//",
            "///x",
            "http:x",
        ),
    ],
    ids=ascii,
)
def test_a_redirect_is_read_as_strictly_as_what_the_caller_wrote(location: str) -> None:
    with pytest.raises(Refusal):
        read_redirect(HERE, location)


LONG = {
    "a URL of 64 KB": "http://good.test/" + "a" * 65536,
    "a host of 300 bytes": "http://" + "a" * 300 + "/",
    "a host of 300 bytes in labels": "http://" + ".".join(["a" * 60] * 5) + "/",
    "a wide host of 300 bytes": "http://" + "ü" * 150 + "/",
    "a host that IDNA makes longer": "http://" + ".".join("ü" * 5 for _ in range(22)) + "/",
    "a host of two thousand labels": "http://" + "a." * 1000 + "test/",
    "a label of 64": "http://" + "a" * 64 + ".test/",
    "a port of a thousand digits": "http://good.test:" + "0" * 1000 + "80/",
    "a thousand brackets": "http://" + "[" * 1000 + "/",
    "a thousand at signs": "http://" + "@" * 1000 + "good.test/",
}


@pytest.mark.parametrize("case", LONG)
def test_a_long_url_is_refused_at_once(case: str) -> None:
    spent = []
    for _ in range(5):  # the best of five, so that a busy machine does not matter
        began = time.perf_counter()
        with pytest.raises(Refusal):
            read_destination(LONG[case])
        spent.append(time.perf_counter() - began)

    assert min(spent) < 0.05  # what grows with the square of the length takes seconds


@given(
    st.text(alphabet="htp:/\\@#?.[]%0127 \t\nagü：＠", max_size=30).map(
        lambda tail: f"http://{tail}"
    )
)
def test_whatever_is_accepted_means_the_same_to_both_parsers(url: str) -> None:
    try:
        place = read_destination(url)
    except Refusal:
        return

    hosts = {parse_url(url).host, parse_url(f"http://{urlsplit(url).hostname}").host}
    assert ":" in place.host or hosts == {place.host}


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", "", "http://good.test/"]))
def test_any_text_is_read_or_refused(tail: str, opening: str) -> None:
    try:
        place = read_destination(opening + tail)
    except Refusal:
        return  # any other exception fails the test

    assert read_destination(place.url) == Destination(
        place.scheme, place.name, place.port, place.target
    )
