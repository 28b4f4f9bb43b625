"""What the SDK tests talk about: prompts that the simulators understand, a picture, a document, two
tools.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]

SAY = "simulate: say Hello, wörld!"
SAID = "Hello, wörld!"
COUNT = "simulate: words=9"
COUNTED = " ".join(f"word{number}" for number in range(1, 10))
CUT = "simulate: cut after=2 pace=0.05\nsimulate: words=9"
TRUNCATED = "simulate: truncate\nsimulate: words=9"
ERROR = "simulate: error after=2 pace=0.05\nsimulate: words=9"
BOTH_TOOLS = "Ask weather and clock about Lisbon"  # naming a tool makes a simulator call it
SUNNY, NOON = "sunny, 21 degrees", "it is noon"

WEATHER: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CLOCK: Json = {
    "type": "object",
    "properties": {"zone": {"type": "string"}},
    "required": ["zone"],
    "additionalProperties": False,
}
TOOLS = {"weather": WEATHER, "clock": CLOCK}
RESULTS = {"weather": SUNNY, "clock": NOON}


class City(BaseModel):
    """What structured answers are made of."""

    name: str
    inhabitants: int


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    + _chunk(b"IEND", b"")
)
PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PDF_URL = "data:application/pdf;base64," + base64.b64encode(PDF).decode()


def fits(name: str, arguments: Json) -> bool:
    """Whether these are arguments for the tool of that name."""
    wanted = {"weather": {"city": str, "days": int}, "clock": {"zone": str}}[name]
    return {key: type(value) for key, value in arguments.items()} == wanted
