"""What was kept by an earlier version is there after the migration, and sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from support import raw
from support.deployment import CATALOG, Deployment, deploy
from support.engines import Engines
from support.world import Person, World

from tenantry_server.domain import ids, tokens
from tenantry_server.domain.tokens import TokenKind
from tenantry_server.store import schema
from tenantry_server.store.invariants import breaches
from tenantry_server.store.urls import open_database

AT = 1_700_000_000_000


class Earlier:
    """A database as the first version left it: Ana's organization, her tokens, the organization's, and one of who has left."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ana, self.bo = ids.new(), ids.new()
        self.acme = ids.new()
        self.personal = {user_id: ids.new() for user_id in (self.ana, self.bo)}
        self.secrets: dict[str, str] = {}
        database = open_database(url)
        with database.migrating():
            schema._runner(database).up("0001_initial")
        database.shut_down()
        with raw.connect(url) as connection:
            for name, user_id in (("ana", self.ana), ("bo", self.bo)):
                self._user(connection, name, user_id)
            self._organization(connection, self.acme, "Acme", self.ana, personal=False, region_id="us")
            self._token(connection, "ana's", TokenKind.USER, self.ana)
            self._token(connection, "ana's, bound", TokenKind.USER, self.ana, self.acme, "role:read sandbox:read")
            self._token(connection, "acme's", TokenKind.ORGANIZATION, "", self.acme, expire_time=AT + 10**12)
            self._token(connection, "of who has left", TokenKind.USER, self.bo, self.acme)

    def _user(self, connection: raw.Connection, name: str, user_id: str) -> None:
        times = {"revision": 1, "create_time": AT, "update_time": AT}
        email = f"{name}@example.com"
        raw.insert(connection, "users", id=user_id, email=email, email_verified=True, name=name, **times)
        self._organization(connection, self.personal[user_id], "Personal", user_id, personal=True)
        raw.insert(connection, "personal_organizations", user_id=user_id, organization_id=self.personal[user_id])

    def _organization(
        self, connection: raw.Connection, id_: str, name: str, owner: str, *, personal: bool, region_id: str = ""
    ) -> None:
        times: dict[str, Any] = {"revision": 1, "create_time": AT, "update_time": AT}
        more = {"default_region_id": region_id, "limited_network_egress": False, "experimental_config": "{}", **times}
        row = {"id": id_, "name": name, "slug": id_.lower(), "personal": personal, "state": "active", "creator_user_id": owner}
        raw.insert(connection, "organizations", **row, **more)
        raw.insert(connection, "organization_slugs", slug=id_.lower(), organization_id=id_)
        raw.insert(connection, "memberships", organization_id=id_, user_id=owner, role="owner", **times)
        event = {"organization_id": id_, "revision": 1, "time": AT, "actor_kind": "user", "actor_id": owner}
        told = {"credential_id": "", "action": "organization.create", "target_type": "organization", "target_id": id_}
        raw.insert(connection, "audit_events", **event, **told, changes="{}", call_id="c")

    def _token(
        self,
        connection: raw.Connection,
        name: str,
        kind: TokenKind,
        user_id: str,
        organization_id: str = "",
        permissions: str | None = None,
        expire_time: int | None = None,
    ) -> None:
        secret = self.secrets[name] = tokens.mint(kind)
        owner = {"kind": kind.value, "user_id": user_id, "organization_id": organization_id}
        row = {"id": ids.new(), "digest": tokens.digest(secret), "permissions": permissions, "expire_time": expire_time}
        raw.insert(connection, "api_tokens", **owner, **row, create_time=AT)


@pytest.fixture
def upgraded(engine: str, engines: Engines) -> Iterator[Callable[[], tuple[Earlier, World]]]:
    """An earlier database, and this version's server on it."""
    made: list[Deployment] = []

    def upgrade() -> tuple[Earlier, World]:
        earlier = Earlier(engines.new(engine))
        made.append(deploy(engine, earlier.url))
        return earlier, World(made[-1])

    yield upgrade
    for deployment in made:
        deployment.close()


def _current(world: World, secret: str) -> Any:
    return world.client(secret)("ApiTokenService.GetCurrentApiToken")


def test_tokens_go_on_under_their_secrets(upgraded: Callable[[], tuple[Earlier, World]]) -> None:
    earlier, world = upgraded()
    everywhere = _current(world, earlier.secrets["ana's"]).api_token
    assert (everywhere.user_id, everywhere.organization_id, everywhere.unrestricted) == (earlier.ana, "", True)
    assert (everywhere.name, everywhere.hint, everywhere.creator_id) == (everywhere.id, "tnt_usr_", "")
    bound = _current(world, earlier.secrets["ana's, bound"])
    assert (bound.api_token.organization_id, bound.api_token.granted_permissions) == (
        earlier.acme,
        ["role:read", "sandbox:read"],
    )
    assert bound.access.permissions == ["role:read", "sandbox:read"]
    owned = _current(world, earlier.secrets["acme's"]).api_token
    assert (owned.organization_id, owned.expire_time.ToMilliseconds()) == (earlier.acme, AT + 10**12)


def test_a_token_that_is_bound_to_where_its_owner_is_no_member_is_gone(
    upgraded: Callable[[], tuple[Earlier, World]],
) -> None:
    earlier, world = upgraded()
    refusal = world.client(earlier.secrets["of who has left"]).refusal("ApiTokenService.GetCurrentApiToken")
    assert refusal.seen == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})


def test_all_is_sound_and_goes_on(upgraded: Callable[[], tuple[Earlier, World]]) -> None:
    earlier, world = upgraded()
    assert list(breaches(world.deployment.database, CATALOG)) == []
    secret = earlier.secrets["ana's"]
    ana = Person(earlier.ana, "ana@example.com", earlier.personal[earlier.ana], secret, world.client(secret))
    rotated = ana.rpc("ApiTokenService.RotateMyApiToken", api_token_id=_current(world, secret).api_token.id)
    assert world.client(rotated.secret)("UserService.GetCurrentUser").user.id == ana.id
    assert world.client(secret).refusal("UserService.GetCurrentUser").reason == "INVALID_CREDENTIAL"
    operator = world.platform()
    found = operator("UserService.FindUserByEmail", email="BO@example.com")
    assert found.personal_organization_id == earlier.personal[earlier.bo]
    operator("UserService.DeleteUser", user_id=found.id)
    assert world.breaches() == []


def test_who_had_a_default_region_has_the_quota_there_that_choosing_one_gives(
    upgraded: Callable[[], tuple[Earlier, World]],
) -> None:
    earlier, world = upgraded()
    ana = world.client(earlier.secrets["ana's"])
    made = ana("OrganizationService.CreateOrganization", name="New", default_region_id="us")
    old, new = (
        world.platform()("QuotaService.GetRegionQuota", organization_id=id_, region_id="us") for id_ in (earlier.acme, made.id)
    )
    assert (old.limits, old.resource_class) == (new.limits, new.resource_class)
    assert list(ana("QuotaService.GetUsage", organization_id=earlier.personal[earlier.ana]).regions) == []
