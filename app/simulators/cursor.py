"""Cursor's Cloud Agents API, version 1: agents that are given prompts, and runs that stream.

An agent remembers its prompts, and what it says of its conversation counts them. Besides mishaps a
prompt may order `failed` (the run ends with an error, after as many words as `after` says),
`working` (a tool of the agent's own between two stretches of text), `doubled` (the richer duplicate
of each event, under the same id), `demanding` (an account that must name a repository), `expired`
(a stream that cannot be taken up again), `busy` (the first follow-up finds the agent at work),
`unmetered` (no usage for this account) and `pulled` (a pull request at the end).
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.simulators.cursor_rules import MODELS, Refused, accept_agent, accept_run
from app.simulators.directives import asked, setting
from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.mishaps import Mishap
from app.simulators.script import Ask, Said, pieces, say
from app.simulators.simulator import REFUSALS, Simulator

NOW = "2026-11-20T10:00:00Z"
OPENING = REFUSALS | {"html", "slow"}  # what can go wrong with a call that starts a run
RUNNING = frozenset({"cut", "stall", "garble", "silence", "error", "truncate", "empty"})
RETENTION = {"x-cursor-stream-retention-seconds": "3600"}
_PATH = re.compile(
    r"/v1/agents(?:/(?P<agent>[\w-]+)(?:/(?P<what>runs|usage|artifacts|archive|unarchive)"
    r"(?:/(?P<run>[\w-]+)(?:/(?P<deed>stream|cancel))?)?)?)?"
)

Json = dict[str, Any]


@dataclass(slots=True)
class Run:
    """One prompt and what becomes of it."""

    id: str
    agent: str
    prompt: str
    said: Said
    status: str = "RUNNING"
    readers: int = 0
    looks: int = 0

    @property
    def told(self) -> Json:
        return self.as_of(self.status)

    def as_of(self, status: str) -> Json:
        """The run as it is told once it has this status."""
        base = {"id": self.id, "agentId": self.agent, "status": status}
        told: Json = {**base, "createdAt": NOW, "updatedAt": NOW}
        if status == "FINISHED":
            told |= {"durationMs": 1200, "result": self.final}
            if asked(self.prompt, "pulled"):
                branch = {"repoUrl": "github.com/acme/shop", "branch": "cursor/fix"}
                link = "https://github.com/acme/shop/pull/7"
                told["git"] = {"branches": [branch | {"prUrl": link}]}
        return told

    @property
    def final(self) -> str:
        """The last stretch of text, which is what a run results in."""
        return self.said.text.rpartition(" ")[2] if self.is_working else self.said.text

    @property
    def end(self) -> str:
        return "ERROR" if asked(self.prompt, "failed") else "FINISHED"

    @property
    def is_working(self) -> bool:
        return asked(self.prompt, "working")


@dataclass(slots=True)
class Agent:
    """A conversation on a machine in the cloud. `busy` = how many follow-ups it will turn away."""

    id: str
    model: str
    repos: list[Json]
    runs: list[Run] = field(default_factory=list)
    archived: bool = False
    busy: int = 0

    @property
    def told(self) -> Json:
        return {
            "id": self.id,
            "name": self.runs[0].prompt[:40],
            "status": "ARCHIVED" if self.archived else "ACTIVE",
            "env": {"type": "cloud"},
            "url": f"https://cursor.com/agents/{self.id}",
            "createdAt": NOW,
            "updatedAt": NOW,
            "latestRunId": self.runs[-1].id,
            **({"repos": self.repos} if self.repos else {}),
        }


class CursorSimulator(Simulator):
    name = "cursor"

    def __init__(self) -> None:
        super().__init__()
        self._agents: dict[str, Agent] = {}

    def prompt(self, call: Call) -> str:
        body = call.body()
        if call.method == "POST" and isinstance(body, dict) and "prompt" in body:
            prompt = body["prompt"]
            text = prompt.get("text") if isinstance(prompt, dict) else None
            return text if isinstance(text, str) else ""
        run = self._streamed(call)
        return run.prompt if run is not None else ""

    def mishap(self, call: Call, prompt: str) -> Mishap | None:
        """A mishap strikes where its kind belongs: at the call that starts a run, or the first
        time somebody reads its stream.
        """
        if call.method == "POST" and self.prompt(call):
            return self.mishaps.take(prompt, OPENING)
        run = self._streamed(call)
        if run is None:
            return None
        run.readers += 1
        return self.mishaps.take(prompt if run.readers == 1 else "", RUNNING)

    def answer(self, call: Call) -> Reply:
        try:
            return self._routed(call)
        except Refused as refused:
            return _told(refused)

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        reply = _told(_REFUSALS[kind])
        if kind == "throttle":
            seconds = str(max(1, math.ceil(mishap.seconds)))
            reply = replace(reply, headers={"retry-after": seconds, "x-ratelimit-remaining": "0"})
        return replace(reply, status=mishap.status or reply.status)

    # ---------------------------------------------------------------- routes

    def _routed(self, call: Call) -> Reply:
        if call.method == "GET" and call.path == "/v1/models":
            return _models(call)
        if call.method == "GET" and call.path == "/v1/me":
            told = {"apiKeyName": "simulated", "createdAt": NOW, "userEmail": "dev@example.com"}
            return Reply(200, as_json(told))
        found = _PATH.fullmatch(call.path)
        if found is None:
            raise Refused("not_found", "No such route.", 404)
        agent, what, run, deed = found.group("agent", "what", "run", "deed")
        if agent is None:
            return self._agents_route(call)
        return self._agent_route(call, self._agent(agent), what, run, deed)

    def _agents_route(self, call: Call) -> Reply:
        if call.method == "GET":
            items = [agent.told for agent in reversed(self._agents.values())]
            return Reply(200, as_json({"items": items[:20]}))
        body = accept_agent(call)
        name = body.get("agentId") or f"bc-{uuid.uuid5(uuid.NAMESPACE_URL, self.mint('agent'))}"
        if name in self._agents:
            raise Refused("agent_id_conflict", f"Agent {name} exists already.", 409)
        if asked(body["prompt"]["text"], "demanding") and not body.get("repos"):
            raise Refused("repository_required", "A repository is required for this account.")
        agent = Agent(name, (body.get("model") or {}).get("id", "auto"), body.get("repos") or [])
        self._agents[name] = agent
        run = self._run(agent, body, len(call.raw))
        return Reply(201, as_json({"agent": agent.told, "run": run.told | {"status": "CREATING"}}))

    def _agent_route(
        self, call: Call, agent: Agent, what: str | None, run: str | None, deed: str | None
    ) -> Reply:
        match (call.method, what, deed):
            case ("GET", None, None):
                return Reply(200, as_json(agent.told))
            case ("DELETE", None, None):
                del self._agents[agent.id]
                return Reply(200, as_json({"id": agent.id}))
            case ("POST", "archive" | "unarchive", None):
                agent.archived = what == "archive"
                return Reply(200, as_json({"id": agent.id}))
            case ("POST", "runs", None):
                return self._follow_up(call, agent)
            case ("GET", "runs", None) if run is None:
                return Reply(200, as_json({"items": [one.told for one in agent.runs]}))
            case ("GET", "runs", None):
                return _looked_at(_named(agent, run))
            case ("GET", "runs", "stream"):
                return _streaming(call, _named(agent, run))
            case ("POST", "runs", "cancel"):
                return _cancelled(_named(agent, run))
            case ("GET", "usage", None):
                return _usage(call, agent)
            case ("GET", "artifacts", None):
                return Reply(200, as_json({"items": []}))
        raise Refused("not_found", "No such route.", 404)

    def _follow_up(self, call: Call, agent: Agent) -> Reply:
        body = accept_run(call)
        if agent.archived:
            raise Refused("agent_archived", "The agent is archived.", 409)
        if agent.busy or (agent.runs[-1].status == "RUNNING" and agent.runs[-1].readers):
            agent.busy = max(0, agent.busy - 1)
            raise Refused("agent_busy", "The agent has an active run.", 409)
        return Reply(201, as_json({"run": self._run(agent, body, len(call.raw)).told}))

    def _run(self, agent: Agent, body: Json, bulk: int) -> Run:
        prompt = body["prompt"]
        images = prompt.get("images") or ()
        ask = Ask(
            text=prompt["text"],
            turns=len(agent.runs) + 1,
            reasoning="thinking" in agent.model,
            attachments=tuple(one.get("mimeType") or "a linked image" for one in images),
            model=agent.model,
            bulk=bulk,
        )
        run = Run(self.mint("run-"), agent.id, prompt["text"], say(ask))
        agent.busy = int(asked(run.prompt, "busy"))
        agent.runs.append(run)
        return run

    def _agent(self, name: str) -> Agent:
        if name not in self._agents:
            raise Refused("agent_not_found", f"Agent {name} was not found.", 404)
        return self._agents[name]

    def _streamed(self, call: Call) -> Run | None:
        """The run whose stream this call wants to read."""
        found = _PATH.fullmatch(call.path)
        if found is None or found["deed"] != "stream" or found["agent"] not in self._agents:
            return None
        runs = self._agents[found["agent"]].runs
        return next((run for run in runs if run.id == found["run"]), None)


def _named(agent: Agent, name: str | None) -> Run:
    for run in agent.runs:
        if run.id == name:
            return run
    raise Refused("run_not_found", f"Run {name} was not found.", 404)


# ---------------------------------------------------------------- one run


def _looked_at(run: Run) -> Reply:
    """A run goes on although nobody reads its stream: the second look finds it finished."""
    run.looks += 1
    if run.looks > 1 and run.status == "RUNNING":
        run.status = run.end
    return Reply(200, as_json(run.told))


def _streaming(call: Call, run: Run) -> Reply:
    if run.readers > 1 and asked(run.prompt, "expired"):
        run.looks += 1
        raise Refused("stream_expired", "The stream is no longer kept.", 410)
    last = call.headers.get("last-event-id", "")
    if last and not last.startswith(run.id):
        raise Refused("invalid_last_event_id", "That event is none of this run's.")
    seen = int(last.rpartition(":")[2]) if last else 0
    sick = (
        _event("error", {"code": "internal_error", "message": "The agent stopped working."}),
        _event("done", {}),
    )
    frames = list(_frames(run, seen))
    return Reply(200, Stream(_ending(run, frames), _GARBAGE, sick), RETENTION, "text/event-stream")


def _ending(run: Run, frames: list[Frame]) -> Iterator[Frame]:
    """The frames; once the result has been told the run is over."""
    for frame in frames:
        if frame.last and run.status == "RUNNING":
            run.status = run.end
        yield frame


def _frames(run: Run, seen: int) -> Iterator[Frame]:
    """The run from after event `seen`; its status comes again at the top of every reading."""
    for status in ("CREATING", "RUNNING") if not seen else ("RUNNING",):
        yield Frame(_event("status", {"runId": run.id, "status": status}))
    number = 0
    for name, data in _events(run):
        number += name != "heartbeat"
        if number <= seen:
            continue
        mark = f"{run.id}:{number}" if name != "heartbeat" else ""
        content = name in ("assistant", "thinking")
        yield Frame(_event(name, data, mark), content=content, last=name == "result")
        if content and asked(run.prompt, "doubled"):
            rich = {"type": "text-delta", "text": data["text"]}
            yield Frame(_event("interaction_update", rich, mark))
    yield Frame(_event("done", {}), last=True)


def _events(run: Run) -> Iterator[tuple[str, Json]]:
    fails = asked(run.prompt, "failed")
    words = pieces(run.said.text)
    if fails:
        words = words[: int(setting(run.prompt, "after", 0))]
    yield "heartbeat", {}
    if not fails or words:
        yield from (("thinking", {"text": piece}) for piece in pieces(run.said.thought))
    for place, piece in enumerate(words):
        if run.is_working and place == len(words) - 1:
            yield from _tool(run)
            piece = piece.lstrip()
        yield "assistant", {"text": piece}
    result: Json = {"runId": run.id, "status": "ERROR" if fails else "FINISHED"}
    if not fails:
        finished = run.as_of("FINISHED")
        result |= {"text": run.final, "durationMs": 1200}
        result |= {"git": finished["git"]} if "git" in finished else {}
    yield "result", result


def _tool(run: Run) -> Iterator[tuple[str, Json]]:
    base = {"callId": f"{run.id}-tool", "name": "read_file"}
    yield "tool_call", {**base, "status": "running", "args": {"path": "README.md"}}
    yield "tool_call", {**base, "status": "completed", "result": {"size": 12}}


def _cancelled(run: Run) -> Reply:
    if run.status not in ("CREATING", "RUNNING"):
        raise Refused("run_not_cancellable", f"The run is {run.status}.", 409)
    run.status = "CANCELLED"
    return Reply(200, as_json({"id": run.id}))


def _usage(call: Call, agent: Agent) -> Reply:
    if any(asked(run.prompt, "unmetered") for run in agent.runs):
        raise Refused("feature_unavailable", "Usage is not available to this account.", 403)
    wanted = call.parameter("runId")
    runs = [run for run in agent.runs if wanted in (None, run.id)]
    counts = [_counted(run.said) for run in runs]
    used = [{"id": run.id, "usage": count} for run, count in zip(runs, counts, strict=True)]
    total = {name: sum(count[name] for count in counts) for name in _counted(agent.runs[0].said)}
    return Reply(200, as_json({"totalUsage": total, "runs": used}))


def _counted(said: Said) -> dict[str, int]:
    return {
        "inputTokens": said.prompt_tokens - said.cached_tokens,
        "outputTokens": said.completion_tokens,
        "cacheWriteTokens": 0,
        "cacheReadTokens": said.cached_tokens,
        "totalTokens": said.prompt_tokens + said.completion_tokens,
    }


def _models(call: Call) -> Reply:
    return Reply(200, as_json({"items": MODELS}))


# ---------------------------------------------------------------- bytes


def _event(name: str, data: Json, mark: str = "") -> bytes:
    lines = f"id: {mark}\n" if mark else ""
    return f"{lines}event: {name}\ndata: ".encode() + as_json(data) + b"\n\n"


_GARBAGE = b"event: assistant\ndata: {not json\n\n"


def _told(refused: Refused) -> Reply:
    error = {"code": refused.code, "message": str(refused)}
    return Reply(refused.status, as_json({"error": error}))


_REFUSALS: dict[str, Refused] = {
    "keyless": Refused("unauthorized", "An API key is required.", 401),
    "refuse": Refused("api_key_not_found", "The API key was not found.", 401),
    "forbid": Refused("plan_required", "Cloud Agents need a paid plan.", 403),
    "throttle": Refused("rate_limit_exceeded", "Too many requests.", 429),
    "broke": Refused("usage_limit_exceeded", "The usage limit has been reached.", 429),
    "overload": Refused("stream_unavailable", "Temporarily unavailable.", 503),
    "fail": Refused("internal_error", "Something went wrong.", 500),
}
