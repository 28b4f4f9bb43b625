"""Fields of a request that may hold files: JSON or a form, read alike, with every file on disk.

A form's names may say that they are lists or have parts (`image[]`, `image[0]`,
`input_reference[image_url]`): what comes out is what JSON would have said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from app.errors import BadRequest, TooLarge
from app.lift import LEAST, MOST_LEFT, Lifted, Overfull, lifted, read_text
from app.spool import Spool
from app.web.intake import body_pieces, parse

MOST_PARTS = 200
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_KEY = re.compile(r"\[([^\[\]]*)\]")


def read_fields(request: Request, spool: Spool, most_bytes: int) -> dict[str, Any]:
    """What the body says, a field at a time. Files, and long texts in base64, are `Lifted`. What does
    not call itself a form is JSON, whatever it calls itself (C-082).
    """
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind == "multipart/form-data":
        return _read_form(request, options.get("boundary", ""), spool, most_bytes)
    pairs = kind == "application/x-www-form-urlencoded"
    return _read_json(request, spool, most_bytes, _parse_pairs if pairs else parse)


def _read_json(
    request: Request, spool: Spool, most_bytes: int, read: Callable[[bytes], dict[str, Any]]
) -> dict[str, Any]:
    try:
        body: dict[str, Any] = lifted(body_pieces(request, most_bytes), spool, read)
    except Overfull as error:
        raise TooLarge(
            "the body holds more than {most} MB beside its files", most=MOST_LEFT >> 20
        ) from error
    return body


def _parse_pairs(raw: bytes) -> dict[str, Any]:
    """A form without files, if it is one: curl calls everything so that nobody has named."""
    if b"=" not in raw or raw.lstrip()[:1] in (b"{", b"["):
        return parse(raw)
    fields = dict[str, Any]()
    try:
        for name, value in parse_qsl(
            raw.decode("utf-8", "replace"), True, max_num_fields=MOST_PARTS
        ):
            _put(fields, name, value)
    except ValueError as error:
        raise TooLarge("the form has more than {most} parts", most=MOST_PARTS) from error
    return fields


def _read_form(request: Request, boundary: str, spool: Spool, most_bytes: int) -> dict[str, Any]:
    if not boundary:
        raise BadRequest("the form has no boundary")
    form = _Form(spool)
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), max_parts=MOST_PARTS)
    try:
        for piece in body_pieces(request, most_bytes):
            decoder.receive_data(piece)
            form.take(decoder)
        decoder.receive_data(None)
        form.take(decoder)
    except RequestEntityTooLarge as error:
        raise TooLarge("the form has more than {most} parts", most=MOST_PARTS) from error
    except ValueError as error:
        raise BadRequest("the form is damaged") from error
    finally:
        form.close()
    return form.fields


class _Form:
    """Parts as they come. A part without a file name stays in memory for as long as it is short."""

    def __init__(self, spool: Spool) -> None:
        self.fields: dict[str, Any] = {}
        self._spool = spool
        self._name = ""
        self._is_file = False
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._held = bytearray()

    def take(self, decoder: MultipartDecoder) -> None:
        while True:
            event = decoder.next_event()
            if isinstance(event, (NeedData, Epilogue)):
                return
            if isinstance(event, (Field, File)):
                self._name, self._held = event.name or "", bytearray()
                self._is_file = isinstance(event, File) and bool(event.filename)
                self._path = None
                if self._is_file:
                    self._spill()
            elif isinstance(event, Data):
                self._write(event.data)
                if not event.more_data:
                    self._end()

    def _spill(self) -> None:
        self._path = self._spool.new()
        self._file = open(self._path, "wb")
        self._file.write(self._held)
        self._held = bytearray()

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            return
        self._held += data
        if len(self._held) > LEAST:
            self._spill()

    def _end(self) -> None:
        path = self._path
        self.close()
        if path is None:
            _put(self.fields, self._name, self._held.decode("utf-8", "replace"))
        elif self._is_file:
            _put(self.fields, self._name, Lifted(path, path.stat().st_size))
        else:  # a picture in base64, or just a long text
            held = read_text(path, self._spool)
            _put(
                self.fields,
                self._name,
                held.decode("utf-8", "replace") if isinstance(held, bytes) else held,
            )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _put(fields: dict[str, Any], written: str, value: Any) -> None:
    """Adds what a form has under this name, which may say that it is part of something."""
    found = _NAME.fullmatch(written)
    if found is None:
        raise BadRequest("the form has a field without a usable name")
    name, keys = found[1], [key for key in _KEY.findall(found[2]) if key and not key.isdecimal()]
    for key in reversed(keys):
        value = {key: value}
    is_list = bool(found[2]) and not keys
    before = fields.get(name)
    if before is None:
        fields[name] = [value] if is_list else value
    elif isinstance(before, dict) and isinstance(value, dict) and not before.keys() & value:
        before.update(value)
    elif isinstance(before, list):
        before.append(value)
    else:
        fields[name] = [before, value]
