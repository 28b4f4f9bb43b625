"""Where nothing is installed that traces are sent with."""

from __future__ import annotations

import sys

import pytest

from app.config import Settings
from app.extras import to_install
from app.factory import create_app
from app.platforms import PLATFORMS
from app.web.gateway import KEY


@pytest.mark.parametrize("traced, lines", [(True, 1), (False, 0)])
def test_whoever_has_not_installed_them_is_served_and_told(
    tmp_path, monkeypatch, capsys, traced, lines
):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "app.web.traces", raising=False)
    names = {"DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db", "LOG_FILE": str(tmp_path / "log")}
    env = {f"TOKENS_{name}": value for name, value in names.items()}
    app = create_app(Settings.from_env(env, list(PLATFORMS.values())), traced=traced)

    assert app.extensions[KEY].traces is None
    assert capsys.readouterr().err.count(to_install("traces")) == lines
