"""What `make install` installs is enough wherever it may run, not only where the lock was made: Debian
12 has Python 3.11.2, for which some packages need more than for 3.11.3.
"""

from __future__ import annotations

import importlib.metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.stack import ROOT

MARK = "# ---- tests and tools"


def locked() -> dict[str, str]:
    """What is installed to run the gateway, by name."""
    runs = (ROOT / "requirements.txt").read_text().partition(MARK)[0].splitlines()
    pins = [line.split()[0].split("==") for line in runs if "==" in line]
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", "3.12.3", "3.13.5", "3.14.0"])
def test_no_requirement_of_a_requirement_is_missing(python: str) -> None:
    here = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "extra": "",
    }
    names = locked().keys()
    wanted = [
        (name, str(one))
        for name in names
        for one in map(Requirement, importlib.metadata.requires(name) or ())
        if canonicalize_name(one.name) not in names
        and (one.marker is None or one.marker.evaluate(here))
    ]

    assert wanted == []
