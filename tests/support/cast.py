"""Everybody who might call: each kind of credential, membership and narrowing, made to measure for what a method requires."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tenantry.policy.v1 import policy_pb2
from tenantry_server.domain.tokens import TokenKind, mint

from .oracle import ORGANIZATION, PLATFORM, USER_IN_ORGANIZATION, Credential, Facts, grantable, permissions_file
from .sign_in import Office
from .stage import Stage
from .world import OWNER, Person

_SYSTEM_ROLES = ("Administrator", "Super Admin", "Auditor", "Member")
# Something that no method requires, for tokens that carry nothing of use; and what is of no use to operators.
_USELESS = frozenset({"key:rotate"})
_USELESS_TO_OPERATORS = frozenset({"user:export"})

Made = tuple[str, Facts]


@dataclass(frozen=True)
class Player:
    """Somebody who calls: what a failure calls them, and how they come to be on a stage."""

    name: str
    make: Callable[[Players], Made]


class Players:
    """The callers of one stage, each made when first needed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.world = stage.world
        self._made: dict[str, Any] = {}

    def credential(self, player: Player) -> Made:
        """The token, and what is true of who presents it."""
        return self.once(player.name, lambda: player.make(self))

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Makes what is not there yet."""
        if name not in self._made:
            with self.stage.in_use():
                self._made[name] = make()
        return self._made[name]

    def member(self, granted: frozenset[str]) -> Person:
        """A member with a role of the organization that grants this."""
        stage = self.stage
        roles = [self.world.role(stage.organization, stage.owner, *sorted(granted)).id] if granted else []
        return self.world.member(stage.organization, stage.owner, *roles)

    def owners_token(self, *, bound_to: str = "", narrowed: frozenset[str] | None = None) -> Made:
        """Another token of the owner."""
        kind = USER_IN_ORGANIZATION if bound_to else Facts().kind
        token = self.world.token(self.stage.owner, organization_id=bound_to, permissions=_words(narrowed))
        return token, Facts(kind=kind, bound_to=bound_to, narrowed=narrowed, member_role="owner")

    def organizations_token(self, organization_id: str, narrowed: frozenset[str] | None = None) -> Made:
        """A token that an organization owns."""
        token = self.world.token(organization_id=organization_id, permissions=_words(narrowed))
        return token, Facts(kind=ORGANIZATION, bound_to=organization_id, narrowed=narrowed)

    def platform_token(self, narrowed: frozenset[str] | None = None) -> Made:
        """A platform token."""
        return self.world.platform_token(_words(narrowed)), Facts(kind=PLATFORM, narrowed=narrowed)

    def expired(self, provision: Callable[..., str], *owner: Person) -> Made:
        """A token that was good for a moment, an hour ago."""
        with self.world.at(self.world.clock.now() - timedelta(hours=1)):
            token = provision(*owner, lifetime=timedelta(seconds=1))
        return token, Facts(Credential.BAD)

    def signed_in(self) -> Person:
        """Somebody who comes with a token of an identity provider."""
        assert isinstance(self.world, Office)
        return self.world.stranger().person()

    @property
    def here(self) -> str:
        """The stage's organization."""
        return str(self.stage.organization.id)

    @property
    def another(self) -> str:
        """Another organization of the stage's owner."""
        return str(self.world.organization(self.stage.owner, "Another").id)


def cast(declared: policy_pb2.Access, *, signs_in: bool = False) -> Iterator[Player]:
    """Everybody who might call a method that declares this access; `signs_in`: on a server that trusts identity providers."""
    required, is_platforms = frozenset(declared.permissions), declared.level == policy_pb2.ACCESS_LEVEL_PLATFORM
    yield from _tenants(frozenset() if is_platforms else required)
    yield from _operators(required if is_platforms else frozenset())
    if signs_in:
        yield Player("a token that no provider signed", lambda _: ("e30.e30.e30", Facts(Credential.BAD)))
        yield Player("an outsider who signed in", lambda on: (on.signed_in().token, Facts()))
        yield Player("an owner who signed in", _owner_signed_in)


def _operators(required: frozenset[str]) -> Iterator[Player]:
    yield Player("an expired platform token", lambda on: on.expired(on.world.platform_token))
    yield Player("a platform token", lambda on: on.platform_token())
    exactly = required or _USELESS_TO_OPERATORS
    yield Player(f"a platform token with exactly {_names(required)}", lambda on: on.platform_token(exactly))
    for name in sorted(required or _USELESS_TO_OPERATORS):
        yield _all_but(name)


def _all_but(name: str) -> Player:
    rest = frozenset(permissions_file()["platform"]) - {name}
    return Player(f"a platform token with all but {name}", lambda on: on.platform_token(rest))


def _tenants(required: frozenset[str]) -> Iterator[Player]:
    yield Player("nobody", lambda _: ("", Facts(Credential.NONE)))
    yield Player("garbage", lambda _: ("garbage", Facts(Credential.BAD)))
    yield Player("a token that was never made", lambda _: (mint(TokenKind.USER), Facts(Credential.BAD)))
    yield Player("an expired token of the owner", lambda on: on.expired(on.world.token, on.stage.owner))
    yield Player("an outsider", lambda on: (on.stage.stranger.token, Facts()))
    yield Player("a former member", _former)
    yield Player("a former member's token for here", lambda on: (_former(on, on.here)[0], Facts(Credential.BAD)))
    yield Player("a member", lambda on: (on.stage.member.token, Facts(member_role="member")))
    yield Player("a member's token for here", _member_here)
    for name in _SYSTEM_ROLES:
        yield _with_system_role(name)
    yield _with_custom_role(f"a member with exactly {_names(required)}", required & grantable())
    yield Player("an unverified owner", _unverified)
    yield Player("the owner", lambda on: (on.stage.owner.token, Facts(member_role="owner")))
    yield Player("the owner's token for here", lambda on: on.owners_token(bound_to=on.here))
    yield Player("the owner's token for another", lambda on: on.owners_token(bound_to=on.another))
    yield Player("the organization's token", lambda on: on.organizations_token(on.here))
    yield Player("another organization's token", lambda on: on.organizations_token(on.another))
    yield from _narrowed(f"narrowed to {_names(required)}", required or _USELESS)
    for name in sorted(required):
        yield _with_custom_role(f"a member with all but {name}", grantable() - {name})
        yield from _narrowed(f"narrowed to all but {name}", frozenset(permissions_file()["permissions"]) - {name})


def _narrowed(how: str, narrowed: frozenset[str]) -> Iterator[Player]:
    yield Player(f"the owner's token {how}", lambda on: on.owners_token(narrowed=narrowed))
    yield Player(f"the owner's token for here {how}", lambda on: on.owners_token(bound_to=on.here, narrowed=narrowed))
    yield Player(f"the organization's token {how}", lambda on: on.organizations_token(on.here, narrowed))


def _with_custom_role(name: str, granted: frozenset[str]) -> Player:
    def make(on: Players) -> Made:
        return on.member(granted).token, Facts(member_role="member", granted=granted)

    return Player(name, make)


def _with_system_role(name: str) -> Player:
    role = next(role for role in permissions_file()["roles"] if role["name"] == name)

    def make(on: Players) -> Made:
        person = on.world.member(on.stage.organization, on.stage.owner, role["id"])
        return person.token, Facts(member_role="member", granted=frozenset(role["permissions"]))

    return Player(f"a member with the role {name}", make)


def _former(on: Players, bound_to: str = "") -> Made:
    person = on.member(frozenset())
    token = on.world.token(person, organization_id=bound_to)
    on.stage.owner.rpc("MemberService.RemoveMember", organization_id=on.here, user_id=person.id)
    return token, Facts()


def _member_here(on: Players) -> Made:
    token = on.world.token(on.stage.member, organization_id=on.here)
    return token, Facts(kind=USER_IN_ORGANIZATION, bound_to=on.here, member_role="member")


def _owner_signed_in(on: Players) -> Made:
    person = on.signed_in()
    on.world.join(on.stage.organization, on.stage.owner, person, role=OWNER)
    return person.token, Facts(member_role="owner")


def _unverified(on: Players) -> Made:
    person = on.world.person("unverified", verified=False)
    on.world.join(on.stage.organization, on.stage.owner, person, role=OWNER)
    return person.token, Facts(member_role="owner")


def _words(permissions: frozenset[str] | None) -> list[str] | None:
    return None if permissions is None else sorted(permissions)


def _names(permissions: frozenset[str]) -> str:
    return " and ".join(sorted(permissions)) or "nothing of use"
