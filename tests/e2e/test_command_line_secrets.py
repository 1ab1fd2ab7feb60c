"""`tenantry secret-key` as an operator runs it, and the keys that `tenantry up` makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from e2e.commands import Shell, failed, shell_on
from support.engines import Engines
from support.world import World


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    """Commands on the database of the shared server."""
    return shell_on(world, tmp_path)


def test_keys_are_added_to_the_data_folder_the_newest_first(shell: Shell) -> None:
    file = shell.folder / ".data" / "secret.keys"
    said = []
    for number in (1, 2):
        done = shell.run("secret-key", "add")
        assert (done.returncode, done.stderr) == (0, "")
        said.append(done.stdout)
        assert len(file.read_text().splitlines()) == number
    fingerprints = [re.fullmatch(r"Key ([0-9a-f]{8}) in \.data/secret\.keys encrypts from now on\.\n", text) for text in said]
    assert all(fingerprints)
    assert said[0] != said[1]
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(line in "".join(said) for line in file.read_text().splitlines())


def test_secrets_are_encrypted_anew_with_the_first_key(engine: str, engines: Engines, tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"DATABASE_URL": engines.new(engine)})
    assert shell.run("migrate").returncode == 0
    done = shell.run("secret-key", "reseal")
    assert (done.returncode, done.stdout) == (0, "Encrypted anew: the secrets of 0 organizations.\n")


@pytest.mark.parametrize("text", ["no key", "x" * 44])
def test_a_file_that_is_none_of_keys_stops_every_command_and_is_not_repeated(shell: Shell, text: str) -> None:
    (shell.folder / "my.keys").write_text(text)
    line = failed(shell, "serve", SECRET_KEYS_FILE="my.keys")
    assert line == ("Error: TENANTRY_SECRET_KEYS_FILE must be a file of keys, one a line: 32 bytes in URL-safe base64")
    assert failed(shell, "serve", SECRET_KEYS_FILE="missing.keys") == line
