"""Families of metrics, as Prometheus calls them: everything that `/metrics` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
NONE = "none"  # of a label: there was none, or it was none of ours
BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)  # seconds


@dataclass(frozen=True, slots=True)
class Family:
    """One of them. `about` is told with it; `labels` are the names of what it is told apart by."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()


# ---- counted by each worker as it goes

REQUESTS = Family(
    "tokens_requests_total",
    "counter",
    "Requests that are over.",
    ("platform", "dialect", "status"),
)
REQUEST_SECONDS = Family(
    "tokens_request_seconds",
    "histogram",
    "From a request's arrival to the end of its answer.",
    ("platform", "stream"),
)
FIRST_BYTE_SECONDS = Family(
    "tokens_first_byte_seconds",
    "histogram",
    "From the first attempt at a platform to the first of its answer.",
    ("platform",),
)
ERRORS = Family(
    "tokens_errors_total",
    "counter",
    "Requests that ended badly, by their code and by whose doing it was.",
    ("platform", "kind", "blame"),
)
TOKENS = Family(
    "tokens_used_total",
    "counter",
    "Tokens of answers; those that were cached are among the input, and reasoning is among the output.",
    ("platform", "of"),
)
ATTEMPTS = Family("tokens_attempts_total", "counter", "Attempts at platforms.", ("platform",))
RETRIES = Family(
    "tokens_retries_total", "counter", "Attempts behind the first of their request.", ("platform",)
)
FAILED_ATTEMPTS = Family(
    "tokens_failed_attempts_total",
    "counter",
    "Attempts that failed, whether or not a later one of the request worked.",
    ("platform", "kind"),
)
IN_FLIGHT = Family("tokens_requests_in_flight", "gauge", "Requests that are not over.")
STREAMS = Family("tokens_streams_open", "gauge", "Answers on their way piece by piece.")
LEDGER_BATCHES = Family(
    "tokens_ledger_batches_total", "counter", "Transactions that wrote to the ledger."
)
LEDGER_ROWS = Family(
    "tokens_ledger_rows_total", "counter", "Rows of the ledger that were opened or closed in them."
)
LEDGER_WRITTEN = Family(
    "tokens_ledger_written_timestamp_seconds",
    "gauge",
    "When the last of them was written; 0 = never.",
)
LOST = Family(
    "tokens_processes_lost_total",
    "counter",
    "Processes that had not come to their end when they died: stood still, killed, out of memory.",
)
COUNTED = (
    REQUESTS,
    REQUEST_SECONDS,
    FIRST_BYTE_SECONDS,
    ERRORS,
    TOKENS,
    ATTEMPTS,
    RETRIES,
    FAILED_ATTEMPTS,
    IN_FLIGHT,
    STREAMS,
    LEDGER_BATCHES,
    LEDGER_ROWS,
    LEDGER_WRITTEN,
    LOST,
)

# ---- looked up when somebody asks

BUILD = Family("tokens_build_info", "gauge", "1, with the version that runs.", ("version",))
PROCESSES = Family(
    "tokens_processes", "gauge", "Processes of this host that count: workers of both kinds."
)
LOOKED_UP = Family(
    "tokens_looked_up",
    "gauge",
    "1 where what follows could be looked up in time; where 0, it is left out.",
    ("of",),
)
CREDENTIALS = Family(
    "tokens_credentials",
    "gauge",
    "Credentials of each platform, by what is held against them.",
    ("platform", "state"),
)
DATABASE = Family("tokens_database_up", "gauge", "1 where the database answered, 0 where not.")
JOBS = Family("tokens_jobs", "gauge", "Jobs in the background that are not over.", ("state",))
JOB_LAG = Family(
    "tokens_job_lag_seconds", "gauge", "How long the step has been due that waits the longest."
)
JOB_WORKERS = Family(
    "tokens_job_workers", "gauge", "Workers for jobs that were heard of in the last minute."
)
LEDGER_OPEN = Family("tokens_ledger_open_rows", "gauge", "Rows of calls that are not over.")
LEDGER_OLDEST = Family(
    "tokens_ledger_oldest_open_seconds", "gauge", "Age of the oldest of them; 0 = there is none."
)
LEDGER_JOURNAL = Family(
    "tokens_ledger_journal_rows",
    "gauge",
    "Rows that wait in the journal for the database to take them.",
)
LOOKED = (
    BUILD,
    PROCESSES,
    LOOKED_UP,
    CREDENTIALS,
    DATABASE,
    JOBS,
    JOB_LAG,
    JOB_WORKERS,
    LEDGER_OPEN,
    LEDGER_OLDEST,
    LEDGER_JOURNAL,
)
