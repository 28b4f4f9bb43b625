"""A gateway that cannot have all it needs does not start, and says why in one line (R-051). The port is in
`test_serve.py` and `test_commands.py`, databases of other versions in `test_upgrade.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.storage.database import Database
from tests.stack import clean_environ, free_port, program
from tests.storage.databases import fill

NOBODY = 65534
# Starts in many folders, with `os.execv` told to say so instead of serving.
STARTS = """
import io, json, os, sys
from contextlib import redirect_stderr
from app.cli import main

def serve(*words):
    raise SystemExit("it would have served")

os.execv = serve
for line in sys.stdin:
    folder, command = json.loads(line)
    os.chdir(folder)
    said = io.StringIO()
    with redirect_stderr(said):
        try:
            code = main([command])
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, said.getvalue()]), flush=True)
"""
# What is made unusable below the state folder, and the setting that the complaint names. What ends with a
# slash is a folder.
CASES = {
    "var/seal.key": "TOKENS_SEAL_FILE",
    "var/link.key": "TOKENS_LINK_FILE",
    "var/webhook.key": "TOKENS_WEBHOOK_FILE",
    "var/ledger.journal": "TOKENS_JOURNAL_FILE",
    "var/counters": "TOKENS_COUNTERS_FILE",
    "var/queue.db": "TOKENS_QUEUE_FILE",
    "var/spool/": "TOKENS_SPOOL_FOLDER",
    "var/media/": "TOKENS_MEDIA_FOLDER",
    "var/tokens.db": "var/tokens.db",
    "var/": "var/",
}
TEXTS = {"empty": "", "no key": "short\n", "no text": "\udcff"}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """What came of a start in a folder of which something cannot be used, by what that is; without the
    rights that root has over other people's files.
    """
    root = tmp_path_factory.mktemp("starts")
    cases = [(place, command) for place in CASES for command in ("serve", "worker")]
    folders = [_spoilt(root / str(number), place) for number, (place, _) in enumerate(cases)]
    whole = [_state(root / command) for command in ("serve", "worker")]
    cases += [("", "serve"), ("", "worker")]
    asked = [[str(f), c] for f, (_, c) in zip([*folders, *whole], cases, strict=True)]
    words = [sys.executable, "-c", STARTS]
    if not os.geteuid():
        words = [program("setpriv"), "--bounding-set=-dac_override,-dac_read_search", *words]
    done = subprocess.run(
        words,
        input="".join(json.dumps(one) + "\n" for one in asked),
        env=clean_environ() | {"TOKENS_PORT": str(free_port()), "TOKENS_LOG_FILE": "-"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    for folder in folders:  # or nobody could remove them
        _allow(folder)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(cases), done.stderr
    return dict(zip(cases, told, strict=True))


def _state(folder: Path) -> Path:
    """A state folder in which everything is well."""
    (folder / "var").mkdir(parents=True)
    database = Database(f"sqlite:///{folder}/var/tokens.db")
    fill(database)
    database.close()
    return folder


def _spoilt(folder: Path, name: str) -> Path:
    place = _state(folder) / name
    if name.endswith("/"):
        place.mkdir(exist_ok=True)
    else:
        place.touch()
    place.chmod(0)
    if not os.geteuid():
        os.chown(place, NOBODY, NOBODY)
    return folder


def _allow(folder: Path) -> None:
    (folder / "var").chmod(0o700)
    for place in (folder / "var").iterdir():
        place.chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_used_is_one_clear_line_and_no_start(started, name, command):
    code, said = started[name, command]

    assert code == 1 and said.startswith("tokens: ") and said.count("\n") == 1, said
    assert CASES[name] in said and Path(name).name in said


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_without_rights_that_it_does_not_need_it_starts(started, command):
    assert started["", command] == ["it would have served", ""]


@pytest.mark.parametrize("name", ["seal", "link", "webhook"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_file_that_holds_no_keys_is_not_begun_with(called, tmp_path, name, text):
    file = tmp_path / f"{name}.key"
    file.write_text(TEXTS[text], errors="surrogateescape")
    done = called("serve", TOKENS_LINK_FILE=f"{tmp_path}/link.key")

    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert str(file) in done.stderr and f"TOKENS_{name.upper()}_FILE" in done.stderr


@pytest.mark.parametrize("setting", ["TOKENS_SPOOL_FOLDER", "TOKENS_MEDIA_FOLDER"])
def test_a_file_is_no_folder(called, tmp_path, setting):
    (tmp_path / "letter").write_text("a letter")
    done = called("serve", **{setting: f"{tmp_path}/letter/below"})

    assert done.returncode == 1 and "letter is not a folder" in done.stderr
    assert setting in done.stderr and done.stderr.count("\n") == 1
