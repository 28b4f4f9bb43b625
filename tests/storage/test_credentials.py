"""The table of credentials, on both databases."""

from __future__ import annotations

import pytest

from app.limits import Allowance, Limits
from app.storage.credentials import AlreadyKept, Credentials, new_name
from app.storage.versions import Versions


def row(name: str, print_: str = "", **more):
    return {
        "name": name,
        "platform": "p",
        "sealed": "sealed",
        "fingerprint": print_ or name,
        "created_at": 1,
        **more,
    }


def test_a_credential_is_kept_with_all_that_is_said_of_it(database):
    table = Credentials(database)
    allowance = Allowance(
        Limits(rpm=1, tpd=10**14, concurrency=3),
        context=1000,
        output=100,
        day=1,
        month=10**15,
        total=0,
        credit=7,
        credit_until=10**10,
    )
    kept = table.add(
        row(
            "cr_1",
            groups=("a", "b"),
            weight=7,
            priority=-3,
            allowance=allowance,
            note="n",
            label="l",
        )
    )

    assert table.all() == [kept] == [table.find("cr_1")] == [table.find(str(kept.id))]
    assert (kept.groups, kept.weight, kept.priority, kept.allowance) == (
        ("a", "b"),
        7,
        -3,
        allowance,
    )
    assert (kept.label, kept.note, kept.enabled) == ("l", "n", True)


def test_the_same_token_is_kept_once_for_a_platform(database):
    table = Credentials(database)
    first = table.add(row("cr_1", "same"))
    table.add(row("cr_2", "same", platform="q"))
    other = table.add(row("cr_3", "other"))
    for call in (
        lambda: table.add(row("cr_4", "same")),
        lambda: table.change(other, {"fingerprint": "same"}),
    ):
        with pytest.raises(AlreadyKept) as caught:
            call()
        assert caught.value.name == "cr_1"
    assert table.change(first, {"fingerprint": "same", "note": "x"}).note == "x"


def test_many_are_kept_at_once_and_each_twin_is_told(database):
    table = Credentials(database)
    table.add(row("cr_1", "same"))
    rows = [row("cr_2", "new"), row("cr_3", "same"), row("cr_4", "new")]
    found = table.add_many(rows)
    assert [one and one.name for one in found] == [None, "cr_1", "cr_2"]
    assert [one.name for one in table.all()] == ["cr_1", "cr_2"]


def test_every_change_is_noticed(database):
    table, versions = Credentials(database), Versions(database)
    seen = [versions.current()["credentials"]]
    kept = table.add(row("cr_1"))
    for change in (
        lambda: table.change(kept, {"weight": 2}),
        lambda: table.reseal(lambda all_: {one.id: "other" for one in all_}),
        lambda: table.add_many([row("cr_2")]),
        lambda: table.remove(kept),
    ):
        change()
        seen.append(versions.current()["credentials"])

    assert seen == sorted(set(seen))
    assert [one.name for one in table.all()] == ["cr_2"]


def test_names_are_not_used_twice():
    assert len({new_name() for _ in range(1000)}) == 1000
