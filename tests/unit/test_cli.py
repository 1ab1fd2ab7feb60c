"""What the command line makes of what goes wrong, without a process or a database: the rest is in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import peewee
import pytest
from click.testing import CliRunner, Result

from tenantry_server import cli, logs

# Whatever Peewee and the drivers under it raise.
FAILURES = [kind for kind in vars(peewee).values() if isinstance(kind, type) and issubclass(kind, peewee.PeeweeException)]


def doctor(error: Exception, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Result:
    """A command whose database fails."""

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setenv("TENANTRY_DATA_DIR", str(folder))
    monkeypatch.setattr(cli, "ensure_current", fail)
    try:
        return CliRunner().invoke(cli.main, ["doctor"])
    finally:
        logs.configure()


@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_fails_in_the_database_is_one_line(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for error, reason in ((kind("it is gone\nat line 1"), "it is gone"), (kind(), kind.__name__)):
        result = doctor(error, monkeypatch, tmp_path)
        assert (result.exit_code, result.output) == (1, f"Error: the database cannot be used: {reason}\n")


def test_what_a_driver_raises_is_among_the_failures_and_would_be_a_traceback_if_it_were_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert peewee.InterfaceError in FAILURES
    assert not issubclass(peewee.InterfaceError, peewee.DatabaseError)
    monkeypatch.setattr(cli, "DatabaseFailure", peewee.DatabaseError)
    error = peewee.InterfaceError("it is gone")
    assert doctor(error, monkeypatch, tmp_path).exception is error
