"""What callers were told, held against the ledger."""

from __future__ import annotations

from collections import Counter

from tests.rehearsal.report import Report
from tests.rehearsal.server import Server
from tests.stack import until


def the_ledger(server: Server, report: Report) -> None:
    """R-044: each answer that somebody had whole is charged, once, and nothing stays open."""
    with report.act("the ledger") as found:
        assert until(lambda: "open" not in {state for state, _ in server.ledger().values()}, 30)
        rows = server.ledger()
        lost = [one for one in server.told if rows.get(one) != ("charged", "ok")]
        twice = [one for one, times in server.told.items() if times > 1]
        assert not lost and not twice, (len(lost), len(twice), lost[:3])
        ends = Counter(" ".join(row) for row in rows.values())
        told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
        found.append(f"{len(server.told)} answers told, 0 lost, 0 twice, 0 open; rows: {told}")
