"""The attempts at a call that failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("failed", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("ledger", "failed")
