"""`tokens credential import`: every line stands for itself, and what is wrong with one is told without
saying any of it again (S-008).
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.storage.database import Database
from tests.storage.databases import fill

TOKEN = "sk-canary-0123456789abcdefghij"
OTHER = "sk-sparrow-0123456789abcdefghi"
HEAD = "platform,token,label,groups,weight,note\n"


@pytest.fixture
def filled(environ):
    """The database is there before, which is quicker than that a command makes it."""
    database = Database(environ["TOKENS_DATABASE_URL"])
    fill(database)
    database.close()


@pytest.fixture
def imported(called, tmp_path):
    """Imports what stands on standard input and gives the report. Nothing that is said or kept
    holds a token.
    """

    def call(given: str | bytes, *words: str, code: int = 1, **settings: str) -> list[dict]:
        done = called("credential", "import", "-", "--json", *words, given=given, **settings)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "canary" not in done.stdout + done.stderr and "sparrow" not in done.stdout
        for file in tmp_path.rglob("*"):
            kept = file.read_bytes() if file.is_file() else b""
            assert b"canary" not in kept and b"sparrow" not in kept, file
        return json.loads(done.stdout)

    return call


def told(report: list[dict]) -> list[tuple[int, str]]:
    return [(row["line"], row["state"]) for row in report]


# ---------------------------------------------------------------- what swallows, and what moved


def test_a_quote_that_is_not_closed_takes_no_other_line_with_it(imported):
    """S-004: the rows behind it went into the note, tokens and all."""
    text = f'{HEAD}chatgpt,sk-first,,,,"the note\nchatgpt,{TOKEN},,,,fine\nchatgpt,{OTHER},,,,"x"\n'
    report = imported(text)

    assert told(report) == [(2, "wrong"), (3, "added"), (4, "added")]
    assert "a quote is not closed" in report[0]["what"] and "the note" not in report[0]["what"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_two_quotes_that_are_not_closed_swallow_nothing_between_them(imported, end):
    lines = [HEAD.strip(), f'chatgpt,{TOKEN},"a', f"grok,{OTHER},b", 'grok,sk-last,c"', ""]
    report = imported(end.join(lines))

    assert told(report) == [(2, "wrong"), (3, "added"), (4, "added")]


@pytest.mark.parametrize("field", ["label", "note", "groups"])
@pytest.mark.parametrize(
    "text", [TOKEN, f"our {TOKEN}", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "a" * 30 + "7"]
)
def test_what_looks_like_a_token_is_kept_in_no_field_but_its_own(imported, field, text):
    """S-004: columns that were moved would keep a token in plain text."""
    line = json.dumps({"platform": "chatgpt", "token": "sk-x", field: text})
    (row,) = imported(line)

    assert row["state"] == "wrong" and field in row["what"]
    assert text not in row["what"]


@pytest.mark.parametrize("field", ["label", "note", "groups", "base_url"])
def test_no_field_may_repeat_the_token_of_its_line(imported, field):
    """However short it is."""
    text = "https://x.example/short-1/v1" if field == "base_url" else "short-1"
    (row,) = imported(json.dumps({"platform": "grok", "token": "short-1", field: text}))

    assert row["state"] == "wrong" and row["what"].startswith(f"{field} holds the token")
    assert "short-1" not in row["what"]


@pytest.mark.parametrize(
    "text",
    [
        "the company's, since 2026-11-21",
        "team-marketing-europe-2026-11",
        "550e8400-e29b-41d4-a716-446655440000",
        "alice.smith2@company.example, ask her",
        "給市場部的",
    ],
)
def test_what_people_write_into_a_note_is_no_token(imported, text):
    line = json.dumps({"platform": "chatgpt", "token": TOKEN, "note": text})

    assert told(imported(line, code=0)) == [(1, "added")]


@pytest.mark.parametrize("char", ["\n", "\r", "\0", "\x1b", "\x85", "\u2028", "\ud800"])
@pytest.mark.parametrize("field", ["label", "note"])
@pytest.mark.usefixtures("filled")
def test_a_field_of_more_than_one_line_is_refused(imported, field, char):
    line = json.dumps({"platform": "chatgpt", "token": "sk-x", field: f"one{char}two"})
    (row,) = imported(line)

    assert row["what"] == f"{field} holds a line end or another character that no list can show"


@pytest.mark.parametrize("verb", ["add", "edit"])
@pytest.mark.parametrize("option", ["--label", "--note", "--groups"])
def test_the_command_line_keeps_no_token_in_another_field_either(called, tmp_path, verb, option):
    """S-004."""
    done = called("credential", "add", "chatgpt", "--json", given="sk-first")
    words = ("add", "grok") if verb == "add" else ("edit", json.loads(done.stdout)[0]["name"])
    done = called("credential", *words, option, TOKEN, given="sk-second")

    assert done.returncode == 1 and "looks like a token" in done.stderr
    assert TOKEN not in done.stderr + done.stdout
    assert not any(TOKEN.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_another_token_may_not_be_what_the_note_says(called):
    done = called("credential", "add", "grok", "--note", "it is short-1", "--json", given="first")
    name = json.loads(done.stdout)[0]["name"]
    done = called("credential", "edit", name, "--token", given="short-1")

    assert done.returncode == 1 and "note holds the token" in done.stderr


# ---------------------------------------------------------------- every bad line

OBJECTS = [
    ("[1]", "this is not a JSON object"),
    ("7", "this is not a JSON object"),
    ("null", "this is not a JSON object"),
    ("NaN", "this is not a JSON object"),
    ('"words"', "this is not a JSON object"),
    ("{broken", "this is not a JSON object"),
    ("{}", "there is no platform in it"),
    ('{"a":' + "[" * 100_000, "this is not a JSON object"),
    ('{"weight": 1' + "0" * 5000 + "}", "this is not a JSON object"),
    ('{"platform": "grok"}', "there is no token in it"),
    ('{"platform": "grok", "token": ""}', "there is no token in it"),
    ('{"platform": "grok", "token": null}', "there is no token in it"),
    ('{"platform": "grok", "token": "x", "token": "y"}', "token is there twice"),
    ('{"platform": "grok", "token": "x", "TOKEN": "y"}', "token is there twice"),
    ('{"platform": "elsewhere", "token": "x"}', "there is no such platform"),
    ('{"platform": ["grok"], "token": "x"}', "platform should be a text"),
    ('{"platform": "grok", "token": 7}', "token should be a text"),
    ('{"platform": "grok", "token": {"x": "sk-canary"}}', "token should be a text"),
    ('{"platform": "grok", "token": "a b"}', "a token is printable"),
    ('{"platform": "grok", "token": "a\\u0000"}', "a token is printable"),
    (json.dumps({"platform": "grok", "token": "x" * 4097}), "a token has at most 4096"),
    ('{"platform": "grok", "token": "x", "proxy": "canary"}', "a proxy should be"),
    ('{"platform": "grok", "token": "x", "proxy": 1}', "proxy should be a text"),
    (json.dumps({"platform": "grok", "token": "x", "proxy": "http://h/" + "x" * 2000}), "a proxy"),
    ('{"platform": "grok", "token": "x", "proxy": "http://a\\nb:1"}', "a proxy should be"),
    ('{"platform": "grok", "token": "x", "canary": "y"}', "a field of it is not known"),
    ('{"platform": "grok", "token": "x", "wieght": "y"}', "is weight meant?"),
    ('{"platform": "grok", "token": "x", "note": {"token": "sk-canary"}}', "note should be a text"),
    ('{"platform": "grok", "token": "x", "note": ["sk-canary"]}', "note should be a text"),
    ('{"platform": "grok", "token": "x", "note": 7}', "note should be a text"),
    (json.dumps({"platform": "grok", "token": "x", "note": "x " * 1001}), "a note has at most"),
    (json.dumps({"platform": "grok", "token": "x", "label": "x" * 201}), "a label has at most"),
    ('{"platform": "grok", "token": "x", "label": false}', "label should be a text"),
    ('{"platform": "grok", "token": "x", "groups": "a b"}', "groups are words"),
    ('{"platform": "grok", "token": "x", "groups": ["a", 1]}', "groups should be a list of texts"),
    ('{"platform": "grok", "token": "x", "groups": 7}', "groups should be a list of texts"),
    ('{"platform": "grok", "token": "x", "groups": {"a": 1}}', "groups should be a list of texts"),
    (json.dumps({"platform": "grok", "token": "x", "groups": ["g"] * 65}), "at most 64 groups"),
    ('{"platform": "grok", "token": "x", "base_url": 7}', "base_url should be a text"),
    ('{"platform": "grok", "token": "x", "base_url": "canary"}', "base_url should be an http"),
    ('{"platform": "grok", "token": "x", "base_url": "http://[::1"}', "base_url should be an http"),
    ('{"platform": "grok", "token": "x", "base_url": "http://h:99999"}', "base_url should be"),
    (
        json.dumps({"platform": "grok", "token": "x", "base_url": "http://h/" + "x" * 2000}),
        "a base_url has at most",
    ),
    ('{"platform": "grok", "token": "x", "enabled": "perhaps"}', "enabled should be true or"),
    ('{"platform": "grok", "token": "x", "enabled": []}', "enabled should be true or false"),
    *(
        ('{"platform": "grok", "token": "x", "%s": %s}' % (name, value), f"{name} should be a")
        for name in ("weight", "priority", "rpm", "tpd", "concurrency")
        for value in ("true", "1.5", "NaN", "Infinity", "1e999", "[]", "{}", '"high"', "-99999")
    ),
    ('{"platform": "grok", "token": "x", "weight": 0}', "weight should be a whole number"),
    ('{"platform": "grok", "token": "x", "weight": -1}', "weight should be a whole number"),
    ('{"platform": "grok", "token": "x", "rpm": %s}' % (10**16), "rpm should be a whole number"),
]  # fmt: skip


@pytest.mark.parametrize("line, says", OBJECTS, ids=range(len(OBJECTS)))
@pytest.mark.usefixtures("filled")
def test_a_bad_object_is_told_in_a_sentence_and_the_next_is_taken(imported, line, says):
    good = json.dumps({"platform": "chatgpt", "token": TOKEN})
    report = imported(f"{good}\n{line}\n{json.dumps({'platform': 'codex', 'token': OTHER})}\n")

    assert told(report) == [(1, "added"), (2, "wrong"), (3, "added")]
    assert says in report[1]["what"] and "\n" not in report[1]["what"]


ROWS = [
    ("grok,x,,,0,", "weight should be a whole number"),
    ("grok,x,,,-2,", "weight should be a whole number"),
    ("grok,x,,a b,,", "groups are words"),
    ("grok,,,,,", "there is no token in it"),
    (",x,,,,", "there is no platform in it"),
    ("elsewhere,x,,,,", "there is no such platform"),
    ("grok,x,,,,,more", "there are more columns than the head has"),
    ('grok,"x" y,,,,', "a quote is in the wrong place"),
    ('grok,x,,,,"', "a quote is not closed"),
    ("grok,x,,,,a\0b", "note holds a line end or another character"),
    ("grok,x," + "x" * 201, "a label has at most"),
    ("grok,x,,,," + "x" * 200_000, "a field of it is too long"),
    ("grok,x\udcff,,,,", "it is not UTF-8"),
]


@pytest.mark.parametrize("line, says", ROWS, ids=range(len(ROWS)))
@pytest.mark.usefixtures("filled")
def test_a_bad_row_is_told_in_a_sentence_and_the_next_is_taken(imported, line, says):
    text = f"{HEAD}chatgpt,{TOKEN},,,,\n{line}\ncodex,{OTHER},,,,\n"
    report = imported(text.encode(errors="surrogateescape"))

    assert told(report) == [(2, "added"), (3, "wrong"), (4, "added")]
    assert says in report[1]["what"] and "\n" not in report[1]["what"]


HEADS = [
    ("platform,token,Token", "column 3 of the head is token once more"),
    ("platform,token,canary", "column 3 of the head is no field that is known"),
    ("platform,token,nots", "is note meant?"),
    ("platform,label", "the head has no token"),
    ("token,label", "the head has no platform, and --platform names none"),
    ("platform;token", "with commas between them"),
    ("platform\ttoken", "with commas between them"),
    ("chatgpt,sk-canary-1", "column 1 of the head is no field that is known"),
    ("null", "column 1 of the head is no field that is known"),
    ('platform,"token', "a quote is not closed"),
    ("platform,token\udcff", "it is not UTF-8"),
]


@pytest.mark.parametrize("head, says", HEADS, ids=range(len(HEADS)))
@pytest.mark.usefixtures("filled")
def test_with_a_bad_head_nothing_is_taken(imported, head, says):
    """Which column is which nobody knows then, and each may hold the tokens."""
    (row,) = imported(f"\n{head}\nchatgpt,{TOKEN}\n".encode(errors="surrogateescape"))

    assert (row["line"], row["state"]) == (2, "wrong") and says in row["what"]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + f"chatgpt,{TOKEN}\n",
        "\ufeff" + HEAD + f"chatgpt,{TOKEN}\n",
        HEAD.replace("\n", "\r\n") + f"\r\n,,,,,\r\nchatgpt,{TOKEN},,,,\r\n",
        HEAD.strip() + ",,\n" + f'"chatgpt","{TOKEN}",,,,,,\n',
        " Platform , TOKEN \n" + f" chatgpt , {TOKEN} ",
        "\ufeff" + json.dumps({"Platform": " chatgpt ", "token": f" {TOKEN} ", "note": None}),
        "\r\n \r\n" + json.dumps({"platform": "chatgpt", "token": TOKEN}) + "\r\n\r\n",
    ],
)
def test_what_spreadsheets_and_editors_add_does_not_matter(imported, text):
    (row,) = imported(text, code=0)

    assert row["state"] == "added"


def test_a_word_separator_of_other_languages_ends_no_line(imported):
    """Only what editors count as lines are lines, or the numbers would not fit."""
    text = f"{HEAD}grok,x,,,0,\nchatgpt,{TOKEN},a\u3000b,,,\ngrok,y,,,0,\n"

    assert told(imported(text)) == [(2, "wrong"), (3, "added"), (4, "wrong")]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", HEAD, HEAD + ",,,,,\n"])
def test_an_empty_file_is_no_mistake(called, text):
    done = called("credential", "import", "-", given=text)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "there is nothing in it\n")


def test_what_cannot_be_read_is_told_in_a_sentence(called, tmp_path):
    (tmp_path / "folder").mkdir()
    for file, says in (("folder", "is a directory"), ("none.csv", "no such file")):
        done = called("credential", "import", file)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"tokens: cannot read {file}: {says}")


@pytest.mark.parametrize("words", [("import", "-"), ("add", "chatgpt")])
def test_a_closed_standard_input_is_told_in_a_sentence(called, words):
    done = called("credential", *words, given=None)

    assert (done.returncode, done.stderr) == (1, "tokens: standard input is closed\n")


def test_a_token_that_is_no_text_is_told_in_a_sentence(called):
    done = called("credential", "add", "chatgpt", given=b"\xff\xfe\n")

    assert done.returncode == 1 and "a token is printable" in done.stderr


# ---------------------------------------------------------------- twins


def test_the_same_token_twice_in_a_file_is_told_with_the_line(imported):
    report = imported(f"{HEAD}grok,{TOKEN}\ncodex,{TOKEN}\ngrok,{TOKEN}\n", code=0)
    assert told(report) == [(2, "added"), (3, "added"), (4, "there")]
    assert report[2]["what"] == "the same token as in line 2"

    report = imported(f"{HEAD}grok,{TOKEN}\n", code=0)
    assert told(report) == [(2, "there")] and report[0]["name"].startswith("cr_")


def test_a_token_of_the_settings_is_there_already(imported):
    (row,) = imported(f"{HEAD}grok,{TOKEN}\n", code=0, TOKENS_GROK_KEYS=f"{OTHER},{TOKEN}")

    assert row["state"] == "there" and row["what"] == "TOKENS_GROK_KEYS has it already"


# ---------------------------------------------------------------- whatever there may be

PIECES = st.sampled_from(
    [TOKEN, OTHER, '"', ",", "\n", "\r", "{", "}", "[", ":", "platform", "token", "note", "label"]
    + ["chatgpt", "grok", "\ufeff", "\0", " ", "null", "1", "-", HEAD]
    + [f'{{"platform": "grok", "token": "{TOKEN}"', f"\nchatgpt,{OTHER},", '", "note": "']
)
ANYTHING = st.one_of(
    st.binary(max_size=200),
    st.lists(PIECES, max_size=30).map("".join).map(str.encode),
    st.lists(PIECES, max_size=30).map(lambda found: (HEAD + "".join(found)).encode()),
    st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=3)), max_size=30).map(b"".join),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANYTHING)
@example(f'{HEAD}grok,x,,,,"{TOKEN}\n{TOKEN}"'.encode())
def test_whatever_the_file_there_is_a_report_and_no_token_in_it(called, tmp_path, data):
    """S-008."""
    done = called("credential", "import", "-", "--dry-run", "--json", given=data)

    wrong = any(row["state"] == "wrong" for row in json.loads(done.stdout))
    assert done.returncode == int(wrong)
    assert "canary" not in done.stdout + done.stderr and "sparrow" not in done.stdout
    assert not list(tmp_path.iterdir())


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANYTHING)
@example(f'{HEAD}grok,x,,,,"\ngrok,{TOKEN}\ngrok,{OTHER},,,,"'.encode())
def test_whatever_the_file_no_token_is_kept_in_plain_text(called, tmp_path, data):
    """S-004."""
    called("credential", "import", "-", given=data)

    for file in tmp_path.iterdir():
        assert b"canary" not in file.read_bytes() and b"sparrow" not in file.read_bytes()


# ---------------------------------------------------------------- a dry run


def standing(folder) -> dict:
    """Every file with what is in it and when it was changed."""
    return {one: (one.read_bytes(), one.stat().st_mtime_ns) for one in sorted(folder.rglob("*"))}


def test_a_dry_run_makes_no_file(imported, tmp_path):
    assert told(imported(f"{HEAD}grok,{TOKEN}\n", "--dry-run", code=0)) == [(2, "would be added")]
    assert standing(tmp_path) == {}


def test_a_dry_run_changes_no_file(imported, tmp_path):
    imported(f"{HEAD}grok,{TOKEN}\n", code=0)
    before = standing(tmp_path)
    report = imported(f"{HEAD}grok,{TOKEN}\ngrok,{OTHER}\ngrok,{OTHER}\n", "--dry-run", code=0)

    assert [row["state"] for row in report] == ["there", "would be added", "there"]
    assert standing(tmp_path) == before


def test_a_dry_run_complains_of_what_the_import_would(called, tmp_path):
    """S-005."""
    called("credential", "add", "grok", given=TOKEN)
    (tmp_path / "seal.key").unlink()
    before = standing(tmp_path)
    done = called("credential", "import", "-", "--dry-run", given=f"{HEAD}grok,{OTHER}\n")

    assert done.returncode == 1 and "seal.key" in done.stderr
    assert standing(tmp_path) == before


@pytest.mark.parametrize("verb", ["list", "check", "export"])
def test_looking_makes_no_file(called, tmp_path, verb):
    assert called("credential", verb).returncode == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["show", "why", "edit", "enable", "disable", "remove"])
def test_where_there_is_no_database_there_is_no_such_credential(called, tmp_path, verb):
    done = called("credential", verb, "1")

    assert done.returncode == 1 and "there is no credential 1" in done.stderr
    assert not list(tmp_path.iterdir())
