"""AWS Signature Version 4 as it is published, to judge what our client signs.

Written from the text of the algorithm alone: nothing of boto3 is in it, and it computes the four
signatures that Amazon prints as examples (tests/media/test_s3.py).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
UNSIGNED = "UNSIGNED-PAYLOAD"
FIFTEEN_MINUTES = 900


class Wrong(Exception):
    """The code with which S3 refuses."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stood on the wire."""

    method: str
    path: str  # percent-encoded, without the query
    query: Sequence[tuple[str, str]]  # decoded
    headers: Mapping[str, str]  # names in lower case
    digest: str  # of the body that came


def judge(asked: Asked, keys: Mapping[str, str], region: str, now: datetime.datetime) -> None:
    """Raises `Wrong` unless the holder of one of `keys` signed exactly this, just now."""
    found = _AUTHORIZATION.fullmatch(asked.headers.get("authorization", ""))
    if found is None:
        raise Wrong("AccessDenied")
    key, day, where, names, signature = found.groups()
    if key not in keys:
        raise Wrong("InvalidAccessKeyId")
    if where != region:
        raise Wrong("AuthorizationHeaderMalformed")
    signed = names.split(";")
    must = {"host", *(name for name in asked.headers if name.startswith("x-amz-"))}
    if not must <= set(signed) or signed != sorted(signed):
        raise Wrong("AccessDenied")
    stamp = asked.headers.get("x-amz-date", "")
    at = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    if not stamp.startswith(day) or abs((at - now).total_seconds()) > FIFTEEN_MINUTES:
        raise Wrong("RequestTimeTooSkewed")
    claimed = asked.headers.get("x-amz-content-sha256", "")
    if claimed not in (asked.digest, UNSIGNED):
        raise Wrong("XAmzContentSHA256Mismatch")
    if not hmac.compare_digest(sign(asked, signed, claimed, stamp, where, keys[key]), signature):
        raise Wrong("SignatureDoesNotMatch")


def sign(
    asked: Asked, names: Sequence[str], claimed: str, stamp: str, region: str, secret: str
) -> str:
    """The signature of the request under a secret."""
    canonical = "\n".join(
        [
            asked.method,
            quote(unquote(asked.path), safe="/-_.~"),
            "&".join(sorted(f"{_coded(name)}={_coded(value)}" for name, value in asked.query)),
            *(f"{name}:{' '.join(asked.headers[name].split())}" for name in names),
            "",
            ";".join(names),
            claimed,
        ]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for word in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    said = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


def _coded(text: str) -> str:
    return quote(text, safe="-_.~")
