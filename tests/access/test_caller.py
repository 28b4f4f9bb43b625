"""Who is let in, and for how long a licence is believed."""

from __future__ import annotations

import pytest

from app.access.caller import Access, Caller, check_scope
from app.errors import NoAccess, NotAllowed
from app.secret import Secret
from app.storage.licences import Licence, digest


class HandClock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def ticks(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Shelf:
    """Licences in memory, counting how often they are looked up."""

    def __init__(self, **licences: Licence) -> None:
        self.kept = {digest(words): licence for words, licence in licences.items()}
        self.asked = 0

    def by_digest(self, wanted: str) -> Licence | None:
        self.asked += 1
        return self.kept.get(wanted)


def licence(**more) -> Licence:
    values = {"id": 1, "name": "n", "label": "", "platforms": (), "models": ()}
    values |= {"created_at": 0, "expires_at": None, "revoked_at": None}
    return Licence(**values | more)


class Headers(dict):
    def get(self, name, default=None):
        return super().get(name.lower(), default)


@pytest.fixture
def clock():
    return HandClock()


def test_a_known_licence_is_not_looked_up_again_for_a_while(clock):
    shelf = Shelf(good=licence())
    access = Access(shelf, clock)
    for _ in range(50):
        access.admit(Headers(authorization="Bearer good"))

    assert shelf.asked == 1


def test_a_revoked_licence_is_refused_within_two_seconds(clock):
    """R-126, S-003."""
    shelf = Shelf(good=licence())
    access = Access(shelf, clock)
    access.admit(Headers(authorization="good"))
    shelf.kept.clear()

    clock.sleep(2)

    with pytest.raises(NoAccess):
        access.admit(Headers(authorization="good"))


def test_a_licence_ends_on_the_second_even_while_it_is_believed(clock):
    access = Access(Shelf(good=licence(expires_at=1001)), clock)
    access.admit(Headers(authorization="good"))

    clock.sleep(1)

    with pytest.raises(NoAccess):
        access.admit(Headers(authorization="good"))


def test_chat2api_brings_a_token_and_pays_with_a_licence(clock):
    """C-041, C-051."""
    access = Access(Shelf(good=licence()), clock)

    for headers, native in [
        ({"authorization": "Bearer sk-own"}, False),
        ({"authorization": "sk-own"}, False),
        ({"x-api-key": "sk-own"}, False),
        ({"x-goog-api-key": "sk-own"}, True),
    ]:
        caller = access.admit(
            Headers(headers | {"tokens-authorization": "Bearer good"}), native=native
        )
        assert caller == Caller(licence(), Secret("sk-own"))
    with pytest.raises(NoAccess, match="platform token"):
        access.admit(Headers({"tokens-authorization": "good"}))
    for wrong in ("bad", "Bearer bad"):
        with pytest.raises(NoAccess):
            access.admit(Headers({"authorization": "good", "tokens-authorization": wrong}))


@pytest.mark.parametrize("token", ["a\r\nb", "a\0b", "密钥", "a\x7fb"])
def test_a_token_that_no_header_can_hold_is_the_callers_mistake(clock, token):
    """C-046: Google's `?key=` may hold anything, and it is not for the transport to stumble over."""
    access = Access(Shelf(good=licence()), clock)

    with pytest.raises(NoAccess, match="platform token"):
        access.admit(Headers({"tokens-authorization": "good"}), token, native=True)


def test_near_collisions_are_strangers(clock):
    """R-124."""
    access = Access(Shelf(good=licence()), clock)
    access.admit(Headers(authorization="good"))

    for near in ("goo", "goodx", "Good", "good\u200b", "g\u043eod", "good good", '"good"'):
        with pytest.raises(NoAccess):
            access.admit(Headers(authorization=near))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer good"},
        {"authorization": "good"},
        {"authorization": "  bEARER \t good  "},
        {"x-api-key": "good"},
        {"x-api-key": "Bearer good"},
        {"api-key": " good "},
        {"authorization": "Bearer good", "x-api-key": "bad", "api-key": "bad"},
        {"x-api-key": "good", "api-key": "bad"},
        {"authorization": "Bearer good", "x-api-key": "good"},
        *(
            {"authorization": masked, "x-api-key": "good"}
            for masked in ("", " ", "Bearer", "bearer ", "Bearer null", "None", "not-provided")
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("native", [False, True])
def test_a_licence_is_found_in_every_form_and_place(clock, headers, native):
    """C-030 to C-033, C-036, C-037, K-020 to K-022."""
    caller = Access(Shelf(good=licence()), clock).admit(Headers(headers), native=native)

    assert caller == Caller(licence()) and caller.brought is None


@pytest.mark.parametrize(
    "headers, key",
    [
        ({"x-goog-api-key": "good"}, ""),
        ({}, "good"),
        ({}, " good "),
        ({"authorization": "Bearer", "x-goog-api-key": "good"}, "bad"),
        ({"x-goog-api-key": "good", "api-key": "bad"}, "bad"),
        ({"x-goog-api-key": "undefined", "api-key": "good"}, "bad"),
    ],
    ids=str,
)
def test_googles_own_places_count_on_googles_own_routes_alone(clock, headers, key):
    """C-034, C-035, C-037."""
    access = Access(Shelf(good=licence()), clock)

    assert access.admit(Headers(headers), key, native=True) == Caller(licence())
    if "api-key" not in headers:
        with pytest.raises(NoAccess, match="required"):
            access.admit(Headers(headers), key)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "bad", "x-api-key": "good"},
        {"x-api-key": "bad", "x-goog-api-key": "good"},
        {"x-goog-api-key": "bad", "api-key": "good"},
        {"authorization": "Basic good"},
        {"authorization": "good,good"},
        {"authorization": "Bearer Bearer good"},
        {"authorization": "x" * 10_000},
        {},
    ],
    ids=lambda headers: str(headers)[:60],
)
def test_a_wrong_licence_is_not_rescued_by_a_right_one_further_down(clock, headers):
    """C-037, C-038, K-025."""
    with pytest.raises(NoAccess) as refused:
        Access(Shelf(good=licence()), clock).admit(Headers(headers), "good", native=bool(headers))
    assert refused.value.status == 401 and "good" not in str(refused.value)


def test_strangers_fill_no_memory_and_friends_not_without_end(clock):
    shelf = Shelf(**{f"w{i}": licence() for i in range(30)})
    access = Access(shelf, clock, most=10)
    for i in range(30):
        access.admit(Headers(authorization=f"w{i}"))
        with pytest.raises(NoAccess):
            access.admit(Headers(authorization=f"wrong-{i}"))

    assert len(access._known) <= 10


@pytest.mark.parametrize(
    "platform, model, good",
    [("p", "m-1", True), ("p", "m-2", True), ("p", "n", False), ("q", "m-1", False)],
)
def test_scope_is_platforms_and_patterns_of_models(platform, model, good):
    caller = Caller(licence(platforms=("p",), models=("m-*",)))
    if good:
        check_scope(caller, platform, model)
        return
    with pytest.raises(NotAllowed):
        check_scope(caller, platform, model)


def test_a_secret_shows_itself_to_nobody():
    secret = Secret("sk-canary")

    assert "canary" not in f"{secret} {secret!r} {[secret]} {Caller(None, secret)}"
    with pytest.raises(TypeError):
        hash(secret)


@pytest.mark.parametrize("empty", ["", "  ", "Bearer", "Bearer  "])
def test_an_empty_header_for_both_modes_is_as_if_absent(clock, empty):
    """C-037: clients send what nobody has filled in."""
    access = Access(Shelf(good=licence()), clock)
    headers = Headers({"authorization": "Bearer good", "tokens-authorization": empty})

    assert access.admit(headers) == Caller(licence())
    with pytest.raises(NoAccess, match="a licence is required: put it in the Authorization header"):
        access.admit(Headers({"tokens-authorization": empty}))
