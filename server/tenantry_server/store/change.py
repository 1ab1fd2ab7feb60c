"""A change in progress, inside its transaction: of an organization, of several together, or of the platform."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from ..domain.audit import Changes
from ..domain.call import Call
from ..domain.clock import Clock
from ..domain.errors import EtagMismatch
from ..domain.organizations import Organization
from ..domain.permissions import Catalog
from ..domain.principal import Access
from .database import Database
from .queries import audit
from .values import milliseconds

# Made once: `json.dumps` makes another encoder for every event.
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Store:
    """What every change needs: where, when, and the catalog that rights are made of."""

    database: Database
    clock: Clock
    catalog: Catalog


class Change:
    """A change in progress, inside its transaction."""

    def __init__(self, store: Store, call: Call, now: datetime) -> None:
        self._store = store
        self.database = store.database
        self.catalog = store.catalog
        self.call = call
        self.now = now
        self._organization: Organization | None = None
        self._access: Access | None = None
        self._platform_revision = 0
        self._recorded = 0
        self._is_of_usage = False
        self._others: list[Change] = []

    @property
    def organization(self) -> Organization:
        """The organization as this transaction sees it, its revision the one that this change makes."""
        assert self._organization is not None
        return self._organization

    @property
    def access(self) -> Access:
        """What the caller may do, as this transaction sees it."""
        assert self._access is not None
        return self._access

    @property
    def found_access(self) -> Access | None:
        """What the caller may do, or None when they have nothing to do with the organization."""
        return self._access

    @property
    def slots(self) -> dict[str, Any]:
        """What most statements of a change need."""
        organization = self.organization
        return {
            "organization_id": organization.id,
            "revision": organization.revision,
            "now": milliseconds(self.now),
        }

    def enter(self, organization: Organization, access: Access | None = None) -> None:
        """Names the organization that this change is of."""
        self._organization, self._access = organization, access

    def enter_usage(self, organization: Organization) -> None:
        """Names the organization of whose use this change is: leases tell of it, and no audit trail does."""
        self._organization, self._is_of_usage = organization, True

    @property
    def by(self) -> str:
        """Whose credential makes the change, as leases keep it."""
        return self.call.principal.credential_id or self.call.principal.kind.value

    @property
    def trail(self) -> tuple[str, int]:
        """Whose audit trail this change goes into, and at which revision; the platform's has no organization id."""
        return (self.organization.id, self.organization.revision) if self._organization else ("", self._platform_revision)

    def enter_platform(self, revision: int) -> None:
        """Names the platform as what this change is of."""
        self._platform_revision = revision

    def also(self, organization: Organization) -> "Change":
        """The part of this change that another organization, whose lock is taken too, gets: with an event of its own."""
        other = Change(self._store, self.call, self.now)
        other.enter(organization)
        self._others.append(other)
        return other

    def ensure_etag(self, etag: str) -> None:
        """Raises EtagMismatch when the caller expects another one. Every change of an object with an etag asks."""
        if self.call.etag and self.call.etag != etag:
            raise EtagMismatch(etag=self.call.etag)

    def record(self, action: str, target_type: str, target_id: str, changes: Changes) -> None:
        """Writes the audit event. Exactly one belongs to a change."""
        principal = self.call.principal
        organization_id, revision = self.trail
        self.database.later(
            audit.INSERT,
            organization_id=organization_id,
            revision=revision,
            time=milliseconds(self.now),
            actor_kind=principal.kind.value,
            actor_id=principal.id,
            credential_id=principal.credential_id,
            action=action,
            target_type=target_type,
            target_id=target_id,
            changes=_encoder.encode(changes),
            call_id=self.call.call_id,
        )
        self._recorded += 1

    def unchanged(self, answer: object) -> NoReturn:
        """Ends the change with an answer and without a trace: there was nothing to do."""
        raise Ended(answer)

    def ensure_recorded(self) -> None:
        """A change without its one audit event, or one of what is used with any, is a mistake of ours, and does not happen."""
        expected, wanted = (0, "none") if self._is_of_usage else (1, "one")
        for part in (self, *self._others):
            if part._recorded != expected:
                raise RuntimeError(f"{self.call.method} wrote {part._recorded} audit events instead of {wanted}")


class Ended(Exception):
    """Ends a transaction with an answer and without a trace."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
