"""Files that were made: whose they are, where they lie, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(16), nullable=False, index=True),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("task", sa.String(80), nullable=False, server_default=""),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger, nullable=False, index=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
        sa.Column("where", sa.String(8), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("media")
