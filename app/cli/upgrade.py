"""`tokens upgrade`: brings the database to the migration that this program needs, after a backup."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import Any

from app.cli.backup import back_up
from app.cli.database import check_known, named, used, why
from app.cli.state import check_database
from app.cli.upgrade_backup import Backup, planned
from app.cli.words import Complaint, settings, show
from app.storage import copies, dumps
from app.storage.database import HEAD, Database, DatabaseTrouble
from app.storage.schema import Step, oldest_after, prepare, steps

RUNS_ON = "all of it can be done while the gateway runs; restart the services afterwards"
WAITS = 3  # the exit code of --check where the gateway has to end first


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do with a database at this version. `oldest` is what programs have to know of
    migrations afterwards.
    """

    at: str
    steps: tuple[Step, ...]
    oldest: str

    @property
    def runs_on(self) -> bool:
        """Whether the program that the database was made for can go on meanwhile, and afterwards."""
        return self.oldest <= self.at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="say what would be done, and do nothing"
    )
    parser.add_argument("--json", action="store_true", help="with --check: print JSON")
    backup = parser.add_mutually_exclusive_group()
    backup.add_argument("--backup", metavar="FILE", help="where the backup goes to")
    backup.add_argument("--no-backup", action="store_true", help="take none")
    parser.epilog = (
        "Of the kind `expand`, a migration is done while the gateway runs, and the version before can "
        f"use the database after it. --check ends with {WAITS} where the gateway has to be ended before. "
        "The backup goes beside a file of SQLite, and for PostgreSQL into the folder that you are in."
    )


def run(options: argparse.Namespace) -> int:
    if options.json and not options.check:
        raise Complaint("--json means nothing without --check")
    with used(named(settings(), read_only=options.check)) as database:
        plan = _plan(database)
        if plan is None or not plan.steps:
            return _nothing(plan, options)
        check_database(database)
        backup = None if options.no_backup else planned(database, options.backup, plan.at)
        if options.check:
            return _told(plan, backup, as_json=options.json)
        _check_backup(backup)
        _check_alone(database, plan)
        if backup is not None:
            print(back_up(database, backup.file))
        _check_alone(database, plan)
        _upgraded(database)
    print(f"the database is at migration {HEAD}; restart the services, one after the other")
    return 0


def _plan(database: Database) -> Plan | None:
    """None where there is no database yet. Complains of one that is too new."""
    there = database.file is None or database.file.exists()
    version = database.version() if there else None
    if version is None:
        return None
    check_known(database, version)
    return Plan(version, tuple(one for one in steps() if one.version > version), oldest_after())


def _nothing(plan: Plan | None, options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(_facts(plan, None), indent=2))
    elif plan is None:
        print("there is no database yet; the first start makes it")
    elif plan.at > HEAD:
        print(
            f"the database is at migration {plan.at}, of a newer program; this one can use it too"
        )
    else:
        print(f"the database is at migration {plan.at}, as this program needs it")
    return 0


def _told(plan: Plan, backup: Backup | None, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(_facts(plan, backup), indent=2))
    else:
        show(_rows(plan), as_json=False)
        print(f"the database is at migration {plan.at}, and this program needs {HEAD}")
        if backup is not None:
            print(backup.said)
    _check_backup(backup)
    if not as_json:
        print(RUNS_ON if plan.runs_on else _ending(plan))
    return 0 if plan.runs_on else WAITS


def _facts(plan: Plan | None, backup: Backup | None) -> dict[str, Any]:
    return {
        "at": plan.at if plan else None,
        "needs": HEAD,
        "steps": _rows(plan) if plan else [],
        "runs_on": plan.runs_on if plan else True,
        "backup": {**asdict(backup), "file": str(backup.file)} if backup else None,
    }


def _rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "migration": one.version,
            "kind": one.kind,
            "runs_on": "yes" if one.needs <= plan.at else f"from {one.needs}",
            "since": one.since,
            "about": one.about,
        }
        for one in plan.steps
    ]


def _ending(plan: Plan) -> str:
    return (
        f"programs that do not know migration {plan.oldest} cannot use the database afterwards: end "
        "the gateway and its workers before, or go by a version that knows it"
    )


def _check_backup(backup: Backup | None) -> None:
    if backup is not None and backup.trouble:
        raise Complaint(f"no backup can be made: {backup.trouble}; see --backup and --no-backup")


def _check_alone(database: Database, plan: Plan) -> None:
    """Complains of others who have the database open, and could not go on."""
    if plan.runs_on:
        return
    try:
        if database.file is None:
            if others := dumps.others(database):
                raise Complaint(f"{_ending(plan)}; {others} connections are open")
        else:
            with copies.alone(database.file):
                pass
    except copies.InUse as error:
        who = f"process {error.pid}" if error.pid else "another process"
        raise Complaint(f"{_ending(plan)}; {who} is using it") from error


def _upgraded(database: Database) -> None:
    try:
        prepare(database)
    except DatabaseTrouble as trouble:
        raise Complaint(
            f"the migrations cannot be done ({why(trouble)}); nothing was changed, try again"
        ) from trouble
