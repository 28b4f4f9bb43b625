"""Credentials with what is known of their health, and licences that may use some groups only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
kind = "expand"
since = "0.1.0"


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(16), nullable=False, unique=True),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("label", sa.String(200), nullable=False, server_default=""),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("groups", sa.Text, nullable=False, server_default=""),
        sa.Column("weight", sa.Integer, nullable=False, server_default="1"),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("base_url", sa.Text, nullable=False, server_default=""),
        sa.Column("rpm", sa.BigInteger),
        sa.Column("rpd", sa.BigInteger),
        sa.Column("tpm", sa.BigInteger),
        sa.Column("tpd", sa.BigInteger),
        sa.Column("concurrency", sa.BigInteger),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("platform", "fingerprint", name="credentials_once"),
    )
    op.create_table(
        "health",
        sa.Column("credential", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("probed_at", sa.Float, nullable=False, server_default="0"),
        sa.Column("recovered_at", sa.Float, nullable=False, server_default="0"),
        sa.Column("version", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "bindings",
        sa.Column("session", sa.String(64), primary_key=True),
        sa.Column("credential", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False, index=True),
        sa.Column("version", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "versions",
        sa.Column("of", sa.String(16), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    names = ("credentials", "health", "bindings")
    table = sa.table("versions", sa.column("of", sa.String), sa.column("version", sa.BigInteger))
    op.bulk_insert(table, [{"of": name, "version": 0} for name in names])
    op.add_column("licences", sa.Column("groups", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("licences", "groups")
    for table in ("versions", "bindings", "health", "credentials"):
        op.drop_table(table)
