"""`tokens task`: what becomes of the jobs that are done in the background."""

from __future__ import annotations

import argparse
import time
from typing import Any

from app.canonical.task import LIVE, STATES
from app.cli.database import opened
from app.cli.numbers import number
from app.cli.words import Complaint, moment, said, settings, show
from app.storage.database import Database
from app.storage.tasks import Task, Tasks

VERBS = {
    "list": "list jobs, the newest first",
    "show": "show one job",
    "cancel": "stop a job, at its platform too where that can be done",
}
MOST = 1_000_000  # that are listed at once
LOST = "LOST"  # stands out, because somebody has to look at the platform's own list of jobs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        for name, about in VERBS.items()
    }
    made["list"].add_argument(
        "--state", metavar="STATE", choices=[*STATES, "live"], help=f"{', '.join(STATES)}, or live"
    )
    made["list"].add_argument(
        "--limit", metavar="N", type=number(1, MOST), default=50, help="so many at most (50)"
    )
    for name in ("show", "cancel"):
        made[name].add_argument("id", metavar="ID", help="its id")
    for verb in made.values():
        verb.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "docs/tasks.md says what the states mean and what to do about a lost job."


def run(options: argparse.Namespace) -> int:
    with opened(settings()) as database:
        return {"list": _list, "show": _show, "cancel": _cancel}[options.verb](options, database)


def _list(options: argparse.Namespace, database: Database) -> int:
    states = {None: STATES, "live": tuple(LIVE)}.get(options.state) or (options.state,)
    found = Tasks(database).listed(states, options.limit)
    now = time.time()
    show([_line(task, now) for task in found], as_json=options.json, if_none="no jobs")
    return 0


def _show(options: argparse.Namespace, database: Database) -> int:
    show([_all(_found(options, Tasks(database)))], as_json=options.json)
    return 0


def _cancel(options: argparse.Namespace, database: Database) -> int:
    tasks = Tasks(database)
    before = _found(options, tasks)
    if before.is_over:
        raise Complaint(f"the job is over already: it is {before.state}")
    after = tasks.cancel(before.id, time.time())
    assert after is not None
    show([_line(after, time.time())], as_json=options.json)
    return 0


def _found(options: argparse.Namespace, tasks: Tasks) -> Task:
    task = tasks.find(options.id)
    if task is None:
        raise Complaint(f"there is no job {said(options.id)}; see `tokens task list`")
    return task


def _line(task: Task, now: float) -> dict[str, Any]:
    return {
        "id": task.id,
        "state": _state(task),
        "age": _age(now - task.created_at),
        "platform": task.platform,
        "model": task.model,
        "owner": task.owner,
        "progress": task.progress,
        "credential": task.credential,
        "error": task.code,
        "message": task.message,
    }


def _all(task: Task) -> dict[str, Any]:
    """Everything but the job itself, which is the caller's."""
    return {
        "id": task.id,
        "state": _state(task),
        "settled": task.settled,
        "platform": task.platform,
        "engine": task.engine,
        "model": task.model,
        "owner": task.owner,
        "credential": task.credential,
        "upstream": task.upstream,
        "progress": task.progress,
        "looks": task.looks,
        "misses": task.misses,
        "error": task.code,
        "message": task.message,
        "source": task.source,
        "results": [one["id"] for one in task.result.get("media", ())],
        "removed": task.removed,
        "created": _moment(task.created_at),
        "started": _moment(task.started_at),
        "completed": _moment(task.completed_at),
        "deadline": _moment(task.deadline),
        "expires": _moment(task.expires_at),
    }


def _state(task: Task) -> str:
    if task.state == "lost":
        return LOST
    return f"{task.state} (to be cancelled)" if task.cancelling and not task.is_over else task.state


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else moment(int(seconds))


def _age(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"
