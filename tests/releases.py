"""Versions of the program to come: copies of this one with more migrations, in folders of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.storage.database import HEAD
from tests.stack import ROOT

NEXT, AFTER = f"{int(HEAD) + 1:04}", f"{int(HEAD) + 2:04}"
EXPANDING = f'''"""Where calls come from."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "{NEXT}", "{HEAD}"
kind, since = "expand", "0.2.0"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("region", sa.String(16), nullable=False, server_default="here"))
    op.create_table("regions", sa.Column("name", sa.String(16), primary_key=True))
'''
CONTRACTING = f'''"""Nobody asks for the attempts that failed any more."""

from alembic import op

revision, down_revision = "{AFTER}", "{NEXT}"
kind, since, needs = "contract", "0.3.0", "{NEXT}"


def upgrade() -> None:
    op.drop_column("ledger", "failed")
'''
COLUMN = 'sa.Column("failed", sa.Text, nullable=False, server_default=""),'
NEW_COLUMN = 'sa.Column("region", sa.String(16), nullable=False, server_default="here"),'


def next_release(folder: Path) -> Path:
    """The next one, whose ledger has a column more and who has a table more. What is given back goes
    into PYTHONPATH.
    """
    for name in ("app", "deploy"):
        shutil.copytree(ROOT / name, folder / name)  # what is compiled too, which is faster
    shutil.copy2(ROOT / "wsgi.py", folder)
    advance(folder)
    return folder


def advance(folder: Path) -> None:
    """Makes of the program in this folder the next one."""
    _change(folder / "app/storage/ledger.py", COLUMN, f"{COLUMN}\n    {NEW_COLUMN}")
    _change(folder / "app/storage/compatibility.py", "accounts ", "accounts regions ")
    _migrate(folder, HEAD, NEXT, EXPANDING)


def release_after(folder: Path) -> Path:
    """The one after that, which drops what this one uses and the next one does not."""
    next_release(folder)
    _change(folder / "app/storage/ledger.py", COLUMN, "")
    _migrate(folder, NEXT, AFTER, CONTRACTING)
    return folder


def _migrate(folder: Path, before: str, version: str, words: str) -> None:
    _change(folder / "app/storage/database.py", f'HEAD = "{before}"', f'HEAD = "{version}"')
    (folder / f"app/storage/migrations/versions/{version}_to_come.py").write_text(words)


def _change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text, (file, before)
    file.write_text(text.replace(before, after, 1))
