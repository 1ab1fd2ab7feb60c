"""A process does not keep a file in its own memory, however much of it is read. Memory is measured in a process of its own."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

_ROWS, _BODY = 48_000, 1_000  # 48 MB
_MIB = 1024
_READ = """
import resource, sys
from pathlib import Path
from tenantry_server.store import sqlite

if len(sys.argv) > 2:
    sqlite._PRAGMAS["cache_size"] = int(sys.argv[2])
database = sqlite.SqliteDatabase(Path(sys.argv[1]))
database.execute_sql("SELECT 1").fetchone()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
before = resident()
print(database.execute_sql("SELECT count(*) FROM bodies WHERE body NOT LIKE '%y'").fetchone()[0])
print(resident() - before)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 48 MB."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bodies (body TEXT)")
        connection.executemany("INSERT INTO bodies VALUES (?)", (("x" * _BODY,) for _ in range(_ROWS)))
        connection.commit()
    return path


def _kept(file: Path, *cache_size: str) -> int:
    """KiB that a process has more after it read the whole file."""
    command = [sys.executable, "-c", _READ, str(file), *cache_size]
    rows, kept = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(rows) == _ROWS
    return int(kept)


def test_a_connection_keeps_a_few_mebibytes_of_a_large_file(file: Path) -> None:
    assert _kept(file) < 16 * _MIB


def test_a_connection_that_may_keep_more_does(file: Path) -> None:
    """The control: what is measured is what a connection keeps."""
    assert _kept(file, "-65536") > 40 * _MIB
