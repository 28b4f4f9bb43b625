"""What is written of metrics is what there is: the docs, the alerts and the dashboard."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from app.metrics.family import COUNTED, LOOKED
from tests.architecture.source import ROOT
from tests.stack import program

FAMILIES = (*COUNTED, *LOOKED)
PANELS = json.loads((ROOT / "deploy" / "grafana" / "tokens.json").read_bytes())["panels"]
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_bytes())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
EXPRESSIONS = [one["expr"] for one in ALERTS]
EXPRESSIONS += [one["expr"] for panel in PANELS for one in panel.get("targets", ())]
DOCS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def row(family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.about} |"


def test_every_metric_is_documented_and_no_other():
    documented = [line for line in DOCS.splitlines() if line.startswith("| `tokens_")]

    assert documented == [row(one) for one in FAMILIES]


def test_alerts_say_what_to_do():
    assert len(ALERTS) > 5
    for one in ALERTS:
        assert one["labels"]["severity"] in ("page", "ticket"), one["alert"]
        assert one["annotations"]["summary"].endswith("."), one["alert"]
        assert len(one["annotations"]["runbook"]) > 80, one["alert"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_alerts_and_panels_name_metrics_and_labels_that_are_told(expression):
    """`tests/web/test_metrics_served.py` holds the families to what a gateway tells."""
    told = {"up": {"job", "instance"}} | {
        f"{family.name}{end}": {
            *family.labels,
            "job",
            "instance",
            *(["le"] if end == "_bucket" else []),
        }
        for family in FAMILIES
        for end in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",))
    }
    named = set(re.findall(r"\b(?:tokens_\w+|up)\b", expression))
    labels = set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression))
    for group in re.findall(r"\b(?:by|on|group_left|group_right) ?\(([\w, ]*)\)", expression):
        labels |= set(re.split(r", ?", group))

    assert named and named <= told.keys()
    assert labels <= set().union(*(told[name] for name in named))


@pytest.mark.slow
def test_prometheus_takes_the_alerts(tmp_path):
    assert checked(str(ROOT / "deploy" / "prometheus" / "alerts.yml")).count("FAILED") == 0


@pytest.mark.slow
def test_prometheus_reads_the_panels(tmp_path):
    """As rules, which is how `promtool` reads an expression."""
    rules = [
        {"record": f"panel:{place}", "expr": re.sub(r"\$__rate_interval", "5m", one)}
        for place, one in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked(str(file))


CASES = {
    "TokensLedgerBehind": ({"tokens_ledger_journal_rows": "3x30"}, "20m"),
    "TokensDatabaseDown": ({"tokens_database_up": "0x30"}, "5m"),
    "TokensNoCredential": (
        {
            'tokens_credentials{platform="p",state="retired"}': "2x30",
            'tokens_credentials{platform="p",state="off"}': "1x30",
            'tokens_credentials{platform="q",state="resting"}': "1x30",
            'tokens_credentials{platform="q",state="ready"}': "1x30",
        },
        "10m",
    ),
    "TokensFailing": (
        {
            'tokens_errors_total{platform="p",kind="internal_error",blame="gateway"}': "0+6x30",
            'tokens_requests_total{platform="p",dialect="d",status="5xx"}': "0+60x30",
            'tokens_errors_total{platform="q",kind="internal_error",blame="gateway"}': "0+1x30",
            'tokens_requests_total{platform="q",dialect="d",status="5xx"}': "0+60x30",
        },
        "20m",
    ),
    "TokensPlatformFailing": (
        {
            'tokens_errors_total{platform="p",kind="upstream_error",blame="platform"}': "0+30x60",
            'tokens_requests_total{platform="p",dialect="d",status="5xx"}': "0+60x60",
        },
        "40m",
    ),
    "TokensNoJobWorker": (
        {"tokens_job_workers": "0x30", 'tokens_jobs{state="queued"}': "1x30"},
        "10m",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_alert_rings_when_it_should_and_once(name, tmp_path):
    series, at = CASES[name]
    (rule,) = (one for one in ALERTS if one["alert"] == name)
    rules = {"groups": [{"name": "one", "rules": [rule | {"annotations": {}}]}]}
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    given = [{"series": one, "values": f"{values}"} for one, values in series.items()]
    labels = rule["labels"] | ({"platform": "p"} if "platform" in str(series) else {})
    labels |= {"kind": "internal_error"} if name == "TokensFailing" else {}
    expected = {"eval_time": at, "alertname": name, "exp_alerts": [{"exp_labels": labels}]}
    quiet = {"eval_time": "0m", "alertname": name, "exp_alerts": []}
    case = {"interval": "1m", "input_series": given, "alert_rule_test": [quiet, expected]}
    (tmp_path / "case.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))
    words = [program("promtool"), "test", "rules", str(tmp_path / "case.yml")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stdout + done.stderr


def checked(file: str) -> str:
    words = [program("promtool"), "check", "rules", file]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
