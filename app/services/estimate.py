"""How many tokens a request is likely to come to, told from its body in whatever dialect.

Text counts by its characters. A file counts as a fixed number whatever its size, and so does what only
its maker can read: platforms count neither by bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHARACTERS = 4  # a token, in the common tokenisers; of scripts such as Chinese it is one
FILE_TOKENS = 1000
LIKELY_OUTPUT = 500  # of an answer that nobody has set a limit to
# Fields that hold a file, or an address of one, or something sealed. Elsewhere whatever stands there is
# text, also where it looks like a file.
FILES = frozenset(
    """url image_url video_url file_url file_data fileUri data b64_json signature thoughtSignature
    thought_signature encrypted_content""".split()
)


def tokens_of(body: Mapping[str, Any]) -> int:
    """All that the body says, in tokens."""
    tokens, left = 0, list[Any]([body])
    while left:
        one = left.pop()
        if isinstance(one, str):
            tokens += tokens_in(one)
        elif isinstance(one, Mapping):
            for name, value in one.items():
                tokens += len(name) // CHARACTERS
                if name in FILES and isinstance(value, str):
                    tokens += _in_file(value)
                else:
                    left.append(value)
        elif isinstance(one, list):
            left.extend(one)
        elif one is not None:
            tokens += 1
    return tokens


def tokens_in(text: str) -> int:
    """Characters that take three bytes, as Chinese ones do, are a token each."""
    length = len(text)
    if text.isascii():
        return -(-length // CHARACTERS)
    wide = min((len(text.encode("utf-8", "surrogatepass")) - length) // 2, length)
    return wide + -(-(length - wide) // CHARACTERS)


def _in_file(text: str) -> int:
    """Base64 and addresses have no spaces; what has is a document in plain words."""
    if " " in text[:FILE_TOKENS] and not text.startswith("data:"):
        return tokens_in(text)
    return min(-(-len(text) // CHARACTERS), FILE_TOKENS)
