"""Writes requirements.txt from setup.cfg: exact versions with hashes, what runs first, then tests
and tools. What was locked before stays as it was, unless `--upgrade` is given.

Needs pip-tools, which is not pinned itself because nothing that is installed depends on it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path("requirements.txt")
MARK = "# ---- tests and tools: everything below is not needed to run the gateway ----"
QUIET = """--quiet --allow-unsafe --generate-hashes --strip-extras --no-header --no-annotate --no-emit-index-url
--no-emit-find-links --no-emit-trusted-host --no-emit-options""".split()


def locked(folder: Path, *options: str) -> dict[str, str]:
    """Pinned requirements by name."""
    out = folder / "locked.txt"
    out.write_text(LOCK.read_text())  # what stands there is kept where it still fits
    compile_ = [sys.executable, "-m", "piptools", "compile", *QUIET, *options]
    subprocess.run([*compile_, "-o", str(out), "pyproject.toml"], check=True)
    blocks = out.read_text().replace("\\\n", "\\\0").splitlines()
    named = (block.replace("\\\0", "\\\n") for block in blocks if "==" in block)
    return {block.partition("==")[0]: block for block in named}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        everything = locked(Path(folder), "--extra", "dev", *sys.argv[1:])
        runs = locked(Path(folder), *sys.argv[1:]).keys() | {
            "setuptools"
        }  # setuptools makes the `tokens` program
    first = [block for name, block in everything.items() if name in runs]
    rest = [block for name, block in everything.items() if name not in runs]
    head = "# Written by `make lock`. Install with `pip install --no-deps --require-hashes -r requirements.txt`."
    LOCK.write_text("\n".join([head, "", *first, "", MARK, "", *rest, ""]))


if __name__ == "__main__":
    main()
