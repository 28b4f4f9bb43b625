"""A gunicorn worker that writes down what it holds, as nobody sees it from outside.

Nothing of this is in `app`: gunicorn is told by GUNICORN_CMD_ARGS to take this class.
"""

from __future__ import annotations

import json
import os
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import gevent

from app.web.worker import LeanWorker

FILE, SECONDS = "OBSERVED_FILE", "OBSERVED_SECONDS"
SETTING = {"GUNICORN_CMD_ARGS": "--worker-class tests.soak.observed.ObservedWorker"}


# Not those that `gc.get_objects` finds: whoever holds a tuple that another thread is making breaks it.
_spawned: weakref.WeakSet[gevent.Greenlet] = weakref.WeakSet()


class ObservedWorker(LeanWorker):
    """The shipped one, which also writes a line every so often."""

    def run(self) -> None:
        gevent.Greenlet.add_spawn_callback(_spawned.add)
        gevent.spawn(self._tell, Path(os.environ[FILE]), float(os.environ[SECONDS]))
        super().run()

    def _tell(self, file: Path, seconds: float) -> None:
        while True:
            gevent.sleep(seconds)
            with file.open("a") as told:
                told.write(json.dumps(_held()) + "\n")


def _held() -> dict[str, Any]:
    """`blocks` are those of Python's own allocator: they do not depend on what it has kept for itself."""
    greenlets = sum(not one.dead for one in list(_spawned))
    blocks = sys.getallocatedblocks()
    return {
        "pid": os.getpid(),
        "at": time.monotonic(),
        "greenlets": greenlets,
        "blocks": blocks,
    }
