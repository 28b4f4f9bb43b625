"""Where an attachment's bytes are: read from the text a caller put in the request.

Callers give an http(s) address, a data URL or bare base64 in one and the same field (C-058 to
C-061). Base64 is checked, not decoded into anything we keep: the text travels on as it came.
"""

from __future__ import annotations

import base64
import binascii
import re

from app.canonical.media_type import sniff
from app.canonical.parts import Inline, Link
from app.errors import BadAttachment

_USUAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\n\r\v\f"
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HEAD = 96  # base64 characters that hold every magic number we look at


def source(text: str, *, param: str, named: str = "") -> Inline | Link:
    """The attachment that `text` names or holds. `named` is the media type to assume for bare
    base64 that shows none.
    """
    if text[:8].lower().startswith(("http://", "https://")):
        return Link(text.strip(), place=param)
    if text[:5].lower() == "data:":
        return _data_url(text, param)
    if _SCHEME.match(text):  # base64 has no colon
        raise BadAttachment(
            "{field}: only http, https and data addresses are taken", param=param, field=param
        )
    data = _checked(text, param)
    return Inline(sniff(_head(data)) or named or _unknown(param), data)


def decoded(inline: Inline, *, param: str) -> bytes:
    """The bytes themselves."""
    try:
        return base64.b64decode(inline.base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAttachment("{field} is not valid base64", param=param, field=param) from error


def _data_url(text: str, param: str) -> Inline:
    head, comma, data = text.partition(",")
    kind, *options = head[5:].lower().split(";")
    if not comma or "base64" not in (option.strip() for option in options):
        raise BadAttachment("{field} must be a base64 data URL", param=param, field=param)
    return inline(data, kind.strip(), param=param)


def inline(data: str, kind: str, *, param: str) -> Inline:
    """Base64 that is said to be of this `kind`, which may say nothing."""
    data = _checked(data, param)
    if kind in ("", "application/octet-stream", "image/jpg"):
        kind = sniff(_head(data)) or kind.replace("jpg", "jpeg") or _unknown(param)
    return Inline(kind, data)


def _checked(data: str, param: str) -> str:
    """The same base64 without white space and with its padding, or `BadAttachment`. It may have twenty
    megabytes, so it is looked at in few steps that are quick (R-048).
    """
    text = (data if data.isascii() else "".join(data.split())).encode(errors="replace")
    rest = text.translate(None, _USUAL)
    if rest.strip(b"="):
        text = text.translate(_STANDARD, _BLANKS)
        data, rest = text.decode(), text.translate(None, _USUAL)
    if not text:
        raise BadAttachment("{field} is empty", param=param, field=param)
    bare, missing = len(text) - len(rest), -len(text) % 4
    is_padding = not rest.strip(b"=") and text.endswith(rest)
    if not is_padding or bare % 4 == 1 or len(text) + missing != bare + -bare % 4:
        raise BadAttachment("{field} is not valid base64", param=param, field=param)
    return data + "=" * missing


def _head(data: str) -> bytes:
    return base64.b64decode(data[:_HEAD])


def _unknown(param: str) -> str:
    raise BadAttachment(
        "{field} is neither an address nor a file of a known type", param=param, field=param
    )
