"""Why jobs end, where it is no error that says so. They are written down, and told in the language of
whoever asks.
"""

from __future__ import annotations

CANCELLED = "the task was cancelled"
LOST = (
    "the gateway ended while it asked the platform; whether the platform took the job is not known"
)
TIMEOUT = "the platform did not finish the job in time"
CREDENTIAL_GONE = "the key that the job was begun with is not there any more"
GONE = "the platform does not know the job any more"
UNKNOWN = "the platform knows no such job"
FAILED = "the platform could not make it"
GIVEN_UP = "the platform has given it up"
FORBIDDEN = "the film breaks the rules"
NO_ENDPOINT = "the platform has no such endpoint"
