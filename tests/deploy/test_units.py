"""What is in deploy/ fits together, fits the settings, and shuts the services in."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from app.config import Settings
from app.platforms import PLATFORMS
from app.web.worker import IDLE_SECONDS, LAST_SECONDS
from tests.deploy.service import OverSocket, Service
from tests.stack import ROOT, TOKENS, program, until

DEPLOY = ROOT / "deploy"
UNITS = ("tokens-web@.service", "tokens-worker.service")
SITE = (DEPLOY / "nginx.conf").read_text()
EXAMPLE = (DEPLOY / "tokens.env.example").read_text()
USUAL = Settings()
# Set by the unit, or nothing that depends on the server.
ELSEWHERE = frozenset(
    """host port socket_file close_reasoning_content connect_seconds end_after_error look_seconds
    retire_after retry_percent retry_wait_seconds return_reasoning_content thinking_budget""".split()
)


def unit(name: str) -> dict[str, list[str]]:
    """What a unit says, by name."""
    said: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            said.setdefault(key, []).append(value)
    return said


def seconds(name: str) -> float:
    """A time of the site, in seconds."""
    found = re.search(rf"^\s*{name} (\d+)(s|m|h|d);", SITE, re.MULTILINE)
    assert found is not None, name
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


@pytest.fixture(scope="module")
def runnable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, with programs that are there."""
    folder = tmp_path_factory.mktemp("units")
    for name in UNITS:
        said = (DEPLOY / name).read_text().replace("/opt/tokens/.venv/bin/tokens", "/bin/true")
        (folder / name).write_text(said)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_the_units(name: str, runnable: Path) -> None:
    words = [program("systemd-analyze"), "verify", "--man=no", str(runnable / name)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert name.partition(".")[0].strip("@") not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", UNITS)
def test_the_services_are_shut_in(name: str, runnable: Path) -> None:
    """S-064."""
    words = [program("systemd-analyze"), "security", "--offline=true", "--no-pager", name]
    words[-1] = str(runnable / name)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) < 2.0, done.stdout


@pytest.mark.parametrize("name", UNITS)
def test_the_services_see_each_other(name: str) -> None:
    """With either, processes of the other services would count as dead, and their rows of the ledger
    as left behind.
    """
    assert not {"ProcSubset", "PrivateUsers"} & unit(name).keys()
    assert unit(name)["User"] == ["tokens"]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_waits_longer_than_the_gateway(name: str) -> None:
    (stop,) = unit(name)["TimeoutStopSec"]

    assert int(stop) >= USUAL.stop_seconds + LAST_SECONDS + 10
    assert int(stop) >= USUAL.answer_seconds
    assert "TimeoutStopSec: 30 more" in EXAMPLE and int(stop) == USUAL.stop_seconds + 30


@pytest.mark.parametrize("name", UNITS)
def test_a_service_has_so_much_memory_and_comes_back(name: str) -> None:
    """R-050, R-045: of several processes, the one that has most of it dies alone."""
    said = unit(name)

    assert said["MemoryMax"] == ["2G"] and said["Restart"] == ["always"]
    assert name != UNITS[0] or said["OOMPolicy"] == ["continue"]


def test_nginx_and_the_units_mean_the_same_sockets() -> None:
    (socket_file,) = unit(UNITS[0])["Environment"]
    (folder,) = unit(UNITS[0])["RuntimeDirectory"]
    path = socket_file.removeprefix("TOKENS_SOCKET_FILE=")

    assert path == f"/run/{folder}/web.sock"
    assert re.findall(r"server unix:(\S+) max_fails=0;", SITE) == [
        path.replace("%i", "a"),
        path.replace("%i", "b"),
    ]


def test_the_limits_of_nginx_fit_the_gateways() -> None:
    most = re.search(r"client_max_body_size (\d+)m;", SITE)

    assert most is not None and int(most[1]) == USUAL.body_megabytes + 1
    assert seconds("proxy_read_timeout") > USUAL.answer_seconds + USUAL.retry_seconds
    assert seconds("proxy_read_timeout") > USUAL.first_byte_seconds + USUAL.grace_seconds
    assert seconds("send_timeout") == USUAL.send_seconds
    assert seconds("keepalive_timeout") < IDLE_SECONDS
    assert "non_idempotent" not in SITE


@pytest.mark.parametrize(
    "line",
    [
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_buffering off;",
        "proxy_request_buffering on;",
        "gzip off;",
        "server_tokens off;",
        "underscores_in_headers off;",
        "reset_timedout_connection on;",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_reject_handshake on;",
    ],
)
def test_the_site_says(line: str) -> None:
    """R-135."""
    assert re.search(rf"^\s*{re.escape(line)}", SITE, re.MULTILINE)


@pytest.mark.parametrize("word", ["rewrite", "ssi", "slice", "charset", "$request ", "proxy_add_x"])
def test_the_site_does_without(word: str) -> None:
    """R-135."""
    told = "\n".join(line.partition("#")[0] for line in SITE.splitlines())
    assert not re.search(rf"(?<![\w$]){re.escape(word)}", told)


# ---------------------------------------------------------------- settings


def examples() -> dict[str, str]:
    """What the example sets, and what it would where a line is no comment any more."""
    lines = re.findall(r"^#?(TOKENS_\w+)=(.*)$", EXAMPLE, re.MULTILINE)
    assert len(lines) == len({name for name, _ in lines})
    return {name: value.strip("'") for name, value in lines}


def test_the_example_has_every_setting_that_depends_on_the_server() -> None:
    known = {one.name for one in fields(Settings)} - {"platforms"}
    keys = {f"TOKENS_{name.upper()}_KEYS" for name in PLATFORMS}
    wanted = {f"TOKENS_{name.upper()}" for name in known - ELSEWHERE} | keys

    assert ELSEWHERE <= known
    assert examples().keys() == wanted


def test_the_example_can_be_used_as_it_is_and_with_every_line() -> None:
    set_ = dict(re.findall(r"^(TOKENS_\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    doors = list(PLATFORMS.values())

    assert Settings.from_env(set_, doors).log_file == "-"
    assert Settings.from_env(examples(), doors).hosts == USUAL.hosts


def test_what_the_example_leaves_out_is_said_as_it_is() -> None:
    """A comment shows the default, where there is one."""
    said = re.findall(r"^#(TOKENS_\w+)=(.+)$", EXAMPLE, re.MULTILINE)
    usual = {f"TOKENS_{one.name.upper()}": one.default for one in fields(Settings)}
    shown = {
        name: value.strip("'")
        for name, value in said
        if not name.endswith("_KEYS") and name != "TOKENS_REDIS_URL"
    }

    assert shown == {name: _written(usual[name]) for name in shown}


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


# ---------------------------------------------------------------- shut in, and alive


@pytest.mark.slow
def test_the_gateway_serves_where_memory_cannot_become_code(
    service: Service, tmp_path: Path
) -> None:
    """MemoryDenyWriteExecute, which systemd has the kernel see to."""
    file = tmp_path / "web.sock"
    environ = service.environ | {"TOKENS_SOCKET_FILE": str(file)}
    with (tmp_path / "noise").open("wb") as noise:
        words = [sys.executable, "-m", "tests.deploy.walled", TOKENS, "serve"]
        process = subprocess.Popen(words, env=environ, stderr=noise, cwd=ROOT)
    try:
        assert until(file.exists, 30), (tmp_path / "noise").read_text()
        line = OverSocket(file)
        line.request("GET", "/health")
        assert line.getresponse().status == 200
        line.close()
    finally:
        process.terminate()
        assert process.wait(30) == 0
