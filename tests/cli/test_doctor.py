"""`tokens doctor`: finds what is wrong, and says what to do."""

from __future__ import annotations

import json

import pytest

from tests.stack import Simulators


def found(done):
    return {one["check"]: (one["state"], one["what"], one["do"]) for one in json.loads(done.stdout)}


def base_urls(simulators: Simulators) -> dict[str, str]:
    return {f"TOKENS_{name.upper()}_BASE_URL": url for name, url in simulators.bases.items()}


def test_a_good_installation_passes(tokens, simulators):
    keys = {f"TOKENS_{name.upper()}_KEYS": "sk-good" for name in simulators.bases}

    done = tokens("doctor", "--json", **base_urls(simulators), **keys)

    findings = found(done)
    assert done.returncode == 0, findings
    assert findings["chatgpt#1"][0] == findings["gemini#1"][0] == "ok"
    assert findings["write access"][0] == findings["settings"][0] == "ok"


def test_a_refused_key_is_named_by_its_number_and_not_shown(tokens, simulators):
    keys = {"TOKENS_CHATGPT_KEYS": "sk-good,sk-canary-revoked"}

    done = tokens("doctor", "--json", **base_urls(simulators), **keys)

    findings = found(done)
    assert done.returncode == 1
    assert findings["chatgpt#1"][0] == "ok"
    assert findings["chatgpt#2"][0] == "wrong" and "refused" in findings["chatgpt#2"][1]
    assert "canary" not in done.stdout + done.stderr


def test_an_address_nobody_listens_at_is_wrong(tokens):
    done = tokens(
        "doctor",
        "--json",
        TOKENS_GEMINI_BASE_URL="http://127.0.0.1:9",
        TOKENS_GEMINI_KEYS="k",
    )

    assert done.returncode == 1
    assert found(done)["gemini#1"][0] == "wrong"


@pytest.mark.parametrize("settings, check", [({"TOKENS_PRT": "1"}, "settings"), ({}, "keys")])
def test_what_is_missing_is_wrong_and_says_what_to_do(tokens, settings, check):
    done = tokens("doctor", "--json", "--offline", **settings)

    state, _, do = found(done)[check]
    assert done.returncode == 1
    assert state == "wrong" and do
