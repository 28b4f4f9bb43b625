"""What the database says of the programs that can use it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "compatibility",
        sa.Column("oldest", sa.String(32), primary_key=True),
        sa.Column("tables", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("compatibility")
