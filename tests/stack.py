"""The gateway as it runs in earnest, in processes of its own, on simulators in another.

gunicorn is started as `tokens serve` becomes it, with the configuration it is deployed with; what the command looks
at first takes a second, and is tested where services are started as systemd does and in tests/cli. Everything
listens on loopback, on ports that were free a moment ago, and keeps its state in a folder of the
test session. Processes are ended by their ids.

One thing to know about the journal: it does not keep what a simulator answered. `replay` asks the
simulator the same thing once more, which gives the same answer, since simulators are deterministic.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import pytest
import requests

from app.cli import main
from app.cli.serve import gunicorn_command
from app.platforms import PLATFORMS

ROOT = Path(__file__).resolve().parents[1]
TOKENS = str(Path(sys.executable).with_name("tokens"))
KEY = "upstream-key-5be1d0c2"
PATIENCE = 15.0
START_PATIENCE = 60.0  # a machine may be busy with other tests
OURS = ("TOKENS_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_")
VENDOR_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")

Json = dict[str, Any]
T = TypeVar("T")
_pause = threading.Event()  # never set: waiting for it is a pause that ends


def until(look: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first truthy thing that `look` finds; what it found last, once the time is up."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        _pause.wait(0.02)
    return found


def compact(value: Any) -> bytes:
    """JSON in as few bytes as there can be, as the gateway writes it too."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def missing(service: str) -> None:
    """Skips the test for want of `service`; where nothing may be left out, fails it."""
    words = f"{service} is not installed here"
    if os.environ.get("TESTS_NEED_EVERYTHING"):
        pytest.fail(words)
    pytest.skip(words)


def program(name: str) -> str:
    """The path of a program the test cannot do without."""
    path = shutil.which(name)
    if path is None:
        missing(name)
    assert path is not None
    return path


def clean_environ() -> dict[str, str]:
    """The environment without anything that would steer the gateway or a client behind our back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTEST_CURRENT_TEST", None)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # each process would compile all modules for itself
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONPATH": str(ROOT)}


class Simulators:
    """All simulators in one process of their own, which `module` is with these words."""

    def __init__(self, module: str = "app.cli.simulate", *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environ(),
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        told: dict[str, str] = json.loads(self._process.stdout.readline())
        # A simulator may be there before its platform is.
        self.bases = {name: base for name, base in told.items() if name in PLATFORMS}

    def journal(self, name: str) -> list[Json]:
        """What the platform was asked since `clear`, oldest first."""
        found: list[Json] = self._control("GET", name, "journal")
        return found

    def posts(self, name: str) -> list[Json]:
        """The same without looks: workers go on looking after the films of earlier tests."""
        return [one for one in self.journal(name) if one["method"] == "POST"]

    def clear(self, *names: str) -> None:
        """Forgets what these platforms were asked, or all of them."""
        for name in names or self.bases:
            self._control("DELETE", name, "journal")

    def mishap(self, name: str, kind: str, times: int = 1, **more: float) -> None:
        """What will go wrong with the next call, or the next few."""
        self._control("POST", name, "mishaps", [{"kind": kind, **more}] * times)

    def hangups(self, name: str) -> int:
        """How many streams of the platform were left by their reader, ever."""
        return int(self._control("GET", name, "hangups")["hangups"])

    def forward(self, name: str, seconds: float) -> None:
        """Lets so many seconds go by at the platform."""
        self._control("POST", name, "clock", {"forward": seconds})

    def replay(self, name: str, entry: Json) -> requests.Response:
        """The platform's answer to what the journal says it was asked, byte for byte."""
        body = compact(entry["body"])
        assert len(body) == int(entry["headers"]["content-length"])
        url = self._origin(name) + entry["path"] + (f"?{entry['query']}" if entry["query"] else "")
        kept = {
            k: v for k, v in entry["headers"].items() if k.startswith(("anthropic-", "content-t"))
        }
        signed = {name: value for name, value in entry["headers"].items() if name in VENDOR_HEADERS}
        headers = {
            **kept,
            **{name: KEY if name != "authorization" else f"Bearer {KEY}" for name in signed},
        }
        return requests.post(url, data=body, headers=headers, timeout=PATIENCE)

    def stop(self) -> None:
        _end(self._process)

    def _origin(self, name: str) -> str:
        return self.bases[name].removesuffix("/v1")

    def _control(self, method: str, name: str, route: str, body: Any = None) -> Any:
        parts = urlsplit(self._origin(name))
        line = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        line.request(method, f"/_simulator/{route}", None if body is None else compact(body))
        answer = line.getresponse()
        told = answer.read()
        line.close()
        assert answer.status == 200, told
        return json.loads(told)


class AccessLog:
    """The access log of a gateway, to which thousands of tests add: each line is read once, however
    often somebody looks.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._lines: list[Json] = []
        self._by_request: dict[str, Json] = {}

    def lines(self) -> list[Json]:
        """All lines there are, oldest first."""
        self._catch_up()
        return self._lines.copy()

    def line(self, request_id: str) -> Json | None:
        """The newest line of this request, if there is one yet."""
        self._catch_up()
        return self._by_request.get(request_id)

    def _catch_up(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]  # the last line may be half written
        if not whole:
            return
        self._read += len(whole) + 1
        new = [json.loads(line) for line in whole.split(b"\n")]
        self._lines += new
        self._by_request |= {line["request"]: line for line in new}


class Stack:
    """A gateway on the simulators. `settings` are environment variables."""

    command = gunicorn_command()
    background = [sys.executable, "-m", "tests.background"]
    home = ROOT  # of the program that starts next

    def __init__(self, simulators: Simulators, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.simulators, self.folder = simulators, folder
        self.access_log, self._stderr = folder / "access.log", folder / "stderr.log"
        self._log = AccessLog(self.access_log)
        self.environ = clean_environ() | {
            "TOKENS_DATABASE_URL": f"sqlite:///{folder / 'tokens.db'}",
            "TOKENS_LOG_FILE": str(self.access_log),
            "TOKENS_WORKERS": "1",
            "TOKENS_SEAL_FILE": str(folder / "seal.key"),
            "TOKENS_MEDIA_FOLDER": str(folder / "media"),
            "TOKENS_WEBHOOK_FILE": str(folder / "webhook.key"),
            "TOKENS_LINK_FILE": str(folder / "link.key"),
            "TOKENS_SPOOL_FOLDER": str(folder / "spool"),
            "TOKENS_QUEUE_FILE": str(folder / "queue.db"),
            "TOKENS_COUNTERS_FILE": str(folder / "counters"),
            "TOKENS_METRICS_FILE": str(folder / "metrics"),
            "TOKENS_JOURNAL_FILE": str(folder / "ledger.journal"),
            "TOKENS_PRICES_FOLDER": str(folder / "prices"),
            # Gateways are shared, and what one test does to a key is none of the next one's business.
            "TOKENS_REST_SECONDS": "0",
            "TOKENS_RETRY_PERCENT": "1000",
        }
        for name in simulators.bases.keys() & PLATFORMS.keys():
            self.environ[f"TOKENS_{name.upper()}_BASE_URL"] = simulators.bases[name]
            self.environ[f"TOKENS_{name.upper()}_KEYS"] = KEY
        self.environ |= settings
        self.licence = _called_here(self.environ, "licence", "add", "--label", "end to end").strip()
        self._process = self._started()
        self._worker: subprocess.Popen[bytes] | None = None

    def url(self, platform: str = "") -> str:
        """The address clients are given, without a version; the root's without a platform."""
        root = f"http://127.0.0.1:{self.environ['TOKENS_PORT']}"
        return f"{root}/{platform}" if platform else root

    def new_licence(self, *words: str) -> str:
        """Another licence, with what `tokens licence add` takes."""
        return _called_here(self.environ, "licence", "add", *words).strip()

    def tokens(self, *words: str) -> str:
        """What a command of `tokens` prints, run with the gateway's settings."""
        return _called_here(self.environ, *words)

    def said(self, *words: str) -> str:
        """All that a command says, also one that fails."""
        return "".join(_run_here(self.environ, *words)[1:])

    @property
    def pid(self) -> int:
        """The process that gunicorn itself runs in; the workers are its children."""
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The process that works in the background, once `work` was called."""
        assert self._worker is not None
        return self._worker.pid

    @property
    def log(self) -> list[Json]:
        """The access log: a line a request, written when its answer is over."""
        return self._log.lines()

    @property
    def noise(self) -> str:
        """Whatever else was written: by gunicorn, by warnings, by tracebacks."""
        return self._stderr.read_text()

    def line(self, request_id: str) -> Json:
        """The access line of this request; waits for it."""
        found = until(lambda: self._log.line(request_id))
        assert found, f"no access line for {request_id}"
        return found

    def stop(self) -> None:
        """Ends it at once: asked politely, it would wait some seconds for the connections that clients
        keep open.
        """
        _end(self._process, signal.SIGQUIT)
        if self._worker is not None:
            _end(self._worker)
            self._worker = None

    def work(self) -> None:
        """Sees to it that a worker works on films and pictures in the background."""
        if self._worker is None:
            with self._stderr.open("ab") as stderr:
                self._worker = self._begun(self.background, stderr)

    def restart(self) -> None:
        """Ends everything and begins again, with nothing but what is in files."""
        worked = self._worker is not None
        self.stop()
        self._process = self._started()
        if worked:
            self.work()

    def crash(self) -> None:
        """Kills every process at the same moment, as a power cut does."""
        killed = [self._process, *([self._worker] if self._worker else [])]
        below = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (*(one.pid for one in killed), *map(int, below)):
            os.kill(pid, signal.SIGKILL)
        for one in killed:
            one.wait()

    def revive(self) -> None:
        """Begins again after a crash where clients knew it, with nothing but what is in files."""
        self._process = self._started(self.environ["TOKENS_PORT"])
        if self._worker is not None:
            self._worker = None
            self.work()

    def _started(self, port: str = "") -> subprocess.Popen[bytes]:
        for _ in range(3):  # a port that was free may be taken by now
            self.environ["TOKENS_PORT"] = port or str(free_port())
            with self._stderr.open("ab") as stderr:
                process = self._begun(self.command, stderr)
            if until(lambda: self._is_up(process), START_PATIENCE) and self._answers():
                return process
            _end(process)
        raise AssertionError(f"the gateway did not start:\n{self.noise}")

    def _begun(self, words: list[str], noise: BinaryIO) -> subprocess.Popen[bytes]:
        environ = self.environ | {"PYTHONPATH": str(self.home)}
        return subprocess.Popen(words, env=environ, cwd=self.home, stdout=noise, stderr=noise)

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether waiting has an end, be it a good one."""
        return process.poll() is not None or self._answers()

    def _answers(self) -> bool:
        try:
            return requests.get(self.url() + "/health", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False


def _called_here(environ: dict[str, str], *words: str) -> str:
    """What a command of `tokens` prints."""
    code, out, err = _run_here(environ, *words)
    assert code == 0, err
    return out


def _run_here(environ: dict[str, str], *words: str) -> tuple[int, str, str]:
    """A command of `tokens`, run in this process: in one of its own it takes ten times as long."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(os, "environ", environ)
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given which asks the system for any."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)  # where Linux begins to give
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    process.send_signal(number)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def key_settings(keys: str) -> Mapping[str, str]:
    """Settings that give every platform these keys."""
    return {f"TOKENS_{name.upper()}_KEYS": keys for name in PLATFORMS}
