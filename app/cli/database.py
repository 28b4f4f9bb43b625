"""The database as commands open it: made and brought up to date where that is still to do."""

from __future__ import annotations

import importlib

from app.cli.words import Complaint
from app.config import Settings
from app.errors import GatewayError
from app.storage.database import HEAD, Database


def opened(settings: Settings) -> Database:
    """The database these settings name, at the newest migration."""
    try:
        database = Database(settings.database_url)
        database.make_place()
        if database.version() != HEAD:
            importlib.import_module("app.storage.schema").prepare(database)
        return database
    except (GatewayError, OSError) as error:
        raise Complaint(_why(settings, error)) from error
    except ValueError as error:
        raise Complaint(f"TOKENS_DATABASE_URL cannot be used: {error}") from error


def _why(settings: Settings, error: Exception) -> str:
    cause = error.__cause__ or error
    words = str(getattr(cause, "orig", None) or getattr(cause, "strerror", None) or cause).strip()
    where = (
        "the folder of TOKENS_DATABASE_URL" if settings.database_url.startswith("sqlite") else "it"
    )
    return f"the database cannot be opened ({words.splitlines()[0]}); check that {where} can be written"
