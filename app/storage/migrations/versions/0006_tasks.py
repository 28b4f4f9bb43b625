"""Jobs that outlive the request that asked for them, and who works on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("shape", sa.String(8), nullable=False),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("engine", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(16), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("credential", sa.String(64), nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("code", sa.String(100), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("webhook", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("completed_at", sa.Float),
        sa.Column("deadline", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("due_at", sa.Float),
        sa.Column("put_at", sa.Float, nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
        sa.Column("misses", sa.Integer, nullable=False),
        sa.Column("cancelling", sa.Boolean, nullable=False),
        sa.Column("settled", sa.String(8), nullable=False),
        sa.Column("notice_at", sa.Float),
        sa.Column("notices", sa.Integer, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
    )
    indexes = {
        "tasks_owned": ["owner", "platform", "kind", "created_at", "id"],
        "tasks_due": ["due_at"],
        "tasks_notice": ["notice_at"],
        "tasks_state": ["state", "completed_at"],
    }
    for name, columns in indexes.items():
        op.create_index(name, "tasks", columns)
    op.create_table(
        "workers",
        sa.Column("name", sa.String(300), primary_key=True),
        sa.Column("seen_at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("workers")
    op.drop_table("tasks")
