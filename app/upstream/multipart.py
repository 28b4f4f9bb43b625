"""Forms with files in them, as platforms want them sent: nothing of a file is in memory."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from app.canonical.media import File
from app.spool import Pieces, Whole


def form(fields: Mapping[str, Any], files: Iterable[tuple[str, File]]) -> tuple[Pieces, str]:
    """The body and its content type. Files are under names of ours, nobody's words are in them."""
    boundary = secrets.token_hex(16)
    parts: list[bytes | Whole] = []
    for name, value in fields.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(_head(boundary, f'name="{name}"') + text.encode() + b"\r\n")
    for place, (name, file) in enumerate(files):
        ending = file.media_type.partition("/")[2]
        parts += [
            _head(boundary, f'name="{name}"; filename="{place}.{ending}"', file.media_type),
            Whole(file.path),
            b"\r\n",
        ]
    parts.append(f"--{boundary}--\r\n".encode())
    return Pieces(*parts), f"multipart/form-data; boundary={boundary}"


def _head(boundary: str, about: str, media_type: str = "") -> bytes:
    kind = f"Content-Type: {media_type}\r\n" if media_type else ""
    return f"--{boundary}\r\nContent-Disposition: form-data; {about}\r\n{kind}\r\n".encode()
