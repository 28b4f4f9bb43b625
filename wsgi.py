"""What gunicorn serves."""

import os

from app.config import Settings
from app.factory import create_app
from app.platforms import PLATFORMS

application = create_app(Settings.from_env(os.environ, list(PLATFORMS.values())))
