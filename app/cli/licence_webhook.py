"""`tokens licence webhook`: whom a licence wants told when its work is over."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from app.cli.words import Complaint, moment, show
from app.config import Settings
from app.media.destination import Refusal
from app.media.inbound import Fetcher
from app.seal import BadKeyFile
from app.services.webhooks import new_secret, sealed
from app.storage.database import Database
from app.storage.licences import Licence
from app.storage.webhooks import Hook, Hooks


def run(options: argparse.Namespace, chosen: Settings, database: Database, licence: Licence) -> int:
    table = Hooks(database)
    before = table.find(licence.name)
    secret = ""
    if options.off:
        table.remove(licence.name)
    elif options.url or options.on_request or options.renew:
        if before is None and not (options.url or options.on_request):
            raise Complaint(f"licence {licence.name} has no webhook; give --url or --on-request")
        url = options.url or ("" if options.on_request or before is None else before.url)
        _check(chosen, url)
        secret = new_secret() if before is None or options.renew else ""
        kept = _sealed(chosen, licence, secret) if secret or before is None else before.sealed
        table.put(Hook(owner=licence.name, url=url, sealed=kept, created_at=int(time.time())))
    _tell(_row(licence, table.find(licence.name)), secret, options)
    return 0


def _check(chosen: Settings, url: str) -> None:
    if not url:
        return
    fetcher = Fetcher(allowed_hosts=chosen.fetch_allowed_hosts, allow_http=chosen.fetch_plain_http)
    try:
        fetcher.check(url)
    except Refusal as error:
        raise Complaint(f"the gateway does not go to that address: {error}") from error


def _sealed(chosen: Settings, licence: Licence, secret: str) -> str:
    file = Path(chosen.webhook_file)
    try:
        return sealed(file, licence.name, secret)
    except OSError as error:
        raise Complaint(f"cannot write {file}: {error.strerror}") from error
    except BadKeyFile as error:
        raise Complaint(f"{error}; correct TOKENS_WEBHOOK_FILE") from error


def _tell(row: dict[str, Any], secret: str, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps({**row, "secret": secret} if secret else row, ensure_ascii=False))
        return
    if not secret:
        show([row], as_json=False)
        return
    print(secret)
    print("keep it: it signs what is told, and cannot be shown again", file=sys.stderr)


def _row(licence: Licence, hook: Hook | None) -> dict[str, Any]:
    return {
        "licence": licence.name,
        "webhook": "off" if hook is None else hook.url or "on request",
        "since": moment(hook.created_at) if hook else None,
    }
