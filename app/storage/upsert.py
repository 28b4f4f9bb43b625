"""Inserts that may say what becomes of a row that is there already."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import sqlalchemy as sa


def insert_into(table: sa.Table, dialect: str) -> Any:
    """`dialect` is its database's. Imported only now: each brings all drivers that there are for it."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
