"""An S3 service in a thread: one bucket in memory, for whoever signs as S3 wants it.

It stands here because none that is to be had as a package checks signatures independently of boto3:
s3rver (npm) says of itself that it does not verify version 4, moto (PyPI) compares with what botocore
itself computes, and Debian has no MinIO. So this one refuses what Amazon documents that it refuses:
a wrong secret, a body that is not the signed one, an old date, small parts, parts out of order.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import threading
import xml.etree.ElementTree as xml
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.media.signature import Asked, Wrong, judge

BUCKET, REGION = "pictures", "eu-test-1"
KEY, SECRET = "AKIDTOKENSTEST", "w/3nq+a-secret-of-the-bucket"
LEAST_PART = 5 << 20
STATUS = {
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "NoSuchUpload": 404,
    "InvalidPart": 400,
    "EntityTooSmall": 400,
    "InvalidPartOrder": 400,
    "XAmzContentSHA256Mismatch": 400,
    "AuthorizationHeaderMalformed": 400,
    "InvalidRange": 416,
    "NotImplemented": 501,
    "SlowDown": 503,
}
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Bucket:
    """The service. `objects` are what is in the bucket, `uploads` what is on its way."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.asked: list[tuple[str, str]] = []  # method and path with query
        self.largest = 0  # body of a request so far
        self.refusals: list[str] = []
        self.mishaps: list[str] = []  # how the next requests go wrong
        self.shift = datetime.timedelta()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; `Wrong` where S3 refuses."""
        now = datetime.datetime.now(datetime.UTC) + self.shift
        judge(asked, {KEY: SECRET}, REGION, now)
        if "aws-chunked" in asked.headers.get("content-encoding", ""):
            raise Wrong("NotImplemented")  # as OSS and older R2 answer
        host = asked.headers["host"].partition(":")[0]
        bucket, key = (
            (host.removesuffix(".bucket.test"), unquote(asked.path[1:]))
            if host.endswith(".bucket.test")
            else (unquote(part) for part in [*asked.path[1:].split("/", 1), ""][:2])
        )
        if bucket != BUCKET:
            raise Wrong("NoSuchBucket")
        with self._lock:
            self.largest = max(self.largest, len(body))
            if self.mishaps:
                raise Wrong(self.mishaps.pop(0))
            return self._act(asked, key, dict(asked.query), body)

    def _act(
        self, asked: Asked, key: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        match asked.method, sorted(query.keys() - {"x-id"}):
            case "PUT", []:
                self.objects[key] = body
                return 200, {"ETag": _etag(body)}, b""
            case "GET" | "HEAD", []:
                return self._get(key, asked.headers.get("range", ""))
            case "DELETE", []:
                self.objects.pop(key, None)
                return 204, {}, b""
            case "POST", ["uploads"]:
                upload = f"up-{len(self.asked)}"
                self.uploads[upload] = (key, {})
                return 200, {}, _xml("InitiateMultipartUploadResult", UploadId=upload)
            case "PUT", ["partNumber", "uploadId"]:
                self._parts(key, query)[int(query["partNumber"])] = body
                return 200, {"ETag": _etag(body)}, b""
            case "POST", ["uploadId"]:
                self.objects[key] = _joined(self._parts(key, query), body)
                del self.uploads[query["uploadId"]]
                return 200, {}, _xml("CompleteMultipartUploadResult", Key=key)
            case "DELETE", ["uploadId"]:
                self._parts(key, query)
                del self.uploads[query["uploadId"]]
                return 204, {}, b""
            case "GET", ["encoding-type", "prefix", "uploads"] | ["prefix", "uploads"]:
                return 200, {}, self._listed(query["prefix"])
        raise Wrong("NotImplemented")

    def _get(self, key: str, asked: str) -> tuple[int, dict[str, str], bytes]:
        if key not in self.objects:
            raise Wrong("NoSuchKey")
        data = self.objects[key]
        found = _RANGE.fullmatch(asked)
        if found is None:
            return 200, {"ETag": _etag(data)}, data
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        if first >= len(data):
            raise Wrong("InvalidRange")
        where = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "ETag": _etag(data)}
        return 206, where, data[first : last + 1]

    def _parts(self, key: str, query: dict[str, str]) -> dict[int, bytes]:
        name, parts = self.uploads.get(query["uploadId"], ("", {}))
        if name != key:
            raise Wrong("NoSuchUpload")
        return parts

    def _listed(self, prefix: str) -> bytes:
        root = xml.Element("ListMultipartUploadsResult")
        for upload, (key, _) in self.uploads.items():
            if key.startswith(prefix):
                one = xml.SubElement(root, "Upload")
                xml.SubElement(one, "Key").text = key
                xml.SubElement(one, "UploadId").text = upload
        return xml.tostring(root)


def _joined(parts: dict[int, bytes], body: bytes) -> bytes:
    """The parts that the body names, if they are the ones that came, in order and large enough."""
    named = [
        (int(part.findtext("{*}PartNumber", "")), part.findtext("{*}ETag", ""))
        for part in xml.fromstring(body).findall("{*}Part")
    ]
    numbers = [number for number, _ in named]
    if numbers != sorted(set(numbers)):
        raise Wrong("InvalidPartOrder")
    if not named or any(_etag(parts.get(number, b"?")) != etag for number, etag in named):
        raise Wrong("InvalidPart")
    if any(len(parts[number]) < LEAST_PART for number in numbers[:-1]):
        raise Wrong("EntityTooSmall")
    return b"".join(parts[number] for number in numbers)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _xml(name: str, **fields: str) -> bytes:
    root = xml.Element(name)
    for field, value in fields.items():
        xml.SubElement(root, field).text = value
    return xml.tostring(root)


def _handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Says nothing: what was asked is in the bucket."""

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            bucket.asked.append((self.command, self.path))
            asked = Asked(
                self.command,
                parts.path,
                parse_qsl(parts.query, keep_blank_values=True),
                {name.lower(): value for name, value in self.headers.items()},
                hashlib.sha256(body).hexdigest(),
            )
            try:
                status, headers, answer = bucket.answer(asked, body)
            except Wrong as wrong:
                code = str(wrong)
                bucket.refusals.append(code)
                status, headers, answer = STATUS.get(code, 403), {}, _xml("Error", Code=code)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    return Handler
