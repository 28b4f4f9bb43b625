"""What is written of metrics is what there is: the docs, the alerts and the dashboard."""

from __future__ import annotations

from app.metrics.family import COUNTED, LOOKED
from tests.architecture.source import ROOT

FAMILIES = (*COUNTED, *LOOKED)
DOCS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def row(family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.about} |"


def test_every_metric_is_documented_and_no_other():
    documented = [line for line in DOCS.splitlines() if line.startswith("| `tokens_")]

    assert documented == [row(one) for one in FAMILIES]
