"""A vendor that answers what it is told to, call by call, and errands to send to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from app.canonical.media import File
from app.canonical.media_type import sniff
from app.credential import Credential
from app.secret import Secret
from app.simulators.exchange import Call, Reply
from app.simulators.mishaps import Mishap
from app.simulators.serving import Running
from app.simulators.simulator import Simulator
from app.spool import Spool
from app.upstream.leash import Leash
from app.upstream.media import Errand, ReadError
from app.upstream.transport import Deadlines, Transport

KEY = "told-key-0123456789"

Json = dict[str, Any]
Saying = Json | bytes | Reply | Callable[[Call], Reply]


def refused(status: int, message: str, **more: Any) -> Reply:
    """As Google words it."""
    return Reply(status, orjson.dumps({"error": {"code": status, "message": message, **more}}))


class Told(Simulator):
    """Says the next thing for each call; the last one for all that follow."""

    name = "told"

    def __init__(self, *sayings: Saying) -> None:
        super().__init__()
        self.sayings = list(sayings)

    def credential(self, call: Call) -> str:
        return "anybody's"

    def answer(self, call: Call) -> Reply:
        saying = self.sayings.pop(0) if len(self.sayings) > 1 else self.sayings[0]
        if isinstance(saying, Reply):
            return saying
        if callable(saying):
            return saying(call)
        return Reply(200, saying if isinstance(saying, bytes) else orjson.dumps(saying))

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        raise AssertionError("nobody is refused here")


@dataclass
class Errands:
    """Sends one engine to one simulator."""

    errand: Errand
    vendor: Simulator

    @property
    def asked(self) -> list[Any]:
        return self.vendor.journal.entries()

    def file(self, data: bytes) -> File:
        path = self.errand.spool.keep(data)
        return File(str(path), sniff(data[:4096]) or "", len(data))

    def with_key(self, key: str) -> Errand:
        return replace(self.errand, credential=Credential("other", Secret(key)))


@contextmanager
def errands(
    vendor: Simulator,
    folder: Path,
    read_error: ReadError,
    *,
    key: str = KEY,
    deadlines: Mapping[str, Any] | None = None,
    **more: Any,
) -> Iterator[Errands]:
    transport = Transport(Deadlines(**(deadlines or {})))
    with Running({"vendor": vendor}) as running, Spool(folder) as spool:
        errand = Errand(
            base_url=running.origin("vendor"),
            credential=Credential("told#1", Secret(key)),
            transport=transport,
            spool=spool,
            model="a-model",
            leash=Leash(),
            seconds=10.0,
            answer_bytes=1 << 26,
            verbatim=False,
            now=time.time,
            read_error=read_error,
        )
        try:
            yield Errands(replace(errand, **more), vendor)
        finally:
            transport.close()
