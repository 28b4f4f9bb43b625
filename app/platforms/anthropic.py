"""What the platforms that call Anthropic's Messages API share: addresses, keys, headers, models.

The API wants its version in a header on every call, and puts the key in `x-api-key` unless it is an
OAuth token. Beta features are switched on by a header that the caller's own client sets; it is
passed on as it came.
"""

from __future__ import annotations

from pathlib import Path

from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Send
from app.wire import anthropic_messages

BASE_URL = "https://api.anthropic.com"
KEY_VARIABLES = ("ANTHROPIC_API_KEY",)
BETA_HEADER = "anthropic-beta"
API_VERSION = "2023-06-01"
OAUTH_TOKEN = "sk-ant-oat"


def _follow(url: str, token: Secret) -> Send:
    words = token.reveal()
    if words.startswith(OAUTH_TOKEN):
        return Send(url, {"authorization": f"Bearer {words}"})
    return Send(url, {"x-api-key": words})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    """The model travels in the body here, so it plays no part in the address."""
    return _follow(f"{base_url}/v1/messages", token)


CHAT = Chat(
    dialect=anthropic_messages,
    address=_address,
    follow=_follow,
    probe="/v1/models?limit=1000",
    forwards=frozenset(
        {
            BETA_HEADER,
            "anthropic-version",
            "x-claude-code-agent-id",
            "x-claude-code-parent-agent-id",
            "x-claude-code-session-id",
        }
    ),
    always={"anthropic-version": API_VERSION},
)
CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))
