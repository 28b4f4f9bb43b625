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


def checked(file: str) -> str:
    words = [program("promtool"), "check", "rules", file]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
