"""Statements for the hot path: compiled once, and then handed to the driver as they are.

SQLAlchemy spends several times as much on a statement as SQLite on running it. What is left out with
that is the turning of values, so only numbers, texts and booleans may be given, and the turning of
errors, which `Database` sees to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa


class Prepared:
    """A statement whose values go by these names."""

    def __init__(self, statement: Any, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)
        self._compiled: dict[str, tuple[str, Any]] = {}

    def run(self, connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> Any:
        """Once for each row. What comes back is the driver's cursor."""
        text, order = self._found(connection.dialect)
        values: Any = list(rows) if order is None else [order(row) for row in rows]
        cursor = connection.connection.cursor()
        try:
            if len(values) == 1:
                cursor.execute(text, values[0])
            else:
                cursor.executemany(text, values)
        except BaseException as error:
            if not isinstance(error, Exception):
                connection.invalidate()  # it was left in the middle of something
            raise
        return cursor

    def _found(self, dialect: sa.Dialect) -> tuple[str, Any]:
        """The text for this database, and how a row is put in order where it goes by place."""
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=dialect, column_keys=self._names)
            places = compiled.positiontup
            order = _in_order(places) if places is not None else None
            found = self._compiled[dialect.name] = str(compiled), order
        return found


def _in_order(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)
