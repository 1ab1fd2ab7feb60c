"""Slugs: names for addresses, made from the name people read."""

import re
import secrets
import unicodedata
from collections.abc import Iterator

# Words that stand for something else in a path, or that only the service itself may seem to say.
RESERVED = frozenset(
    """
    about account admin administrator api app auth billing blog current dashboard docs help internal invitation invitations
    login logout me member members new null organization organizations personal role roles root security settings signup
    staff static status support system tenantry undefined user users www
    """.split()
)
_LENGTH = 48


def candidates(name: str) -> Iterator[str]:
    """Slugs for a name, the nicest first, without end: `acme-corp`, then `acme-corp-k3v9x`, …"""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:_LENGTH].rstrip("-") or "organization"
    if len(base) > 1 and base not in RESERVED:
        yield base
    while True:
        yield f"{base}-{''.join(secrets.choice('abcdefghjkmnpqrstvwxyz23456789') for _ in range(5))}"
