"""Databases by URL: `sqlite:///relative/file`, `sqlite:////absolute/file` or `postgresql://…`."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .database import Database
from .postgresql import PostgresDatabase
from .sqlite import SqliteDatabase

_WRONG_URL = "must be sqlite:///file or postgresql://…"


def open_database(url: str, *, prepare: bool = True) -> Database:
    """The database of a URL: `sqlite:///relative/file`, `sqlite:////absolute/file` or `postgresql://…`. `prepare`: whether
    PostgreSQL is to keep statements prepared.

    Nothing is connected yet. Raises ValueError, without the URL's password, when the URL is neither.
    """
    parts = _parts(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        path = Path(unquote(parts.path[1:]))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteDatabase(path)
    return PostgresDatabase(postgresql(url), prepare=prepare)


def postgresql(url: str) -> str:
    """A URL of PostgreSQL as the driver wants it. Raises ValueError for any other."""
    parts = _parts(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(_WRONG_URL)
    return "postgresql" + url[len(parts.scheme) :]


def _parts(url: str) -> SplitResult:
    """The parts of a URL that can be read; what others say of one that cannot would repeat it."""
    try:
        parts = urlsplit(url)
        if parts.scheme.startswith("postgres"):
            conninfo_to_dict(url)
        if parts.netloc.count("@") > 1:  # of a password with one that is not escaped, the driver takes the rest for the host
            raise ValueError(_WRONG_URL)
        return parts
    except (ValueError, psycopg.ProgrammingError):
        raise ValueError(_WRONG_URL) from None
