"""A worker that is killed while it tells somebody: `python -m tests.worker.messenger POINT`, in an
environment of settings. It is the real one, until it kills itself with signal 9 at one of these points: a job
is `over` and nobody has claimed it, it is `claimed` and nobody was told, it was `heard` and that is not noted.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

import tests.background  # noqa: E402
from app.services.webhooks import Webhooks  # noqa: E402
from app.storage.tasks import Tasks  # noqa: E402


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def main(point: str) -> int:
    due, tell = Tasks.notices_due, Webhooks.tell

    def die_before_claiming(tasks: Tasks, now: float, limit: int, again: float) -> list[str]:
        over = [one for one in tasks.listed(("completed",), 99) if one.notice_at is not None]
        return die() if over else due(tasks, now, limit, again)

    def die_telling(webhooks: Webhooks, *words: Any) -> Any:
        if point == "heard":
            tell(webhooks, *words)
        die()

    if point == "over":
        Tasks.notices_due = die_before_claiming  # type: ignore[method-assign]
    else:
        Webhooks.tell = die_telling  # type: ignore[method-assign]
    return tests.background.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
