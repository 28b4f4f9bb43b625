"""ChatGPT: OpenAI's Chat Completions, the dialect most of our callers speak themselves.

So almost everything goes through patched rather than translated. Tools together with active
reasoning are refused by the newer models on this endpoint; the Responses platform takes them.
"""

from __future__ import annotations

from pathlib import Path

from app.platforms.openai_images import OpenAIImages
from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Platform, Send
from app.web.platform import blueprint
from app.wire import openai_chat


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"authorization": f"Bearer {token.reveal()}"})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    """The model travels in the body here, so it plays no part in the address."""
    return _follow(f"{base_url}/chat/completions", token)


CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))

PLATFORM = Platform(
    name="chatgpt",
    title="ChatGPT",
    base_url="https://api.openai.com/v1",
    key_variables=("OPENAI_API_KEY",),
    owner="openai",
    chat=Chat(dialect=openai_chat, address=_address, follow=_follow, probe="/models"),
    images=OpenAIImages(_follow, CATALOGUE),
    catalogue=CATALOGUE,
)

bp = blueprint(PLATFORM)
