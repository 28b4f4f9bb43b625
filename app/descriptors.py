"""Whether this process can open anything more. Each file and each connection takes a descriptor, and
there are only so many for it, and for the machine.
"""

from __future__ import annotations

import errno
import os

from app.errors import OutOfFiles

_FULL = frozenset({errno.EMFILE, errno.ENFILE})


def check_descriptors(error: BaseException) -> None:
    """Raises `OutOfFiles` where that is what `error` came of. Who looks up names, or hides the reason,
    does not say; so it is tried out.
    """
    if getattr(error, "errno", None) in _FULL or not _is_any_left():
        raise OutOfFiles("the gateway can open no more connections just now") from error


def _is_any_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as trouble:
        return trouble.errno not in _FULL
    return True
