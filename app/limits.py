"""How much somebody may use: a credential of its platform, a licence of us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

RATES = ("rpm", "rpd", "tpm", "tpd", "concurrency")
AMOUNTS = ("context", "output", "day", "month", "total", "credit", "credit_until")


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and tokens a minute and a day, and calls at a time. None is without limit."""

    rpm: int | None = None
    rpd: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    concurrency: int | None = None

    def __bool__(self) -> bool:
        return any(
            one is not None for one in (self.rpm, self.rpd, self.tpm, self.tpd, self.concurrency)
        )

    @property
    def counts_tokens(self) -> bool:
        return self.tpm is not None or self.tpd is not None


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a licence or a credential may use. None is without limit.

    `context` are the tokens of one request, `output` those of one answer; a licence that asks for more is
    given that much, or with `refuses` an error. Money is in millionths of a dollar: budgets begin anew every
    day and every month, `total` never; `credit` is a gift that is used before it ends at `credit_until`.
    """

    limits: Limits = UNLIMITED
    context: int | None = None
    output: int | None = None
    refuses: bool = False
    day: int | None = None
    month: int | None = None
    total: int | None = None
    credit: int | None = None
    credit_until: int | None = None

    @property
    def counts_money(self) -> bool:
        return any(one is not None for one in (self.day, self.month, self.total, self.credit))

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how long a request and its answer are."""
        return self.bounds_lengths or self.limits.counts_tokens or self.counts_money

    @property
    def bounds_lengths(self) -> bool:
        return self.context is not None or self.output is not None

    @property
    def keeps_account(self) -> bool:
        """Whether what is used must be known for longer than a minute."""
        limits = self.limits
        return self.counts_money or limits.rpd is not None or limits.tpd is not None

    def changed(self, given: Mapping[str, int | None]) -> Allowance:
        """The same with other `RATES` and `AMOUNTS`."""
        rates = {name: value for name, value in given.items() if name in RATES}
        amounts: dict[str, Any] = {name: value for name, value in given.items() if name in AMOUNTS}
        return replace(self, limits=replace(self.limits, **rates), **amounts)


BOUNDLESS = Allowance()
