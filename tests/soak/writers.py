"""Four processes with nothing to do but to write to one ledger, fifty at a time in each.

`python -m tests.soak.writers URL FOLDER NAME TURNS SECONDS` is one of them: each of the fifty opens and
closes so many rows, but for no longer than so many seconds. Whatever was closed is noted in FOLDER/told.
Prints how long the writes took.
"""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import json  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TypeVar  # noqa: E402

import gevent  # noqa: E402

from app.access.caller import Caller  # noqa: E402
from app.canonical.events import Usage  # noqa: E402
from app.clock import SystemClock  # noqa: E402
from app.ledger.journal import Journal  # noqa: E402
from app.ledger.ledger import Ledger, Purchase  # noqa: E402
from app.ledger.price_book import PriceBook  # noqa: E402
from app.storage.database import Database  # noqa: E402
from app.storage.ledger import LedgerTable  # noqa: E402
from tests.stack import ROOT, clean_environ  # noqa: E402

T = TypeVar("T")
PROCESSES, WRITERS = 4, 50
TOLD = "told"
LONG = 600.0


def write_at_once(
    url: str, folder: Path, turns: int, seconds: float = LONG, environ: Mapping[str, str] = {}
) -> list[float]:
    """How long each write of all four took, the shortest first. None of them failed."""
    command = [sys.executable, "-m", "tests.soak.writers", url, str(folder)]
    started = [
        subprocess.Popen(
            [*command, f"w{number}", str(turns), str(seconds)],
            stdout=subprocess.PIPE,
            env={**clean_environ(), **environ},
            cwd=ROOT,
        )
        for number in range(PROCESSES)
    ]
    told = [json.loads(one.communicate(timeout=seconds + LONG)[0]) for one in started]
    assert [one.returncode for one in started] == [0] * PROCESSES
    return sorted(seconds for one in told for seconds in one)


def main(url: str, folder: Path, name: str, turns: int, seconds: float) -> None:
    database = Database(url, off_hub=True)
    journal = Journal(folder / f"{name}.journal")
    ledger = Ledger(LedgerTable(database), PriceBook({}, None), journal, SystemClock())
    told = os.open(folder / TOLD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    took: list[float] = []
    end = time.monotonic() + seconds

    def timed(work: Callable[[], T]) -> T:
        began = time.monotonic()
        done = work()
        took.append(time.monotonic() - began)
        return done

    def write(number: int) -> None:
        for turn in range(turns):
            if time.monotonic() > end:
                return
            request = f"req_{name}_{number}_{turn}"
            wanted = Purchase(
                id=request,
                caller=Caller(None),
                platform="p",
                kind="chat",
                model="m",
                asked="m",
                spoken="openai_chat",
            )
            entry = timed(lambda: ledger.open(wanted))
            timed(lambda: entry.charge({}, Usage(1, 1)))
            os.write(told, f"{request}\n".encode())

    gevent.joinall([gevent.spawn(write, number) for number in range(WRITERS)], raise_error=True)
    print(json.dumps(took))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
