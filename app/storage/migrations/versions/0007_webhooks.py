"""Whom licences want told when their work is over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("owner", sa.String(16), primary_key=True),
        sa.Column("url", sa.Text, nullable=False, server_default=""),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("webhooks")
