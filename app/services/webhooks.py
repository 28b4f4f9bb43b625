"""Telling callers that their work is over: signed, so that they know it is us, and again and again
until they have heard it or a working day has gone by.

What is sent and how it is signed is as standardwebhooks.com has it. Where it goes is judged each time
it goes there, as strictly as any address of a caller's, and no redirect is followed (R-113). Of the
answer only its status is read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from app.errors import BadRequest
from app.media.destination import Refusal
from app.media.inbound import NotDelivered
from app.storage.tasks import Task, Tasks
from app.storage.webhooks import Hook

log = logging.getLogger(__name__)

SECONDS = 10.0  # for one attempt
SCHEDULE = (
    5.0,
    30.0,
    120.0,
    600.0,
    3600.0,
    21600.0,
)  # seconds after the first failure, the second ...
PREFIX = "whsec_"
_SECRET_BYTES = 32
_GONE = 410
_BATCH = 32
_CLAIM_SECONDS = 120.0  # longer than a batch takes

_WORDS = {
    "completed": "completed",
    "cancelled": "cancelled",
}  # whatever else it ends with has failed


class Post(Protocol):
    """Goes where callers say, no further than they may."""

    def check(self, url: str) -> None: ...

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int: ...


class Lookup(Protocol):
    def find(self, owner: str) -> Hook | None: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one went: `done` = nothing more is to be done."""

    done: bool
    why: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is told, and where. `id` is the same each time it is told."""

    url: str
    key: bytes
    id: str
    body: bytes


class Webhooks:
    """Where each licence wants to be told, and with what that is signed."""

    def __init__(self, hooks: Lookup, key_file: Path, post: Post) -> None:
        self._hooks = hooks
        self._key_file = key_file
        self._post = post
        self._opened: dict[str, bytes] = {}  # keys by their seals

    def address(self, owner: str, asked: str = "") -> str:
        """Where to tell the end of what is asked for now: where the request says, or else where the
        licence says; empty if neither does.
        """
        hook = self._hooks.find(owner)
        if not asked:
            return hook.url if hook else ""
        if hook is None:
            raise BadRequest(
                "{field} needs a secret to sign with, and there is none for this licence",
                param="webhook_url",
                field="webhook_url",
            )
        try:
            self._post.check(asked)
        except Refusal as error:
            raise BadRequest(
                "{field} must be an address on the open internet",
                param="webhook_url",
                field="webhook_url",
            ) from error
        return asked

    def key(self, owner: str) -> bytes | Attempt:
        """What to sign with; or why there is nothing to be told."""
        hook = self._hooks.find(owner)
        if hook is None:
            return Attempt(True, "the licence has no webhook any more")
        if hook.sealed not in self._opened:
            sealing = importlib.import_module("app.seal")  # slow, and many never need it
            try:
                secret = opened(sealing.Seal.load(self._key_file), hook)
            except (sealing.BadKeyFile, sealing.CannotOpen) as error:
                return Attempt(False, f"its secret cannot be opened: {error}")
            self._opened[hook.sealed] = key_of(secret)
        return self._opened[hook.sealed]

    def tell(self, message: Message, now: float) -> Attempt:
        """Says it once."""
        headers = {"Content-Type": "application/json"}
        headers |= signed(message.key, message.id, message.body, now)
        try:
            status = self._post.post(message.url, message.body, headers)
        except NotDelivered as error:
            return Attempt(False, str(error)[:200])
        return Attempt(200 <= status < 300 or status == _GONE, f"answered {status}")


class Notices:
    """Tells of tasks that are over. `describe` gives a task as callers know it."""

    def __init__(
        self, tasks: Tasks, webhooks: Webhooks, describe: Callable[[Task], Mapping[str, Any]]
    ) -> None:
        self._tasks = tasks
        self._webhooks = webhooks
        self._describe = describe

    def deliver_due(self, now: float) -> int:
        """Makes the attempts that are due, at the same time, and says how many that were. It takes as
        long as the slowest of them. Any number of rounds may be made at once, in any number of
        processes; each attempt is made in one of them.
        """
        names = self._tasks.notices_due(now, _BATCH, _CLAIM_SECONDS)
        found = [task for name in names if (task := self._tasks.find(name)) is not None]
        if not found:
            return 0
        messages = [self._message(task, now) for task in found]  # threads go to no database
        with ThreadPoolExecutor(len(messages), thread_name_prefix="webhook") as threads:
            attempts = list(threads.map(lambda one: self._told(one, now), messages))
        for task, attempt in zip(found, attempts, strict=True):
            self._note(task, attempt, now)
        return len(found)

    def _message(self, task: Task, now: float) -> Message | Attempt:
        key = self._webhooks.key(task.owner)
        if isinstance(key, Attempt):
            return key
        said = {
            "type": f"{task.kind}.{_WORDS.get(task.state, 'failed')}",
            "timestamp": _moment(task.completed_at or now),
            "data": self._describe(task),
        }
        return Message(task.webhook, key, f"msg_{task.id}", orjson.dumps(said))

    def _told(self, message: Message | Attempt, now: float) -> Attempt:
        if isinstance(message, Attempt):
            return message
        return self._webhooks.tell(message, now)

    def _note(self, task: Task, attempt: Attempt, now: float) -> None:
        facts = {"task": task.id, "licence": task.owner, "try": task.notices, "why": attempt.why}
        facts["host"] = urlsplit(task.webhook).hostname
        again_at = None
        if attempt.done:
            log.info("webhook done", extra=facts)
        elif task.notices <= len(SCHEDULE):
            again_at = now + SCHEDULE[task.notices - 1]
            log.warning("webhook not heard", extra=facts)
        else:
            log.error("webhook given up", extra=facts)
        self._tasks.noticed(task.id, again_at)


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """What is signed with: the bytes that the secret spells."""
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def sealed(key_file: Path, owner: str, secret: str) -> str:
    """The secret for keeping. The key file is made if there is none."""
    sealing = importlib.import_module("app.seal")
    seal = sealing.Seal.load(key_file) if key_file.exists() else sealing.Seal.make(key_file)
    closed: str = seal.close(_name(owner), {"secret": secret})
    return closed


def opened(seal: Any, hook: Hook) -> str:
    """The secret that was sealed with one of the seal's keys."""
    secret: str = seal.open(_name(hook.owner), hook.sealed)["secret"]
    return secret


def signed(key: bytes, message: str, body: bytes, now: float) -> dict[str, str]:
    """The headers by which the receiver knows the message, its age and its sender."""
    stamp = str(int(now))
    said = b".".join((message.encode(), stamp.encode(), body))
    digest = hmac.new(key, said, hashlib.sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _name(owner: str) -> str:
    return f"webhook of {owner}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
