"""`tokens licence webhook`: a secret that is shown once, and an address that is checked."""

from __future__ import annotations

import json
import sqlite3

import pytest
from standardwebhooks.webhooks import Webhook

from app.seal import Seal

URL = "https://good.test/hook"


@pytest.fixture
def name(called):
    return json.loads(called("licence", "add", "--json").stdout)["name"]


@pytest.fixture
def webhook(called, name):
    def webhook(*words, good=True):
        done = called("licence", "webhook", name, *words)
        assert (done.returncode == 0) is good, done.stderr
        return done

    return webhook


def read(done):
    return json.loads(done.stdout)


def test_the_secret_is_shown_once_and_kept_sealed(webhook, tmp_path, name):
    made = webhook("--url", URL)
    secret = made.stdout.strip()
    stored = sqlite3.connect(tmp_path / "tokens.db").execute("SELECT * FROM webhooks").fetchall()

    assert len(Webhook(secret)._whsecret) == 32 and "cannot be shown again" in made.stderr
    assert read(webhook("--json"))["webhook"] == URL
    assert secret not in str(stored) + webhook("--json").stdout + webhook("--url", URL).stdout
    seal = Seal.load(tmp_path / "webhook.key")
    assert seal.open(f"webhook of {name}", stored[0][2]) == {"secret": secret}


def test_another_address_keeps_the_secret_and_renew_makes_another(webhook):
    first = read(webhook("--on-request", "--json"))
    moved = read(webhook("--url", URL, "--json"))
    renewed = read(webhook("--renew", "--json"))

    assert first["webhook"] == "on request" and first["secret"]
    assert moved["webhook"] == URL and "secret" not in moved
    assert renewed["webhook"] == URL and renewed["secret"] not in ("", first["secret"])


def test_off_forgets_it(webhook):
    before = read(webhook("--url", URL, "--json"))

    assert read(webhook("--off", "--json"))["webhook"] == "off"
    assert read(webhook("--url", URL, "--json"))["secret"] != before["secret"]


@pytest.mark.parametrize(
    "words, why",
    [
        (["--url", "file:///etc/passwd"], "does not go to that address"),
        (["--url", "https://u:p@good.test/"], "does not go to that address"),
        (["--url", "https://good.test:8443/"], "port not allowed"),
        (["--renew"], "has no webhook; give --url or --on-request"),
    ],
)
def test_what_cannot_be_is_complained_of(webhook, words, why):
    done = webhook(*words, good=False)

    assert why in done.stderr and read(webhook("--json"))["webhook"] == "off"


def test_a_licence_that_is_not_there_is_complained_of(called):
    done = called("licence", "webhook", "nobody")

    assert done.returncode and "there is no licence nobody" in done.stderr
