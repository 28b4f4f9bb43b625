"""A worker with a fault: whoever asks for `/stuck` has its hub to himself. gunicorn is told by GUNICORN_CMD_ARGS."""

from __future__ import annotations

from typing import Any

from app.web.worker import LeanWorker

CLASS = f"{__name__}.StuckWorker"
PATH = "/stuck"


class StuckWorker(LeanWorker):
    def handle_request(self, listener: Any, request: Any, sock: Any, address: Any) -> None:
        while request.path == PATH:
            pass
        super().handle_request(listener, request, sock, address)
