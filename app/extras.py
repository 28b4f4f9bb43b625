"""What is installed only where it is wanted, beside the program that wants it."""

from __future__ import annotations

import sys

EXTRAS = {
    "s3": ("boto3",),
    "traces": ("opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"),
}


def to_install(extra: str) -> str:
    """The command that installs it, for a complaint to name.

    The packages by their names and not the program with an extra: that is in no registry, where somebody
    else may take its name, and pip would put another folder's program into the place of this one.
    """
    return f"{sys.prefix}/bin/pip install {' '.join(EXTRAS[extra])}"
