"""Every code that is documented is counted by itself, and blamed on whom its error blames."""

from __future__ import annotations

import inspect
import re

import pytest

from app import errors
from app.metrics.blame import BLAMED, KINDS, OTHER, PASSED_ON
from app.storage.database import DatabaseTrouble
from tests.architecture.source import ROOT

CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, errors.GatewayError) and one is not errors.Verbatim
] + [DatabaseTrouble]
SHARED = {
    "rate_limit_exceeded": "platform",
    "no_available_key": "gateway",
    "interrupted": "gateway",  # though it is like a caller who has gone
}
NGINX = {"gateway_unavailable"}  # says it where we cannot


def test_the_codes_are_those_of_the_readme():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Errors")[2]
    rows = re.findall(r"^\| (`[^|]+) \| [^|]+ \| ", section.partition("## ")[0], re.MULTILINE)
    documented = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}

    assert documented == BLAMED.keys() | {PASSED_ON} | NGINX
    assert set(KINDS) == documented - NGINX | {OTHER}


@pytest.mark.parametrize("error", CLASSES, ids=lambda one: one.__name__)
def test_an_error_is_blamed_as_its_kind_says(error):
    blame = "gateway"
    if issubclass(error, (errors.CallerError, errors.RequestRefused)):
        blame = "caller"
    elif issubclass(error, errors.UpstreamError):
        blame = "platform"

    assert BLAMED[error.code] == SHARED.get(error.code, blame)
