"""`tokens licence add` and `limit`: how much a licence may use."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from app.limits import Allowance, Limits
from app.storage.database import Database
from app.storage.licences import Licences

ALL = (
    "--rpm 60 --rpd 1000 --tpm 100000 --tpd 5000000 --concurrency 4 --context 8000 --output 500"
    " --refuse-excess --budget-day 5.00 --budget-month 100 --budget-total 0.000001"
    " --credit 10 --credit-expires 30d"
).split()
TOLD = {
    "rpm": 60,
    "rpd": 1000,
    "tpm": 100000,
    "tpd": 5000000,
    "concurrency": 4,
    "context": 8000,
    "output": 500,
    "budget_day": "5.00",
    "budget_month": "100.00",
    "budget_total": "0.000001",
    "credit": "10.00",
    "refuse_excess": True,
}


def row(done) -> dict:
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told[0] if isinstance(told, list) else told


def test_all_limits_are_kept_to_the_millionth_of_a_dollar(called, tmp_path):
    """C-238."""
    made = row(called("licence", "add", *ALL, "--json"))
    until = datetime.fromisoformat(made["limits"].pop("credit_expires"))
    assert made["limits"] == TOLD
    assert timedelta(days=29) < until - datetime.now(UTC) <= timedelta(days=30)

    kept = Licences(Database(f"sqlite:///{tmp_path}/tokens.db")).find(made["name"]).allowance
    assert kept == Allowance(
        Limits(60, 1000, 100000, 5000000, 4),
        context=8000,
        output=500,
        refuses=True,
        day=5_000_000,
        month=100_000_000,
        total=1,
        credit=10_000_000,
        credit_until=int(until.timestamp()),
    )
    shown = row(called("licence", "show", made["name"], "--json"))
    assert shown["limits"].items() >= TOLD.items()


def test_what_is_not_named_stays_and_none_takes_away(called):
    name = row(called("licence", "add", *ALL, "--json"))["name"]
    after = row(called("licence", "limit", name, "--rpm", "5", "--tpm", "none", "--json"))["limits"]
    assert after["rpm"] == 5 and "tpm" not in after and after["rpd"] == 1000

    words = [word for one in TOLD if one != "refuse_excess" for word in (flag(one), "none")]
    assert row(called("licence", "limit", name, *words, "--allow-excess", "--json"))["limits"] == {}


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def test_nobody_may_spend_anything_of_a_budget_of_nothing(called):
    """A count begins with one; money may be nothing, so that a licence rests until it has some again."""
    assert row(called("licence", "add", "--credit", "0", "--budget-day", "0.0", "--json"))[
        "limits"
    ] == {"credit": "0.00", "budget_day": "0.00"}
    refused = called("licence", "add", "--rpm", "0")
    assert "--rpm should be a whole number from 1 to 1000000000000000 or none" in refused.stderr


def test_people_see_them_shortly(called):
    called("licence", "add", "--rpm", "60", "--budget-day", "2.5", "--refuse-excess")
    assert "rpm=60,budget_day=2.50,refuse_excess" in called("licence", "list").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--rpm", "0"),
        ("--rpm", "many"),
        ("--rpm", "1.5"),
        ("--tpd", "9" * 17),
        ("--rpm", ""),
        ("--rpm", "１"),
        ("--budget-day", "1.0000001"),
        ("--budget-day", "five"),
        ("--budget-day", "1_000"),
        ("--budget-day", "1e3"),
        ("--budget-day", "１"),
        ("--budget-day", "."),
        ("--rpm", "1_0"),
        ("--rpm", "1e1"),
        ("--credit-expires", "30d"),
        ("--credit", "5", "--credit-expires", "soon"),
        (),
    ],
)
def test_nonsense_changes_nothing(called, words):
    name = row(called("licence", "add", "--rpm", "7", "--json"))["name"]
    done = called("licence", "limit", name, *words)

    assert done.returncode != 0 and done.stderr.startswith("tokens")
    assert row(called("licence", "show", name, "--json"))["limits"] == {"rpm": 7}


def test_two_who_change_other_limits_at_once_lose_neither(tmp_path, called):
    """C-246."""
    name = row(called("licence", "add", "--json"))["name"]

    def change(limit: str) -> None:
        table = Licences(Database(f"sqlite:///{tmp_path}/tokens.db"))
        licence = table.find(name)
        for value in range(1, 21):
            table.allow(licence, lambda before: with_limit(before, limit, value))

    threads = [threading.Thread(target=change, args=(limit,)) for limit in ("rpm", "tpm")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert row(called("licence", "show", name, "--json"))["limits"] == {"rpm": 20, "tpm": 20}


def with_limit(before: Allowance, limit: str, value: int) -> Allowance:
    limits = {name: getattr(before.limits, name) for name in Limits.__slots__} | {limit: value}
    return Allowance(Limits(**limits))
