"""`tokens serve`: the gateway alone."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from app.cli.checkout import GUNICORN, HOME
from app.cli.database import opened
from app.cli.state import check_state
from app.cli.words import Complaint, prices, settings
from app.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Everything comes from TOKENS_ settings; see `tokens settings`."


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    prices(chosen)  # only to have them checked
    with opened(chosen):
        pass  # only to have it made, or complained of
    check_state(chosen)
    check_log(chosen)
    check_port(chosen)
    os.execv(sys.executable, gunicorn_command())


def gunicorn_command() -> list[str]:
    """The command line that serves; it reads the same settings from the environment."""
    start = [
        "gunicorn",
        "--config",
        str(GUNICORN),
        "--chdir",
        os.getcwd(),
        "--pythonpath",
        str(HOME),
    ]
    return [sys.executable, "-m", *start]


def check_log(chosen: Settings) -> None:
    """Complains where every worker would end with a traceback."""
    if chosen.log_file == "-":
        return
    file = Path(chosen.log_file)
    place = file if file.exists() else file.parent
    if file.is_dir() or not os.access(place, os.W_OK):
        raise Complaint(
            f"the access log cannot be written to {file}; "
            "make its folder, or set TOKENS_LOG_FILE to another file"
        )


def place_of(chosen: Settings) -> str:
    """Where the gateway listens, as people write it."""
    return chosen.socket_file or f"{chosen.host}:{chosen.port}"


def check_port(chosen: Settings) -> None:
    """Complains where gunicorn would try again and again, or take another gateway's place."""
    try:
        if chosen.socket_file:
            _check_socket(Path(chosen.socket_file))
        else:
            _check_address(chosen)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or "not a name"
        raise Complaint(
            f"cannot listen on {place_of(chosen)} ({why.lower()}); {_remedy(chosen, error)}"
        ) from error


def _check_address(chosen: Settings) -> None:
    kind, _, _, _, address = socket.getaddrinfo(
        chosen.host, chosen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(kind, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _check_socket(file: Path) -> None:
    """A socket that nobody listens at was left behind, and gunicorn takes it away."""
    if not os.access(file.parent, os.W_OK):
        _raise(errno.ENOENT if not file.parent.exists() else errno.EACCES)
    if not file.exists():
        return
    if not file.is_socket():
        _raise(errno.EEXIST)
    with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionRefusedError):
        probe.connect(str(file))
        _raise(errno.EADDRINUSE)


def _raise(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


def _remedy(chosen: Settings, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if chosen.socket_file:
        if number == errno.EADDRINUSE:
            return "end what listens there, or set TOKENS_SOCKET_FILE to another file"
        return "set TOKENS_SOCKET_FILE to a file in a folder that this user may write to"
    match number:
        case errno.EADDRINUSE:
            return "end what listens there, or set TOKENS_PORT to another port"
        case errno.EACCES:
            return "set TOKENS_PORT to a port that this user may open"
        case _:
            return "set TOKENS_HOST to an address of this machine"
