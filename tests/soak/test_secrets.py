"""R-132, S-004, S-008, S-010: whatever fails, and whatever is asked, no secret is anywhere but where it
belongs: in no log, metric, trace, answer, notice or command's words, and in no file or table unsealed.
"""

from __future__ import annotations

import os
import random
import re
import resource
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from app.simulators.mishaps import KINDS as MISHAPS
from app.storage.database import Database, metadata
from tests.models import EVERY
from tests.platforms.callers import CALLERS
from tests.platforms.conftest import Pair
from tests.platforms.remains import processes
from tests.platforms.test_chat2api_traces import PLACES, RAW, send
from tests.sdk.pictures import PAINTERS
from tests.soak.books import address
from tests.soak.stumbling import SETTING as STUMBLING
from tests.soak.trouble import ENDS, FRAMES, Trouble, TroubledSimulators
from tests.stack import PATIENCE, ROOT, TOKENS, Stack, key_settings
from tests.storage.databases import KINDS, made
from tests.web.test_traces_served import Receiver as Traces
from tests.worker.receiver import Receiver
from tests.worker.told import Client

pytestmark = pytest.mark.slow
# Reliability asks for 5,000 calls: set SOAK_SECRETS.
CALLS = int(os.environ.get("SOAK_SECRETS", "100"))
IS_LONG = CALLS >= 5000
DATABASES = KINDS if IS_LONG else KINDS[1:]  # that one has a password
AT_ONCE = 12
WORD = re.compile(r"[A-Za-z0-9+/_=-]{20,}")  # of a key file: a key
MARK = f"canary-{secrets.token_hex(4)}-"  # what every secret of our choice begins with
WISH = f"wish-{secrets.token_hex(4)}"  # is in every prompt, and so in answers, but in no log
UNLOGGED = re.compile(
    r"answers|notices|tables|notes|(stack|state)/(tokens.db|media|queue.db|spool).*"
)
TABLES = ("ledger", "tasks", *(("credentials", "licences", "media") if IS_LONG else ()))
COMMANDS = (
    "settings|settings --json|doctor --offline|doctor --json|seal show|losses|models list|routes|"
    "credential list|credential list --json|credential show 1|credential export|credential why 1|"
    "licence list|licence list --json|licence show 1|task list|task list --json|prices list|"
    "ledger report|ledger tail|ledger export -|explain --platform chatgpt|reconcile --platform chatgpt nowhere"
)
PICTURE = {"model": PAINTERS["chatgpt"].model, "prompt": WISH, "response_format": "url"}


class House:
    """A gateway that has been told secrets of every kind, everything that it says, and who hears it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder, self.database = folder, database
        self.simulators = TroubledSimulators(folder)
        self.traces, self.receiver = Traces(), Receiver()
        self.stack = Stack(
            self.simulators,
            folder / "stack",
            TOKENS_WORKERS="2",
            TOKENS_LOOK_SECONDS="0.05",
            TOKENS_DATABASE_URL=with_password(address(database), f"{MARK}database"),
            TOKENS_METRICS_TOKEN=f"{MARK}metrics",
            TOKENS_FETCH_ALLOWED_HOSTS=self.receiver.host,
            TOKENS_SILENCE_SECONDS="1",
            TOKENS_FIRST_BYTE_SECONDS="1",
            TOKENS_ANSWER_SECONDS="2",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{self.traces.server_port}",
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization={MARK}traces",
            OTEL_BSP_SCHEDULE_DELAY="50",
            GUNICORN_CMD_ARGS=f"--log-level debug {STUMBLING}",
            **key_settings(f"{MARK}one,{MARK}two-throttled,{MARK}three-revoked,{MARK}four"),
        )
        subprocess.run(
            [TOKENS, "credential", "add", "chatgpt"],
            input=f"{MARK}kept",
            env=self.stack.environ,
            text=True,
            check=True,
            capture_output=True,
            cwd=ROOT,
        )
        self.stack.work()
        self.client = Client.new(self.stack, self.receiver, "--url", self.receiver.url("/told"))
        self.answers: list[bytes] = []
        self.signatures: set[str] = set()

    def stop(self) -> None:
        self.stack.stop()
        self.simulators.stop()
        self.receiver.stop()
        self.traces.answers.set()
        self.traces.shutdown()
        self.traces.server_close()

    @property
    def secrets(self) -> set[str]:
        """By what each of them would be known again."""
        keys = {word for file in self.key_files for word in WORD.findall(file.read_text())}
        return {
            MARK,
            self.stack.licence,
            self.client.licence,
            self.client.secret,
            *self.signatures,
        } | keys

    @property
    def key_files(self) -> list[Path]:
        return list((self.folder / "stack").glob("*.key"))

    def keep(self, answer: requests.Response) -> requests.Response:
        self.answers.append(str(answer.headers).encode() + answer.content)
        return answer

    def tables(self) -> bytes:
        """All that the database holds, as text."""

        def work(connection: sa.Connection) -> str:
            return repr(
                [connection.execute(sa.select(one)).all() for one in metadata.sorted_tables]
            )

        return self.database.read(work).encode()

    def places(self) -> dict[str, bytes]:
        """Everything in which a secret could be."""
        files = [
            one for one in self.folder.rglob("*") if one.is_file() and one not in self.key_files
        ]
        said = [self.stack.said(*words.split()) for words in COMMANDS.split("|")]
        notices = [str(one.headers).encode() + one.body for one in self.receiver.heard("/told")]
        token = {"authorization": f"Bearer {MARK}metrics"}
        metrics = requests.get(self.stack.url() + "/metrics", headers=token, timeout=PATIENCE)
        assert metrics.status_code == 200 and len(notices) and len(self.traces.spans)
        return {str(one.relative_to(self.folder)): content(one) for one in files} | {
            "commands": "".join(said).encode(),
            "notices": b"".join(notices),
            "metrics": metrics.content,
            "traces": f"{self.traces.spans} {self.traces.resources}".encode(),
            "answers": b"".join(self.answers),
            "tables": self.tables(),
        }


def content(file: Path) -> bytes:
    """Nothing of a file that a worker has just removed."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


def with_password(url: str, password: str) -> str:
    """PostgreSQL's address with a password, which a server that trusts does not look at."""
    return url.replace("://postgres@", f"://postgres:{password}@")


@pytest.fixture(params=DATABASES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    # Where nobody says otherwise, a process that crashes leaves all of its memory in a file.
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with made(request.param, tmp_path, request.node.name, anew=True) as database:
            house = House(database, tmp_path)
            yield house
            house.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def _chat(house: House, number: int, dice: random.Random) -> None:
    """A call that ends in any way, with any secrets in it."""
    pair = Pair(dice.choice(EVERY), dice.choice(CALLERS), house.stack)
    trouble = Trouble(number, round(dice.random(), 4), dice.choice(ENDS), dice.choice(FRAMES))
    mishap = f"simulate: {dice.choice(list(MISHAPS))} after={dice.randrange(4)} seconds=0.1"
    words = dice.choice(("simulate: words=5", mishap, f"simulate: words=5\n{trouble}"))
    headers, licence, query = {}, house.stack.licence, f"retry_attempt={dice.choice((0, 2))}"
    match dice.randrange(6):
        case 0:
            ending = dice.choice(("", "-revoked", "-throttled", "-broke"))
            headers = {"tokens-authorization": licence}
            licence = f"{MARK}brought-{number}{ending}"
        case 1:
            licence = f"{MARK}foreign-{number}"
        case 2:
            query += f"&key={licence}"
        case 3:
            headers = {dice.choice(PLACES): f"{MARK}elsewhere-{number}"}
        case 4:
            headers = {"idempotency-key": f"key-{number % 9}"}
    asked = pair.ask(f"{WISH} {words}", stream=dice.random() < 0.6)
    with suppress(requests.RequestException):
        heard = pair.caller.call(pair.base, asked, licence, query=query, headers=headers)
        house.answers.append(str(heard.headers).encode() + heard.content)


def _strange(house: House, number: int, dice: random.Random) -> None:
    """What is hardly HTTP."""
    send(house.stack, dice.choice(list(RAW.values())), f"{MARK}raw-{number}")


def _picture(house: House, number: int, dice: random.Random) -> None:
    """One that is looked at, with the right signature and with others."""
    session = {"authorization": f"Bearer {house.stack.licence}"}
    url = house.stack.url("chatgpt") + "/v1/images/generations"
    answer = requests.post(url, json=PICTURE, headers=session, timeout=PATIENCE)
    if answer.status_code != 200:
        house.keep(answer)
        return
    link = answer.json()["data"][0]["url"]
    signature = link.split("/")[-2].partition("-")[2]
    house.signatures.add(signature)
    assert requests.get(link, timeout=PATIENCE).status_code == 200
    house.keep(requests.get(link + "x", timeout=PATIENCE))
    house.keep(requests.get(link.replace(signature, signature[::-1]), timeout=PATIENCE))


def _own(house: House, number: int, dice: random.Random) -> None:
    """The gateway's own pages, to who may see them and to who may not."""
    path = dice.choice(("/metrics", "/v1/usage", "/v1/models", "/health", "/nowhere"))
    shown = dice.choice((house.stack.licence, f"{MARK}foreign", f"{MARK}metrics"))
    headers = {"authorization": f"Bearer {shown}"}
    house.keep(requests.get(house.stack.url() + path, headers=headers, timeout=PATIENCE))


def test_no_secret_is_where_it_does_not_belong(house: House) -> None:
    """In all modes, with debug logs, while tables are missing, and with what crashed processes leave."""
    jobs = [house.client.begun(kind, WISH) for kind in ("image", "video")]
    dice = random.Random(132)
    deeds = dice.choices((_chat, _strange, _picture, _own), (80, 10, 5, 5), k=CALLS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda one: one[1](house, one[0], random.Random(one[0])), enumerate(deeds)))
    for table in TABLES:
        with missing_table(house, table), ThreadPoolExecutor(AT_ONCE) as pool:
            list(
                pool.map(lambda number: _chat(house, number, random.Random(number)), range(AT_ONCE))
            )
            house.keep(house.client.ask("image", WISH))
    house.receiver.came("/told", len(jobs))

    assert "Traceback" in house.stack.noise  # else nothing crashed
    for pid in (*processes(house.stack.pid), house.stack.worker_pid):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), limits
    places, wanted = house.places(), house.secrets
    logged = {where for where in places if not UNLOGGED.match(where)}
    found = {
        (where, what) for where, text in places.items() for what in wanted if what.encode() in text
    }
    found |= {(where, WISH) for where in logged if WISH.encode() in places[where]}
    assert b"end to end" in places["tables"] and b"chat2api" in places["stack/access.log"]
    size = sum(map(len, places.values()))
    print(
        f"\n{CALLS} calls; {len(wanted)} secrets looked for in {size:,} bytes of {len(places)} places"
    )
    assert found == set()


@contextmanager
def missing_table(house: House, name: str) -> Iterator[None]:
    """An error that nobody has thought of."""
    _rename(house.database, name, f"{name}_away")
    try:
        yield
    finally:
        _rename(house.database, f"{name}_away", name)


def _rename(database: Database, name: str, other: str) -> None:
    database.write(
        lambda connection: connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO {other}"))
    )
