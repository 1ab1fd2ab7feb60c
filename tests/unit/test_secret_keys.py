"""Secrets at rest: what is kept tells nothing, keys come and go, and what is moved elsewhere cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tenantry_server.domain.errors import SecretKeysMissing, SecretUnreadable
from tenantry_server.services.secret_keys import SecretKeys, SecretKeysError

SECRET, PLACE = "canary-secret", "organization/A/otel/api-key"


@pytest.fixture
def keys(tmp_path: Path) -> SecretKeys:
    """One key, in a file."""
    keys = SecretKeys(tmp_path / "keys" / "secret.keys")
    keys.add()
    return keys


def test_a_secret_is_read_where_it_was_kept(keys: SecretKeys) -> None:
    sealed = keys.seal(SECRET, PLACE)
    assert SECRET not in sealed
    assert keys.unseal(sealed, PLACE) == SECRET
    assert keys.seal(SECRET, PLACE) != sealed, "that two are the same cannot be seen"


def test_a_secret_that_is_moved_cannot_be_read(keys: SecretKeys) -> None:
    sealed = keys.seal(SECRET, PLACE)
    with pytest.raises(SecretUnreadable):
        keys.unseal(sealed, "organization/B/otel/api-key")


def test_a_secret_that_is_changed_cannot_be_read(keys: SecretKeys) -> None:
    sealed = keys.seal(SECRET, PLACE)
    with pytest.raises(SecretUnreadable):
        keys.unseal(sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB"), PLACE)


def test_the_newest_key_encrypts_and_the_others_decrypt_in_processes_that_run(keys: SecretKeys) -> None:
    running = SecretKeys(keys.file)
    before = running.seal(SECRET, PLACE)
    fingerprint = keys.add()
    after = running.seal(SECRET, PLACE)
    assert (before.partition(":")[0] != fingerprint, after.partition(":")[0]) == (True, fingerprint)
    assert (running.is_current(before), running.is_current(after)) == (False, True)
    assert {running.unseal(sealed, PLACE) for sealed in (before, after)} == {SECRET}


def test_a_key_that_is_gone_is_named(keys: SecretKeys) -> None:
    sealed = keys.seal(SECRET, PLACE)
    assert keys.file is not None
    keys.file.write_text(Fernet.generate_key().decode())
    with pytest.raises(SecretUnreadable) as refusal:
        keys.unseal(sealed, PLACE)
    assert refusal.value.metadata == {"key": sealed.partition(":")[0]}


@pytest.mark.parametrize("nothing", [SecretKeys(), SecretKeys(Path("missing.keys"))])
def test_without_a_key_no_secret_is_taken(nothing: SecretKeys) -> None:
    with pytest.raises(SecretKeysMissing):
        nothing.seal(SECRET, PLACE)


def test_only_its_owner_reads_the_file(keys: SecretKeys) -> None:
    assert keys.file is not None
    assert (keys.file.stat().st_mode & 0o777, keys.file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    keys.add()
    assert keys.file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in keys.file.parent.iterdir()] == ["secret.keys"]


@pytest.mark.parametrize("line", ["short", "x" * 44, "é" * 44])
def test_a_line_that_is_no_key_is_named_by_its_number(keys: SecretKeys, line: str) -> None:
    assert keys.file is not None
    keys.file.write_text(f"{keys.file.read_text()}\n{line}\n")
    with pytest.raises(SecretKeysError, match="line 3 is no key") as refusal:
        keys.read()
    assert line not in str(refusal.value)
