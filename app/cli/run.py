"""`tokens run`: everything a newcomer needs, in one terminal.

The simulators, the gateway and its worker run as children; Ctrl-C ends them all. A platform whose real key is
in the environment goes to the real vendor, every other to its simulator. The licence for trying
things out is kept in a file beside the database, readable by its owner alone, so that a second run
prints the same line.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from app.cli.database import opened
from app.cli.serve import check_log, check_port, gunicorn_command
from app.cli.state import check_state
from app.cli.words import Complaint, settings
from app.cli.worker import worker_command
from app.config import Settings
from app.platforms import PLATFORMS
from app.storage.licences import Licences, digest

START_SECONDS = 20
SIMULATED_KEY = "simulated-key"
TRY_MODEL = {"chatgpt": "gpt-4o"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    given = (variable for platform in PLATFORMS.values() for variable in platform.key_variables)
    *others, last = dict.fromkeys(given)
    parser.epilog = f"A key in {', '.join(others)} or {last} calls the real vendor."


def run(options: argparse.Namespace) -> int:
    os.environ.pop("TOKENS_SOCKET_FILE", None)  # people try things out by an address
    chosen = settings()
    check_log(chosen)
    check_port(chosen)
    check_state(chosen)
    licence = _licence(chosen)
    children: list[subprocess.Popen[Any]] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        environ, lines = _simulated(chosen, children)
        server = subprocess.Popen(gunicorn_command(), env=environ, process_group=0)
        children.append(server)
        _wait_until_ready(chosen, server)
        # Afterwards: two that start at the same time keep a newcomer waiting for both.
        children.append(subprocess.Popen(worker_command(), env=environ, process_group=0))
        print("\n".join(lines + _invitation(chosen, licence)), flush=True)
        return _watch(children)
    except _Stopped:
        print("\nstopping ...", file=sys.stderr)
        return 0
    finally:
        _end(children)


class _Stopped(Exception):
    """Somebody wants this to end."""


def _stop(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise _Stopped


# ---------------------------------------------------------------- the pieces


def _licence(chosen: Settings) -> str:
    """The licence for trying things out: the one from last time if it is still good."""
    try:
        with opened(chosen) as database:
            table, kept = Licences(database), _licence_file(chosen)
            if kept.exists():
                words = kept.read_text().strip()
                licence = table.by_digest(digest(words))
                if licence is not None and licence.is_live(time.time()):
                    return words
            words, _ = table.add(time.time(), label="made by tokens run")
            descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w") as file:
                file.write(words + "\n")
            return words
    except OSError as error:
        raise Complaint(f"cannot write {error.filename}: {error.strerror}") from error


def _licence_file(chosen: Settings) -> Path:
    if chosen.database_url.startswith("sqlite:///"):
        return Path(chosen.database_url.removeprefix("sqlite:///")).parent / "licence"
    Path("var").mkdir(mode=0o700, exist_ok=True)
    return Path("var/licence")


def _simulated(
    chosen: Settings, children: list[subprocess.Popen[Any]]
) -> tuple[dict[str, str], list[str]]:
    """The environment for the gateway, and a line for each platform that says where it goes."""
    command = [sys.executable, "-m", "app.cli.simulate"]
    simulators = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
    children.append(simulators)
    assert simulators.stdout is not None
    first = simulators.stdout.readline()
    if not first:
        raise Complaint("the simulators did not start; what they said stands above")
    urls = json.loads(first)
    environ, lines = dict(os.environ), []
    width = max(map(len, chosen.platforms))
    for name, one in chosen.platforms.items():
        prefix = f"TOKENS_{name.upper()}"
        if not one.keys and one.base_url == PLATFORMS[name].base_url:
            environ |= {f"{prefix}_BASE_URL": urls[name], f"{prefix}_KEYS": SIMULATED_KEY}
            lines.append(f"  /{name:<{width}} simulator")
        else:
            keys = "your key" if one.keys else "no key"
            lines.append(f"  /{name:<{width}} {one.base_url} with {keys}")
    environ.setdefault("TOKENS_LOG_FILE", str(_licence_file(chosen).parent / "access.log"))
    return environ, ["", "Where each platform goes:", *lines]


def _wait_until_ready(chosen: Settings, server: subprocess.Popen[Any]) -> None:
    url = f"http://{_reached(chosen)}/health"
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise Complaint("the gateway did not start; what it said stands above")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise Complaint(f"the gateway did not answer at {url} within {START_SECONDS} s")


def _reached(chosen: Settings) -> str:
    host = "127.0.0.1" if chosen.host in ("0.0.0.0", "::") else chosen.host
    return f"{f'[{host}]' if ':' in host else host}:{chosen.port}"


def _invitation(chosen: Settings, licence: str) -> list[str]:
    base = f"http://{_reached(chosen)}"
    name = "chatgpt" if "chatgpt" in chosen.platforms else next(iter(chosen.platforms))
    body = {
        "model": TRY_MODEL.get(name, "auto"),
        "messages": [{"role": "user", "content": "Hello!"}],
    }
    return [
        "",
        f"The gateway listens on {base}. Your licence:",
        "",
        f"  {licence}",
        "",
        "Try it:",
        "",
        f"  curl {base}/{name}/v1/chat/completions -H 'Content-Type: application/json' "
        f"-H 'Authorization: Bearer {licence}' -d '{json.dumps(body)}'",
        "",
        "Ctrl-C ends it.",
    ]


# ---------------------------------------------------------------- children


def _watch(children: list[subprocess.Popen[Any]]) -> int:
    """Sleeps until a child ends, which none should."""
    while True:
        for child in children:
            if (code := child.poll()) is not None:
                print(f"tokens: a process ended by itself with code {code}", file=sys.stderr)
                return 1
        time.sleep(0.5)


def _end(children: list[subprocess.Popen[Any]]) -> None:
    for child in reversed(children):
        child.send_signal(signal.SIGINT)  # gunicorn's quick way: a TERM waits for idle connections
    for child in children:
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
