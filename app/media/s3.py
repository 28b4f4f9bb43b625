"""A bucket of any service that speaks S3: Amazon's own, R2, OSS, MinIO.

Large files go up in parts, one in memory at a time. Only what every such service knows is used: no
checksums in trailers, no lists of objects. boto3 is imported when it is first needed, because it is
large and most do without it.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from app.errors import NotFound, StorageTrouble
from app.media.place import NOTHING, PIECE, checked
from app.secret import Secret

log = logging.getLogger(__name__)

PART = 8 << 20  # bytes; services want at least five million in every part but the last
_GONE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})


class S3:
    """Files in one bucket, below one prefix."""

    def __init__(
        self,
        bucket: str,
        *,
        key: str,
        secret: Secret,
        endpoint: str = "",
        region: str = "us-east-1",
        prefix: str = "",
        addressing: str = "auto",
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._made: Any = None
        self._facts = {"aws_access_key_id": key, "region_name": region}
        self._secret = secret
        self._endpoint = endpoint
        self._addressing = addressing

    def put(self, name: str, path: str) -> str:
        place = self._place(name)
        digest = hashlib.sha256()
        with self._trouble(), open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size <= PART:
                whole = file.read()
                digest.update(whole)
                self._client().put_object(**place, Body=whole)
            else:
                self._put_parts(place, file, digest)
        return digest.hexdigest()

    def open(self, name: str, size: int, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return iter(())
        with self._trouble():
            found = self._client().get_object(**self._place(name), Range=f"bytes={start}-{end - 1}")
        body = found["Body"]
        if found["ContentLength"] != end - start or not found["ContentRange"].endswith(f"/{size}"):
            body.close()
            raise NotFound(NOTHING)
        return _pieces(body, end - start)

    def remove(self, name: str, *, whole: bool) -> None:
        place = self._place(name)
        with self._trouble():
            if not whole:
                self._abort_all(place)
            self._client().delete_object(**place)

    def free(self) -> int | None:
        return None

    def trouble(self) -> str:
        """Why the bucket cannot be used, in its service's own word; empty if it can. It is asked what is
        on its way there, which changes nothing and needs no right that we do not need anyhow.
        """
        exceptions = importlib.import_module("botocore.exceptions")
        try:
            self._client().list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix)
        except exceptions.ClientError as error:
            return str(error.response.get("Error", {}).get("Code") or "no answer of S3's")
        except (exceptions.BotoCoreError, exceptions.HTTPClientError, ValueError) as error:
            return type(error).__name__
        return ""

    def _put_parts(self, place: dict[str, str], file: IO[bytes], digest: Any) -> None:
        client = self._client()
        upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
        parts: list[dict[str, Any]] = []
        try:
            while part := file.read(PART):
                digest.update(part)
                number = len(parts) + 1
                told = client.upload_part(**upload, PartNumber=number, Body=part)
                parts.append({"PartNumber": number, "ETag": told["ETag"]})
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with self._trouble():
                client.abort_multipart_upload(**upload)
            raise

    def _abort_all(self, place: dict[str, str]) -> None:
        """Parts of a file that never became whole are paid for until somebody says so."""
        client = self._client()
        found = client.list_multipart_uploads(Bucket=place["Bucket"], Prefix=place["Key"])
        for upload in found.get("Uploads", ()):
            client.abort_multipart_upload(**place, UploadId=upload["UploadId"])

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked(name)}

    def _client(self) -> Any:
        if self._made is None:
            boto3, config = importlib.import_module("boto3"), _config(self._addressing)
            self._made = boto3.session.Session().client(
                "s3",
                aws_secret_access_key=self._secret.reveal(),
                endpoint_url=self._endpoint or None,
                config=config,
                **self._facts,
            )
        return self._made

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Tells what went wrong in our words; the service's own are for the log."""
        exceptions = importlib.import_module("botocore.exceptions")
        try:
            yield
        except exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _GONE:
                raise NotFound(NOTHING) from error
            log.error("the bucket refused", extra={"code": code, "bucket": self._bucket})
            raise StorageTrouble("files cannot be kept just now") from error
        except (exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
            why = type(error).__name__
            log.error("the bucket cannot be used", extra={"why": why, "bucket": self._bucket})
            raise StorageTrouble("files cannot be kept just now") from error


def is_installed() -> bool:
    return importlib.util.find_spec("boto3") is not None


def _config(addressing: str) -> Any:
    return importlib.import_module("botocore.config").Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing},
        # Others than Amazon do not know the checksums that boto3 adds by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        proxies={},  # the settings say where to go, not whatever else is in the environment
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=64,
    )


def _pieces(body: Any, left: int) -> Iterator[bytes]:
    exceptions = importlib.import_module("botocore.exceptions")
    try:
        while left:
            piece = body.read(min(PIECE, left))
            if not piece:
                raise OSError(errno.EIO, "the bucket's answer ended before its end")
            left -= len(piece)
            yield piece
    except exceptions.BotoCoreError as error:
        raise OSError(errno.EIO, "the bucket's answer broke off") from error
    finally:
        body.close()  # what was not read is left, with its connection
