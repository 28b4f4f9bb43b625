"""Claude at Anthropic's Messages API, in its own dialect.

The API wants its version in a header on every call, and puts the key in `x-api-key` unless it is an
OAuth token. Beta features are switched on by a header that the caller's own client sets; it is
passed on as it came.
"""

from __future__ import annotations

from pathlib import Path

from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Platform, Send
from app.web.native import mount_passage
from app.web.platform import blueprint
from app.wire import anthropic_messages

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


PLATFORM = Platform(
    name="claude_api",
    title="Claude API",
    base_url="https://api.anthropic.com",
    key_variables=("ANTHROPIC_API_KEY",),
    owner="anthropic",
    chat=Chat(
        dialect=anthropic_messages,
        address=_address,
        follow=_follow,
        probe="/v1/models",
        forwards=frozenset(
            {
                "anthropic-beta",
                "anthropic-version",
                "x-claude-code-agent-id",
                "x-claude-code-parent-agent-id",
                "x-claude-code-session-id",
            }
        ),
        always={"anthropic-version": API_VERSION},
    ),
    catalogue=Catalogue.load(Path(__file__).with_suffix(".json")),
    beta_header="anthropic-beta",
)

bp = blueprint(PLATFORM)
mount_passage(bp, PLATFORM, "/v1/messages/count_tokens", "/v1/messages/count_tokens", ["POST"])
