"""`tokens credential`: keys go in sealed, and nothing that is printed or kept tells them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.stack import Simulators

TOKEN = "sk-canary-0123456789abcdefghij"
OTHER = "sk-another-0123456789abcdefghi"


@pytest.fixture
def credential(called):
    """Calls `tokens credential` with what stands on its standard input."""

    def call(*words: str, given: str = "", code: int = 0, **settings: str):
        done = called("credential", *words, given=given, **settings)
        assert done.returncode == code, done.stderr
        for said in (done.stdout, done.stderr):
            assert TOKEN not in said and OTHER not in said
        return done

    return call


@pytest.fixture
def added(credential) -> dict:
    """One credential that is kept already."""
    return one(credential("add", "chatgpt", "--label", "first", "--json", given=TOKEN + "\n"))


def one(done) -> dict:
    (row,) = json.loads(done.stdout)
    return row


def rows(done) -> list[dict]:
    return json.loads(done.stdout)


def test_a_token_is_asked_for_kept_sealed_and_never_shown(credential, tmp_path):
    """S-004, S-008."""
    done = credential(
        "add", "chatgpt", "--label", "mine", "--groups", "Team,pro", "--weight", "3", "--priority", "2",
        "--rpm", "60", "--note", "the company's", "--json", given=TOKEN + "\n",
    )  # fmt: skip
    row = one(done)

    assert "keep a copy" in done.stderr
    assert (row["label"], row["groups"], row["weight"], row["priority"]) == (
        "mine",
        ["team", "pro"],
        3,
        2,
    )
    assert (row["limits"], row["state"], row["token"]) == (["rpm=60"], "on", "…ghij")
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert TOKEN.encode() not in file.read_bytes(), file


def test_a_token_on_the_command_line_is_refused_and_not_repeated(credential):
    """S-008: the shell and `ps` have seen it, but our answer does not spread it."""
    for words in (["x" * 30], ["--token", "x" * 30], ["--token=" + "x" * 30]):
        assert "x" * 30 not in credential("add", "chatgpt", *words, code=2).stderr


def test_a_token_may_come_from_a_file(credential, tmp_path):
    (tmp_path / "key").write_text(TOKEN + "\n")
    (tmp_path / "proxy").write_text("http://user:secret@proxy.example:8080\n")
    row = one(credential("add", "grok", "--file", "key", "--proxy-file", "proxy", "--json"))
    shown = credential("show", row["name"]).stdout

    assert row["token"] == "…ghij" and "secret" not in shown


@pytest.mark.parametrize(
    "words, given, says",
    [
        (("nowhere",), TOKEN, "there is no platform nowhere"),
        (("chatgpt",), "", "there is no token"),
        (("chatgpt",), "two words", "a token is printable"),
        (("chatgpt",), "a|b", "a token is printable"),
        (("chatgpt", "--weight", "0"), TOKEN, "weight should be a whole number from 1 to 1000"),
        (("chatgpt", "--priority", "high"), TOKEN, "priority should be a whole number"),
        (("chatgpt", "--groups", "a b"), TOKEN, "groups are words"),
        (("chatgpt", "--rpm", "0"), TOKEN, "rpm should be a whole number"),
        (("chatgpt", "--base-url", "ftp://x"), TOKEN, "base_url should be an http(s) address"),
        (("chatgpt", "--label", "x" * 201), TOKEN, "a label has at most 200"),
        (("chatgpt", "--file", "none"), "", "cannot read none"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(credential, words, given, says):
    done = credential("add", *words, given=given + "\n", code=1)

    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_same_token_is_not_kept_twice(credential, added):
    done = credential("add", "chatgpt", given=TOKEN + "\n", code=1)
    assert f"already, as {added['name']}" in done.stderr

    credential("add", "codex", given=TOKEN + "\n")  # another platform is another matter
    given = {"TOKENS_CHATGPT_KEYS": OTHER}
    done = credential("add", "chatgpt", given=OTHER + "\n", code=1, **given)
    assert "TOKENS_CHATGPT_KEYS has this token already" in done.stderr


def test_a_credential_is_changed_field_by_field(credential, added):
    name = added["name"]
    row = one(credential("edit", name, "--weight", "5", "--rpm", "9", "--tpd", "99", "--json"))
    assert (row["weight"], row["limits"], row["label"]) == (5, ["rpm=9", "tpd=99"], "first")
    row = one(credential("edit", str(row["id"]), "--rpm", "none", "--groups", "", "--json"))
    assert (row["limits"], row["groups"]) == (["tpd=99"], [])

    row = one(credential("edit", name, "--token", "--json", given=OTHER + "\n"))
    assert row["token"] == "…fghi"
    assert "nothing to change" in credential("edit", name, code=1).stderr


def test_the_last_limit_can_be_taken_away_too(credential, added):
    name = added["name"]
    assert one(credential("edit", name, "--rpm", "9", "--json"))["limits"] == ["rpm=9"]
    assert one(credential("edit", name, "--rpm", "none", "--json"))["limits"] == []
    assert one(credential("show", name, "--json"))["limits"] == []


def test_lengths_and_budgets_are_said_in_tokens_and_dollars(credential, added):
    name = added["name"]
    limits = ["context=900", "output=80", "budget_day=2.50", "budget_month=30.00"]
    limits += ["budget_total=0.000001", "credit=300.00", "credit_until=2026-12-31"]
    words = " ".join(f"--{one.replace('=', ' ').replace('_', '-')}" for one in limits).split()

    assert one(credential("edit", name, *words, "--json"))["limits"] == limits
    assert one(credential("show", name, "--json"))["limits"] == limits
    left = one(credential("edit", name, "--context", "none", "--credit", "none", "--json"))
    assert left["limits"] == limits[1:5]  # a credit that is none has no end


@pytest.mark.parametrize(
    "words, says",
    [
        (["--budget-day", "much"], "budget_day should be an amount in dollars"),
        (["--credit", "0.0000001"], "credit should be an amount in dollars"),
        (["--credit", "1", "--credit-until", "soon"], "credit_until should be a day"),
        (["--credit-until", "2026-12-31"], "credit_until needs a credit"),
        (["--context", "0"], "context should be a whole number"),
        (["--output", "1.5"], "output should be a whole number"),
    ],
)
def test_limits_that_cannot_be_are_told(credential, added, words, says):
    assert says in credential("edit", added["name"], *words, code=1).stderr


def test_a_credential_is_called_by_its_label_where_that_is_the_only_one(credential, added):
    assert one(credential("show", "first", "--json"))["name"] == added["name"]
    assert one(credential("edit", "first", "--weight", "2", "--json"))["weight"] == 2
    assert "nothing is held against it" in credential("why", "first").stdout
    credential("add", "grok", "--label", "first", given=OTHER)
    for words in (("show", "first"), ("disable", "first"), ("check", "first"), ("why", "first")):
        done = credential(*words, code=1)
        assert "are all called first" in done.stderr and added["name"] in done.stderr
    assert "no credential second" in credential("check", "second", code=1).stderr


def test_switching_off_and_on_and_forgetting(credential, added):
    name = added["name"]
    assert one(credential("disable", name, "--json"))["state"] == "off"
    assert "it is switched off" in credential("why", name).stdout
    assert one(credential("enable", name, "--json"))["state"] == "on"
    assert "say --yes" in credential("remove", name, code=1).stderr
    credential("remove", name, "--yes")
    assert rows(credential("list", "--json")) == []
    assert f"there is no credential {name}" in credential("show", name, code=1).stderr


def test_keys_of_the_settings_are_listed_but_not_changed(credential):
    given = {"TOKENS_CHATGPT_KEYS": TOKEN + "|pro"}
    (row,) = rows(credential("list", "--json", **given))
    assert (row["label"], row["source"], row["groups"]) == ("chatgpt#1", "settings", ["pro"])
    assert one(credential("show", "chatgpt#1", "--json", **given)) == row
    for verb in ("disable", "enable"):
        assert "is a key in the settings" in credential(verb, row["name"], code=1, **given).stderr


def test_looking_makes_nothing(credential, tmp_path):
    assert "no credential yet" in credential("list").stderr
    assert not list(tmp_path.iterdir())


def test_losing_the_key_file_is_told_and_mended_by_giving_the_token_again(
    credential, added, tmp_path
):
    """S-005."""
    (tmp_path / "seal.key").unlink()
    (row,) = rows(credential("list", "--json"))
    assert row["state"] == "cannot be opened"
    for words in (("add", "grok"), ("edit", added["name"], "--token"), ("check",)):
        done = credential(*words, given=OTHER + "\n", code=1)
        assert "seal.key" in done.stderr + done.stdout
    assert not (tmp_path / "seal.key").exists()  # never a new one where something is sealed

    (tmp_path / "seal.key").write_text("3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    row = one(credential("edit", added["name"], "--token", "--json", given=OTHER + "\n"))
    assert row["state"] == "on"


# ---------------------------------------------------------------- many at once

CSV = f"""platform,token,label,groups,weight,enabled
chatgpt,{TOKEN},one,"team,pro",2,true
,{OTHER},two,,,false
chatgpt,{TOKEN},again,,,
nowhere,x,,,,
grok,y,,,0,
"""


def test_a_file_is_taken_in_line_by_line(credential, tmp_path):
    (tmp_path / "keys.csv").write_text(CSV)
    done = credential("import", "keys.csv", "--platform", "grok", "--json", code=1)

    assert [(row["line"], row["state"]) for row in rows(done)] == [
        (2, "added"),
        (3, "added"),
        (4, "there"),
        (5, "wrong"),
        (6, "wrong"),
    ]
    kept = {row["label"]: row for row in rows(credential("list", "--json"))}
    assert (kept["one"]["platform"], kept["one"]["groups"]) == ("chatgpt", ["team", "pro"])
    assert (kept["two"]["platform"], kept["two"]["state"]) == ("grok", "off")


def test_a_dry_run_keeps_nothing(credential, tmp_path):
    done = credential(
        "import", "-", "--dry-run", given=CSV.splitlines()[0] + f"\nchatgpt,{TOKEN},,,,\n"
    )
    assert "would be added" in done.stdout
    assert rows(credential("list", "--json")) == []


def test_lines_of_json_may_be_wrong_in_their_own_ways(credential):
    lines = [
        json.dumps({"platform": "claude", "token": TOKEN, "groups": ["a", "b"], "rpm": 5}),
        "{broken",
        "[1]",
        json.dumps({"platform": "claude", "tokem": "x"}),
        json.dumps({"platform": "claude", "token": "ok", "rpm": True}),
    ]
    found = rows(credential("import", "-", "--json", given="\n".join(lines), code=1))

    assert [row["state"] for row in found] == ["added", "wrong", "wrong", "wrong", "wrong"]
    assert "not a JSON object" in found[1]["what"] and "is token meant?" in found[3]["what"]


def test_what_is_exported_with_tokens_is_taken_in_the_same(credential, tmp_path, environ):
    credential(
        "add",
        "chatgpt",
        "--groups",
        "x,y",
        "--weight",
        "4",
        "--tpm",
        "7",
        "--output",
        "9",
        "--budget-month",
        "0.25",
        "--credit",
        "5",
        "--credit-until",
        "9999-12-31",
        "--note",
        'a "b", c',
        given=TOKEN,
    )
    (tmp_path / "proxy").write_text("http://u:p@proxy.example:1")
    credential(
        "add", "grok", "--proxy-file", "proxy", "--base-url", "https://x.example/v1", given=OTHER
    )
    assert TOKEN not in credential("export").stdout
    assert "name a new file" in credential("export", "--with-tokens", code=1).stderr
    credential("export", "--with-tokens", "--out", "all.jsonl")
    file = tmp_path / "all.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (
        "cannot make" in credential("export", "--with-tokens", "--out", "all.jsonl", code=1).stderr
    )

    elsewhere = {
        "TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/other.db",
        "TOKENS_SEAL_FILE": f"{tmp_path}/other.key",
    }
    credential("import", "all.jsonl", **elsewhere)
    credential("export", "--with-tokens", "--out", "again.jsonl", **elsewhere)
    assert (tmp_path / "again.jsonl").read_text() == file.read_text()


@pytest.mark.slow
def test_thousands_of_lines_do_not_take_long(credential, tmp_path):
    lines = "".join(f'{{"platform": "chatgpt", "token": "sk-{i:06}"}}\n' for i in range(3000))
    found = rows(credential("import", "-", "--json", given=lines))

    assert {row["state"] for row in found} == {"added"} and len(found) == 3000


# ---------------------------------------------------------------- trying them


def test_credentials_are_tried_for_nothing(credential, simulators: Simulators):
    base = simulators.bases["chatgpt"]
    names = [
        one(credential("add", "chatgpt", "--base-url", base, "--json", given=token))["name"]
        for token in ("sim-good", "sim-revoked")
    ]
    simulators.clear("chatgpt")
    found = {row["credential"]: row for row in rows(credential("check", "--json", code=1))}

    assert found[names[0]]["state"] == "ok"
    assert (found[names[1]]["state"], found[names[1]]["what"]) == (
        "wrong",
        "the key is refused (401)",
    )
    assert {entry["method"] for entry in simulators.journal("chatgpt")} == {"GET"}
    assert rows(credential("check", names[0], "--json"))[0]["state"] == "ok"


def test_the_doctor_looks_at_them_too(called, credential, added, tmp_path):
    found = json.loads(called("doctor", "--offline", "--json").stdout)
    states = {row["check"]: row["state"] for row in found}
    assert states["key file"] == "ok" and "chatgpt" not in states

    os.chmod(Path(tmp_path / "seal.key"), 0o444)
    found = json.loads(called("doctor", "--offline", "--json").stdout)
    assert {row["check"]: row["state"] for row in found}["key file"] == "wrong"
