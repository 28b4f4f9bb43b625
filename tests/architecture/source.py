"""The source as the architecture tests read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"


def modules(below: Path = APP) -> Iterator[tuple[Path, ast.Module]]:
    """Every Python file of ours and its tree; npm packages bring some of their own."""
    for path in sorted(below.rglob("*.py")):
        if "node_modules" not in path.parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))
