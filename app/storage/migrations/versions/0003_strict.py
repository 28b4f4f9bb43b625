"""Licences that want nothing lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    strict = sa.Column("strict", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("licences", strict)


def downgrade() -> None:
    op.drop_column("licences", "strict")
