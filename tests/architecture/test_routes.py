"""No route is reachable without a licence but the ones the README names."""

from __future__ import annotations

import pytest

from app.config import Settings
from app.factory import create_app
from app.platforms import PLATFORMS
from app.storage.database import Database
from app.storage.schema import prepare
from app.web.access import GUARD
from tests.architecture.source import ROOT

OPEN = {"/", "/health", "/api/hello", "/api/info", "/media/<seal>/<name>"}
OPERATORS = {"/metrics"}
OPENABLE = {"/v1/models", "/v1/models/<path:wanted>", "/v1/chat/completions"}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("routes")
    env = {
        "TOKENS_DATABASE_URL": f"sqlite:///{folder}/tokens.db",
        "TOKENS_LOG_FILE": str(folder / "access.log"),
    }
    prepare(Database(env["TOKENS_DATABASE_URL"]))
    return create_app(Settings.from_env(env, list(PLATFORMS.values())))


def test_every_route_says_who_may_call_it(app):
    silent = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not getattr(app.view_functions[rule.endpoint], GUARD, "")
    ]

    assert silent == []


def test_only_the_documented_routes_are_open(app):
    audience = {
        rule.rule: getattr(app.view_functions[rule.endpoint], GUARD)
        for rule in app.url_map.iter_rules()
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {path for path, who in audience.items() if who == "anyone"} == OPEN
    assert {path for path, who in audience.items() if "unless" in who} == OPENABLE
    assert {path for path, who in audience.items() if who == "the operator"} == OPERATORS
    for path in OPEN | OPERATORS | {"/v1/models"}:
        assert f"`{path}`" in readme


def test_every_guarded_route_refuses_a_stranger(app):
    """C-038: asked for real, route by route."""
    client = app.test_client()
    let_in = []
    for rule in app.url_map.iter_rules():
        if rule.rule in OPEN | OPENABLE | OPERATORS:
            continue
        path = rule.build({name: "x" for name in rule.arguments}, append_unknown=False)[1]
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            answer = client.open(path, method=method, headers={"Authorization": "Bearer wrong"})
            if answer.status_code != 401:
                let_in.append((method, path, answer.status_code))

    assert let_in == []
