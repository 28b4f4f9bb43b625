"""What platforms keep for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "memories",
        sa.Column("platform", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(16), primary_key=True),
        sa.Column("key", sa.String(120), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_index("memories_until", "memories", ["until"])


def downgrade() -> None:
    op.drop_table("memories")
