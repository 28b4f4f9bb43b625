"""Claude, for chatting: the same vendor's API as the other Claude, with keys of its own.

What is beside chats (counting tokens) is at the other.
"""

from __future__ import annotations

from app.platforms import anthropic
from app.upstream.platform import Platform
from app.web.platform import blueprint

PLATFORM = Platform(
    name="claude",
    title="Claude",
    base_url=anthropic.BASE_URL,
    key_variables=anthropic.KEY_VARIABLES,
    owner="anthropic",
    chat=anthropic.CHAT,
    catalogue=anthropic.CATALOGUE,
    beta_header=anthropic.BETA_HEADER,
)

bp = blueprint(PLATFORM)
