"""What workers count: exactly, together, and whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from app.canonical.events import Usage
from app.metrics.exposition import exposed
from app.metrics.layout import Layout
from app.metrics.meter import Meter
from tests.metrics.reading import Reading
from tests.stack import ROOT

LAYOUT = Layout(("one", "two"), ("openai_chat",))
CHAT = {"platform": "one", "spoken": "openai_chat", "status": 200}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "metrics"


def meter_of(file, layout=LAYOUT) -> Meter:
    meter = Meter(file, layout)
    meter.start()
    return meter


def reading(meter: Meter) -> Reading:
    return Reading(exposed(meter.layout, meter.read(), {}))


def count(meter: Meter, seconds: float = 0.3, **record) -> Reading:
    meter.begun()
    meter.over(CHAT | record, seconds)
    return reading(meter)


def test_a_good_call_is_counted(file):
    usage = Usage(100, 20, cached=60, reasoning=5)
    found = count(meter_of(file), stream=True, first_ms=200, attempts=1, usage=usage)

    assert found.value("tokens_requests_total", platform="one", dialect="openai_chat", status="2xx")
    tokens = {
        of: found.value("tokens_used_total", platform="one", of=of) for of in ("input", "output")
    }
    assert tokens == {"input": 100, "output": 20}
    assert found.value("tokens_used_total", platform="one", of="cached") == 60
    assert found.value("tokens_used_total", platform="one", of="reasoning") == 5
    assert found.value("tokens_attempts_total", platform="one") == 1
    assert found.total("tokens_retries_total") == found.total("tokens_errors_total") == 0


def test_times_are_in_the_buckets_they_belong_in(file):
    meter = meter_of(file)
    for seconds in (0.3, 0.5, 0.6, 1000.0):
        found = count(meter, seconds)
    told = {
        edge: found.value("tokens_request_seconds_bucket", platform="one", stream="false", le=edge)
        for edge in ("0.25", "0.5", "1", "600", "+Inf")
    }

    assert told == {"0.25": 0, "0.5": 2, "1": 3, "600": 3, "+Inf": 4}
    assert found.total("tokens_request_seconds_count") == 4
    assert found.total("tokens_request_seconds_sum") == pytest.approx(1001.4)


@pytest.mark.parametrize(
    "status, outcome, kind, blame",
    [
        (401, "invalid_api_key", "invalid_api_key", "caller"),
        (200, "upstream_truncated", "upstream_truncated", "platform"),
        (503, "no_available_key", "no_available_key", "gateway"),
        (400, "a_platforms_own_code", "other", "caller"),
        (500, "a_platforms_own_code", "other", "platform"),
        (422, None, "refused", "caller"),
        (429, "refused", "refused", "platform"),
    ],
)
def test_errors_are_counted_by_whose_doing_they_are(file, status, outcome, kind, blame):
    found = count(meter_of(file), status=status, **({"outcome": outcome} if outcome else {}))

    assert found.total("tokens_errors_total") == 1
    assert found.value("tokens_errors_total", platform="one", kind=kind, blame=blame) == 1


def test_attempts_that_failed_are_counted(file):
    failed = [
        {"credential": "sk-1", "outcome": "upstream_timeout"},
        {"outcome": "told by a platform"},
    ]
    found = count(meter_of(file), attempts=3, failed=failed)

    assert found.value("tokens_attempts_total", platform="one") == 3
    assert found.value("tokens_retries_total", platform="one") == 2
    kinds = ("upstream_timeout", "other")
    told = [found.value("tokens_failed_attempts_total", platform="one", kind=one) for one in kinds]
    assert told == [1, 1]


@pytest.mark.parametrize("record", [{"platform": "three"}, {"spoken": "klingon"}, {"status": 999}])
def test_words_of_others_become_no_labels(file, record):
    found = count(meter_of(file), **record)

    assert found.total("tokens_requests_total") == 1
    assert not {"three", "klingon", "9xx"} & {
        value for _, those in found.values for _, value in those
    }


LIVING = """
import sys
from pathlib import Path
from app.metrics.layout import Layout
from app.metrics.meter import Meter
meter = Meter(Path(sys.argv[1]), Layout(("one", "two"), ("openai_chat",))); meter.start()
for _ in range(1000):
    meter.begun()
    meter.over({"platform": "one", "spoken": "openai_chat", "status": 200}, 0.1)
meter.begun(); meter.streaming()
print("counted", flush=True)
sys.stdin.readline()
"""


def worker(file) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen([sys.executable, "-c", LIVING, str(file)], **pipes)


@pytest.mark.slow
def test_workers_that_die_leave_their_counts_and_nothing_else(file):
    """Nothing is lost, nothing counts twice, and what they had going is gone with them."""
    first, second = worker(file), worker(file)
    assert [one.stdout.readline() for one in (first, second)] == ["counted\n"] * 2
    meter = meter_of(file)
    found = reading(meter)
    assert (found.total("tokens_requests_total"), meter.living()) == (2000, 3)
    assert found.value("tokens_streams_open") == found.value("tokens_requests_in_flight") == 2

    os.kill(first.pid, signal.SIGKILL)
    first.wait(20)
    found = reading(meter)
    assert (found.total("tokens_requests_total"), meter.living()) == (2000, 2)
    assert found.value("tokens_streams_open") == found.value("tokens_requests_in_flight") == 1

    third = worker(file)  # takes the dead one's column over
    assert third.stdout.readline() == "counted\n"
    found = reading(meter)
    assert (found.total("tokens_requests_total"), meter.living()) == (3000, 3)
    assert found.value("tokens_streams_open") == found.value("tokens_requests_in_flight") == 2
    assert found.value("tokens_processes_lost_total") == 1
    for one in (second, third):
        one.communicate("\n", timeout=20)
    fourth = worker(file)
    assert fourth.stdout.readline() == "counted\n"
    assert reading(meter).value("tokens_processes_lost_total") == 1  # who ends is not lost
    fourth.communicate("\n", timeout=20)


def test_files_of_former_versions_go_when_nobody_counts_there(file):
    former, mine = Layout(("one",), ()), meter_of(file)
    old = meter_of(file, former)
    assert {one.name for one in file.parent.iterdir()} == {
        f"metrics-{layout.name}" for layout in (LAYOUT, former)
    }, "this process counts in both"
    count(old), count(mine)
    (file.parent / "metrics-00000000").write_bytes(bytes(4096))
    meter_of(file)

    assert not (file.parent / "metrics-00000000").exists()


def test_without_a_place_to_write_it_counts_for_itself(tmp_path, caplog):
    (tmp_path / "state").write_text("a file where the folder would be")
    meter = meter_of(tmp_path / "state" / "metrics")

    assert count(meter).total("tokens_requests_total") == meter.living() == 1


def test_the_ledger_says_what_it_has_written(file):
    meter = meter_of(file)
    assert reading(meter).value("tokens_ledger_written_timestamp_seconds") == 0
    meter.wrote(7, 1_795_003_200.0)
    meter.wrote(1, 1_795_003_201.0)
    found = reading(meter)

    assert found.value("tokens_ledger_batches_total") == 2
    assert found.value("tokens_ledger_rows_total") == 8
    assert found.value("tokens_ledger_written_timestamp_seconds") == 1_795_003_201
