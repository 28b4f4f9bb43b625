"""How gunicorn runs the gateway. `tokens serve` uses this file, and so does the systemd unit.

Patching comes first: nothing that talks to the network may be imported before it. The application
is loaded once, before the workers are forked, so that they share its memory.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from app.config import Settings  # noqa: E402
from app.platforms import PLATFORMS  # noqa: E402

_settings = Settings.from_env(os.environ, list(PLATFORMS.values()))

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
worker_class = "app.web.worker.LeanWorker"
worker_connections = _settings.worker_connections
preload_app = True
wsgi_app = "wsgi:application"

timeout = 60  # of a worker that no longer answers the arbiter; not of a request
graceful_timeout = 30
keepalive = 75
max_requests = 0
backlog = 2048
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16380
forwarded_allow_ips = "127.0.0.1,::1"
header_map = "drop"
accesslog = None  # the gateway writes its own, one line of JSON a request
errorlog = "-"
loglevel = "warning"
control_socket_disable = True
reload = False
proc_name = "tokens"


def post_worker_init(worker):
    """What each worker has for itself begins in its own process."""
    worker.wsgi.extensions["tokens"].start()
