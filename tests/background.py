"""`python -m tests.background` is the process that works in the background, but looks around more often than ours:
for what is due, for who is to be told, whether what it is about was cancelled, and whether a film can be fetched.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import app.worker  # noqa: E402
from app.platforms import google_films  # noqa: E402
from app.worker import main  # noqa: E402

app.worker.SWEEP_SECONDS = 0.2
app.worker.NOTICE_SECONDS = 0.2
app.worker.RENEW_SECONDS = 0.5
google_films.READY_SECONDS = 1.0

if __name__ == "__main__":
    sys.exit(main())
