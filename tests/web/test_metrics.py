"""Who may read `/metrics`."""

from __future__ import annotations

import pytest

from tests.metrics.reading import Reading
from tests.web.house import House

TOKEN = "sk-canary-4f1b7c"
HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": ""}


@pytest.fixture(scope="module")
def open_house(tmp_path_factory):
    return House(tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def closed_house(tmp_path_factory):
    return House(tmp_path_factory.mktemp("closed"), TOKENS_METRICS_TOKEN=TOKEN)


def status(house: House, **environ: str) -> int:
    answer = house.ask("GET", "/metrics", "", environ=HERE | environ)
    if answer.status == 200:
        assert "tokens_requests_in_flight" in Reading(answer.body.decode()).names
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.status


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", ""])
def test_whoever_calls_from_this_host_may(open_house, address):
    """S-069."""
    assert status(open_house, REMOTE_ADDR=address) == 200


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.1", "::ffff:192.0.2.1", "fe80::1"])
def test_whoever_calls_from_elsewhere_finds_nothing(open_house, address):
    assert status(open_house, REMOTE_ADDR=address) == 404


@pytest.mark.parametrize(
    "header",
    ["FORWARDED", "VIA", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO", "X_REAL_IP"],
)
@pytest.mark.parametrize("address", ["127.0.0.1", ""])
def test_what_was_passed_on_comes_from_elsewhere(open_house, address, header):
    assert status(open_house, REMOTE_ADDR=address, **{f"HTTP_{header}": "127.0.0.1"}) == 404


def test_it_looks_like_any_path_that_leads_nowhere(open_house):
    elsewhere = HERE | {"REMOTE_ADDR": "192.0.2.1"}
    answers = [
        open_house.ask("GET", path, "", environ=elsewhere) for path in ("/metrics", "/metric")
    ]

    assert answers[0].of("") == answers[1].of("")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1"])
def test_whoever_shows_the_token_may(closed_house, address, scheme):
    shown = {"HTTP_AUTHORIZATION": f"{scheme} {TOKEN}", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    assert status(closed_house, REMOTE_ADDR=address, **shown) == 200


@pytest.mark.parametrize(
    "shown",
    ["", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ü"],
)
def test_where_there_is_a_token_nobody_else_may(closed_house, shown):
    assert status(closed_house, HTTP_AUTHORIZATION=shown) == 404


def test_the_token_is_in_no_line_of_the_log(closed_house):
    for shown in (f"Bearer {TOKEN}", f"Bearer wrong-{TOKEN}", TOKEN):
        status(closed_house, HTTP_AUTHORIZATION=shown)
    file = closed_house.hub.log._fd

    with open(f"/proc/self/fd/{file}", "rb") as lines:
        assert b"canary" not in lines.read()
    assert "canary" not in repr(closed_house.hub)


def test_other_methods_find_nothing_either(open_house):
    answers = [open_house.ask(one, "/metrics", "", environ=HERE) for one in ("POST", "DELETE")]
    assert {one.status for one in answers} == {405}
