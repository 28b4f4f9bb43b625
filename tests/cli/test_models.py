"""`tokens models`: what can be asked for, and whether the platforms still have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_doctor import base_urls
from tests.stack import Simulators


def test_models_are_listed_with_their_parameters_and_other_names(tokens):
    listed = json.loads(tokens("models", "list", "--json").stdout)
    rows = {(row["platform"], row["model"]): row for row in listed}

    assert {"low", "high"} <= set(rows["codex", "gpt-5.2"]["parameters"])
    assert rows["chatgpt", "gpt-5-5-thinking"]["means"] == "gpt-5.5"


def test_one_platform_can_be_listed_alone(called):
    listed = json.loads(called("models", "list", "--platform", "codex", "--json").stdout)

    assert {row["platform"] for row in listed} == {"codex"}


def test_the_list_is_compared_with_the_platforms_own(
    called, simulators: Simulators, tmp_path: Path
):
    file = tmp_path / "models.json"
    model = {"id": "gone-model", "name": "Gone", "context": 1, "max_output": 1}
    file.write_text(json.dumps({"chatgpt": {"models": [model]}}))
    done = called(
        *("models", "check", "--json"),
        TOKENS_CHATGPT_KEYS="sk-good",
        TOKENS_MODELS_FILE=str(file),
        **base_urls(simulators),
    )
    found = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert {row["platform"] for row in found} == {"chatgpt"}
    assert ("gone", "gone-model") in {(row["state"], row["model"]) for row in found}
    assert ("gone", "gpt-4o") not in {(row["state"], row["model"]) for row in found}


def test_a_platform_that_cannot_be_asked_is_wrong(called, simulators: Simulators):
    done = called(
        "models", "check", "--json", TOKENS_CODEX_KEYS="sk-revoked", **base_urls(simulators)
    )

    assert done.returncode == 1
    assert [row["state"] for row in json.loads(done.stdout)] == ["wrong"]
    assert "sk-revoked" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "should be an object"),
        ('{"nobody": {}}', "nobody"),
        ('{"chatgpt": {"modells": []}}', "may have the lists"),
        ('{"chatgpt": {"models": [{"id": "x"}]}}', "cannot be used"),
        ('{"chatgpt": {"aliases": [{"nam": "x"}]}}', "cannot be used"),
        ('{"chatgpt": {"rules": [{"match": "x", "facts": {"contxt": 1}}]}}', "cannot be used"),
    ],
)
@pytest.mark.parametrize(
    "command", [("models", "list"), ("serve",), ("doctor", "--offline")], ids=" ".join
)
def test_a_file_that_cannot_be_used_is_told_in_one_sentence(
    called, tmp_path, command, content, words
):
    file = tmp_path / "models.json"
    if content is not None:
        file.write_text(content)
    done = called(*command, TOKENS_MODELS_FILE=str(file))

    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "TOKENS_MODELS_FILE" in told and words in told and "Traceback" not in told
