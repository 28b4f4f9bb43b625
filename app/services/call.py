"""A chat as a caller made it, before anything is known of how it will be answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from app.access.caller import Caller
from app.canonical.events import Trouble
from app.errors import GatewayError
from app.media.inbound import Basket
from app.upstream.transport import Leash
from app.wire.dialect import Spoken, Telling


class Ear(Protocol):
    """Whether the caller still listens. `closing` says that it stopped sending, which may mean it
    is gone: only a write can tell.
    """

    @property
    def closing(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Deaf:
    """An ear for callers whose connection cannot be watched, as in tests without a socket."""

    closing: bool = False


@dataclass(slots=True, kw_only=True)
class ChatCall:
    """`id` is the request's. `model` is the platform's name for what was asked; what the caller called
    it is in `telling`.

    `strict` refuses what would lose a field. `sets` is what parameters in its name ask for,
    `groups` those whose credentials may serve, `shape` how a picture or a film should look. `raw` are
    the bytes of `body`, without what the path said. `array` asks for the framing that is a JSON array.
    `say` words an error for this caller, `basket` makes one for what links in it lead to. `session` is
    what should be served by one credential together. `tokens` is what the call is thought to come to,
    where somebody counts them, and `most_output` what of it may be the answer. `record` collects what
    the access log will say. `outside` names what in `body` did not come from `raw`.
    """

    id: str
    caller: Caller
    spoken: Spoken
    raw: bytes
    body: dict[str, Any]
    model: str
    stream: bool
    telling: Telling
    attempts: int
    basket: Callable[[], Basket]
    say: Callable[[GatewayError], Trouble]
    array: bool = False
    thinking_budget: int | None = None
    usual_budget: int = 1024  # where thinking is asked for by name and nobody says how much
    strict: bool = False
    sets: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    session: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    leash: Leash = field(default_factory=Leash)
    ear: Ear = field(default_factory=Deaf)
    tokens: int | None = None
    most_output: int | None = None
    record: dict[str, Any] = field(default_factory=dict)
    outside: frozenset[str] = frozenset()

    def let_go(self) -> None:
        """Of what was asked, once it is written as the platform wants it: the answer may take minutes, and
        pictures are large.
        """
        self.raw, self.body = b"", {}

    def limit_output(self, most: int) -> None:
        """Asks for an answer of so many tokens or less."""
        self.body = self.spoken.with_output_limit(self.body, most)
        self.most_output = most
        said = {name: self.body[name] for name in self.body.keys() - self.outside}
        self.raw = orjson.dumps(said)
