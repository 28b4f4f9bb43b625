"""What is no place for a token: every one of them is tried, and none says the token again (S-008)."""

from __future__ import annotations

import json

import pytest

TOKEN = "sk-canary-0123456789abcdefghij"


@pytest.fixture
def credential(called, tmp_path):
    """Calls `tokens credential` with what stands on its standard input; nothing it says or keeps
    holds the token.
    """

    def call(*words: str, given: str = "", code: int = 0, **settings: str):
        done = called("credential", *words, given=given, **settings)
        assert done.returncode == code, done.stderr
        assert "canary" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file
        return done

    return call


@pytest.mark.parametrize(
    "words, code",
    [
        ((TOKEN,), 2),
        (("add", TOKEN), 1),
        (("add", "chatgpt", TOKEN), 2),
        (("add", "chatgpt", "--token", TOKEN), 2),
        (("add", "chatgpt", f"--token={TOKEN}"), 2),
        (("add", "chatgpt", "--base-url", TOKEN), 1),
        (("add", "chatgpt", "--weight", TOKEN), 1),
        (("add", "chatgpt", "--groups", f"{TOKEN} x"), 1),
        (("edit", TOKEN, "--weight", "2"), 1),
        (("edit", "1", "--token", TOKEN), 2),
        (("edit", "1", f"--token={TOKEN}"), 2),
        (("show", TOKEN), 1),
        (("check", TOKEN), 1),
        (("why", TOKEN), 1),
        (("list", "--platform", TOKEN), 1),
        (("enable", TOKEN), 1),
        (("disable", TOKEN), 1),
        (("remove", TOKEN, "--yes"), 1),
    ],
)
def test_a_token_in_the_wrong_place_is_not_said_again(credential, words, code):
    """S-008."""
    done = credential(*words, given="another", code=code)

    assert done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.parametrize(
    "text",
    [
        f"platform,token,base_url\nchatgpt,x,{TOKEN}\n",  # columns that were moved
        f"platform,token\n{TOKEN},chatgpt\n",
        f"platform,token,weight,rpm\nchatgpt,x,{TOKEN},{TOKEN}\n",
        f"platform,token,groups\nchatgpt,x,{TOKEN} {TOKEN}\n",
        json.dumps({"platform": "chatgpt", TOKEN: "x"}) + "\n",
        json.dumps({"platform": "chatgpt", "token": {TOKEN: 1}}) + "\n",
        '{"platform": "chatgpt", "token": "' + TOKEN + "\n",
    ],
)
def test_a_file_with_a_token_in_the_wrong_place_is_not_said_again(credential, text):
    """S-008."""
    done = credential("import", "-", "--json", given=text, code=1)

    assert [row["state"] for row in json.loads(done.stdout)] == ["wrong"]
    assert json.loads(credential("list", "--json").stdout) == []


def test_a_priority_may_be_below_zero(credential):
    made = credential("add", "chatgpt", "--priority", "-5", "--json", given=TOKEN)
    (row,) = json.loads(made.stdout)

    assert row["priority"] == -5


def test_nothing_else_may_be_below_zero(credential):
    done = credential("add", "chatgpt", "--weight", "-5", given=TOKEN, code=2)

    assert "-5 begins with a minus" in done.stderr
