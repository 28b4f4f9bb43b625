"""A worker that notes how long each turn on its hub takes, in time of the processor: what others do with this
machine meanwhile does not count. gunicorn is told by GUNICORN_CMD_ARGS to take it, and writes to TURNS_FILE.
"""

from __future__ import annotations

import os
import time
from typing import Any

import gevent
from greenlet import settrace

from app.web.worker import LeanWorker

LEAST = 0.005  # S-074: what is shorter is not heavy
CLASS = f"{__name__}.TimedWorker"


class TimedWorker(LeanWorker):
    def run(self) -> None:
        hub, began = gevent.get_hub(), time.thread_time()
        file = os.open(os.environ["TURNS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def switched(event: str, greenlets: tuple[Any, Any]) -> None:
            nonlocal began
            took = time.thread_time() - began
            if took > LEAST and greenlets[0] is not hub:
                os.write(file, f"{took}\n".encode())
            began = time.thread_time()

        settrace(switched)
        super().run()
