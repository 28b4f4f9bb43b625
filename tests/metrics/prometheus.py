"""A Prometheus that runs."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import requests

from tests.stack import free_port, program


class Prometheus:
    """With this configuration and these rules, but it scrapes every second and waits for nothing to last
    before it rings.
    """

    def __init__(self, folder: Path, config: dict[str, Any], rules: dict[str, Any]) -> None:
        hurried = copy.deepcopy(rules)
        for group in hurried["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        (folder / "hurried.yml").write_text(json.dumps(hurried))
        often = {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
        config = config | {"global": often, "rule_files": ["hurried.yml"]}
        (folder / "hurried.json").write_text(json.dumps(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        words = [program("prometheus"), f"--config.file={folder / 'hurried.json'}"]
        words += [f"--storage.tsdb.path={folder / 'data'}"]
        words += [f"--web.listen-address={self.url.removeprefix('http://')}"]
        with (folder / "noise").open("wb") as noise:
            self._process = subprocess.Popen(words, stdout=noise, stderr=noise)

    def ringing(self) -> set[tuple[str, str]]:
        """Alerts that ring, and the platform they speak of."""
        found = self._told("alerts")["alerts"]
        return {(one["labels"]["alertname"], one["labels"].get("platform", "")) for one in found}

    def scraped(self) -> bool:
        """Whether it has heard of the gateway twice, so that it sees what grows."""
        query = "query?query=count_over_time(tokens_processes_lost_total[1m])>1"
        return bool(self._told(query)["result"])

    def _told(self, path: str) -> Any:
        nothing = {"alerts": [], "result": []}
        try:
            answer = requests.get(f"{self.url}/api/v1/{path}", timeout=5)
        except requests.ConnectionError:
            return nothing
        return answer.json()["data"] if answer.ok else nothing  # it takes a moment to be ready

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
