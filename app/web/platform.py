"""The blueprint of a platform: every route that all platforms share."""

from __future__ import annotations

from flask import Blueprint

from app.upstream.platform import Platform
from app.web.billing import mount_billing
from app.web.characters import mount_characters
from app.web.chat import mount_chat
from app.web.images import mount_images
from app.web.models import mount_models
from app.web.videos import mount_videos


def blueprint(platform: Platform) -> Blueprint:
    """A blueprint under the platform's name with all shared routes; the platform adds its own."""
    bp = Blueprint(platform.name, __name__, url_prefix=f"/{platform.name}")
    mount_chat(bp, platform)
    if platform.images is not None:
        mount_images(bp, platform)
    if platform.videos is not None:
        mount_characters(bp, platform)
        mount_videos(bp, platform)
    mount_models(bp, platform)
    mount_billing(bp, platform.name)
    return bp
