"""`python -m app.worker`: works on films and pictures in the background, in a process of its own.

Many steps at a time, each in a greenlet: what a step does is wait. How many such processes there are
does not matter to anybody; a task is in the hands of one at a time.
"""

import signal

from gevent import monkey

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is in hand yet: no traceback for Ctrl-C
    monkey.patch_all()  # before anything is imported that talks to the network

import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.platforms import PLATFORMS  # noqa: E402
from app.process import leave_no_core  # noqa: E402
from app.rounds import Rounds  # noqa: E402
from app.services.media_work import RENEW_SECONDS  # noqa: E402
from app.services.sweep import Sweep  # noqa: E402
from app.services.webhooks import Notices  # noqa: E402
from app.storage.workers import Workers  # noqa: E402
from app.web.gateway import KEY, Gateway  # noqa: E402
from app.web.task_object import told  # noqa: E402

SWEEP_SECONDS = 1.0
NOTICE_SECONDS = 2.0
NOTICE_ROUNDS = 8  # at a time; each takes ten seconds at most
NOTE_SECONDS = 10.0
TIDY_SECONDS = 60.0
END_SECONDS = 10.0
TROUBLE = "a worker could not do its round"


class Worker:
    """One process's share of the work."""

    def __init__(self, gateway: Gateway, settings: Settings) -> None:
        self._gateway = gateway
        self._workers = Workers(gateway.database)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._sweep = Sweep(
            gateway.tasks,
            gateway.folders,
            gateway.media,
            gateway.clock,
            gateway.queue.put,
            settings.job_kept_seconds,
        )
        self._notices = Notices(gateway.tasks, gateway.webhooks, told)
        self._telling = Pool(NOTICE_ROUNDS)
        self._hands = settings.job_hands

    def run(self) -> None:
        """Until a signal ends it."""
        self._gateway.start()
        consumer = self._gateway.queue.consumer(self._gateway.work.step, self._hands)
        rounds = [
            Rounds(seconds, work, TROUBLE)
            for seconds, work in (
                (SWEEP_SECONDS, self._sweep.put_due),
                (RENEW_SECONDS, self._gateway.work.renew),
                (NOTICE_SECONDS, self._tell),
                (NOTE_SECONDS, self._note),
                (TIDY_SECONDS, self._sweep.tidy),
            )
        ]
        running = [one.start() for one in rounds]
        consumer.run()
        # Not killed: a database driver in the middle of a call may not take that for an end.
        for one in rounds:
            one.end()
        gevent.joinall([*running, *self._telling], timeout=END_SECONDS)
        self._workers.leave(self._name)

    def _tell(self) -> None:
        """Begins a round, whatever has become of the last: who does not answer holds up nobody else."""
        if not self._telling.full():
            self._telling.spawn(Rounds(0, self._deliver, TROUBLE).once)

    def _deliver(self) -> None:
        self._notices.deliver_due(self._gateway.clock.now())

    def _note(self) -> None:
        self._workers.note(self._name, self._gateway.clock.now())


def main() -> int:
    leave_no_core()
    settings = Settings.from_env(os.environ, list(PLATFORMS.values()))
    Worker(create_app(settings).extensions[KEY], settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
