"""Calls under an idempotency key, and what was answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(16), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("asked", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("request", sa.String(40), nullable=False),
        sa.Column("worker", sa.String(160), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", sa.Text),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_index("idempotency_until", "idempotency", ["until"])


def downgrade() -> None:
    op.drop_table("idempotency")
