"""Numbers as Prometheus reads them: its text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.metrics.family import BOUNDS, COUNTED, LOOKED, Family
from app.metrics.layout import Labels, Layout, histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Found = Mapping[Family, Mapping[Labels, float]]
_EDGES = (*(format(bound, "g") for bound in BOUNDS), "+Inf")


def exposed(layout: Layout, counted: Sequence[float], looked: Found) -> str:
    """All of them. What has never been counted is left out, unless there is but one of it; so is what
    could not be looked up.
    """
    lines: list[str] = []
    for family in COUNTED:
        lines += _family(family, _counted(family, layout.of(family), counted))
    for family in LOOKED:
        found = looked.get(family)
        if found is not None:
            lines += _family(family, (_line(family, labels, found[labels]) for labels in found))
    return "\n".join([*lines, ""])


def _family(family: Family, lines: Iterator[str]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.about}"
    yield f"# TYPE {family.name} {family.kind}"
    yield from lines


def _counted(
    family: Family, places: Mapping[Labels, int], counted: Sequence[float]
) -> Iterator[str]:
    for labels, at in places.items():
        if family.kind == "histogram":
            yield from _times(family, labels, *histogram(counted, at))
        elif counted[at] or not labels:
            yield _line(family, labels, counted[at])


def _times(family: Family, labels: Labels, buckets: Sequence[float], total: float) -> Iterator[str]:
    if not buckets[-1]:
        return
    named = _named(family, labels)
    for edge, number in zip(_EDGES, buckets, strict=True):
        yield f'{family.name}_bucket{{{named},le="{edge}"}} {_number(number)}'
    yield f"{family.name}_sum{{{named}}} {_number(total)}"
    yield f"{family.name}_count{{{named}}} {_number(buckets[-1])}"


def _line(family: Family, labels: Labels, number: float) -> str:
    named = f"{{{_named(family, labels)}}}" if labels else ""
    return f"{family.name}{named} {_number(number)}"


def _named(family: Family, labels: Labels) -> str:
    """Values of labels are words of ours, in which there is nothing to be escaped."""
    return ",".join(f'{name}="{word}"' for name, word in zip(family.labels, labels, strict=True))


def _number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
