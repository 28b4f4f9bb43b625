"""Fetching films from where Google keeps them, with the key at home."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.errors import BadReply, BrokenTransfer, CredentialRefused, RequestRefused, Verbatim
from app.simulators.mishaps import Mishap
from tests.platforms.films import ENGINE, MP4, NAME, fetched, film, interaction, moved
from tests.platforms.told import refused


def test_a_film_is_fetched_with_the_key(send):
    sent = send(film)

    assert fetched(sent, "files/f123") == MP4
    (call,) = sent.asked
    assert (call.path, call.query) == ("/v1beta/files/f123:download", "alt=media")
    assert "x-goog-api-key" in call.headers


def test_redirects_at_home_keep_the_key(send):
    sent = send(moved("/download/v1beta/files/f123?alt=media"), moved("?again=1"), film)

    assert fetched(sent, "files/f123") == MP4
    assert [call.path for call in sent.asked][1:] == ["/download/v1beta/files/f123"] * 2
    assert all("x-goog-api-key" in call.headers for call in sent.asked)


def test_redirects_to_googles_other_hosts_lose_the_key(send, monkeypatch):
    sent = send(moved("https://r1.googleusercontent.com/film?sig=1"), film)
    calls: list[tuple[str, dict[str, str]]] = []
    transport = sent.errand.transport
    opened = type(transport).open

    def open_there(self: Any, method: str, url: str, headers: Any, *rest: Any, **more: Any) -> Any:
        calls.append((url, dict(headers)))
        url = url.replace("https://r1.googleusercontent.com", sent.errand.base_url)
        return opened(self, method, url, headers, *rest, **more)

    monkeypatch.setattr(type(transport), "open", open_there)

    assert fetched(sent, "files/f123") == MP4
    assert "x-goog-api-key" in calls[0][1]
    assert calls[1] == ("https://r1.googleusercontent.com/film?sig=1", {})
    assert "x-goog-api-key" not in sent.asked[1].headers


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1/x",
        "//evil.com/x",
        "https://evil.com/x",
        "https://googleapis.com.evil.com/x",
        "https://evilgoogleapis.com/x",
        "http://storage.googleapis.com/x",
        "https://storage.googleapis.com:8443/x",
        "https://a@storage.googleapis.com/x",
        "ftp://storage.googleapis.com/x",
        "https://storage.googleapis.com:x/",
        "http://[::1/",
    ],
)
def test_redirects_to_other_hosts_are_not_followed(send, location):
    """R-115: the key stays at home, and no answer makes us call an address of its choice."""
    sent = send(moved(location))
    with pytest.raises(BadReply, match="not its own"):
        fetched(sent, "files/f123")

    assert len(sent.asked) == 1


def test_redirects_come_to_an_end(send):
    sent = send(moved("/round/and/round"))
    with pytest.raises(BadReply, match="redirects"):
        fetched(sent, "files/f123")

    assert len(sent.asked) == 6


@pytest.mark.parametrize(
    "answer",
    [
        refused(404, "The file files/f123 was not found."),
        refused(403, "You do not have permission to access the File f123 or it may not exist."),
    ],
)
def test_a_film_that_is_gone_is_not_the_keys_fault(send, answer):
    with pytest.raises(RequestRefused) as caught:
        fetched(send(answer), "files/f123")

    assert (caught.value.status, caught.value.code) == (404, "video_expired")
    assert caught.value.verdict == "stop"


def test_a_key_that_is_refused_is(send):
    with pytest.raises(CredentialRefused):
        fetched(send(refused(400, "API key not valid. Please pass a valid API key.")), "files/f1")
    with pytest.raises(Verbatim):
        fetched(send(refused(403, "no"), verbatim=True), "files/f1")


def test_a_film_that_breaks_off(send):
    sent = send(film)
    sent.vendor.mishaps.queue(Mishap("cut"))
    with pytest.raises(BrokenTransfer):
        fetched(sent, "files/f123")


@pytest.mark.parametrize("size", [1000, 400_000], ids=["short", "on disk"])
def test_a_film_inside_the_answer_is_found_there(send, size):
    data = (MP4 * (size // len(MP4) + 1))[:size]
    text = base64.b64encode(data).decode()
    sent = send(interaction("completed", {"type": "video", "data": text}))
    found = ENGINE.look(sent.errand, NAME)
    assert (found.state, found.result) == ("done", f"inline:{NAME}")

    assert fetched(sent, found.result) == data
