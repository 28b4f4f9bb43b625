"""R-060: what is used and held back never exceeds what is allowed, whatever happens in what order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from app.account import Account, Claim, Hold, Short
from app.days import month_of
from app.limits import Allowance, Limits
from app.money import MILLION

NOON = 1_795_000_000.0
STEPS = 100_000


def short_of(account: Account, allowance: Allowance, claim: Claim, now: float = NOON) -> Short:
    with pytest.raises(Short) as caught:
        account.take(allowance, claim, now)
    return caught.value


@pytest.mark.parametrize(
    ("allowance", "shortages"),
    [
        (Allowance(Limits(rpd=40, tpd=900_000)), {"rpd"}),
        (Allowance(Limits(rpd=900, tpd=50_000), day=9_000_000), {"tpd"}),
        (Allowance(day=90_000, month=1_500_000), {"day", "month"}),
        (Allowance(Limits(tpd=500_000), total=30_000_000, credit=25_000_000), {"tpd", "credit"}),
    ],
)
def test_a_hundred_thousand_steps_never_exceed_what_is_allowed(allowance, shortages):
    chance = random.Random(20261129)
    limits = allowance.limits
    account, held, given, refused = Account(), list[Hold](), 0, set[str]()
    day = 20_000
    for _ in range(STEPS // 4):
        dice = chance.random()
        if dice < 0.005:
            day += 1
        elif dice < 0.5 and held:
            hold = held.pop(chance.randrange(len(held)))
            account.turn(day)
            tokens = chance.randint(0, hold.tokens)
            account.settle(hold, tokens, chance.randint(0, hold.money))
        else:
            claim = Claim(
                chance.randint(0, 3000),
                chance.randint(0, 9000),
                chance.randint(0, 500),
                chance.choice((0, 1, 15 * MILLION, 333_333)),
            )
            account.turn(day)
            try:
                hold = account.take(allowance, claim, NOON)
            except Short as short:
                refused.add(short.of)
            else:
                given += 1
                assert hold.output <= claim.output and hold.tokens == claim.input + hold.output
                held.append(hold)
        assert account.held_tokens == sum(one.tokens for one in held) >= 0
        assert account.held_money == sum(one.money for one in held) >= 0
        assert account.day_calls <= (limits.rpd or STEPS)
        assert account.total_money + account.held_money <= (allowance.credit or STEPS**2)
    assert given > 500 and refused >= shortages, (given, refused)


def test_within_a_day_no_cap_is_passed_even_with_everything_settled_to_the_last():
    chance = random.Random(7)
    allowance = Allowance(Limits(tpd=10_000), day=5_000)
    for _ in range(300):
        account, held = Account(day=1), list[Hold]()
        for _ in range(60):
            if held and chance.random() < 0.4:
                hold = held.pop()
                account.settle(hold, hold.tokens, hold.money)
                continue
            claim = Claim(chance.randint(1, 900), chance.randint(0, 900), 10, 2 * MILLION)
            try:
                held.append(account.take(allowance, claim, NOON))
            except Short:
                continue
        for hold in held:
            account.settle(hold, hold.tokens, hold.money)
        assert account.day_tokens <= 10_000 and account.day_money <= 5_000
        assert account.held_tokens == account.held_money == 0


def test_the_last_token_is_given_and_no_more():
    """R-060: the least is held back, not what was asked for."""
    account = Account(day_tokens=90)
    allowance = Allowance(Limits(tpd=100))

    assert account.take(allowance, Claim(9, 500), NOON).output == 1
    assert short_of(account, allowance, Claim(0, 1)).of == "tpd"


def test_several_answers_need_a_token_each():
    account = Account(day_tokens=90)
    allowance = Allowance(Limits(tpd=100))

    assert short_of(account, allowance, Claim(4, 700, least=7)).of == "tpd"
    assert account.take(allowance, Claim(4, 600, least=6), NOON).output == 6


def test_who_asks_for_the_moon_is_given_a_number_that_can_be_kept():
    """R-064: of a licence whose tokens nobody counts, many times over."""
    account = Account()
    for _ in range(10_000):
        hold = account.take(Allowance(Limits(rpd=10**6)), Claim(9, 2**53), NOON)

    assert hold.tokens == hold.output + 9 and account.held_tokens < 2**63 - 1


def test_money_buys_as_much_output_as_there_is_money_for():
    account = Account(total_money=70)
    allowance = Allowance(total=100)

    hold = account.take(allowance, Claim(5, 1000, base=10, rate=2 * MILLION), NOON)

    assert (hold.output, hold.money) == (10, 30)


def test_what_is_only_held_back_may_come_back():
    account = Account()
    allowance = Allowance(Limits(tpd=100))
    hold = account.take(allowance, Claim(10, 90), NOON)

    assert short_of(account, allowance, Claim(10, 1)).held
    account.settle(hold, 20, 0)
    assert account.take(allowance, Claim(10, 1), NOON).output == 1
    account.settle(Hold(11), 80, 0)
    assert not short_of(account, allowance, Claim(10, 1)).held


@pytest.mark.parametrize("of", ["day", "month", "total", "credit"])
def test_every_purse_counts(of):
    account = Account(day_money=100, month_money=100, total_money=100)

    assert short_of(account, replace(Allowance(), **{of: 100}), Claim(1, 1, 0, 0)).of == of


def test_credit_ends_with_its_time():
    """C-242."""
    allowance = Allowance(credit=100, credit_until=int(NOON))

    assert short_of(Account(), allowance, Claim()).of == "expired"
    assert Account().take(allowance, Claim(), NOON - 1) == Hold()


def test_days_and_months_begin_anew_and_a_clock_that_goes_back_changes_nothing():
    day = 20_454  # 2026-01-01
    account = Account(
        day=day - 1, month=month_of(day - 1), day_tokens=5, month_money=7, total_money=9
    )
    account.turn(day - 2)
    assert (account.day_tokens, account.month_money) == (5, 7)

    account.turn(day)

    assert (account.day_tokens, account.month_money, account.total_money) == (0, 0, 9)
    assert month_of(day) == 2026 * 12 and month_of(day - 1) == 2026 * 12 - 1
