"""The bench itself: a measure that lets a broken answer through measures nothing.

Both C programs are built once. `load` is held against the fake platform, and against a server that
says whatever bytes a test wants it to say.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench import compare

pytestmark = pytest.mark.slow

ANSWER = "A gateway stands between those who ask and those who answer. It keeps the keys. End."
KEY = "sk-upstream"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `upstream` and `load` in it."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed, and the bench is built with it")
    folder = tmp_path_factory.mktemp("programs")
    compare.build(folder)
    return folder


@pytest.fixture(scope="module")
def platform(programs: Path) -> Iterator[int]:
    """The port of the fake platform."""
    port = compare.free_port()
    process = subprocess.Popen([programs / "upstream", str(port), KEY])
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None and time.monotonic() < until
        yield port
    finally:
        compare.stop(process)


class Load:
    """Runs `load` and gives what it prints."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._program = programs / "load"
        self._body = folder / "body.json"

    def __call__(
        self,
        port: int,
        *options: str,
        model: str = "bench",
        path: str = "chat/completions",
        key: str = KEY,
        image: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        ask = {"model": model, "messages": [{"role": "user", "content": "Hello" + image}], **more}
        self._body.write_text(json.dumps(ask))
        command = [str(self._program), str(port), f"/v1/{path}", str(self._body), *options]
        for header in (f"Authorization: Bearer {key}", f"x-api-key: {key}"):
            command += ["-H", header]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def load(programs: Path, tmp_path: Path) -> Load:
    return Load(programs, tmp_path)


class Says:
    """A server that reads one request after the other and answers each with the same bytes."""

    def __init__(self, *sends: bytes, times: int = 1, stays: bool = False) -> None:
        self._sends = sends
        self._stays = stays
        self._times = times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            for _ in range(self._times):
                caller, _ = self._listener.accept()
                with caller:
                    caller.settimeout(10)
                    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    caller.recv(1 << 16)
                    for send in self._sends:
                        caller.sendall(send)
                    if self._stays:
                        caller.recv(1)


def stream(*events: str, end: bytes = b"0\r\n\r\n") -> bytes:
    """A whole chunked answer, one event a chunk."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    chunks = (f"{len(event):x}\r\n{event}\r\n".encode() for event in events)
    return head + b"".join(chunks) + end


def piece(text: str) -> str:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"


FIRST = 'data: {"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}\n\n'
FINISH = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = "data: [DONE]\n\n"
PIECES = [piece(f"{number}@1 ") for number in range(3)]
WHOLE = stream(FIRST, *PIECES, FINISH, DONE)


# ---------------------------------------------------------------- against the fake platform


def test_a_fraction_of_a_second_of_chat_is_all_good(platform: int, load: Load) -> None:
    found = load(platform, "-c", "4", "-s", "0.2")
    assert found["good"] > 10
    assert (found["bad"], found["unfinished"], found["first_error"]) == (0, 0, "")
    assert 0.2 <= found["seconds"] < 10
    assert 0 < found["latency"]["p50"] <= found["latency"]["p99"] <= found["latency"]["max"]


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
@pytest.mark.parametrize("pause", [0, 2])
def test_every_piece_of_every_stream_arrives(
    platform: int, load: Load, path: str, pause: int
) -> None:
    options = ("-c", "8", "-n", "2", "-r", "20", "-p", "30")
    found = load(platform, *options, model=f"m-30x{pause}ms", path=path, stream=True)
    assert {name: found[name] for name in ("good", "bad", "unfinished", "pieces")} == {
        "good": 16,
        "bad": 0,
        "unfinished": 0,
        "pieces": 480,
    }, found["first_error"]
    assert found["first_piece"]["p50"] >= 1000 * pause
    assert found["delay"]["p99"] < 5_000_000
    assert found["seconds"] >= 2 * 30 * pause / 1000


def test_a_stream_longer_than_any_buffer_is_sent_whole(platform: int, load: Load) -> None:
    found = load(platform, "-n", "1", "-p", "9000", model="m-9000x0ms", stream=True)
    assert (found["good"], found["pieces"]) == (1, 9000), found["first_error"]


def test_the_platform_reads_a_body_of_sixteen_megabytes(platform: int, load: Load) -> None:
    found = load(platform, "-n", "2", image="x" * (16 << 20))
    assert (found["good"], found["bad"]) == (2, 0), found["first_error"]


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
@pytest.mark.parametrize("key", ["wrong", KEY + "2", KEY[:-1]])
def test_another_key_is_refused(platform: int, load: Load, path: str, key: str) -> None:
    found = load(platform, "-n", "1", path=path, key=key)
    assert (found["good"], found["bad"]) == (0, 1)
    assert "status 401" in found["first_error"]


def test_a_path_that_no_platform_has_is_not_found(platform: int, load: Load) -> None:
    assert "status 404" in load(platform, "-n", "1", path="completions")["first_error"]


def asked(platform: int, **more: Any) -> list[str]:
    """The data lines of a stream of one piece."""
    body = json.dumps({"model": "m-1x0ms", "messages": [], "stream": True, **more})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {KEY}\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", platform), 10) as call:
        call.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        while not answer.endswith(b"0\r\n\r\n"):
            answer += call.recv(1 << 16)
    return [line for line in answer.decode().splitlines() if line.startswith("data: ")]


def test_usage_comes_only_when_it_is_asked_for(platform: int) -> None:
    without, with_it = asked(platform), asked(platform, stream_options={"include_usage": True})
    assert [line for line in without if '"usage"' in line] == []
    assert without[-1] == with_it[-1] == "data: [DONE]"
    last = json.loads(with_it[-2].removeprefix("data: "))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 300)
    assert len(with_it) == len(without) + 1


# ---------------------------------------------------------------- against answers made by hand


@pytest.mark.parametrize(
    "sends",
    [
        pytest.param([WHOLE], id="one send"),
        pytest.param([WHOLE[at : at + 1] for at in range(len(WHOLE))], id="byte by byte"),
        pytest.param([stream(FIRST, piece("0@1 1@1 2@1 "), FINISH, DONE)], id="pieces merged"),
        pytest.param(
            [stream(": hello\n\n", FIRST, *PIECES, ": ping\n\n", FINISH, DONE)], id="comments"
        ),
        pytest.param(
            [stream(*(one.replace('":', '": ') for one in (FIRST, *PIECES, FINISH)), DONE)],
            id="spaces in the JSON",
        ),
    ],
)
def test_a_complete_stream_is_good_however_it_is_cut(load: Load, sends: list[bytes]) -> None:
    found = load(Says(*sends).port, "-n", "1", "-p", "3")
    assert (found["good"], found["bad"], found["pieces"]) == (1, 0, 3), found["first_error"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(stream(FIRST, *PIECES[:2], FINISH, DONE), id="last piece missing"),
        pytest.param(stream(FIRST, PIECES[0], PIECES[2], FINISH, DONE), id="a piece skipped"),
        pytest.param(stream(FIRST, *PIECES[::-1], FINISH, DONE), id="wrong order"),
        pytest.param(stream(FIRST, *PIECES, PIECES[2], FINISH, DONE), id="a piece twice"),
        pytest.param(stream(FIRST, *PIECES, piece("3@1 "), FINISH, DONE), id="a piece too many"),
        pytest.param(stream(FIRST, *PIECES, piece("oops"), FINISH, DONE), id="text of its own"),
        pytest.param(stream(FIRST, *PIECES, DONE), id="no finish reason"),
        pytest.param(stream(FIRST, *PIECES, FINISH), id="no [DONE]"),
        pytest.param(stream(FIRST, *PIECES, FINISH, DONE, end=b""), id="cut before the end"),
        pytest.param(WHOLE.replace(b"200 OK", b"500 Oh"), id="status 500"),
    ],
)
def test_a_stream_with_a_fault_is_bad(load: Load, answer: bytes) -> None:
    found = load(Says(answer).port, "-n", "1", "-p", "3")
    assert (found["good"], found["bad"], found["unfinished"]) == (0, 1, 0)
    assert found["first_error"]


def test_a_peer_that_sends_no_end_mark_can_do_without(load: Load) -> None:
    answer = stream(FIRST, *PIECES, FINISH)
    found = load(Says(answer).port, "-n", "1", "-p", "3", "-e")
    assert (found["good"], found["bad"]) == (1, 0), found["first_error"]


def whole(text: str, headers: str = "") -> bytes:
    body = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    return f"HTTP/1.1 200 OK\r\n{headers}content-length: {len(body)}\r\n\r\n{body}".encode()


def test_a_whole_answer_is_good_however_it_is_cut(load: Load) -> None:
    answer = whole(ANSWER)
    found = load(Says(*(answer[at : at + 1] for at in range(len(answer)))).port, "-n", "1")
    assert (found["good"], found["bad"]) == (1, 0), found["first_error"]


@pytest.mark.parametrize("text", ["", "End.", ANSWER[1:], ANSWER + " ", ANSWER.replace("keys", "")])
def test_a_whole_answer_with_another_text_is_bad(load: Load, text: str) -> None:
    found = load(Says(whole(text)).port, "-n", "1")
    assert (found["good"], found["bad"]) == (0, 1)


def test_an_answer_that_never_comes_is_counted_and_named(load: Load) -> None:
    found = load(Says(b"", stays=True).port, "-s", "0.1", "-g", "0.2")
    assert (found["good"], found["bad"], found["unfinished"]) == (0, 0, 1)
    assert found["first_error"] == "no whole answer by the end (status 0, piece 0)"


def test_an_answer_that_closes_the_connection_is_good_and_the_next_call_dials_anew(
    load: Load,
) -> None:
    server = Says(whole(ANSWER, "Connection: close\r\n"), times=3)
    found = load(server.port, "-n", "3")
    assert (found["good"], found["bad"], found["reconnected"]) == (3, 0, 2), found["first_error"]


# ---------------------------------------------------------------- what is made of it


def results(**changed: float) -> dict[str, dict[str, float]]:
    """Our row, every figure reached exactly and nothing wrong; `changed` of chat64."""
    found = {name: {**wanted, "errors": 0.0} for name, wanted in compare.FIGURES.items()}
    found["chat64"].update(changed)
    return found


def test_figures_reached_exactly_are_reached() -> None:
    assert compare.check([{"tokens": results()}]) is True


@pytest.mark.parametrize("changed", [{"CPU ms": 0.43}, {"errors": 1.0}])
def test_a_figure_missed_and_a_wrong_answer_fail_the_check(changed: dict[str, float]) -> None:
    assert compare.check([{"tokens": results(**changed)}]) is False


def test_a_figure_that_was_not_measured_is_not_reached() -> None:
    without = results()
    del without["chat64"]["CPU x nginx"]
    assert compare.check([{"tokens": without}]) is False


def test_a_wrong_answer_while_warming_up_fails_the_check() -> None:
    spoilt = results()
    spoilt["cold"]["errors"] = 1.0
    assert compare.check([{"tokens": spoilt}]) is False


def test_a_wrong_answer_in_one_round_of_three_fails_the_check() -> None:
    rounds = [{"tokens": results()}, {"tokens": results(errors=1.0)}, {"tokens": results()}]
    assert compare.check(rounds) is False


def test_only_the_scenarios_that_were_run_are_checked() -> None:
    chosen = {name: results()[name] for name in ("cold", "chat1")}
    assert compare.check([{"tokens": chosen}]) is True


def test_nothing_measured_is_not_reached() -> None:
    assert compare.check([{"direct": {}}]) is False


def test_a_row_is_seen_relative_to_direct_and_to_nginx() -> None:
    def row(cpu: float, p50: float, pss: float) -> dict[str, dict[str, float]]:
        figures = {"CPU us": cpu, "p50 ms": p50, "p99 ms": 2 * p50, "peak PSS MB": pss}
        return {"cold": {"idle PSS MB": 80.0}, "paced2000": figures}

    round_ = {"direct": row(0, 1, 0), "nginx": row(10, 2, 20), "tokens": row(30, 5, 100)}
    compare.relate(round_)
    assert round_["tokens"]["paced2000"] == {
        "CPU us": 30,
        "p50 ms": 5,
        "p99 ms": 10,
        "peak PSS MB": 100,
        "added p50 ms": 4,
        "added p99 ms": 8,
        "CPU x nginx": 3,
        "MB per 1000 streams": 10,
    }


def test_translating_is_seen_relative_to_not_translating() -> None:
    found = {"cold": {}, "chat64": {"CPU ms": 2.0}, "xlate64": {"CPU ms": 3.0}}
    compare.relate({"tokens": found})
    assert found["xlate64"]["CPU x chat64"] == 1.5


def test_a_peer_is_installed_once(programs: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compare, "PEERS", tmp_path)
    monkeypatch.setattr(compare, "build", lambda folder: None)
    bench = compare.Bench(programs, quick=True)
    install = [["sh", "-c", "echo installed >> $peer/log"]]
    try:
        for _ in range(2):
            bench.prepare(compare.Row("peer", "/", "/", install=install))
    finally:
        bench.close()
    assert (tmp_path / "peer" / "log").read_text() == "installed\n"


def test_several_rounds_give_the_median_and_its_spread() -> None:
    rounds = [{"tokens": {"chat64": {"CPU ms": cpu}}} for cpu in (0.3, 0.5, 0.4)]
    assert compare.cell(compare.values(rounds, "tokens", "chat64")["CPU ms"]) == "0.4 (0.3-0.5)"


def test_every_row_names_both_halves() -> None:
    rows = compare.known_rows()
    assert {"direct", "nginx", "tokens"} <= set(rows)
    assert all(
        row.openai.startswith("/") and row.anthropic.startswith("/") for row in rows.values()
    )
