"""Scripts in `node/` that play scenes with an SDK, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.sdk.scenes import Json
from tests.stack import clean_environ, missing, program

NODE = Path(__file__).with_name("node")


def played(script: str, package: str, told: Json) -> Json:
    """What came of the script's scenes, by door and scene. The script is told what it needs."""
    node = program("node")
    if not (NODE / "node_modules" / package).is_dir():
        missing(f"the npm package {package} (npm ci --prefix tests/sdk/node)")
    done = subprocess.run(
        [node, f"{script}.mjs"],
        input=json.dumps(told),
        cwd=NODE,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    return found
