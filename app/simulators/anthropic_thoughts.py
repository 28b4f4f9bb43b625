"""Signatures of thinking blocks: made when a block is sent, checked when it comes back.

A signature names the model and vouches for the text the caller was shown, so one that comes back
on an edited, merged or invented block is found out. With the text omitted it vouches for "".
"""

from __future__ import annotations

import base64
import hashlib

_SEPARATOR = b"\x00"


def signature(model: str, shown: str) -> str:
    """The signature of a thinking block."""
    return _sealed(b"thinking", model, shown)


def redacted(model: str, thought: str) -> str:
    """The data of a redacted thinking block."""
    return _sealed(b"redacted", model, base64.b64encode(thought.encode()[::-1]).decode())


def signer(signed: str, shown: str) -> str | None:
    """The model that signed this text, None when the signature is not for it."""
    model = _signer(signed)
    return model if model is not None and signature(model, shown) == signed else None


def redactor(data: str) -> str | None:
    """The model that made this redacted block, None when nobody did."""
    try:
        kind, model, thought, _ = base64.b64decode(data, validate=True).split(_SEPARATOR, 3)
    except ValueError:
        return None
    name = model.decode("utf-8", "replace")
    return name if _sealed(kind, name, thought.decode("utf-8", "replace")) == data else None


def _signer(signed: str) -> str | None:
    try:
        _, model, _ = base64.b64decode(signed, validate=True).split(_SEPARATOR, 2)
    except ValueError:
        return None
    return model.decode("utf-8", "replace")


def _sealed(kind: bytes, model: str, text: str) -> str:
    """Thinking is digested only; a redacted thought travels inside."""
    carried = [text.encode()] if kind == b"redacted" else []
    parts = [kind, model.encode(), *carried]
    digest = hashlib.sha256(_SEPARATOR.join([kind, model.encode(), text.encode()])).hexdigest()
    return base64.b64encode(_SEPARATOR.join([*parts, digest.encode()])).decode()
