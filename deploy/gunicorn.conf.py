"""How gunicorn runs the gateway. `tokens serve` uses this file, and so does the systemd unit.

Patching comes first: nothing that talks to the network may be imported before it. The application
is loaded once, before the workers are forked, so that they share its memory.
"""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402

from app.config import Settings  # noqa: E402
from app.platforms import PLATFORMS  # noqa: E402
from app.process import leave_no_core  # noqa: E402
from app.web.worker import LAST_SECONDS  # noqa: E402

leave_no_core()
_settings = Settings.from_env(os.environ, list(PLATFORMS.values()))

bind = f"{_settings.host}:{_settings.port}"
if _settings.socket_file:
    bind = f"unix:{_settings.socket_file}"
umask = 0o117  # of the socket: for the user and the group that nginx is in
workers = _settings.workers
worker_class = "app.web.worker.LeanWorker"
worker_connections = _settings.worker_connections
preload_app = True
wsgi_app = "wsgi:application"

timeout = 30  # of a worker that no longer answers the arbiter; not of a request
graceful_timeout = int(_settings.stop_seconds) + LAST_SECONDS  # then the arbiter kills
keepalive = 75
# Never: a worker that leaves takes no new calls, and the next comes only when its last stream is over.
max_requests = 0
backlog = 2048
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16380
forwarded_allow_ips = "127.0.0.1,::1"  # whoever comes by the socket is believed as well
forwarder_headers = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
header_map = "drop"
accesslog = None  # the gateway writes its own, one line of JSON a request
errorlog = "-"
loglevel = "warning"
control_socket_disable = True
reload = False
proc_name = "tokens"

# A shell allows its programs a thousand files to begin with, which three hundred calls use up.
_, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most_files, _most_files))


def pre_request(worker, req):
    """Says nothing: gunicorn's own writes the path into debug logs, and a link to a file is one that opens it."""


def when_ready(server):
    """What is there before the fork stays, so no collection shall write to it: that would give each process
    a copy of its own.
    """
    gc.freeze()


def post_worker_init(worker):
    """What each worker has for itself begins in its own process."""
    worker.wsgi.extensions["tokens"].start()
