"""`tokens routes`: every route, and who may call it."""

from __future__ import annotations

import argparse
from typing import Any

from flask import Flask

from app.cli.words import settings, show
from app.factory import create_app
from app.web.access import GUARD


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    show(rows(create_app(settings())), as_json=options.json)
    return 0


def rows(app: Flask) -> list[dict[str, Any]]:
    """The routes in the order of their paths."""
    listed = [
        {
            "path": rule.rule,
            "methods": sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}),
            "for": audience(app.view_functions[rule.endpoint]),
        }
        for rule in app.url_map.iter_rules()
    ]
    return sorted(listed, key=lambda row: (row["path"], row["methods"]))


def audience(view: Any) -> str:
    """Who may call a view; empty where nobody has said."""
    return str(getattr(view, GUARD, ""))
