"""Backups: a copy of everything, made while others write, and put where nothing is yet.

SQLite copies its file in one step: in several, every write in between would begin it anew. PostgreSQL's own tools do the rest.
"""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .store.database import Database
from .store.sqlite import SqliteDatabase

_LONGEST_MESSAGE = 300


class BackupError(Exception):
    """A backup could not be made, or not be put back."""


def backup(database: Database, url: str, file: Path) -> None:
    """Writes a backup, complete or not at all. Raises BackupError when there is a file, or when it cannot be made."""
    if file.exists():
        raise BackupError(f"{file} is there already")
    half = file.with_name(file.name + ".part")
    try:
        half.touch(mode=0o600, exist_ok=True)
        if isinstance(database, SqliteDatabase):
            _copy(Path(database.database), half)
        else:
            _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={half}")
        _sync(half)
        half.rename(file)
        _sync(file.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{file} cannot be written: {error}") from error
    finally:
        half.unlink(missing_ok=True)


def restore(database: Database, url: str, file: Path) -> None:
    """Puts a backup into an empty database. Raises BackupError, and then the database is as empty as it was."""
    if not file.is_file():
        raise BackupError(f"{file} is no file")
    if database.get_tables():
        raise BackupError("the database is not empty; a backup is put where nothing is")
    database.shut_down()
    if not isinstance(database, SqliteDatabase):
        _run("pg_restore", url, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(file))
        return
    target = Path(database.database)
    half = target.with_name(target.name + ".part")
    try:
        _copy(file, half)
        for name in (target, *(target.with_name(target.name + end) for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
        _sync(half)
        half.rename(target)
        _sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{file} cannot be restored: {error}") from error
    finally:
        half.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copies a database of SQLite while others write to it. Raises sqlite3.Error."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as here,
        closing(sqlite3.connect(target)) as there,
    ):
        here.backup(there)
        found = there.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise sqlite3.DatabaseError("the copy is not sound")


def _run(tool: str, url: str, *arguments: str) -> None:
    """Runs a tool of PostgreSQL; the password is not among its arguments, which everybody can read."""
    path = shutil.which(tool)
    if path is None:
        raise BackupError(f"{tool} is not installed: PostgreSQL's client programs are needed, of the server's version or later")
    parts = urlsplit(url)
    environment = dict(os.environ)
    if parts.password:
        environment["PGPASSWORD"] = unquote(parts.password)
        user, _, host = parts.netloc.rpartition("@")
        url = parts._replace(netloc=f"{user.partition(':')[0]}@{host}").geturl()
    done = subprocess.run(  # noqa: S603
        [path, f"--dbname={url}", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupError(f"{tool}: {done.stderr.strip()[:_LONGEST_MESSAGE]}")


def _sync(path: Path) -> None:
    """Sees that what was written, or named, is there after a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
