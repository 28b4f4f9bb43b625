"""What deploy/install.md and the alerts say of watching a server, done behind the nginx file that we ship."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.deploy.front import NAME, Certificate
from tests.deploy.pages import page, sections
from tests.deploy.service import Service, fronted
from tests.metrics.prometheus import Prometheus
from tests.stack import ROOT, Simulators, clean_environ, program, until

pytestmark = pytest.mark.slow
SOCKET = "/run/tokens-web-a/web.sock"


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    """What is to be pasted: to make a token, to see that it works, to set up Prometheus."""
    return sections(page("install.md"))["Watching it"]


@pytest.fixture(scope="module")
def token(blocks: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The one that is in the settings when the first block was pasted into a shell."""
    program("openssl")
    file = tmp_path_factory.mktemp("etc") / "tokens.env"
    file.write_text((ROOT / "deploy" / "tokens.env.example").read_text())
    paste(blocks[0].replace("/etc/tokens/tokens.env", str(file)))
    (found,) = re.findall(r"^TOKENS_METRICS_TOKEN=(\w+)$", file.read_text(), re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def watched(
    simulators: Simulators,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
    token: str,
) -> Iterator[Service]:
    settings = {"TOKENS_METRICS_TOKEN": token}
    with fronted(simulators, tmp_path_factory, certificate, **settings) as running:
        yield running


def paste(words: str, **variables: str) -> str:
    """What a shell says to it in which services are left as they are."""
    done = subprocess.run(
        ["sh", "-euc", f"systemctl() {{ :; }}\n{words}"],
        env=clean_environ() | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_the_token_nginx_lets_them_through(
    watched: Service, blocks: list[str], token: str
) -> None:
    program("curl")
    look = blocks[1].replace(f"https://{NAME}", watched.front.url)
    trust = {"CURL_CA_BUNDLE": str(watched.front.certificate.file)}

    assert paste(look, TOKEN=token, **trust).splitlines()[-1] == "tokens_database_up 1"
    for shown in ({}, {"Authorization": "Bearer of-somebody-else"}):
        refused = requests.get(f"{watched.front.url}/metrics", headers=shown, timeout=10)
        assert refused.status_code == 404 and "tokens_" not in refused.text


def test_prometheus_hears_of_it_by_the_file_that_we_ship(
    watched: Service, blocks: list[str], token: str, tmp_path: Path
) -> None:
    """The file as the page has it put there, with the line for a certificate of one's own."""
    program("promtool")
    paste(
        blocks[2]
        .replace("apt-get ", ": ")
        .replace(" -g prometheus", "")
        .replace("/opt/tokens/", f"{ROOT}/")
        .replace("/etc/prometheus/", f"{tmp_path}/")
        .replace("YOUR-NAME", f"localhost:{watched.front.port}"),
        TOKEN=token,
    )
    assert (tmp_path / "tokens-metrics-token").stat().st_mode & 0o777 == 0o640
    text = (tmp_path / "prometheus.yml").read_text().replace("# tls_config", "tls_config")
    config = yaml.safe_load(text)
    config["scrape_configs"][0]["tls_config"] = {"ca_file": str(watched.front.certificate.file)}
    rules = yaml.safe_load((tmp_path / config["rule_files"][0]).read_bytes())
    prometheus = Prometheus(tmp_path, config, rules)
    try:
        assert until(prometheus.scraped, 30)
        assert prometheus.ringing() == set()
    finally:
        prometheus.stop()


@pytest.mark.parametrize("place", ["the alert", "the page"])
def test_what_the_host_itself_is_asked_by_answers(watched: Service, place: str) -> None:
    program("curl")
    told = {
        "the alert": (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(),
        "the page": page("install.md"),
    }[place]
    (asked,) = re.findall(r"`(curl -i --unix-socket [^`]+)`", told)

    heard = paste(asked.replace(SOCKET, str(watched.socket_file)))
    assert heard.startswith("HTTP/1.1 200 OK") and '"status":"ok"' in heard


def test_the_page_on_metrics_has_the_job_of_the_file() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    file = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_bytes())
    shown = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]

    assert shown[0]["scrape_configs"] == file["scrape_configs"]
