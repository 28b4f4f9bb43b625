"""What model names mean: parameters, aliases, groups."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    BadRequest,
    ConflictingParameters,
    UnknownParameter,
    UnsupportedParameter,
)
from app.upstream.names import Alias, Names, Suffix, shown

NAMES = Names(
    ("video2", "video2-pro-max", "gpt-5.1", "gpt-5.1-codex", "flash"),
    (Alias("painter", "flash", "another engine"), Alias("gpt-5.1-codex-max-high-fast", "gpt-5.1")),
    (
        *(Suffix(f"{s}s", "duration", ("video2",), sets={"seconds": s}) for s in (10, 15, 25)),
        Suffix("hd", "quality", ("video2",), sets={"quality": "hd"}),
        Suffix("pro", "tier", ("video2",), sets={"tier": "pro"}),
        Suffix("16/9", "shape", ("flash",), sets={"aspect_ratio": "16:9"}),
        Suffix("9:16", "shape", ("flash",), sets={"aspect_ratio": "9:16"}),
        Suffix("2K", "resolution", sets={"resolution": "2K"}),
        Suffix("high", "effort", but=("flash",), sets={"effort": "high"}),
        Suffix("gizmo", "custom"),
    ),
    closed=("*",),
)
OPEN = Names(("gpt-5.1", "flash"), NAMES.aliases, NAMES.suffixes)


@pytest.mark.parametrize(
    "name", ["video2-15s", "video2-25s-pro", "video2-pro-25s", "video2-hd-25s"]
)
def test_documented_examples_are_read(name: str) -> None:
    """C-142."""
    read = NAMES.read(name)

    assert (read.base, read.model, len(read.sets)) == ("video2", "video2", name.count("-"))


def test_the_order_of_parameters_does_not_matter() -> None:
    """C-139."""
    every = ("25s", "pro", "hd", "2K")
    read = [
        NAMES.read("-".join(("video2", *order))).sets for order in itertools.permutations(every)
    ]

    assert all(
        one == {"seconds": 25, "tier": "pro", "quality": "hd", "resolution": "2K"} for one in read
    )


@pytest.mark.parametrize(
    "name, piece", [("video2-30s", "30s"), ("flash-high", "high"), ("flash-hd-x", "hd")]
)
def test_a_parameter_the_model_does_not_have_is_named(name: str, piece: str) -> None:
    """C-140, C-145."""
    with pytest.raises(UnknownParameter) as told:
        NAMES.read(name)

    assert (told.value.status, told.value.code) == (400, "unknown_model_parameter")
    assert str(told.value).startswith(piece)


@pytest.mark.parametrize("name", ["gpt-5.1-nano", "flash-live-image", "painter-2"])
def test_an_open_platform_may_have_models_we_have_not_heard_of(name: str) -> None:
    """A-9: they pass as they are, unless something behind them is a parameter of the platform's."""
    assert OPEN.read(name).model == name
    with pytest.raises(UnknownParameter):
        OPEN.read(f"{name}-pro")


def test_behind_a_name_of_ours_there_is_nothing_of_a_vendors() -> None:
    """C-140, C-145: so what is no parameter of it is refused, on an open platform too."""
    names = Names(("flash",), (Alias("our_flash", "flash"),), NAMES.suffixes, closed=("our_*",))

    assert names.read("our_flash-2K").sets == {"resolution": "2K"}
    assert names.read("flash-30s").model == "flash-30s"
    with pytest.raises(UnknownParameter, match="30s"):
        names.read("our_flash-30s")


@pytest.mark.parametrize(
    "name, known",
    [
        ("flash", True),
        ("painter", True),
        ("flash-2026-10-06", True),
        ("flash-preview-09-2025", True),
        ("flash-2", False),
        ("flash-2026-10-06-x", False),
        ("nobody", False),
    ],
)
def test_a_name_is_known_as_it_stands_and_by_its_editions(name: str, known: bool) -> None:
    assert OPEN.knows(name) is known


def test_a_parameter_that_leads_to_another_engine_says_so() -> None:
    """C-090: as an alias does, and after it."""
    suffix = Suffix("draw", "mode", sets={"model": "video2"}, note="video2 draws")
    names = Names(("flash", "video2"), (Alias("painter", "flash", "another engine"),), (suffix,))

    assert names.read("flash-draw").note == "video2 draws"
    assert names.read("painter-draw").note == "another engine; video2 draws"


def test_two_of_a_kind_are_both_named() -> None:
    """C-141, C-157."""
    with pytest.raises(ConflictingParameters) as told:
        NAMES.read("video2-10s-15s")

    assert "10s" in str(told.value) and "15s" in str(told.value)
    assert told.value.code == "conflicting_model_parameters"


def test_what_the_api_cannot_do_is_refused_and_not_neglected() -> None:
    """C-156."""
    with pytest.raises(UnsupportedParameter, match="gizmo"):
        NAMES.read("gpt-5.1-gizmo-g-123")


@pytest.mark.parametrize(
    "name, base",
    [
        ("gpt-5.1-codex-high", "gpt-5.1-codex"),
        ("gpt-5.1-codex-max-high-fast", "gpt-5.1-codex-max-high-fast"),
        ("video2-pro-max", "video2-pro-max"),
        ("gpt-5.1-2025-11-13", "gpt-5.1-2025-11-13"),
        ("gpt-5.1-2025-11-13-high", "gpt-5.1-2025-11-13"),
        ("flash-preview-09-2025", "flash-preview-09-2025"),
        ("flash-latest", "flash-latest"),
        ("nobody-knows-this-high", "nobody-knows-this-high"),
    ],
)
def test_the_longest_known_name_is_the_base(name: str, base: str) -> None:
    """C-143: editions of a name are the vendor's; names nobody knows pass as they are."""
    assert NAMES.read(name).base == base


@pytest.mark.parametrize("name, ratio", [("flash-16/9", "16:9"), ("flash-9:16", "9:16")])
def test_parameters_may_have_slashes_colons_and_any_case(name: str, ratio: str) -> None:
    """C-144."""
    assert NAMES.read(name).sets == {"aspect_ratio": ratio}
    assert NAMES.read(f"{name}-2k").sets == {"aspect_ratio": ratio, "resolution": "2K"}


def test_an_alias_says_what_is_behind_it() -> None:
    read = NAMES.read("painter-2K")

    assert (read.base, read.model, read.note) == ("painter", "flash", "another engine")
    assert NAMES.read("painter-20241022-2K").model == NAMES.read("painter-latest").model == "flash"
    assert NAMES.read("flash").note == ""


@pytest.mark.parametrize(
    "name, groups", [("flash|[plus]", ("plus",)), ("flash-2K|[plus, team]", ("plus", "team"))]
)
def test_groups_stand_behind_a_bar(name: str, groups: tuple[str, ...]) -> None:
    """C-147, C-153, C-090: they choose, and are told to nobody."""
    read = NAMES.read(name)

    assert (read.model, read.groups) == ("flash", groups)
    assert "|" not in shown(name) and name.startswith(shown(name))


@pytest.mark.parametrize(
    "name",
    [
        "m|free",
        "m|[",
        "m|[]",
        "m|[ ]",
        "m|[a,]",
        "m|[a",
        "m|a]",
        "|[a]",
        "m|[a]x",
        "m|[a]|[b]",
        "m|[a b]",
    ],
)
def test_a_selector_that_is_none_is_400(name: str) -> None:
    """C-152."""
    with pytest.raises(BadRequest) as told:
        NAMES.read(name)

    assert (told.value.status, told.value.param) == (400, "model")


@given(
    st.text("ab12-|[],:/.é\n ", max_size=30)
    | st.sampled_from(["video2", "flash-"]).flatmap(
        lambda head: st.text("hd25s-pro|[]", max_size=12).map(lambda tail: head + tail)
    )
)
def test_any_text_is_read_or_refused(name: str) -> None:
    try:
        read = NAMES.read(name)
    except BadRequest:
        return
    assert read.asked == name
    assert shown(name).startswith(read.base)


def test_an_alias_may_ask_for_something_by_itself_and_a_parameter_for_another_model():
    names = Names(
        ("talker", "painter"),
        (Alias("old", "talker", sets={"effort": "low", "size": 1}),),
        (
            Suffix("high", "effort", sets={"effort": "high"}),
            Suffix("draw", "mode", sets={"model": "painter"}),
        ),
    )

    assert names.read("old").sets == {"effort": "low", "size": 1}
    assert names.read("old-high").sets == {"effort": "high", "size": 1}
    drawn = names.read("talker-draw-high")
    assert (drawn.base, drawn.model, drawn.sets) == ("talker", "painter", {"effort": "high"})
