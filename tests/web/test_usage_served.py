"""`GET /v1/usage`, as a licence holder sees it."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from app.limits import Allowance, Limits
from app.storage.database import Database
from app.storage.licences import Licences
from tests.web.conftest import CHAT, HELLO


def licence(stack, allowance: Allowance) -> str:
    with closing(Database(stack.environ["TOKENS_DATABASE_URL"])) as database:
        return Licences(database).add(time.time(), label="usage", allowance=allowance)[0]


def test_a_licence_sees_what_it_has_used_and_what_is_left(stack, call):
    allowance = Allowance(
        Limits(rpm=60, rpd=3, tpd=100_000), context=1000, credit=5_000_000, credit_until=4 * 10**9
    )
    words = licence(stack, Allowance(allowance.limits, context=1000))
    for _ in range(2):
        assert call("POST", CHAT, licence=words, json=HELLO).status_code == 200

    told = call("GET", "/v1/usage", licence=words).json()

    assert told["object"] == "usage" and told["today"]["calls"] == told["total"]["calls"] == 2
    assert told["today"]["input"] > 0 and told["today"]["output"] > 0
    assert told["today"]["charge"].count(".") == 1
    (model,) = told["by_model"]
    assert (model["platform"], model["model"], model["calls"]) == ("chatgpt", "gpt-4o", 2)
    limits = told["limits"]
    assert limits["requests_per_day"]["used"] == 2 and limits["requests_per_day"]["remaining"] == 1
    used = told["today"]["input"] + told["today"]["output"]
    assert limits["tokens_per_day"]["remaining"] == 100_000 - used
    assert limits["requests_per_minute"] == {"limit": 60}
    assert limits["context_tokens"] == {"limit": 1000}


def test_a_licence_with_credit_sees_until_when(stack, call):
    words = licence(stack, Allowance(credit=5_000_000, credit_until=4 * 10**9, day=250_000))

    limits = call("GET", "/v1/usage", licence=words).json()["limits"]

    assert limits["credit"] == {
        "limit": "5.00",
        "used": "0.00",
        "remaining": "5.00",
        "expires_at": "2096-10-02T07:06:40+00:00",
    }
    assert limits["budget_per_day"]["remaining"] == "0.25"


def test_a_day_that_is_used_up_is_refused(stack, call):
    """C-240."""
    words = licence(stack, Allowance(Limits(rpd=1)))
    assert call("POST", CHAT, licence=words, json=HELLO).status_code == 200

    refused = call("POST", CHAT, licence=words, json=HELLO)

    assert refused.status_code == 429 and refused.json()["error"]["code"] == "rpd_exceeded"
    assert 0 < int(refused.headers["Retry-After"]) <= 86400
    assert refused.headers["x-should-retry"] == "false"
    assert call("GET", "/v1/usage", licence=words).json()["limits"]["requests_per_day"]["used"] == 1


def test_answers_say_what_is_left_of_the_day(stack, call):
    """C-243: of what there is a limit of, and of a minute and a day what is nearer to its end."""
    words = licence(stack, Allowance(Limits(rpm=60, rpd=3, tpd=100_000)))
    lefts = []
    for _ in range(4):
        told = call("POST", CHAT, licence=words, json=HELLO).headers
        assert told["x-ratelimit-limit-requests"] == "3"
        assert told["x-ratelimit-limit-tokens"] == "100000"
        lefts.append(told["x-ratelimit-remaining-requests"])
        assert 0 < int(told["x-ratelimit-remaining-tokens"]) < 100_000
    assert lefts == ["2", "1", "0", "0"]
    assert "h" in told["x-ratelimit-reset-requests"] or "m" in told["x-ratelimit-reset-requests"]


def test_what_the_day_refuses_was_no_request_of_the_minute(stack, call):
    """C-240: who is refused for the day hears of the day, however often."""
    words = licence(stack, Allowance(Limits(rpm=3, rpd=1)))
    codes = [call("POST", CHAT, licence=words, json=HELLO).json().get("error") for _ in range(6)]

    assert [one and one["code"] for one in codes] == [None] + ["rpd_exceeded"] * 5


def test_nobody_sees_what_others_use_and_nothing_is_kept_on_the_way(stack, call):
    mine, other = licence(stack, Allowance()), licence(stack, Allowance())
    assert call("POST", CHAT, licence=other, json=HELLO).status_code == 200

    answer = call("GET", "/v1/usage", licence=mine)
    told = answer.json()

    assert answer.headers["Cache-Control"] == "no-store"
    assert told["today"]["calls"] == told["month"]["calls"] == told["total"]["calls"] == 0
    assert told["by_model"] == [] and told["limits"] == {}
    brought = {"Authorization": "Bearer sk-mine", "Tokens-Authorization": other}
    theirs = call("GET", "/v1/usage", licence=None, headers=brought).json()
    assert theirs["total"]["calls"] == 1 and theirs["licence"] != told["licence"]


CHINESE = {"Accept-Language": "zh-CN"}
BILLING = "/dashboard/billing"


@pytest.mark.parametrize("before", ["", "/v1", "/chatgpt", "/gemini/v1"])
def test_clients_that_show_a_balance_find_one(stack, call, before):
    """K-019: at the root and below a prefix, with and without a version."""
    words = licence(stack, Allowance(Limits(tpm=10**6), credit=5_000_000, day=250_000))
    price = {"model": "gpt-4o-mini", **{name: HELLO[name] for name in HELLO if name != "model"}}
    assert call("POST", CHAT, licence=words, json=price).status_code == 200
    spent = call("GET", "/v1/usage", licence=words).json()["month"]["charge"]

    told = call("GET", f"{before}{BILLING}/subscription", licence=words)
    used = call("GET", f"{before}{BILLING}/usage", licence=words).json()

    assert told.json()["hard_limit_usd"] == 5.0 and told.headers["Cache-Control"] == "no-store"
    assert used["total_usage"] == pytest.approx(float(spent) * 100) and used["total_usage"] > 0
    assert [line["name"] for line in used["daily_costs"][0]["line_items"]] == ["gpt-4o-mini"]
    days = "start_date=2020-01-01&end_date=2020-02-01"
    assert call("GET", f"{before}{BILLING}/usage?{days}", licence=words).json() == {
        "object": "list",
        "total_usage": 0.0,
        "daily_costs": [],
    }


@pytest.mark.parametrize(
    ("allowance", "told"),
    [
        (Allowance(), (1e8, 0)),
        (Allowance(day=250_000), (0.25, 0)),
        (Allowance(day=250_000, month=3_000_000), (3.0, 0)),
        (Allowance(total=9_000_000, credit=5_000_000, credit_until=4 * 10**9), (5.0, 4 * 10**9)),
        (Allowance(total=0, month=3_000_000), (0.0, 0)),
    ],
)
def test_the_limit_is_that_of_all_that_may_be_spent(stack, call, allowance, told):
    words = licence(stack, allowance)

    found = call("GET", f"{BILLING}/subscription", licence=words).json()

    assert (found["hard_limit_usd"], found["access_until"]) == told


def test_a_day_that_is_none_is_refused(call):
    for words in ("yesterday", "2026-13-01", "20"):
        refused = call("GET", f"{BILLING}/usage?end_date={words}")
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "end_date"


def test_days_that_end_before_they_begin_are_refused(call):
    path = f"{BILLING}/usage"
    refused = call("GET", f"{path}?start_date=2026-11-02&end_date=2026-11-01")
    told = call("GET", f"{path}?start_date=2026-11-02&end_date=2026-11-01", headers=CHINESE)

    assert refused.status_code == 400 and refused.json()["error"]["param"] == "start_date"
    assert "不能晚于" in told.json()["error"]["message"]
    for days in (
        "start_date=2026-11-01&end_date=2026-11-01",
        "end_date=2020-02-01",
        "end_date=0001-01-01",
    ):
        assert call("GET", f"{path}?{days}").json()["total_usage"] == 0


def test_nobody_sees_it_without_a_licence(call):
    for path in ("/v1/usage", f"{BILLING}/usage", f"/chatgpt{BILLING}/subscription"):
        assert call("GET", path, licence=None).status_code == 401


WAYS = {
    CHAT: {**HELLO, "max_tokens": 5000},
    "/claude_api/v1/messages": {**HELLO, "model": "claude-sonnet-4-5", "max_tokens": 5000},
    "/codex/v1/responses": {"model": "gpt-5.2", "input": "hello", "max_output_tokens": 5000},
    "/gemini/v1beta/models/gemini-2.5-flash:generateContent": {
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}]
    },
}


@pytest.mark.parametrize("path", WAYS)
def test_no_more_is_asked_for_than_is_left_of_the_day(stack, call, path):
    """R-060: in every dialect, also where nothing was said of how long the answer may be."""
    words = licence(stack, Allowance(Limits(tpd=700)))
    platform = path.split("/")[1]
    stack.simulators.clear(platform)

    answer = call("POST", path, licence=words, json=WAYS[path])

    assert answer.status_code == 200, answer.text
    (asked,) = stack.simulators.posts(platform)
    body = asked["body"]
    told = body.get("generationConfig", body)
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens")
    (most,) = [told[name] for name in names if name in told]
    assert 500 < most < 700


@pytest.mark.parametrize("wanted", ["5000", 2**31, 2**53])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_whatever_is_asked_for_as_many_tokens_are_held_as_may_come(stack, call, name, wanted):
    """R-064, K-045: a number may come as text, where it means one thing only."""
    words = licence(stack, Allowance(Limits(tpd=700)))
    stack.simulators.clear("chatgpt")

    answer = call("POST", CHAT, licence=words, json={**HELLO, name: wanted})

    assert answer.status_code == 200, answer.text
    (asked,) = stack.simulators.journal("chatgpt")
    (most,) = [
        asked["body"][one]
        for one in ("max_completion_tokens", "max_tokens")
        if one in asked["body"]
    ]
    assert isinstance(most, int) and 500 < most < 700


def test_who_only_looks_is_not_counted(stack, call):
    """K-114."""
    words = licence(stack, Allowance(Limits(rpm=1, rpd=1)))
    for method, path in (
        ("OPTIONS", CHAT),
        ("HEAD", "/v1/models"),
        ("GET", "/chatgpt/v1/models"),
        ("GET", "/health"),
        ("GET", "/v1/usage"),
    ):
        assert call(method, path, licence=words).ok

    assert call("POST", CHAT, licence=words, json=HELLO).status_code == 200
    assert call("POST", CHAT, licence=words, json=HELLO).status_code == 429
