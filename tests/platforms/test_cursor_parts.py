"""The pure parts of what makes agents a chat: events with ids, calls in words, what was said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.parts import Text, ToolCall
from app.canonical.request import Tool, ToolChoice, Turn
from app.platforms.cursor_run import Numbered, Spoken
from app.platforms.cursor_thread import answered, begun, heard
from app.platforms.cursor_tools import CLOSE, OPEN, Calls, described, parted, written
from app.platforms.cursor_wire import CursorWire

EVENTS = (
    b'id: r:1\nevent: assistant\ndata: {"text":"a"}\n\n'
    b": a comment\n\n"
    b'event: status\r\ndata: {"status":"RUNNING"}\r\n\r\n'
    b"id: r:2\revent: result\rdata: {\rdata: }\r\r"
)
READ = [
    ("r:1", b"assistant", b'{"text":"a"}'),
    ("", b"status", b'{"status":"RUNNING"}'),
    ("r:2", b"result", b"{\n}"),
]
CUTS = st.lists(st.integers(0, 200), max_size=8)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
ARGUMENTS = st.dictionaries(NAMES, st.text(max_size=8) | st.integers(), max_size=3)


def _pieces(whole: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return [whole[start:end] for start, end in zip(places, places[1:])]


@given(CUTS)
def test_events_with_ids_are_read_wherever_they_are_cut(cuts: list[int]) -> None:
    reader = Numbered()
    pieces = [one.encode("latin-1") for one in _pieces(EVENTS.decode("latin-1"), cuts)]
    # A CR at the very end may be half of a line end: what follows tells.
    found = [event for piece in (*pieces, b": end\n\n") for event in reader.feed(piece)]

    assert found == READ


@given(st.text(st.sampled_from("a <tool_calls>/[]"), max_size=60), CUTS)
def test_words_without_calls_stay_as_they_are(text: str, cuts: list[int]) -> None:
    calls = Calls()
    shown = "".join(calls.feed(piece) for piece in _pieces(text, cuts))
    rest, made = calls.finish()

    assert (shown + rest, made) == (text, [])


@given(st.text("abc< \n", max_size=20), st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1), CUTS)
def test_calls_are_found_wherever_they_are_cut(
    words: str, wanted: list[tuple[str, dict[str, object]]], cuts: list[int]
) -> None:
    made = [{"name": name, "arguments": arguments} for name, arguments in wanted]
    calls = Calls()
    text = words + OPEN + json.dumps(made) + CLOSE
    shown = "".join(calls.feed(piece) for piece in _pieces(text, cuts))
    rest, found = calls.finish()

    assert (shown + rest, [(name, json.loads(one)) for name, one in found]) == (words, wanted)


@given(st.text(max_size=30), NAMES, ARGUMENTS)
def test_what_an_agent_said_is_known_again_when_it_comes_back(
    text: str, name: str, arguments: dict[str, object]
) -> None:
    state = begun("m", "agent", [], ["Be brief."])
    plain = Turn("assistant", (Text(text.strip()),))
    called = Turn("assistant", (Text(text), ToolCall("id", name, json.dumps(arguments))))

    assert answered(state, text, calls=False) == heard(state, plain)
    if OPEN not in text:
        said = text + written(name, json.dumps(arguments))
        assert answered(state, said, calls=True) == heard(state, called)
        assert heard(state, called) != heard(state, plain)


@given(st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), min_size=1))
def test_only_what_was_missed_of_the_result_is_told(words: list[str]) -> None:
    final = " ".join(words)
    for end in range(len(final) + 1):
        spoken = Spoken()
        spoken.more("First this.")
        spoken.parted = True
        spoken.more(final[:end])
        spoken.more(spoken.missing(final))
        assert spoken.text == f"First this.\n\n{final}"


@pytest.mark.parametrize(
    "status, body, told",
    [
        (429, {"error": "Too Many Requests", "message": "Slow down"}, (429, "", "Slow down")),
        (429, {"error": "Too Many Requests"}, (429, "", "Too Many Requests")),
        (
            400,
            {"error": {"code": "invalid_model", "message": "No"}},
            (404, "model_not_found", "No"),
        ),
        (409, {"error": {"code": "agent_busy", "message": "Busy"}}, (429, "agent_busy", "Busy")),
        (404, {"error": {"code": "agent_not_found"}}, (400, "agent_not_found", "")),
        (502, None, (502, "", "")),
        (502, ["x"], (502, "", "")),
    ],
)
def test_errors_are_read_in_each_of_their_shapes(
    status: int, body: object, told: tuple[int, str, str]
) -> None:
    trouble = CursorWire().read_error(status, body)

    assert (trouble.status, trouble.code, trouble.message) == told


def test_tools_are_described_with_what_the_caller_wants_of_them() -> None:
    tools = (Tool("weather", "Tells the weather", {"type": "object"}), Tool("clock"))
    told = described(tools, ToolChoice("required", ("clock",), parallel=False))

    assert "- weather: Tells the weather" in told and "- clock\n" in told
    assert "must have clock run" in told and "one run at a time" in told
    assert parted(written("clock", "")) == ("", [("clock", "{}")])
