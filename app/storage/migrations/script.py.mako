"""${message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
# "expand": programs of the version before go on as if nothing had happened. Else "contract", with `needs`,
# the migration of an earlier version whose program does without what goes. tests/storage/test_migrations.py looks.
kind = "expand"
since = ""  # the version of the program that brings it


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
