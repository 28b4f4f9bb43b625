"""Model names as callers write them: `model-parameter-parameter|[group,group]` (C-138).

A name is one of the platform's, or an alias of one, with parameters hung on by hyphens and a choice
of credentials behind a bar. Names have hyphens of their own, so the longest name that is known
wins, and one that is known as it stands is never taken apart (C-143). A dated or preview form of a
known name is a name of the vendor's, not a parameter; and unless the known name is closed, so is one
with nothing behind it that any of the platform's models takes for a parameter: vendors bring out
models faster than we learn of them. Names of ours are closed: behind what no vendor has heard of
there is nothing of a vendor's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from app.errors import (
    BadRequest,
    ConflictingParameters,
    UnknownParameter,
    UnsupportedParameter,
)

_GROUPS = re.compile(r"(?P<name>[^|]+)\|\[(?P<groups>[^\[\]|]*)\]")
_GROUP = re.compile(r"[\w.:-]{1,64}")
_EDITION = re.compile(r"(?:\d{4}-\d\d-\d\d|\d\d-\d{4}|\d{3,8}|latest|preview|exp)(?=-|$)")

_LAST_EDITION = re.compile(rf"(?<=.)-{_EDITION.pattern.removesuffix('(?=-|$)')}$")


@dataclass(frozen=True, slots=True)
class Suffix:
    """A parameter that a name may carry. `sets` is what it asks for, which may be another `model`;
    where it is empty the documented API has nothing of the kind, and asking for it is an error
    (C-156). `note` says how the engine that it leads to differs from what it promises.
    """

    name: str
    kind: str
    models: tuple[str, ...] = ("*",)
    but: tuple[str, ...] = ()
    sets: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def fits(self, *names: str) -> bool:
        """Whether a model may carry it that goes by these names."""
        return any(_any(self.models, one) for one in names) and not any(
            _any(self.but, one) for one in names
        )


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a model. `note` says how the engine behind it differs from what the name
    promises, `sets` what the name asks for by itself.
    """

    name: str
    model: str
    note: str = ""
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means: `model` is the platform's own, `base` the caller's word for it without
    parameters and groups; `sets` is what the parameters ask for.
    """

    asked: str
    base: str
    model: str
    sets: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    note: str = ""


def unsupported(name: str) -> UnsupportedParameter:
    """What to say of a parameter that cannot be honoured."""
    return UnsupportedParameter(
        "the platform's documented API has nothing that the model parameter {name} could mean",
        param="model",
        name=name,
    )


def shown(asked: str) -> str:
    """The name as answers repeat it: with its parameters, without its groups (C-090)."""
    return asked.partition("|")[0]


class Names:
    """The names of one platform. Behind those that fit a pattern in `closed` stand parameters only."""

    def __init__(
        self,
        models: tuple[str, ...],
        aliases: tuple[Alias, ...],
        suffixes: tuple[Suffix, ...],
        *,
        closed: tuple[str, ...] = (),
    ) -> None:
        self.aliases = aliases
        self.suffixes = suffixes
        self.closed = closed
        self._parameters = frozenset(suffix.name.lower() for suffix in suffixes)
        self._aliases = {alias.name: alias for alias in aliases}
        self._known = frozenset(models) | self._aliases.keys()

    def read(self, asked: str) -> Named:
        """What `asked` means; raises a `BadRequest` that names what is wrong with it."""
        name, groups = _without_groups(asked)
        base, pieces = self._apart(name)
        alias = self._aliases.get(base)
        model = alias.model if alias else base
        found = self._suffixes(base, model, pieces)
        sets = dict(alias.sets) if alias else {}
        notes = [alias.note] if alias else []
        for suffix in found:
            sets |= suffix.sets
            notes.append(suffix.note)
        model = sets.pop("model", model)
        return Named(asked, base, model, sets, groups, "; ".join(filter(None, notes)))

    def knows(self, name: str) -> bool:
        """Whether it is one of the platform's names as it stands, or an edition of one."""
        end = self._known_end(name)
        return bool(end) and self._editions_end(name, end) == len(name)

    def plain(self, name: str) -> str:
        """The model behind a vendor's name for it, whichever edition that was."""
        name = name.removeprefix("models/")
        while name not in self._known and (edition := _LAST_EDITION.search(name)):
            name = name[: edition.start()]
        alias = self._aliases.get(name)
        return alias.model if alias else name

    def _apart(self, name: str) -> tuple[str, list[str]]:
        """The longest known name that `name` begins with, and the parameters after it; the whole
        of a name that nobody knows.
        """
        end = self._known_end(name)
        if not end:
            return name, []
        closed = _any(self.closed, name[:end])
        after = self._editions_end(name, end)
        base = name[:end] if name[:end] in self._aliases else name[:after]
        rest = name[after + 1 :]
        pieces = rest.split("-") if rest else []
        if pieces and not closed and self._parameters.isdisjoint(rest.lower().split("-")):
            return name, []
        return base, pieces

    def _known_end(self, name: str) -> int:
        """Where the longest known name that `name` begins with ends; 0 where there is none."""
        end = len(name)
        while name[:end] not in self._known:
            end = name.rfind("-", 0, end)
            if end < 1:
                return 0
        return end

    def _editions_end(self, name: str, end: int) -> int:
        """Where the editions end that may stand behind a known name, which ends at `end`."""
        while name[end : end + 1] == "-" and (edition := _EDITION.match(name, end + 1)):
            end = edition.end()
        return end

    def _suffixes(self, base: str, model: str, pieces: list[str]) -> list[Suffix]:
        found: dict[str, Suffix] = {}
        for piece in pieces:
            suffix = self._suffix(piece, base, model)
            other = found.setdefault(suffix.kind, suffix)
            if other is not suffix:
                raise ConflictingParameters(
                    "the model parameters {one} and {other} exclude each other",
                    param="model",
                    one=other.name,
                    other=suffix.name,
                )
            if not suffix.sets:
                raise unsupported(suffix.name)
        return list(found.values())

    def _suffix(self, piece: str, base: str, model: str) -> Suffix:
        for suffix in self.suffixes:
            if suffix.name.lower() == piece.lower() and suffix.fits(base, model):
                return suffix
        raise UnknownParameter(
            "{name} is not a parameter of the model {model}",
            param="model",
            name=piece[:100],
            model=base[:100],
        )


def _without_groups(asked: str) -> tuple[str, tuple[str, ...]]:
    if "|" not in asked:
        return asked, ()
    found = _GROUPS.fullmatch(asked)
    groups = read_groups(found["groups"]) if found else ()
    if found is None or not groups:
        raise BadRequest(
            "groups are written behind the model as |[group] or |[group,group]", param="model"
        )
    return found["name"], groups


def read_groups(text: str) -> tuple[str, ...]:
    """The groups of a list with commas, in small letters; none where one of them cannot be a group."""
    groups = tuple(one.strip().lower() for one in text.split(","))
    return groups if all(map(_GROUP.fullmatch, groups)) else ()


def _any(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
