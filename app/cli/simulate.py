"""`tokens simulate`: the offline simulators, each on a loopback port."""

from __future__ import annotations

import argparse
import json
import signal
import sys

import gevent
from gevent.event import Event

from app.cli.words import Complaint
from app.simulators import SIMULATORS
from app.simulators.serving import PREFIXES, serve

FIRST_PORT = 8101


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print the addresses as one line of JSON"
    )
    parser.add_argument(
        "--any-port", action="store_true", help="take free ports instead of 8101 and up"
    )
    parser.epilog = (
        'Write "simulate: throttle", "simulate: cut after=3" or "simulate: words=50" in a prompt to '
        "see a platform misbehave or talk at length."
    )


def run(options: argparse.Namespace) -> int:
    made = {name: make() for name, make in SIMULATORS.items()}
    ports = {} if options.any_port else {name: FIRST_PORT + i for i, name in enumerate(made)}
    try:
        servers = serve(made, ports)
    except OSError as error:
        words = error.strerror or str(error)
        raise Complaint(f"the simulators cannot listen ({words}); try --any-port") from error
    urls = {
        name: f"http://127.0.0.1:{port}{PREFIXES.get(name, '')}"
        for name, port in servers.ports.items()
    }
    print(json.dumps(urls) if options.json else _table(urls), flush=True)
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, ended.set)
    ended.wait()
    servers.stop()
    return 0


def _table(urls: dict[str, str]) -> str:
    lines = [f"  TOKENS_{name.upper()}_BASE_URL={url}" for name, url in urls.items()]
    return "\n".join(["simulators are running; any key will do:", *lines])


if __name__ == "__main__":
    sys.exit(run(argparse.Namespace(json=True, any_port=True)))
