"""The source as the architecture tests read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"


@cache
def tree(path: Path) -> ast.Module:
    """What a file says, parsed once for all who ask."""
    return ast.parse(path.read_text(encoding="utf-8"))


def files(below: Path = APP) -> list[Path]:
    """Every Python file of ours; npm packages bring some of their own."""
    return [path for path in sorted(below.rglob("*.py")) if "node_modules" not in path.parts]


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Every module of the gateway and its tree."""
    return ((path, tree(path)) for path in files())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))
