"""A disk whose power can be cut, after the event and as often as one likes.

Processes that are started with `environ` have what they write in a folder noted (disk.c). From the notes
the folder can be made again as it may be found after a power cut at any moment: with what had been made
sure of by fsync, and of the rest nothing, or by chance some of it, in pieces of a sector.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack import program

NOTE = struct.Struct("=8s5Q")
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Note:
    """`at` is how long the record was before it."""

    at: int
    kind: str
    inode: int
    offset: int
    length: int
    name: str
    data: bytes


@dataclass
class File:
    """`sure` is on the disk, come what may; `rest` was written since."""

    sure: bytearray = field(default_factory=bytearray)
    rest: list[Note] = field(default_factory=list)

    def sync(self, before: int) -> None:
        for note in self.rest:
            if note.at < before:
                apply(self.sure, note)
        self.rest = [note for note in self.rest if note.at >= before]


def apply(content: bytearray, note: Note) -> None:
    if note.kind == "cut":
        del content[note.length :]
        content.extend(bytes(note.length - len(content)))
        return
    content.extend(bytes(max(0, note.offset - len(content))))
    content[note.offset : note.offset + note.length] = note.data


class Disk:
    """What is in the folder when this is made has been there for long."""

    def __init__(self, folder: Path, place: Path) -> None:
        self._folder, self._record = folder, place / "record"
        shim = place / "disk.so"
        command = [program("gcc"), "-O2", "-Wall", "-Wextra", "-shared", "-fPIC"]
        source = Path(__file__).with_suffix(".c")
        subprocess.run([*command, "-o", str(shim), str(source), "-ldl"], check=True)
        self.environ = {
            "LD_PRELOAD": str(shim),
            "DISK_FOLDER": str(folder),
            "DISK_RECORD": str(self._record),
        }
        self._files: dict[int, File] = {}
        self._names: dict[str, File] = {}  # as processes see them
        for file in folder.iterdir():
            kept = File(bytearray(file.read_bytes()))
            self._names[file.name] = self._files[file.stat().st_ino] = kept
        self._sure_names = self._names
        self._later: list[tuple[int, dict[str, File]]] = []  # the names since, and since when

    def notes(self) -> Iterator[Note]:
        """All there are, in the order in which things happened."""
        record = self._record.read_bytes()
        at = 0
        while at < len(record):
            kind, *numbers, name, data = NOTE.unpack_from(record, at)
            end = at + NOTE.size + name + data
            words = record[end - data - name : end - data].decode(), record[end - data : end]
            yield Note(at, kind.rstrip(b"\0").decode(), *numbers, *words)
            at = end

    def take(self, note: Note) -> None:
        """Goes on to the moment after this."""
        match note.kind:
            case "write" | "cut":
                self._files[note.inode].rest.append(note)
            case "sync":
                self._files[note.inode].sync(note.offset)
            case "names":
                while self._later and self._later[0][0] < note.offset:
                    self._sure_names = self._later.pop(0)[1]
            case _:
                self._rename(note)

    def _rename(self, note: Note) -> None:
        names = dict(self._names)
        match note.kind:
            case "create":
                if names.get(note.name) is self._files.get(note.inode, note):
                    return  # two have opened it at the same time
                names[note.name] = self._files[note.inode] = File()
            case "remove":
                del names[note.name]
            case "rename":
                names[note.data.decode()] = names.pop(note.name)
            case kind:
                raise ValueError(kind)
        self._names = names
        self._later.append((note.at, names))

    def seen(self, name: str) -> bytes:
        """What processes read in this file."""
        file = self._names.get(name, File())
        content = bytearray(file.sure)
        for note in file.rest:
            apply(content, note)
        return bytes(content)

    def rebuild(self, folder: Path, chance: random.Random | None = None) -> int:
        """The folder as it may be after a power cut; how many writes it has lost."""
        folder.mkdir()
        lost = 0
        for name, file in self._sure_names.items():
            content = bytearray(file.sure)
            for piece in (piece for note in file.rest for piece in _pieces(note)):
                if chance is not None and chance.random() < 0.5:
                    apply(content, piece)
                else:
                    lost += 1
            (folder / name).write_bytes(content)
        return lost


def _pieces(note: Note) -> Iterator[Note]:
    """The sectors of a write, each of which gets to the disk or not."""
    if note.kind == "cut":
        yield note
        return
    at = note.offset
    end = note.offset + note.length
    while at < end:
        to = min(end, at - at % SECTOR + SECTOR)
        data = note.data[at - note.offset : to - note.offset]
        yield Note(note.at, note.kind, note.inode, at, to - at, "", data)
        at = to
