"""The operator's limits, as both dialects tell of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2e.scene import Scene
from e2e.shapes import (
    daytona_error,
    dotenv_error,
    dotenv_new_key,
    dotenv_organization,
    invitation,
    new_api_key,
    organization,
)
from support.gateway import fronting
from support.world import World

from tenantry_server.services.service import Limits

pytest_plugins = ("support.only",)


def test_one_more_than_a_limit_is_refused(on_sqlite: Callable[..., World], tmp_path: Path) -> None:
    world = on_sqlite(limits=Limits(organizations_per_user=3, pending_invitations=1))
    with fronting(world.deployment.address, tmp_path) as front, front.http() as http:
        scene = Scene(world, http, front)
        owner = scene.as_owner

        # Personal, Acme, and a last one.
        assert owner.post("/api/v1/organizations", {"name": "Last"}).seen == (201, dotenv_organization(name="Last"))
        too_many, limit = "limit reached: at most 3 organizations created by a user", "organizations created by a user"
        refused = owner.post("/api/organizations", {"name": "x", "defaultRegionId": "us"})
        assert refused.seen == daytona_error(403, "/api/organizations", too_many)
        refused = owner.post("/api/v1/organizations", {"name": "x"})
        assert refused.seen == dotenv_error(422, "limit_exceeded", too_many, limit=limit, maximum="3")
        assert len(owner.get("/api/organizations").body) == 3

        # Whoever deletes one may create another.
        assert owner.delete(scene.path()).seen == (204, None)
        made = owner.post("/api/organizations", {"name": "Again", "defaultRegionId": "us"})
        assert made.seen == (201, organization(name="Again", defaultRegionId="us"))
        path = f"/api/organizations/{made.body['id']}/invitations"

        offer = {"email": "first@example.com", "role": "member", "assignedRoleIds": []}
        assert owner.post(path, offer).seen == (201, invitation(email="first@example.com"))
        too_many = "limit reached: at most 1 pending invitations"
        assert owner.post(path, offer | {"email": "second@example.com"}).seen == daytona_error(403, path, too_many)
        members = f"/api/v1/organizations/{made.body['id']}/members"
        refused = owner.post(members, {"email": "second@example.com", "role": "member"})
        assert refused.seen == dotenv_error(422, "limit_exceeded", too_many, limit="pending invitations", maximum="1")


def test_one_token_more_than_the_limit_of_its_owner_is_refused(on_sqlite: Callable[..., World], tmp_path: Path) -> None:
    world = on_sqlite(limits=Limits(api_tokens=2))
    with fronting(world.deployment.address, tmp_path) as front, front.http() as http:
        scene = Scene(world, http, front)
        keys, tokens = "/api/api-keys", scene.v1("/api-keys")
        limit = "API tokens of an owner in an organization"
        too_many = f"limit reached: at most 2 {limit}"
        for name in ("first", "second"):
            assert scene.as_owner.post(keys, {"name": name}, **scene.here).seen == (201, new_api_key(name=name))
            assert scene.as_owner.post(tokens, {"name": name, "abilities": ["*"]}).seen == (201, dotenv_new_key(name=name))
        assert scene.as_owner.post(keys, {"name": "x"}, **scene.here).seen == daytona_error(403, keys, too_many)
        refused = scene.as_owner.post(tokens, {"name": "x", "abilities": ["*"]})
        assert refused.seen == dotenv_error(422, "limit_exceeded", too_many, limit=limit, maximum="2")

        # Others have keys of their own, and whoever ends one may make another.
        assert scene.by(scene.member).post(keys, {"name": "x"}, **scene.here).seen == (201, new_api_key(name="x"))
        assert scene.as_owner.delete(f"{keys}/first", **scene.here).seen == (204, None)
        assert scene.as_owner.post(keys, {"name": "x"}, **scene.here).seen == (201, new_api_key(name="x"))


def test_one_role_more_than_the_limit_is_refused(on_sqlite: Callable[..., World], tmp_path: Path) -> None:
    world = on_sqlite(limits=Limits(roles=1))
    with fronting(world.deployment.address, tmp_path) as front, front.http() as http:
        scene = Scene(world, http, front)
        path, wanted = scene.path("/roles"), {"name": "First", "description": "", "permissions": ["read:volumes"]}
        made = scene.as_owner.post(path, wanted)
        assert made.status == 201
        too_many = "limit reached: at most 1 roles"
        assert scene.as_owner.post(path, wanted | {"name": "Second"}).seen == daytona_error(403, path, too_many)
        assert scene.as_owner.delete(f"{path}/{made.body['id']}").status == 204
        assert scene.as_owner.post(path, wanted | {"name": "Second"}).status == 201
