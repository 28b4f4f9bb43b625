"""Where calls meet the limits of their licences: what they may hold before they are let in, and when
they are over. Every route that calls a model comes by here, and so does whoever keeps account of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, g

from app.access.caller import Caller
from app.canonical.events import Usage
from app.errors import GatewayError, OverLimit, TooLong
from app.services.estimate import LIKELY_OUTPUT, tokens_of
from app.web.current import this_call, this_request
from app.web.gate import Ticket
from app.web.gateway import Gateway
from app.wire.dialect import Spoken


@dataclass(frozen=True, slots=True)
class Measured:
    """A chat as it may go on: `body` asks for no more than is allowed. `tokens` is what it is thought to
    come to, and `output` the most that is the answer; None where nobody counts.
    """

    body: dict[str, Any]
    tokens: int | None = None
    output: int | None = None


def measured(caller: Caller, spoken: Spoken, body: dict[str, Any]) -> Measured:
    """Raises `TooLong` where the licence does not allow so much (C-241)."""
    if caller.licence is None or not caller.licence.allowance.counts_tokens:
        return Measured(body)
    allowance = caller.licence.allowance
    tokens = tokens_of(body)
    if allowance.context is not None and tokens > allowance.context:
        raise TooLong(
            "the request has some {tokens} tokens: the licence's maximum context length is {most}",
            tokens=tokens,
            most=allowance.context,
        )
    asked, most = spoken.output_limit(body), allowance.output
    if most is not None:
        if allowance.refuses and asked is not None and asked > most:
            raise TooLong(
                "the licence allows answers of {most} tokens, and {asked} are asked for",
                code="output_length_exceeded",
                most=most,
                asked=asked,
            )
        body = spoken.with_output_limit(body, most)
        asked = min(asked or most, most)
    return Measured(body, tokens + (asked or LIKELY_OUTPUT) * spoken.answers(body), most)


def enter(hub: Gateway, said: Mapping[str, Any], tokens: int | None = None) -> None:
    """Lets the call in, or raises `OverLimit`. It leaves when its answer is over, whatever that is. Who
    only looks, or clears away, calls no model.
    """
    known = this_call()
    licence = known.caller.licence
    if licence is None or this_request().method != "POST":
        return
    if tokens is None:
        tokens = tokens_of(said) if licence.allowance.limits.tpm is not None else 0
    known.ticket = hub.gate.enter(known.caller, tokens)


def tell(response: Response) -> None:
    """How much is left, in place of what the platform says of our own limits with it."""
    known = this_call()
    if "caller" in known:
        for name, value in known.caller.standing.headers().items():
            response.headers[name] = value


def take_back(error: GatewayError) -> None:
    """Where a limit refuses a call that others have let in, those have not counted it."""
    ticket: Ticket | None = g.get("ticket")
    if ticket is not None and isinstance(error, OverLimit):
        ticket.undo()


def leave(ticket: Ticket | None, record: Mapping[str, Any], *, answered: bool) -> None:
    """The answer is over. What was not `answered` has come to nothing."""
    if ticket is not None:
        usage = record.get("usage")
        counted = usage.input + usage.output if isinstance(usage, Usage) else None
        ticket.leave(counted if counted is not None or answered else 0)
