"""Which agent a chat goes to: the one that knows the conversation, or a new one.

After each answer the agent is remembered under the digest of all that was said. A caller who goes
on from there finds it, and takes it: a second one who goes on from the same place gets an agent of
its own, since an agent cannot be led back. A caller who brought a token leaves no trace (C-049).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

import gevent
import orjson

from app.errors import CallerGone, GatewayError, NotFound, Unreachable
from app.platforms.cursor_desk import Desk, Json, Told
from app.platforms.cursor_meter import Meter
from app.platforms.cursor_run import Following, Run, cancel
from app.platforms.cursor_thread import answered
from app.secret import Secret
from app.upstream.answer import Answering
from app.upstream.platform import Attempt, Memory, Send
from app.upstream.transport import Transport

log = logging.getLogger(__name__)

KEPT = 24 * 3600.0  # seconds that an agent is gone on with
OWNED = 30 * 24 * 3600.0  # seconds that a licence may name an agent of its own
BUSY = 20.0  # seconds that a run still going on is waited for
PAUSE = 1.0


class _Refused(Exception):
    """Cursor turned a call away."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.status)
        self.told = told


class Opening:
    """Opens chats: one for the worker."""

    def __init__(self, memory: Memory | None, sign: Callable[[str, Secret], Send]) -> None:
        self._memory = memory
        self._sign = sign
        self._meter = Meter()

    def __call__(self, transport: Transport, attempt: Attempt) -> Answering:
        desk = Desk(transport, attempt, self._sign)
        order = orjson.loads(attempt.payload)
        memory = self._memory if attempt.repeated else None
        chat = _Chat(desk, order, memory)
        try:
            run = chat.followed() or chat.started()
        except _Refused as refused:
            return refused.told
        chat.own(run)
        return Following(
            desk, run, lambda run: self._meter.read(desk, run.agent, run.id), chat.keep
        )


class _Chat:
    """One order on its way to an agent."""

    def __init__(self, desk: Desk, order: Json, memory: Memory | None) -> None:
        self._desk = desk
        self._order = order
        self._memory = memory
        self._owner = desk.attempt.caller

    # ------------------------------------------------------------ an agent that knows

    def followed(self) -> Run | None:
        """The next run of the agent that knows the conversation; None where there is none."""
        if wanted := self._order.get("agent"):
            return self._named(wanted)
        if self._memory is None or not self._order["before"]:
            return None
        kept = self._memory.take(self._owner, f"said:{self._order['before']}")
        account, _, agent = (kept or "").partition(" ")
        if not agent or account != self._desk.fingerprint:
            return None  # agents belong to the account that made them
        told = self._follow_up(agent)
        if told.status == 404:
            return None
        return self._run(agent, told)

    def _named(self, agent: str) -> Run:
        """The next run of the agent that the caller names."""
        if self._memory is not None and self._memory.find(self._owner, f"agent:{agent}") is None:
            raise NotFound(
                "there is no agent {agent} of yours",
                param="metadata.cursor_agent_id",
                agent=agent[:100],
            )
        return self._run(agent, self._follow_up(agent))

    def _follow_up(self, agent: str) -> Told:
        """The answer to the follow-up, once the agent is awake and free."""
        until = time.monotonic() + BUSY
        woken = False
        while True:
            told = self._desk.ask("POST", f"/agents/{agent}/runs", self._order["follow"])
            if told.code == "agent_archived" and not woken:
                woken = True
                self._desk.ask("POST", f"/agents/{agent}/unarchive")
            elif told.code == "agent_busy" and time.monotonic() < until:
                if self._desk.leash.pulled:
                    raise self._desk.leash.end()
                gevent.sleep(PAUSE)
            else:
                return told

    # ------------------------------------------------------------ a new one

    def started(self) -> Run:
        """The first run of a new agent, whose name is ours, so that none is made twice."""
        agent = f"bc-{uuid.uuid4()}"
        body = self._order["start"] | {"agentId": agent}
        seconds = self._desk.attempt.seconds
        try:
            try:
                told = self._desk.ask("POST", "/agents", body, seconds=seconds)
            except Unreachable:
                if not self._desk.attempt.repeated:
                    raise
                told = self._desk.ask("POST", "/agents", body, seconds=seconds)
        except CallerGone:
            gevent.spawn(_cancel_first, self._desk, agent)
            raise
        if told.code == "agent_id_conflict":  # the first try had got through
            found = self._desk.ask("GET", f"/agents/{agent}")
            if found.status == 200:
                return Run(agent, found.json["latestRunId"], found.json.get("url", ""))
        return self._run(agent, told)

    def _run(self, agent: str, told: Told) -> Run:
        if told.status not in (200, 201):
            raise _Refused(told)
        body: Any = told.json
        url = (body.get("agent") or {}).get("url") or f"https://cursor.com/agents/{agent}"
        return Run(agent, body["run"]["id"], url)

    # ------------------------------------------------------------ remembering

    def own(self, run: Run) -> None:
        """From now on the licence may name the agent."""
        self._remember(f"agent:{run.agent}", self._desk.fingerprint, OWNED)

    def keep(self, run: Run, text: str) -> None:
        """From now on the agent can be gone on with by whoever knows what was said."""
        said = answered(self._order["until"], text, calls="tools" in self._order)
        self._remember(f"said:{said}", f"{self._desk.fingerprint} {run.agent}", KEPT)

    def _remember(self, key: str, value: str, seconds: float) -> None:
        if self._memory is None:
            return
        try:
            self._memory.keep(self._owner, key, value, seconds)
        except GatewayError as error:  # the agent is at work; it is only not found again
            log.warning("an agent cannot be remembered: %s", error)


def _cancel_first(desk: Desk, agent: str) -> None:
    """Ends the run of an agent whose making the caller did not wait for."""
    told = desk.look(f"/agents/{agent}")
    if told.status == 200:
        cancel(desk, Run(agent, told.json["latestRunId"]))
