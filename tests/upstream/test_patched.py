"""The same tests once more where the standard library is patched, as it is in gunicorn's gevent
worker.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
FILES = [HERE / f"test_{name}.py" for name in ("leash", "pool", "proxy", "tls")]


def test_it_all_works_under_monkey_patching():
    plain = ["-p", "no:cacheprovider", "--noconftest", "-p", "tests.upstream.conftest"]
    done = subprocess.run(
        [sys.executable, "-m", "gevent.monkey", "--module", "pytest", *plain, *FILES],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "s" not in done.stdout.splitlines()[0], "something was skipped"
