"""What gunicorn serves."""

import os

from app.config import Settings
from app.factory import create_app
from app.platforms import PLATFORMS

TRACES_TO = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

application = create_app(
    Settings.from_env(os.environ, list(PLATFORMS.values())),
    traced=any(os.environ.get(name) for name in TRACES_TO),
)
