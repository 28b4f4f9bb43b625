"""Where Alembic finds the connection that `app.storage.schema` hands it."""

from __future__ import annotations

from alembic import context

from app.storage.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
