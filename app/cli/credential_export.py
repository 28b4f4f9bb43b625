"""`tokens credential export`: credentials in the form that import reads."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from app.cli.credential_fields import told
from app.cli.keeping import Keeping
from app.cli.words import Complaint, file_said
from app.config import Settings
from app.storage.credentials import Kept


def run(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    if options.with_tokens and not options.out:
        raise Complaint("tokens are not printed; name a new file with --out")
    kept = [one for one in keeping.table.all() if options.platform in ("", one.platform)]
    lines = [
        json.dumps(_row(keeping, one, options.with_tokens), ensure_ascii=False) for one in kept
    ]
    text = "".join(f"{line}\n" for line in lines)
    if not options.out:
        sys.stdout.write(text)
        return 0
    try:
        descriptor = os.open(options.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Complaint(f"cannot make {file_said(options.out)}: {why}") from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        os.unlink(options.out)
        raise Complaint(f"cannot write it all: {(error.strerror or '').lower()}") from error
    held = "1 credential is" if len(kept) == 1 else f"{len(kept)} credentials are"
    print(f"{held} in {options.out}", file=sys.stderr)
    return 0


def _row(keeping: Keeping, kept: Kept, with_tokens: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "platform": kept.platform,
        "label": kept.label,
        "groups": list(kept.groups),
        "weight": kept.weight,
        "priority": kept.priority,
        "base_url": kept.base_url,
        **told(kept.allowance),
        "note": kept.note,
        "enabled": kept.enabled,
    }
    return row | (keeping.secrets(kept) if with_tokens else {})
