"""The alerts: each rings when it should and keeps still when all is well, by Prometheus' own judgement; and some of
them in a Prometheus that runs, about a gateway that runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.load import ask
from tests.metrics.prometheus import Prometheus
from tests.stack import ROOT, Simulators, Stack, program, until

pytestmark = pytest.mark.slow
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_bytes())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
Series = dict[str, str]
# What is scraped each minute: series that ring, with the labels that are told then; and series that do not.
CASES: dict[str, tuple[Series, dict[str, str], Series]] = {
    "TokensDown": ({'up{job="tokens"}': "0x60"}, {"job": "tokens"}, {'up{job="tokens"}': "1x60"}),
    "TokensDatabaseDown": ({"tokens_database_up": "0x60"}, {}, {"tokens_database_up": "1x60"}),
    "TokensProcessLost": (
        {"tokens_processes_lost_total": "4x50 5x9"},
        {},
        {"tokens_processes_lost_total": "4x60"},
    ),
    "TokensFailing": (
        {
            'tokens_errors_total{platform="p",kind="internal_error",blame="gateway"}': "0+6x60",
            'tokens_requests_total{platform="p",dialect="d",status="5xx"}': "0+60x60",
        },
        {"platform": "p", "kind": "internal_error"},
        {
            'tokens_errors_total{platform="p",kind="internal_error",blame="gateway"}': "0+2x60",
            'tokens_errors_total{platform="p",kind="invalid_value",blame="caller"}': "0+50x60",
            'tokens_requests_total{platform="p",dialect="d",status="5xx"}': "0+60x60",
        },
    ),
    "TokensNoCredential": (
        {
            'tokens_credentials{platform="p",state="retired"}': "2x60",
            'tokens_credentials{platform="p",state="off"}': "1x60",
        },
        {"platform": "p"},
        {
            'tokens_credentials{platform="p",state="retired"}': "2x60",
            'tokens_credentials{platform="p",state="ready"}': "1x60",
            'tokens_credentials{platform="q",state="off"}': "1x60",
        },
    ),
    "TokensPlatformFailing": (
        {
            'tokens_errors_total{platform="p",kind="upstream_error",blame="platform"}': "0+30x60",
            'tokens_requests_total{platform="p",dialect="d",status="5xx"}': "0+60x60",
        },
        {"platform": "p"},
        {
            'tokens_errors_total{platform="p",kind="upstream_error",blame="platform"}': "0+9x60",
            'tokens_requests_total{platform="p",dialect="d",status="5xx"}': "0+60x60",
        },
    ),
    "TokensRetrying": (
        {
            'tokens_retries_total{platform="p"}': "0+20x60",
            'tokens_attempts_total{platform="p"}': "0+100x60",
        },
        {"platform": "p"},
        {
            'tokens_retries_total{platform="p"}': "0+10x60",
            'tokens_attempts_total{platform="p"}': "0+100x60",
        },
    ),
    "TokensSlowToFirstByte": (
        {
            'tokens_first_byte_seconds_bucket{platform="p",le="30.0"}': "0+90x60",
            'tokens_first_byte_seconds_bucket{platform="p",le="60.0"}': "0+100x60",
            'tokens_first_byte_seconds_bucket{platform="p",le="+Inf"}': "0+100x60",
            'tokens_first_byte_seconds_count{platform="p"}': "0+100x60",
        },
        {"platform": "p"},
        {
            'tokens_first_byte_seconds_bucket{platform="p",le="30.0"}': "0+97x60",
            'tokens_first_byte_seconds_bucket{platform="p",le="60.0"}': "0+100x60",
            'tokens_first_byte_seconds_bucket{platform="p",le="+Inf"}': "0+100x60",
            'tokens_first_byte_seconds_count{platform="p"}': "0+100x60",
        },
    ),
    "TokensLedgerBehind": (
        {"tokens_ledger_journal_rows": "3x60"},
        {},
        {"tokens_ledger_journal_rows": "0x40 3x10 0x10"},
    ),
    "TokensLedgerLeftOpen": (
        {"tokens_ledger_oldest_open_seconds": "7300+60x60"},
        {},
        {"tokens_ledger_oldest_open_seconds": "0+60x60"},
    ),
    "TokensNoJobWorker": (
        {"tokens_job_workers": "0x60", 'tokens_jobs{state="queued"}': "1x60"},
        {},
        {"tokens_job_workers": "0x60", 'tokens_jobs{state="queued"}': "0x60"},
    ),
    "TokensJobsLate": (
        {"tokens_job_lag_seconds": "300x60"},
        {},
        {"tokens_job_lag_seconds": "90x60"},
    ),
    "TokensNotLookedUp": (
        {'tokens_looked_up{of="jobs"}': "0x60"},
        {"of": "jobs"},
        {'tokens_looked_up{of="jobs"}': "0x4 1x55"},
    ),
}


def test_each_has_its_case() -> None:
    assert CASES.keys() == ALERTS.keys()


def test_they_ring_when_they_should_and_keep_still_when_all_is_well(tmp_path: Path) -> None:
    bare = [rule | {"annotations": {}} for rule in ALERTS.values()]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": bare}]}))
    tests = []
    for name, (rings, labels, still) in CASES.items():
        told = {"exp_labels": labels | ALERTS[name]["labels"]}
        tests += [_judged(name, rings, [told]), _judged(name, still, [])]
    case = {"rule_files": ["rules.yml"], "tests": tests}
    (tmp_path / "cases.yml").write_text(json.dumps(case))
    words = [program("promtool"), "test", "rules", str(tmp_path / "cases.yml")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


def _judged(name: str, series: Series, told: list[Any]) -> Any:
    given = [{"series": one, "values": values} for one, values in series.items()]
    judged = [{"eval_time": "58m", "alertname": name, "exp_alerts": told}]
    return {"name": name, "interval": "1m", "input_series": given, "alert_rule_test": judged}


# ---------------------------------------------------------------- for real


@pytest.fixture
def watched(simulators: Simulators, tmp_path: Path) -> Iterator[tuple[Stack, Prometheus]]:
    stack = Stack(simulators, tmp_path / "gateway", TOKENS_WORKERS="2", TOKENS_REST_SECONDS="600")
    targets = [{"targets": [stack.url().removeprefix("http://")]}]
    jobs = [{"job_name": "tokens", "static_configs": targets}]
    prometheus = Prometheus(tmp_path, {"scrape_configs": jobs}, RULES)
    yield stack, prometheus
    prometheus.stop()
    stack.stop()


def test_a_prometheus_that_runs_hears_of_what_is_wrong(
    watched: tuple[Stack, Prometheus],
) -> None:
    stack, prometheus = watched
    assert until(prometheus.scraped, 30)
    assert prometheus.ringing() == set()

    stack.simulators.mishap("chatgpt", "refuse")
    assert ask(stack, "Hello").status == 503  # its only key rests now
    children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    wrong = {("TokensNoCredential", "chatgpt"), ("TokensProcessLost", "")}
    assert until(lambda: wrong <= prometheus.ringing(), 30), prometheus.ringing()

    stack.crash()
    assert until(lambda: ("TokensDown", "") in prometheus.ringing(), 30)
