"""Prometheus' text format, read by somebody who has not written it."""

from __future__ import annotations

import re

_HELP = re.compile(r"# HELP ([a-z_]+) (.+)")
_TYPE = re.compile(r"# TYPE ([a-z_]+) (counter|gauge|histogram)")
_LABEL = re.compile(r'([a-z_]+)="([^"\\\n]*)"')
_LINE = re.compile(r"([a-z_]+)(?:\{([^}]*)\})? (-?[0-9.e+-]+)")
Labels = frozenset[tuple[str, str]]


class Reading:
    """What a text says."""

    def __init__(self, text: str) -> None:
        self.about: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.values: dict[tuple[str, Labels], float] = {}
        assert text.endswith("\n")
        for line in text.splitlines():
            if found := _HELP.fullmatch(line):
                self.about[found[1]] = found[2]
            elif found := _TYPE.fullmatch(line):
                self.kinds[found[1]] = found[2]
            else:
                self._take(line)

    def _take(self, line: str) -> None:
        found = _LINE.fullmatch(line)
        assert found, line
        labels = frozenset(_LABEL.findall(found[2] or ""))
        key = found[1], labels
        assert key not in self.values, line
        self.values[key] = float(found[3])

    def value(self, name: str, **labels: str) -> float:
        """One number; nothing counted is 0."""
        return self.values.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """The sum of all that have these labels, whatever others they have."""
        wanted = set(labels.items())
        return sum(
            v for (named, those), v in self.values.items() if named == name and wanted <= those
        )

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.values}
