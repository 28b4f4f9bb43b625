"""`tokens doctor --url` before nginx as we ship it, and before nginx with one thing wrong."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.cli import main, way
from app.cli.finding import Finding
from app.cli.way_probe import Way
from tests.deploy.conftest import Place
from tests.deploy.front import Certificate, Front
from tests.deploy.service import Service
from tests.stack import Simulators

pytestmark = pytest.mark.slow
PAGES = "    error_page 413 @too_large;"
LISTEN = 'proxy_set_header Connection "";  # (!)'
ALL = "    location / {\n        proxy_pass http://tokens;"
BELOW = {ALL: "    location /ai/ {\n        proxy_pass http://tokens/;"}
FILES = "    location /media/ { proxy_pass http://tokens; %s}\n"
# What is wrong with the site, what is found by it, and what puts it right.
FAULTS = {
    "buffering": (
        {"proxy_buffering off;": "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"},
        "streams",
        "`proxy_buffering off;`",
    ),
    "HTTP/1.0": (
        {"proxy_http_version 1.1;": "proxy_http_version 1.0;"},
        "protocol",
        "`proxy_http_version 1.1;`",
    ),
    "time-out": (
        {"proxy_read_timeout 1h;": "proxy_read_timeout 1s;"},
        "silence",
        "proxy_read_timeout",
    ),
    "body": (
        {"client_max_body_size 129m;": ""},
        "bodies",
        "`client_max_body_size 129m;`",
    ),
    "errors told by nginx": (
        {PAGES: f"proxy_intercept_errors on; error_page 400 401 404 500 @away;\n{PAGES}"},
        "errors",
        "`proxy_intercept_errors off;`",
    ),
    "errors told by our pages": (
        {PAGES: f"proxy_intercept_errors on;\n{PAGES}"},
        "errors",
        "`proxy_intercept_errors off;`",
    ),
    "no Content-Type": (
        {LISTEN: LISTEN + "\nproxy_hide_header Content-Type;"},
        "answers",
        "`proxy_hide_header Content-Type;`",
    ),
    "no X-Request-Id": (
        {LISTEN: LISTEN + "\nproxy_hide_header x-request-id;"},
        "answers",
        "`proxy_hide_header X-Request-Id;`",
    ),
    "no Retry-After": (
        {LISTEN: LISTEN + "\nproxy_hide_header Retry-After; proxy_hide_header x-should-retry;"},
        "answers",
        "`proxy_hide_header Retry-After;`, `proxy_hide_header X-Should-Retry;`",
    ),
    "no query": (
        {"proxy_pass http://tokens;  # (!)": "proxy_pass http://tokens$uri;  # (!)"},
        "query",
        "`proxy_pass http://tokens;`",
    ),
    "no headers": (
        {LISTEN: LISTEN + "\nproxy_pass_request_headers off;"},
        "licence",
        "`proxy_pass_request_headers on;`",
    ),
    "two headers": (
        {LISTEN: LISTEN + '\nproxy_set_header Range "";\nproxy_set_header X-Session-Id "";'},
        "headers",
        '`proxy_set_header Range "";`, `proxy_set_header X-Session-Id "";`',
    ),
    "compression": ({"gzip off;": ""}, "compression", "`gzip off;`"),
    "no Authorization": (
        {LISTEN: LISTEN + '\nproxy_set_header Authorization "";'},
        "licence",
        "`proxy_set_header Authorization`",
    ),
    "no Tokens-Authorization": (
        {LISTEN: LISTEN + '\nproxy_set_header Tokens-Authorization "";'},
        "headers",
        'proxy_set_header Tokens-Authorization "";',
    ),
    "a filter": (
        {LISTEN: LISTEN + "\nif ($http_range) { return 403; }"},
        "headers",
        "take what looks at headers out",
    ),
    "no Range": (
        {LISTEN: LISTEN + '\nproxy_set_header Range "";'},
        "headers",
        'proxy_set_header Range "";',
    ),
    "forged address": (
        {"X-Forwarded-For $remote_addr": "X-Forwarded-For $proxy_add_x_forwarded_for"},
        "address",
        "`proxy_set_header X-Forwarded-For $remote_addr;`",
    ),
    "no scheme": (
        {"proxy_set_header X-Forwarded-Proto $scheme;": ""},
        "links",
        "`proxy_set_header X-Forwarded-Proto $scheme;`",
    ),
    "no host": (
        {"proxy_set_header Host $host;": ""},
        "links",
        "`proxy_set_header Host $host;`",
    ),
    "prefix": (
        {"proxy_pass http://tokens;  # (!)": "proxy_pass http://tokens/ai/;  # (!)"},
        "gateway",
        "`location / { proxy_pass http://tokens; }`",
    ),
    "password": (
        {
            "    location / {\n        proxy_pass": "    location / { return 403;\n        proxy_pass"
        },
        "gateway",
        "`auth_basic`",
    ),
    "nobody behind it": (
        {"proxy_pass http://tokens;": "proxy_pass http://unix:/nowhere.sock;"},
        "gateway",
        "systemctl status tokens-web@a",
    ),
}


def looked(front: Front, service: Service, prefix: str = "", silence: int = 2) -> list[Finding]:
    at = Way(front.url + prefix, service.licence, str(front.certificate.file))
    return list(way.examine(at, silence))


def wrong(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.state != "ok"]


def test_nothing_is_wrong_with_what_we_ship(service: Service) -> None:
    found = looked(service.front, service)

    assert wrong(found) == []
    assert [one.check for one in found] == (
        "certificate gateway licence protocol address links headers errors".split()
        + ["answers", "streams", "compression", "broken answers", "bodies", "silence", "clock"]
    )


@pytest.fixture(scope="module")
def faults(
    service: Service, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Finding]]:
    """What is found with each fault; all are looked for side by side."""
    folder = tmp_path_factory.mktemp("faults")

    def look(name: str) -> list[Finding]:
        place = folder / name.replace("/", "").replace(" ", "")
        place.mkdir()
        front = Front(place, [service.socket_file], certificate, FAULTS[name][0])
        try:
            return looked(front, service)
        finally:
            front.stop()

    with ThreadPoolExecutor(7) as pool:
        return dict(zip(FAULTS, pool.map(look, FAULTS)))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_the_line_that_mends_it(
    fault: str, faults: dict[str, list[Finding]]
) -> None:
    _, check, line = FAULTS[fault]
    found = {one.check: one for one in wrong(faults[fault])}

    assert check in found, faults[fault]
    assert found[check].state == "wrong" and line in found[check].do, found[check]


def test_with_http_1_0_a_broken_answer_looks_whole(faults: dict[str, list[Finding]]) -> None:
    """M-01."""
    found = {one.check: one for one in faults["HTTP/1.0"]}

    assert found["broken answers"].state == "wrong"
    assert "proxy_http_version 1.1;" in found["broken answers"].do


def test_what_only_a_header_prevents_is_noted(place: Place, service: Service) -> None:
    found = wrong(looked(place({"proxy_buffering off;": ""}), service))

    assert [(one.check, one.state) for one in found] == [("streams", "note")]
    assert found[0].do == "`proxy_buffering off;`"


def test_identity_is_no_compression(place: Place, service: Service) -> None:
    front = place({LISTEN: LISTEN + "\nadd_header Content-Encoding identity;"})

    assert wrong(looked(front, service, silence=1)) == []


def test_a_licence_that_is_wrong_is_not_told_where_nginx_tells_errors(
    place: Place, service: Service
) -> None:
    front = place(FAULTS["errors told by nginx"][0])
    *_, found = way.examine(Way(front.url, "tk-wrong", str(front.certificate.file)), 1)

    assert (found.check, found.state) == ("licence", "wrong")
    assert "the gateway does not answer" not in found.what
    assert "`proxy_intercept_errors off;`" in found.do


def test_a_prefix_works_with_both_slashes_and_not_without(place: Place, service: Service) -> None:
    kept = {ALL: "    location /ai/ {\n        proxy_pass http://tokens;"}
    below = {ALL: FILES % "" + BELOW[ALL]}

    assert wrong(looked(place(below), service, "/ai")) == []
    (found,) = wrong(looked(place(kept), service, "/ai"))
    assert found.check == "gateway" and "`location /ai/ { proxy_pass http://tokens/; }`" in found.do


NO_HOST = {
    "proxy_set_header Host $host;": "",
    "proxy_set_header X-Forwarded-Proto $scheme;": "",
}


def test_links_are_judged_by_the_address_that_they_are_set_to(
    simulators: Simulators, certificate: Certificate, tmp_path: Path
) -> None:
    for name in ("gateway", "set", "other"):
        (tmp_path / name).mkdir()
    socket_file = tmp_path / "gateway" / "a.sock"
    there = Front(tmp_path / "set", [socket_file], certificate, BELOW)
    other = Front(tmp_path / "other", [socket_file], certificate, NO_HOST)
    service = Service(simulators, tmp_path / "gateway", TOKENS_PUBLIC_URL=f"{there.url}/ai")
    try:
        assert wrong(looked(there, service, "/ai", silence=1)) == []
        assert wrong(looked(other, service, silence=1)) == []
        there.stop()
        (gone,) = wrong(looked(other, service, silence=1))
        there.write({})
        there.start()
        (astray,) = wrong(looked(there, service, silence=1))
    finally:
        service.stop()
        there.stop()
        other.stop()

    assert (gone.check, gone.state) == (astray.check, astray.state) == ("links", "wrong")
    assert f"lead to {there.url}/ai, " in gone.what and "refused" in gone.what
    assert gone.do == f"set TOKENS_PUBLIC_URL={other.url}, and restart the services"
    assert "has none there" in astray.what


def test_links_that_nginx_lets_nobody_post_to_are_good(place: Place, service: Service) -> None:
    front = place({ALL: FILES % "limit_except GET { deny all; } " + ALL})

    assert wrong(looked(front, service, silence=1)) == []


def test_links_that_no_location_takes_are_wrong(place: Place, service: Service) -> None:
    """Below a prefix they lead past it, unless they are told to."""
    front = place(BELOW)
    (found,) = wrong(looked(front, service, "/ai", silence=1))

    assert (found.check, found.state) == ("links", "wrong")
    assert found.do == f"set TOKENS_PUBLIC_URL={front.url}/ai, and restart the services"


def test_certificates_are_judged_before_anything_is_said(
    place: Place, service: Service, tmp_path
) -> None:
    other = place(shown=Certificate(tmp_path, name="other.example"))
    expired = place(shown=Certificate(tmp_path, days=-0.5))
    ends = place(shown=Certificate(tmp_path / "..", days=3))
    before = len(service.log)

    stranger = Way(service.front.url, service.licence)
    (unknown,) = way.examine(stranger, 1)
    (named,) = looked(other, service)
    (over,) = looked(expired, service)
    assert "self-signed" in unknown.what and "--ca-file" in unknown.do
    assert "mismatch" in named.what and "`server_name`" in named.do
    assert "expired" in over.what and "certbot renew" in over.do
    assert len(service.log) == before
    assert looked(ends, service)[0].state == "note"


@pytest.mark.parametrize("ahead, word", [(90.0, "90 s ahead of"), (-90.0, "90 s behind")])
def test_a_clock_that_is_wrong_is_told(
    ahead: float, word: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    (found,) = wrong(looked(service.front, service, silence=1))

    assert (found.check, found.state) == ("clock", "wrong")
    assert word in found.what and "NTP" in found.do


def test_the_wrong_licence_the_wrong_place_and_the_plain_way_are_told_apart(
    service: Service,
) -> None:
    front = service.front
    trust = str(front.certificate.file)
    *_, refused = way.examine(Way(front.url, "tk-wrong", trust), 1)
    *_, closed = way.examine(Way("http://127.0.0.1:9", service.licence), 1)
    plain = f"http://localhost:{front.plain_port}"
    *_, sent = way.examine(Way(plain, service.licence), 1)
    (clear,) = way.examine(Way("http://192.0.2.1", service.licence), 1)

    assert "the licence is not valid" in refused.what
    assert closed.check == "address" and "refused" in closed.what
    assert sent.check == "gateway" and "https://localhost" in sent.what
    assert (clear.check, clear.state) == ("certificate", "wrong")


def test_the_command_needs_no_settings_and_shows_no_licence(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LICENCE", service.licence)
    monkeypatch.setenv("TOKENS_NONSENSE", "1")
    trust = str(service.front.certificate.file)
    words = ["--url", service.front.url, "--ca-file", trust, "--silence", "1", "--json"]

    assert main(["doctor", *words]) == 0
    told = capsys.readouterr().out
    assert {one["state"] for one in json.loads(told)} == {"ok"}
    assert service.licence not in told


@pytest.mark.parametrize(
    "words, why",
    [
        (["--url", "nonsense"], "http(s) address"),
        (["--url", "https://x"], "a licence is needed"),
        (["--url", "https://x", "--licence", "tk", "--silence", "0"], "--silence"),
        (["--url", "https://x", "--licence", "tk", "--ca-file", "/nowhere"], "cannot be read"),
        (["--url", "https://x", "--licence", "tk", "--ca-file", "/"], "has no certificate in it"),
        (["--url", "https://x", "--licence", "tk", "--ca-file", __file__], "has no certificate in"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LICENCE", raising=False)
    assert main(["doctor", *words]) == 1
    assert why in capsys.readouterr().err
