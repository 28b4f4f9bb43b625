"""R-059: of two hundred calls at once as many get through as there is room for, in tokens and in money.

A call comes to exactly what is held back for it here, so whoever is through leaves no room for another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from app.limits import Allowance, Limits
from app.storage.database import Database
from app.storage.ledger import LedgerTable, ledger
from app.storage.licences import Licences
from tests.platforms.test_limits import CHAT, MODELS, PLATFORM, Crowd
from tests.soak.books import address, check_sums
from tests.stack import PATIENCE, Stack
from tests.storage.databases import KINDS, made

pytestmark = pytest.mark.slow
# Reliability asks for fifty: set SOAK_ROUNDS.
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "3"))
FIT = 10
# Our guess of these characters is higher than the platform's count, and makes up for what is lower.
SAY = "simulate: words=200 " + "字" * 44
MOST = {"max_tokens": 20}
ROOMY = 10**9


class House:
    """A gateway of four workers, and its database."""

    def __init__(self, stack: Stack, database: Database) -> None:
        self.stack, self.database = stack, database

    def licence(self, allowance: Allowance) -> tuple[str, str]:
        """Its words, and its name."""
        words, made = Licences(self.database).add(time.time(), label="quota", allowance=allowance)
        return words, made.name

    def cost(self) -> tuple[int, int]:
        """What a call comes to in tokens and in money, which is what is held back for it."""
        words, _ = self.licence(Allowance(Limits(tpd=ROOMY), total=ROOMY))
        path, body = CHAT.ask(MODELS[PLATFORM].plain, SAY)
        answer = requests.post(
            self.stack.url(PLATFORM) + path,
            json={**body, **MOST},
            headers={"Authorization": f"Bearer {words}"},
            timeout=PATIENCE,
        )
        query = sa.select(ledger).where(ledger.c.id == answer.headers["x-request-id"])
        row = self.database.read(lambda connection: connection.execute(query).one())
        assert (row.held_tokens, row.held_money) == (row.input + row.output, row.charge)
        return row.held_tokens, row.held_money


@pytest.fixture(params=KINDS, scope="module")
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, simulators: Any
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("quota")
    with made(request.param, folder, f"quota {request.param}", anew=True) as database:
        settings = {"TOKENS_WORKERS": "4", "TOKENS_DATABASE_URL": address(database)}
        stack = Stack(simulators, folder / "stack", **settings)
        yield House(stack, database)
        stack.stop()


@pytest.mark.parametrize("of", ["tokens", "money"])
def test_of_two_hundred_at_once_ten_get_through(house: House, of: str) -> None:
    tokens, money = house.cost()
    limits = {
        "tokens": Allowance(Limits(tpd=FIT * tokens)),
        "money": Allowance(total=FIT * money),
    }
    crowd = Crowd(house.stack)
    for _ in range(ROUNDS):
        words, name = house.licence(limits[of])
        assert crowd.call(words, SAY, **MOST) == {200: FIT, 429: 200 - FIT}
        account = LedgerTable(house.database).account(name)
        assert account is not None and account.day_tokens == FIT * tokens
        assert account.total_money == FIT * money
    crowd.close()
    check_sums(house.database)
