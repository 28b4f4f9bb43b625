"""The ledger as the gateway keeps it: a row is opened before a platform is asked, and closed before
the caller is told the end.

What is charged is what arrived: what the platform counted, or an estimate where it was cut short
before it counted. What brought nothing is released, and costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from app import process
from app.access.caller import Caller
from app.access.standing import Allotment, Standing
from app.account import Account, Claim, Shortage
from app.canonical.events import Usage
from app.clock import Clock
from app.days import Days
from app.errors import BudgetSpent, GatewayError, OverLimit, PriceUnknown, QuotaGone
from app.ledger.journal import Journal
from app.ledger.price import Price
from app.ledger.price_book import PriceBook
from app.ledger.scribe import Scribe
from app.ledger.units import NOTHING, NotCountable, Units, film_units, picture_units
from app.limits import BOUNDLESS, Allowance
from app.money import MILLION
from app.storage.ledger import CHARGED, RELEASED, Closing, LedgerTable, Opening, closed_row
from app.storage.tasks import Task

log = logging.getLogger(__name__)

RPD, TPD = "rpd_exceeded", "tpd_exceeded"
SOON_SECONDS = 2.0  # until what is held back for other calls may be free again
LONGEST_WORD, LONGEST_OUTCOME, LONGEST_FAILURES = 200, 64, 2000
MOST_IN_DOUBT = 1000  # of the first: those were on their way when the database went away

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What a platform is about to be asked for. `input` and `output` are tokens: about how many go in, and
    at most how many may come out of each of the `answers`; they count for licences with limits alone.
    `units` are what else it comes to, at most. `maker` is the platform that makes it, if it is another.
    """

    id: str
    caller: Caller
    platform: str
    kind: str
    model: str
    asked: str
    spoken: str
    maker: str = ""
    stream: bool = False
    input: int = 0
    output: int = 0
    answers: int = 1
    units: Units = NOTHING


class Ledger:
    """One per process."""

    def __init__(
        self,
        table: LedgerTable,
        book: PriceBook,
        journal: Journal,
        clock: Clock,
        *,
        days: Days = Days(),
        longest_call: float = 3600.0,
    ) -> None:
        self._table = table
        self._book = book
        self._journal = journal
        self._clock = clock
        self.days = days
        self.on_charge: Callable[[str, int], None] = lambda credential, money: None
        self._longest_call = longest_call
        self.on_written: Callable[[int], None] = lambda rows: None  # so many are on the disk
        self._me = ""
        self._in_doubt: list[Closing] = []
        self._scribe: Scribe[Opening | Closing] = Scribe(self._write)

    def open(self, wanted: Purchase) -> Entry:
        """A row for a call that is about to be made. Raises what the licence has too little left for."""
        now = self._clock.now()
        own = (
            wanted.caller.brought is None
        )  # who brings a token pays the platform, not the operator
        price = self._price(wanted, now) if own else None
        licence = wanted.caller.licence
        allowance = licence.allowance if licence else BOUNDLESS
        row = {
            "id": wanted.id,
            "state": "open",
            "licence": wanted.caller.name,
            "mode": "licence" if own else "chat2api",
            "platform": wanted.platform,
            "kind": wanted.kind,
            "model": wanted.model[:LONGEST_WORD],
            "asked": wanted.asked[:LONGEST_WORD],
            "spoken": wanted.spoken,
            "stream": wanted.stream,
            "opened_at": int(now * 1000),
            "day": self.days.day(now),
            "price": price.version if price else "",
            "unit_prices": _told(price) if price else "",
            "held_tokens": 0,
            "held_money": 0,
            "worker": self._me or self._named(),
        }
        opening = Opening(row)
        if allowance.keeps_account:
            opening.allowance = allowance if own else _without_money(allowance)
            opening.claim, opening.now = _claim(wanted, price, opening.allowance), now
        try:
            self._scribe.put(opening)
        except GatewayError as error:
            self._doubt(opening, error)
            raise
        if opening.claim is not None:
            self._tell(wanted.caller.standing, opening)
        if opening.short is not None:
            raise self._refusal(opening.short.of, held=opening.short.held, now=now)
        return Entry(self, wanted, opening, price)

    def _tell(self, standing: Standing, opening: Opening) -> None:
        """What is left of the day, if that has a limit."""
        limits, today = opening.allowance.limits, (opening.short or opening.hold).today
        seconds = self.days.day_ends(opening.row["day"]) - opening.now
        if limits.rpd is not None:
            standing.meet_requests(Allotment(limits.rpd, today.calls, seconds))
        if limits.tpd is not None:
            standing.meet_tokens(Allotment(limits.tpd, today.tokens, seconds))

    def _doubt(self, opening: Opening, error: GatewayError) -> None:
        """The row may have been written all the same, if the database was lost before it could say so."""
        if len(self._in_doubt) < MOST_IN_DOUBT:
            now = self.ms(self._clock.now())
            row = closed_row(opening.row["id"], RELEASED, error.code, now)
            self._in_doubt.append(Closing(row, opening.row))

    def _release_doubtful(self) -> None:
        """Closes those of them that are there."""
        doubtful, self._in_doubt = self._in_doubt, []
        try:
            self._table.write((), doubtful)
        except GatewayError:
            self._in_doubt = doubtful + self._in_doubt
            raise

    def _price(self, wanted: Purchase, now: float) -> Price | None:
        return self._book.price(wanted.maker or wanted.platform, wanted.model, now)

    def settle(self, connection: Any, task: Task) -> None:
        """Closes the row of a task that is over, in the transaction that ends the task."""
        opened = self._table.opened(connection, task.ledger)
        if opened is None:
            return
        known: dict[str, Any] = {}
        if task.settled == CHARGED:
            price = Price.recalled(orjson.loads(opened["unit_prices"])) if opened["price"] else None
            known = _known(price, *_made(task))
        state, outcome = (CHARGED, "ok") if known else (RELEASED, task.code or task.state)
        row = closed_row(
            task.ledger,
            state,
            outcome[:LONGEST_OUTCOME],
            self.ms(self._clock.now()),
            credential=task.credential,
            attempts=1,
            **known,
        )
        self._table.close_in(connection, Closing(row, opened))

    def close(self, closing: Closing) -> None:
        """Comes back when the row is on the disk. Where the database cannot take it the journal does, and
        the error is raised all the same: nobody is told of an end that the ledger does not have.
        """
        try:
            self._scribe.put(closing)
        except GatewayError as error:
            try:
                self._journal.add(closing)
            except OSError as trouble:
                log.error(
                    "a row of the ledger is lost", extra={"row": closing.row, "why": str(trouble)}
                )
            raise error
        if money := closing.row["charge"]:
            self.on_charge(closing.row["credential"], money)

    def tidy(self) -> None:
        """Takes in what the journal has, and closes what nobody else will: rows of which it was not known
        that they were opened, and those of processes that are no more.
        """
        if self._in_doubt:
            self._release_doubtful()
        rows = self._journal.take_in(self._write)
        if rows is None:
            return  # a row of a dead process may be in the journal, and come to more than nothing
        if rows:
            log.warning("the ledger has taken in its journal", extra={"rows": rows})
        now = self._clock.now()
        for worker in self._table.workers():
            # Of processes elsewhere nothing is known, but that no call takes for ever.
            opened_before = now if process.is_gone(worker) else now - self._longest_call
            if rows := self._table.interrupt(worker, self.ms(now), self.ms(opened_before)):
                about = {"worker": worker, "rows": rows}
                log.warning("calls of a worker that is no more are released", extra=about)

    @staticmethod
    def ms(seconds: float) -> int:
        return int(seconds * 1000)

    @property
    def clock(self) -> Clock:
        return self._clock

    def _named(self) -> str:
        self._me = process.me()  # only now: what makes the application is not what serves it
        return self._me

    def _write(self, items: Sequence[Opening | Closing]) -> None:
        openings = [one for one in items if isinstance(one, Opening)]
        self._table.write(openings, [one for one in items if isinstance(one, Closing)])
        self.on_written(len(items))

    def _refusal(self, of: Shortage, *, held: bool, now: float) -> OverLimit:
        error = _short_of(of)
        if held:
            soon = OverLimit(
                "what the licence has left is held back for calls that are on their way"
            )
            return soon.named(error.code).after(SOON_SECONDS)
        if of in ("rpd", "tpd", "day"):
            error.after(self.days.day_ends(self.days.day(now)) - now)
        elif of == "month":
            error.after(self.days.month_ends(self.days.day(now)) - now)
        error.may_retry = False  # nobody waits for that long
        return error

    def account(self, licence: str) -> Account | None:
        """What a licence with limits has used, as of its last call."""
        return self._table.account(licence)

    def waiting(self) -> int:
        """How many rows wait in the journal."""
        return self._journal.rows()


def _short_of(what: Shortage) -> OverLimit:
    match what:
        case "rpd":
            return OverLimit("the licence has used up its requests of the day").named(RPD)
        case "tpd":
            return OverLimit("the licence has used up its tokens of the day").named(TPD)
        case "day":
            return BudgetSpent("the licence has spent its budget of the day")
        case "month":
            return BudgetSpent("the licence has spent its budget of the month")
        case "total":
            return QuotaGone("the licence has spent its budget")
        case "credit":
            return QuotaGone("the licence has spent its credit")
        case "expired":
            return QuotaGone("the time for the licence's credit is over")


class Entry:
    """A row that is open. It is closed once, whoever closes it first. `output` is how many tokens may come
    out of each answer, where that is fewer than were asked for.
    """

    def __init__(
        self, ledger: Ledger, wanted: Purchase, opening: Opening, price: Price | None
    ) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._opening = opening
        self._price = price
        self._is_open = True
        granted = opening.hold.output // wanted.answers
        self.output = granted if opening.claim and granted < wanted.output else None

    def charge(
        self,
        record: Record,
        usage: Usage | None,
        units: Units = NOTHING,
        outcome: str = "ok",
    ) -> None:
        """The call has brought something, and the caller may be told the end when this comes back. Raises
        where that cannot be written down.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._close(CHARGED, outcome, record, _known(self._price, usage or Usage(0, 0), units))

    def end(self, record: Record, usage: Usage | None, outcome: str) -> None:
        """The call is over, if it is not closed yet, and what it has brought is charged: with None,
        nothing. What cannot be written down now is later.
        """
        if not self._is_open:
            return
        try:
            if usage is not None:
                return self.charge(record, usage, outcome=outcome)
            self._is_open = False
            self._close(RELEASED, outcome, record, {})
        except GatewayError as error:
            log.warning("a row of the ledger is closed later", extra={"why": str(error)})

    @property
    def id(self) -> str:
        name: str = self._opening.row["id"]
        return name

    def hand_over(self) -> None:
        """The row is a task's from here on, which closes it by its id."""
        self._is_open = False

    def _close(self, state: str, outcome: str, record: Record, known: Mapping[str, Any]) -> None:
        row = closed_row(
            self._opening.row["id"],
            state,
            outcome[:LONGEST_OUTCOME],
            self._ledger.ms(self._ledger.clock.now()),
            credential=record.get("credential", ""),
            road=record.get("road", ""),
            attempts=record.get("attempts", 0),
            failed=_failures(record),
            first_ms=record.get("first_ms"),
            **known,
        )
        self._ledger.close(Closing(row, self._opening.row))


def _failures(record: Record) -> str:
    """The attempts that another one followed: which credential each had, and what came of it."""
    told = (f"{one['credential']} {one['outcome']}" for one in record.get("failed", ()))
    return ", ".join(told)[:LONGEST_FAILURES]


def _known(price: Price | None, usage: Usage, units: Units) -> dict[str, Any]:
    """The columns that say what a call came to."""
    try:
        money = price.charge(usage, units) if price else 0
    except NotCountable:  # the platform has counted nonsense
        usage = Usage(0, 0, estimated=True)
        money = price.charge(usage, units) if price else 0
    return {
        "input": usage.input,
        "output": usage.output,
        "cached": usage.cached,
        "cache_write": usage.cache_write,
        "reasoning": usage.reasoning,
        "pictures": units.pictures,
        "seconds": float(units.seconds),
        "estimated": usage.estimated,
        "charge": money,
    }


def _made(task: Task) -> tuple[Usage, Units]:
    """What came of a task: what the platform counted, and the pictures or the seconds of film."""
    job, result = task.job, task.result
    if task.kind == "video":
        seconds = result.get("seconds") or job.get("seconds") or 0
        return counted_usage(result.get("usage")), film_units(seconds, job)
    return counted_usage(result.get("usage")), picture_units(len(result.get("media", ())), job)


def counted_usage(said: Mapping[str, Any] | None) -> Usage:
    """A usage in OpenAI's words for pictures; nothing where nobody counted."""

    def count(of: Mapping[str, Any], name: str) -> int:
        value = of.get(name)
        return value if type(value) is int and value >= 0 else 0

    if not said:
        return Usage(0, 0)
    details = said.get("input_tokens_details")
    cached = count(details, "cached_tokens") if isinstance(details, dict) else 0
    return Usage(count(said, "input_tokens"), count(said, "output_tokens"), cached)


@lru_cache(maxsize=1024)
def _told(price: Price) -> str:
    return orjson.dumps(price.told()).decode()


def _claim(wanted: Purchase, price: Price | None, allowance: Allowance) -> Claim:
    """Raises `PriceUnknown` where money is counted and nobody knows how much this is."""
    output = wanted.output * wanted.answers
    if not allowance.counts_money:
        return Claim(wanted.input, output, least=wanted.answers)
    if price is None or not price.covers(wanted.units):
        raise PriceUnknown(
            "the price of {model} is not known, and the licence has a limit in money",
            param="model",
            model=wanted.model[:LONGEST_WORD],
        )
    base = price.most(wanted.input, 0, wanted.units)
    rate = price.most(wanted.input, MILLION, wanted.units) - base
    return Claim(wanted.input, output, base, rate, least=wanted.answers)


def _without_money(allowance: Allowance) -> Allowance:
    return replace(allowance, day=None, month=None, total=None, credit=None, credit_until=None)
