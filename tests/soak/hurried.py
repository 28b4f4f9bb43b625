"""A gunicorn worker whose gateway has less patience than ours: with a database in which others hold what is needed
or that says nothing, and until it looks at its journal again. For tests of what comes of it, not of how long it takes.

gunicorn is told by GUNICORN_CMD_ARGS to take this class, and imports it before the application is made. Nobody else
imports this module: whoever does is in a hurry too.
"""

from __future__ import annotations

import app.storage.database
from app.ledger import ledger_watch
from app.web.worker import LeanWorker

app.storage.database.BUSY_SECONDS = 1
app.storage.database.DEAF_SECONDS = 2.0
ledger_watch.EVERY = 0.5


class HurriedWorker(LeanWorker):
    """The one we ship."""
