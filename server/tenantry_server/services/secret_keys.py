"""Secrets at rest: encrypted with keys that the operator keeps in a file.

A line of the file is a key: 32 random bytes in URL-safe base64. The first one encrypts, all of them decrypt. The file is read
whenever a secret is, which is seldom, so that a key that was added is there at once in every process. What is encrypted is
bound to where it stands: moved to another place, it cannot be read.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from ..domain.errors import SecretKeysMissing, SecretUnreadable


class SecretKeysError(Exception):
    """The file has a line that is no key. The text names the line, never what it says."""


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The keys in a file, which may not be there; without a file there are none."""

    file: Path | None = None

    def seal(self, secret: str, place: str) -> str:
        """A secret as it is kept: the fingerprint of its key, and what that made of it. Raises SecretKeysMissing."""
        keys = self.read()
        if not keys:
            raise SecretKeysMissing
        fingerprint = next(iter(keys))
        return f"{fingerprint}:{keys[fingerprint].encrypt(json.dumps([place, secret]).encode()).decode()}"

    def unseal(self, sealed: str, place: str) -> str:
        """The secret again. Raises SecretUnreadable."""
        fingerprint, _, token = sealed.partition(":")
        try:
            kept_at, secret = json.loads(self.read()[fingerprint].decrypt(token.encode()))
        except (KeyError, InvalidToken):
            raise SecretUnreadable(key=fingerprint) from None
        if kept_at != place:
            raise SecretUnreadable(key=fingerprint)
        return str(secret)

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed with the key that encrypts now."""
        return sealed.partition(":")[0] == next(iter(self.read()), None)

    def read(self) -> dict[str, Fernet]:
        """The keys by their fingerprints, the one that encrypts first. Raises SecretKeysError."""
        if self.file is None or not self.file.exists():
            return {}
        lines = enumerate(self.file.read_text().splitlines(), 1)
        return {_fingerprint(line.strip()): _key(line.strip(), number) for number, line in lines if line.strip()}

    def add(self) -> str:
        """Puts a new key before the others, in a file that its owner alone can read; answers with its fingerprint."""
        assert self.file is not None
        self.read()
        key, before = Fernet.generate_key().decode(), self.file.read_text() if self.file.exists() else ""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key}\n{before}")
        fresh.replace(self.file)
        return _fingerprint(key)


def _key(line: str, number: int) -> Fernet:
    try:
        return Fernet(line)
    except ValueError:
        raise SecretKeysError(f"line {number} is no key of 32 bytes in URL-safe base64") from None


def _fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]
