"""The checkout that the program runs from: beside the package lies what it cannot do without."""

from __future__ import annotations

from pathlib import Path

from app.cli.words import Complaint

HOME = Path(__file__).resolve().parents[2]
GUNICORN = HOME / "deploy" / "gunicorn.conf.py"


def check_checkout() -> None:
    """Complains of a package that was installed by itself, before it fails for what it lacks."""
    if not GUNICORN.exists():
        raise Complaint(
            f"the program runs from its checkout, of which {HOME} has only a part: "
            "call `make install` in the checkout, and its `.venv/bin/tokens`"
        )
