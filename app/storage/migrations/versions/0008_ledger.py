"""A ledger, what its days came to, and licences with limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
kind = "expand"
since = "0.1.0"

LIMITS = ("rpm", "rpd", "tpm", "tpd", "concurrency")
AMOUNTS = ("context", "output", "day", "month", "total", "credit", "credit_until")
COUNTS = ("input", "output", "cached", "cache_write", "reasoning")


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False, server_default=""),
        sa.Column("licence", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("asked", sa.String(200), nullable=False),
        sa.Column("credential", sa.String(64), nullable=False, server_default=""),
        sa.Column("spoken", sa.String(32), nullable=False),
        sa.Column("road", sa.String(16), nullable=False, server_default=""),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("first_ms", sa.BigInteger),
        sa.Column("day", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in COUNTS),
        sa.Column("pictures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
        sa.Column("estimated", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("price", sa.String(64), nullable=False),
        sa.Column("unit_prices", sa.Text, nullable=False),
        sa.Column("charge", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("held_tokens", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("held_money", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("worker", sa.String(160), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ledger_open",
        "ledger",
        ["worker"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "ledger_days",
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("licence", sa.String(16), primary_key=True),
        sa.Column("platform", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("credential", sa.String(64), primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("calls", "failed", "estimated", "unpriced", *COUNTS, "pictures")
        ),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("charge", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "accounts",
        sa.Column("licence", sa.String(16), primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("day_calls", "day_tokens", "day_money")
        ),
        sa.Column("month", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("month_money", "total_money", "held_tokens", "held_money")
        ),
        sqlite_with_rowid=False,
    )
    for name in (*LIMITS, *AMOUNTS):
        op.add_column("licences", sa.Column(name, sa.BigInteger))
    op.add_column(
        "licences", sa.Column("refuses", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("tasks", sa.Column("ledger", sa.String(40), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("tasks", "ledger")
    for name in ("refuses", *AMOUNTS, *LIMITS):
        op.drop_column("licences", name)
    for table in ("accounts", "ledger_days", "ledger"):
        op.drop_table(table)
