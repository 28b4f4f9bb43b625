"""What a licence may use, as words on the command line and back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.cli.numbers import whole
from app.cli.words import Complaint, moment, said
from app.limits import Allowance
from app.money import dollars, micro

NONE = "none"
MOST = 10**15
RATES = ("rpm", "rpd", "tpm", "tpd", "concurrency")
LENGTHS = ("context", "output")
MONEY = {"budget_day": "day", "budget_month": "month", "budget_total": "total", "credit": "credit"}
ABOUT = {
    "rpm": "requests a minute",
    "rpd": "requests a day",
    "tpm": "tokens a minute",
    "tpd": "tokens a day",
    "concurrency": "calls at a time",
    "context": "tokens of one request",
    "output": "tokens of one answer; who asks for more is given that much",
    "budget_day": "dollars a day, such as 5 or 2.50",
    "budget_month": "dollars a month",
    "budget_total": "dollars ever",
    "credit": "dollars of a gift",
}


def add_limits(verb: argparse.ArgumentParser) -> None:
    """The arguments that say what a licence may use; `none` takes one away."""
    group = verb.add_argument_group(
        "limits",
        "whole numbers from 1 up, or dollars from 0 up, in plain digits; `none` takes one away",
    )
    for name, about in ABOUT.items():
        kind = "DOLLARS" if name in MONEY else "N"
        group.add_argument(f"--{name.replace('_', '-')}", metavar=kind, help=about)
    group.add_argument(
        "--credit-expires", metavar="SPAN", help="how long the credit lasts, such as 30d"
    )
    excess = group.add_mutually_exclusive_group()
    excess.add_argument(
        "--refuse-excess",
        dest="refuses",
        action="store_true",
        default=None,
        help="refuse who asks for a longer answer than --output",
    )
    excess.add_argument(
        "--allow-excess",
        dest="refuses",
        action="store_false",
        help="give as much as --output to who asks for more; the default",
    )


def is_given(options: argparse.Namespace) -> bool:
    names = (*ABOUT, "credit_expires", "refuses")
    return any(getattr(options, name) is not None for name in names)


def changed(before: Allowance, options: argparse.Namespace, end: Callable[[str], int]) -> Allowance:
    """The allowance, with what was given. `end` says when a span from now ends."""
    rates = {name: _whole(name, word) for name in RATES if (word := _word(options, name))}
    limits = replace(before.limits, **rates)
    more: dict[str, Any] = {
        name: _whole(name, word) for name in LENGTHS if (word := _word(options, name))
    }
    more |= {of: _money(name, word) for name, of in MONEY.items() if (word := _word(options, name))}
    if span := _word(options, "credit_expires"):
        more["credit_until"] = None if span == NONE else end(span)
    if options.refuses is not None:
        more["refuses"] = options.refuses
    after = replace(before, limits=limits, **more)
    if after.credit is None and after.credit_until is not None:
        if span and span != NONE:
            raise Complaint("a credit that ends needs --credit DOLLARS")
        after = replace(after, credit_until=None)
    return after


def told(allowance: Allowance) -> dict[str, Any]:
    """For programs: by the names of the arguments, money in dollars, nothing that is without limit."""
    found: dict[str, Any] = {name: getattr(allowance.limits, name) for name in RATES}
    found |= {name: getattr(allowance, name) for name in LENGTHS}
    found |= {
        name: dollars(amount)
        for name, of in MONEY.items()
        if (amount := getattr(allowance, of)) is not None
    }
    found["credit_expires"] = moment(allowance.credit_until)
    found = {name: value for name, value in found.items() if value is not None}
    return found | ({"refuse_excess": True} if allowance.refuses else {})


def shortly(allowance: Allowance) -> list[str]:
    """For people: `rpm=60`."""
    return [
        "refuse_excess" if value is True else f"{name}={value}"
        for name, value in told(allowance).items()
    ]


def _word(options: argparse.Namespace, name: str) -> str:
    word = getattr(options, name)
    if word is None:
        return ""
    if not word.strip():
        raise Complaint(f"--{name.replace('_', '-')} is empty; `none` takes a limit away")
    return str(word.strip())


def _whole(name: str, word: str) -> int | None:
    if word == NONE:
        return None
    try:
        return whole(word, 1, MOST)
    except ValueError as error:
        raise Complaint(f"--{name} {error} or none, not {said(word)}") from error


def _money(name: str, word: str) -> int | None:
    """Exact, to a millionth of a dollar."""
    if word == NONE:
        return None
    try:
        return micro(word)
    except ValueError as error:
        raise Complaint(f"--{name.replace('_', '-')} {error}, or none; not {said(word)}") from error
