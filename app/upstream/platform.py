"""What a platform is: a declaration, with one small function for its addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from app.canonical.model import ModelFacts
from app.canonical.request import ChatRequest
from app.credential import Credential
from app.secret import Secret
from app.upstream.answer import Answering
from app.upstream.leash import Leash
from app.upstream.media import CharacterSource, ImageEngine, StillSource, VideoEngine
from app.upstream.names import Alias, Names, Suffix
from app.upstream.transport import Transport
from app.wire.dialect import Dialect

UNKNOWN_RELEASE = (
    "2026-07-01"  # of models that nobody dates: all came out in 2026, and clients want a day
)


@dataclass(frozen=True, slots=True)
class Send:
    """Where a call goes, and the headers that make it valid there."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Model:
    """A model worth listing. `created` is the day of its release."""

    id: str
    name: str
    context: int
    max_output: int
    created: int


class Catalogue:
    """The models of a platform and the facts about them, read from the data file beside its
    declaration.
    """

    def __init__(
        self,
        models: tuple[Model, ...],
        rules: tuple[tuple[str, ModelFacts], ...],
        aliases: tuple[Alias, ...] = (),
        suffixes: tuple[Suffix, ...] = (),
        *,
        closed: tuple[str, ...] = (),
    ) -> None:
        self.models = models
        ids = tuple(model.id for model in models)
        self.names = Names(ids, aliases, suffixes, closed=closed)
        self._rules = rules
        self.facts = lru_cache(maxsize=512)(self._find)

    def _find(self, model: str) -> ModelFacts:
        for pattern, facts in self._rules:
            if fnmatchcase(model, pattern):
                return replace(facts, name=model)
        return ModelFacts(name=model)

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        return cls((), ()).changed(json.loads(path.read_text(encoding="utf-8")))

    def changed(self, given: Mapping[str, Any]) -> Catalogue:
        """The catalogue with what `given` says: entries of the same name are replaced, and its rules
        come before the others.
        """
        models = {model.id: model for model in self.models}
        models |= {one["id"]: _model(one) for one in given.get("models", ())}
        aliases = {alias.name: alias for alias in self.names.aliases}
        aliases |= {one["name"]: Alias(**one) for one in given.get("aliases", ())}
        suffixes = {(one.name, one.models): one for one in self.names.suffixes}
        added = map(_suffix, given.get("suffixes", ()))
        suffixes |= {(one.name, one.models): one for one in added}
        rules = tuple((rule["match"], _facts(rule["facts"])) for rule in given.get("rules", ()))
        return Catalogue(
            tuple(sorted(models.values(), key=lambda model: model.id)),
            rules + self._rules,
            tuple(aliases.values()),
            tuple(suffixes.values()),
            closed=tuple(given.get("closed", self.names.closed)),
        )


def _model(one: dict[str, Any]) -> Model:
    day = date.fromisoformat(one.get("released", UNKNOWN_RELEASE))
    created = int(datetime.combine(day, time.min, UTC).timestamp())
    return Model(one["id"], one["name"], one["context"], one["max_output"], created)


def _suffix(one: dict[str, Any]) -> Suffix:
    lists: dict[str, Any] = {name: tuple(one[name]) for name in ("models", "but") if name in one}
    return Suffix(**{**one, **lists})


def _facts(values: dict[str, Any]) -> ModelFacts:
    """JSON has neither sets nor tuples; the fields' defaults say which is meant."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(ModelFacts(), name)
        made[name] = type(default)(value) if isinstance(value, list) else value
    return ModelFacts(**made)


Framing = Literal[
    "whole", "events", "array"
]  # how the answer comes; one vendor streams JSON arrays
Address = Callable[[str, Secret, str, Framing], Send]  # base URL, token, model


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a chat. `seconds` is how long the platform may take to accept it; a call that
    must not be `repeated` may not even be sent again on a fresh connection.
    """

    base_url: str
    credential: Credential
    caller: str  # the licence's name
    model: str
    framing: Framing
    headers: Mapping[str, str]
    payload: bytes
    leash: Leash
    seconds: float
    repeated: bool


Opener = Callable[[Transport, Attempt], Answering]


class Stored(Protocol):
    """What the platform has stored, by licence."""

    def check(self, owner: str, name: str | None, body: bytes | None) -> None:
        """Raises `NotFound` where the thing of this name, or one the body goes on with, is another's."""


@dataclass(frozen=True, slots=True)
class Chat:
    """How a platform chats. `forwards` are the caller's own headers that the vendor documents for
    its dialect.

    `follow` signs any other path of the vendor's API, for the native routes that pass through;
    `probe` is one that costs nothing and needs a good key. `opener` is for chats that are not one
    call: it makes as many as it takes, and gives what can be read like an answer. `stored` knows whose
    is what the platform stores. `gemini_calls`
    are the calls on a model, besides generating, that pass through. `anchored` chats go on where they
    began: all calls of a conversation need the same credential.
    """

    dialect: Dialect
    address: Address
    follow: Callable[[str, Secret], Send]
    probe: str
    opener: Opener | None = None
    stored: Stored | None = None
    anchored: bool = False
    gemini_calls: tuple[str, ...] = ()
    forwards: frozenset[str] = frozenset()
    always: Mapping[str, str] = field(
        default_factory=dict
    )  # sent where the caller's own header says nothing
    switches: Mapping[str, str] = field(
        default_factory=dict
    )  # headers by which a caller takes one kind of the vendor's tools out of its own requests

    def post(self, transport: Transport, attempt: Attempt) -> Answering:
        """The usual opening: one call."""
        send = self.address(
            attempt.base_url, attempt.credential.token, attempt.model, attempt.framing
        )
        return transport.open(
            "POST",
            send.url,
            {**attempt.headers, **send.headers, "content-type": "application/json"},
            attempt.payload,
            leash=attempt.leash,
            first_byte_seconds=attempt.seconds,
            repeat_stale=attempt.repeated,
        )


class Memory(Protocol):
    """Short texts that a platform keeps for a licence: known to all workers, for a while."""

    def keep(
        self, owner: str, key: str, value: str, seconds: float, *, durable: bool = True
    ) -> None:
        """What is not `durable` outlives the process, but may be lost with the power."""

    def find(self, owner: str, key: str) -> str | None: ...

    def take(self, owner: str, key: str) -> str | None:
        """Finds and forgets it; of several who take at once, one finds it."""


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of one platform's own: `TOKENS_<PLATFORM>_<NAME>`, read as its default is."""

    name: str
    default: Any
    about: str


@dataclass(frozen=True, slots=True)
class Platform:
    """`key_variables` are the vendor's own names for an API key in the environment. `beta_header`
    is where its beta features are switched on; the operator may add to it. Where there is more than
    one way to chat, `pick` chooses by the caller's dialect, by what is asked and by what the
    model's name asks for. `listing` reads the vendor's own list of models from what `Chat.probe`
    answers, where that depends on the account. `equip` makes the platform anew with the operator's
    `options` and its memory, if it has one; a ValueError says which option cannot be.
    """

    name: str
    title: str
    base_url: str
    key_variables: tuple[str, ...]
    owner: str
    chat: Chat
    images: ImageEngine | None = None
    videos: VideoEngine | None = None
    stills: StillSource | None = None
    characters: CharacterSource | None = None
    engine: str = ""
    catalogue: Catalogue = field(default_factory=lambda: Catalogue((), ()))
    beta_header: str = ""
    pick: Callable[[Dialect, ChatRequest, Mapping[str, Any]], Chat] | None = None
    options: tuple[Option, ...] = ()
    listing: Callable[[Any], tuple[Model, ...]] | None = None
    equip: Callable[[Platform, Mapping[str, Any], Memory | None], Platform] | None = None

    @property
    def talks(self) -> bool:
        """Whether any of its models answers in words; others make pictures or films, also in chats."""
        return any(not self.catalogue.facts(one.id).makes for one in self.catalogue.models)
