"""`tokens run`: a newcomer's first five minutes, and nothing left behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests

from app.platforms import PLATFORMS
from tests.stack import TOKENS, free_port, until

pytestmark = pytest.mark.slow


class Running:
    """`tokens run` in the background."""

    def __init__(self, environ: dict[str, str], folder: Path, port: int) -> None:
        self.port = port
        self.log = folder / f"run-{time.monotonic_ns()}.log"
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [TOKENS, "run"],
            env=environ | {"TOKENS_PORT": str(port)},
            cwd=folder,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def said(self) -> str:
        return self.log.read_text()

    def ready(self) -> str:
        assert until(lambda: "Ctrl-C ends it." in self.said(), 30), self.said()
        return self.said()

    def family(self) -> list[int]:
        """Every process below this one."""
        found, left = [], [self.process.pid]
        while left:
            children = Path(f"/proc/{left[-1]}/task/{left.pop()}/children")
            pids = [int(pid) for pid in children.read_text().split()]
            found += pids
            left += pids
        return found

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


@pytest.fixture
def run(environ, tmp_path):
    started = []

    def start(**settings: str) -> Running:
        started.append(Running(environ | settings, tmp_path, free_port()))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.interrupt()


def test_the_printed_curl_line_works_when_pasted(run):
    said = run().ready()

    (line,) = re.findall(r"^  (curl .*)$", said, re.MULTILINE)
    answer = subprocess.run(shlex.split(line) + ["-s"], capture_output=True, text=True, timeout=20)

    assert '"object":"chat.completion"' in answer.stdout
    assert 'You said \\"Hello!\\"' in answer.stdout


def test_a_second_run_reuses_the_licence_and_is_quick(run):
    first = run()
    licence = re.search(r"tok-\S+", first.ready())[0]
    first.interrupt()

    second = run()
    said = second.ready()

    assert time.monotonic() - second.began < 5
    assert licence in said


def test_an_interrupt_ends_every_process(run):
    running = run()
    running.ready()
    family = running.family()

    running.interrupt()

    assert len(family) >= 3  # the simulators, gunicorn, its workers
    assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family), 10)
    assert running.process.returncode == 0


def test_a_real_key_sends_that_platform_to_the_vendor(run):
    said = run(OPENAI_API_KEY="sk-real-canary").ready()

    where = dict(re.findall(r"^  /(\w+) +(\S.*)$", said, re.MULTILINE))
    assert where["chatgpt"].startswith("https://api.openai.com/v1")
    assert where["gemini"] == where["claude_api"] == "simulator"
    listed = re.findall(r"^  /\w+ +(?=\S)", said, re.MULTILINE)
    assert len(listed) == len(PLATFORMS) and len(set(map(len, listed))) == 1  # one column
    assert "canary" not in said


def test_every_platform_answers_on_its_simulator(run):
    running = run()
    licence = re.search(r"tok-\S+", running.ready())[0]
    models = {
        "chatgpt": "gpt-4o",
        "claude_api": "claude-sonnet-5",
        "codex": "gpt-5.4",
        "gemini": "gemini-2.5-flash",
    }

    told = {}
    for name, model in models.items():
        answer = requests.post(
            f"http://127.0.0.1:{running.port}/{name}/v1/chat/completions",
            json={"model": model, "messages": [{"role": "user", "content": "你好"}]},
            headers={"Authorization": licence},
            timeout=20,
        )
        told[name] = "你好" in answer.json()["choices"][0]["message"]["content"]

    assert told == dict.fromkeys(models, True)


def test_the_help_names_every_variable_that_a_key_is_taken_from(called):
    told = " ".join(called("run", "--help").stdout.split())

    for platform in PLATFORMS.values():
        assert all(variable in told for variable in platform.key_variables)
