"""Credentials with limits of length and of money."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
kind = "expand"
since = "0.1.0"
AMOUNTS = ("context", "output", "day", "month", "total", "credit", "credit_until")


def upgrade() -> None:
    for name in AMOUNTS:
        op.add_column("credentials", sa.Column(name, sa.BigInteger))


def downgrade() -> None:
    for name in reversed(AMOUNTS):
        op.drop_column("credentials", name)
