"""A real PgBouncer in transaction mode, in front of the tests' PostgreSQL. `make pgbouncer` installs it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from .gateway import eventually
from .ports import free_port

INSTALLED = shutil.which("pgbouncer")


def version() -> tuple[int, int]:
    """Which one is installed."""
    assert INSTALLED
    text = subprocess.run([INSTALLED, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


@contextmanager
def pooling(url: str, folder: Path, *, connections: int, prepared: int = 0) -> Iterator[str]:
    """Runs one in front of a database, with so many connections to it; answers with its URL."""
    assert INSTALLED
    parts, port = urlsplit(url), free_port()
    name, query = parts.path[1:], parse_qs(parts.query)
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": connections,
        "max_client_conn": 1000,
        **({"max_prepared_statements": prepared} if prepared else {}),
    }
    target = f"host={query['host'][0]} port={query.get('port', ['5432'])[0]} dbname={name} user=postgres"
    lines = ["[databases]", f"{name} = {target}", "[pgbouncer]", *(f"{key} = {value}" for key, value in settings.items())]
    file = folder / "pgbouncer.ini"
    file.write_text("\n".join([*lines, ""]))
    folder.chmod(0o755)
    pooled = f"postgresql://postgres@127.0.0.1:{port}/{name}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        try:
            psycopg.connect(pooled, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    with (folder / "pgbouncer.log").open("wb") as log:
        # It refuses to run as root, and so does PostgreSQL, whose folder nobody but its user may enter.
        user = pwd.getpwuid(Path(query["host"][0]).stat().st_uid).pw_name
        as_user = ["-u", user] if os.getuid() == 0 else []
        process = subprocess.Popen([INSTALLED, *as_user, str(file)], stdout=log, stderr=log)
        try:
            eventually(answers, "PgBouncer answers")
            yield pooled
        finally:
            process.terminate()
            process.wait(20)
