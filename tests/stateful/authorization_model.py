"""Who may do what, again and in small: people, tokens and organizations in memory, the rules written without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Standing:
    """A member: an owner or not, with roles by id."""

    owner: bool
    roles: set[str] = field(default_factory=set)


@dataclass
class Tenant:
    """An organization."""

    id: str
    state: str = "ACTIVE"
    members: dict[int, Standing] = field(default_factory=dict)
    roles: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class Token:
    """A token: of a person, bound to an organization or not; or, without a person, of the organization."""

    id: str
    secret: str
    person: int | None
    bound: int | None = None
    narrowed: frozenset[str] | None = None
    expires: datetime | None = None
    kept_out: set[int] = field(default_factory=set)
    revoked: bool = False


# Whom a question is about: a person by number, or a token.
Subject = int | Token


def person_of(subject: Subject) -> int | None:
    """The person who is meant, or whose token it is."""
    return subject.person if isinstance(subject, Token) else subject


@dataclass
class Model:
    """All of it, at an instant."""

    catalog: Mapping[str, frozenset[str]]  # what system roles grant
    all: frozenset[str]
    implicit: frozenset[str]
    tenants: list[Tenant]
    tokens: list[Token]
    now: datetime
    gone: set[int] = field(default_factory=set)

    def decision(self, subject: Subject, tenant: int, permission: str) -> str:
        """What decides, by the name that explanations give it."""
        token, person = subject if isinstance(subject, Token) else None, person_of(subject)
        here, standing = self.tenants[tenant], self.standing(subject, tenant)
        denials = [
            ("UNKNOWN_PERMISSION", permission not in self.all),
            ("UNKNOWN_CREDENTIAL", token is not None and token.revoked),
            ("OUT_OF_REACH", token is not None and token.bound not in (None, tenant)),
            ("CREDENTIAL_EXPIRED", token is not None and token.expires is not None and token.expires <= self.now),
            ("EXCLUDED", token is not None and tenant in token.kept_out),
            ("NOT_A_MEMBER", person is not None and standing is None),
            (f"ORGANIZATION_{here.state}", here.state != "ACTIVE"),
            ("NOT_GRANTED", person is not None and self._way(here, standing, permission) is None),
            ("NARROWED", token is not None and token.narrowed is not None and permission not in token.narrowed),
        ]
        for name, denies in denials:
            if denies:
                return name
        return "ORGANIZATION_TOKEN" if person is None else str(self._way(here, standing, permission))

    def standing(self, subject: Subject, tenant: int) -> Standing | None:
        """The membership of the person who is meant; none of who is gone."""
        person = person_of(subject)
        return None if person is None or person in self.gone else self.tenants[tenant].members.get(person)

    def _way(self, here: Tenant, standing: Standing | None, permission: str) -> str | None:
        if standing is None:
            return None
        if standing.owner:
            return "OWNER"
        if permission in self.implicit:
            return "IMPLICIT"
        return "ROLE" if self.granting(here, standing, permission) else None

    def granting(self, here: Tenant, standing: Standing, permission: str) -> list[str]:
        """The assigned roles that grant it, by id."""
        known = {**self.catalog, **here.roles}
        return sorted(role for role in standing.roles if permission in known[role])

    def holds(self, subject: Subject, tenant: int, permission: str) -> bool:
        """Whether it is allowed."""
        return self.decision(subject, tenant, permission) in ("OWNER", "IMPLICIT", "ROLE", "ORGANIZATION_TOKEN")

    def held(self, subject: Subject, tenant: int) -> list[str]:
        """All that is allowed, by name."""
        return sorted(name for name in self.all if self.holds(subject, tenant, name))

    def sees(self, token: Token, tenant: int) -> bool:
        """Whether a token's bearer has to do with an organization, whatever they hold there."""
        is_out = self.decision(token, tenant, "organization:read")
        return is_out not in ("UNKNOWN_CREDENTIAL", "OUT_OF_REACH", "CREDENTIAL_EXPIRED", "EXCLUDED", "NOT_A_MEMBER")

    def apply(self, subject: Subject, tenant: int, permission: str, change: str, role: str = "", owner: bool = False) -> None:
        """Makes a change that an explanation names."""
        here, person = self.tenants[tenant], person_of(subject)
        if change in ("REACTIVATE_ORGANIZATION", "UNDELETE_ORGANIZATION"):
            here.state = "ACTIVE"
        elif isinstance(subject, Token) and change.endswith("_TOKEN"):
            self._apply_to_token(subject, permission, change)
        elif person is not None and change == "ADD_MEMBER":
            here.members[person] = Standing(owner, {role} if role else set())
        elif person is not None and change == "REMOVE_MEMBER":
            del here.members[person]
        elif person is not None and change in ("MAKE_OWNER", "MAKE_MEMBER"):
            here.members[person].owner = change == "MAKE_OWNER"
        elif person is not None and change == "ASSIGN_ROLE":
            here.members[person].roles.add(role)
        else:
            assert person is not None
            assert change == "UNASSIGN_ROLE", change
            here.members[person].roles.remove(role)

    def _apply_to_token(self, token: Token, permission: str, change: str) -> None:
        carried = self.all if token.narrowed is None else token.narrowed
        if change == "EXTEND_TOKEN":
            token.expires = None
        elif change == "WIDEN_TOKEN":
            token.narrowed = carried | {permission}
        elif change == "NARROW_TOKEN":
            token.narrowed = carried - {permission}
        else:
            assert change == "REVOKE_TOKEN", change
            token.revoked = True

    def end(self, person: int, tenant: int) -> None:
        """Ends a membership, and the tokens that are bound to it."""
        self.tenants[tenant].members.pop(person, None)
        for token in self.tokens:
            token.revoked |= token.person == person and token.bound == tenant

    def owners(self, tenant: int) -> list[int]:
        """Who owns an organization."""
        return [person for person, standing in self.tenants[tenant].members.items() if standing.owner]
