"""Slugs: names for addresses, made from the name people read."""

import re
import secrets
import unicodedata
from collections.abc import Iterator

# What stands for something else in a path: every word of our own, as a test reads them from the contract.
_PATHS = """
    accept access admin api api-keys by-sandbox-auth-token by-sandbox-id cancel count current decline default-region evaluation
    evaluations experimental-config healthz invitations leave me members organization organizations otel-config quota
    regenerate-proxy-api-key regenerate-snapshot-manager-credentials regenerate-ssh-gateway-api-key region-quota regions roles
    rotate sandbox sandbox-default-limited-network-egress shared-regions suspend unsuspend usage user users v1
    """
# What only the service itself may seem to say.
_OURS = """
    about account administrator app auth billing blog dashboard docs help internal invitation login logout member new null
    personal role root security settings signup staff static status support system tenantry undefined www
    """
RESERVED = frozenset(f"{_PATHS} {_OURS}".split())
_LENGTH = 48


def candidates(name: str) -> Iterator[str]:
    """Slugs for a name, the nicest first, without end: `acme-corp`, then `acme-corp-k3v9x`, …"""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:_LENGTH].rstrip("-") or "organization"
    if len(base) > 1 and base not in RESERVED:
        yield base
    while True:
        yield f"{base}-{''.join(secrets.choice('abcdefghjkmnpqrstvwxyz23456789') for _ in range(5))}"
