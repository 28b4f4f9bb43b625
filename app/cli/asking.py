"""What people are asked for: on a terminal at a prompt, elsewhere on standard input or in a file."""

from __future__ import annotations

import getpass
import sys

from app.cli.credential_fields import read_proxy, read_token
from app.cli.words import Complaint, file_said

CLOSED = "standard input is closed"


def token(file: str) -> str:
    """A token from that file; if none is named, from whoever is there."""
    if file:
        return read_token(_first_line(file))
    if sys.stdin is None:
        raise Complaint(CLOSED)
    if not sys.stdin.isatty():
        return read_token(_text(sys.stdin.buffer.readline()))
    try:
        return read_token(getpass.getpass("token (not shown): "))
    except EOFError as error:
        print(file=sys.stderr)
        raise Complaint("no token was given") from error


def proxy(file: str) -> str:
    """The address of a proxy from that file; empty if none is named."""
    return read_proxy(_first_line(file)) if file else ""


def agreed(question: str) -> bool:
    """Whether somebody says yes."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise Complaint("nobody can be asked here; say --yes")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def contents(file: str) -> bytes:
    """All that is in the file; `-` is standard input."""
    if file == "-":
        if sys.stdin is None:
            raise Complaint(CLOSED)
        return sys.stdin.buffer.read()
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise _unread(file, error) from error


def _first_line(file: str) -> str:
    try:
        with open(file, "rb") as lines:
            return _text(lines.readline())
    except OSError as error:
        raise _unread(file, error) from error


def _text(line: bytes) -> str:
    """With something that no token has in the place of what is no UTF-8."""
    return line.decode("utf-8-sig", errors="replace")


def _unread(file: str, error: OSError) -> Complaint:
    why = (error.strerror or str(error)).lower()
    return Complaint(f"cannot read {file_said(file)}: {why}")
