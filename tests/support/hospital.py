"""A database in which there is something for every invariant to be about."""

from __future__ import annotations

from typing import Any

from tenantry_server.domain import call as calls

from .deployment import CATALOG
from .world import DEVELOPER, Person, World


class Hospital:
    """A database with something of everything in it; `names` is what statements name."""

    def __init__(self, world: World) -> None:
        owner = world.person("owner")
        acme = world.organization(owner)
        role = world.role(acme, owner, "sandbox:write")
        member = world.member(acme, owner, DEVELOPER, role.id)
        world.invite(acme, owner, f"guest-{member.email}", DEVELOPER, role.id)
        gone = world.organization(owner, "Gone")
        owner.rpc("OrganizationService.DeleteOrganization", organization_id=gone.id)
        _metered(world, acme)
        self.url = world.deployment.url
        self.names = {
            "owner": owner.id,
            "email": owner.email,
            "personal": owner.personal_organization_id,
            "member": member.id,
            "acme": acme.id,
            "gone": gone.id,
            "role": role.id,
            "ownership": CATALOG.role_keys["owner"].id,
            "nobody": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            **_tokens(world, owner, member, acme.id),
            **_former(world),
        }


def _metered(world: World, acme: Any) -> None:
    """A quota, and a lease that is committed."""
    operator, here = world.platform(), {"organization_id": acme.id}
    operator("QuotaService.CreateRegionQuota", region_id="us", **here)
    wanted = {"resource_type": "sandbox", "resource_id": "sandbox", "amounts": [{"metric": "cpu", "amount": 1}]}
    lease = operator("QuotaService.Reserve", region_id="us", **wanted, **here)
    operator("QuotaService.Commit", lease_id=lease.id, **here)


def _tokens(world: World, owner: Person, member: Person, acme: str) -> dict[str, str]:
    """A rotated token of the organization, one of the member that it keeps out, a stranger's, and the platform's."""
    operator, provision = calls.operator("test"), world.services.api_tokens.provision
    owned = provision(operator, organization_id=acme, permissions=["sandbox:read"])
    owner.rpc("ApiTokenService.RotateApiToken", organization_id=acme, api_token_id=owned.id, overlap={"seconds": 60})
    kept_out = member.rpc("ApiTokenService.GetCurrentApiToken").api_token
    owner.rpc("ApiTokenService.RevokeApiToken", organization_id=acme, api_token_id=kept_out.id)
    strangers = provision(operator, user_id=world.person("stranger").id)
    world.platform("user:read")
    return {"owned": owned.id, "strangers": strangers.id}


def _former(world: World) -> dict[str, str]:
    """A user whom a provider knows, one who is deleted, and one who is erased."""
    operator = world.platform()
    identity = {"issuer": "https://login.example", "subject": "known"}
    operator("UserService.CreateUser", email="known@example.com", name="Known", identity=identity)
    deleted, erased = world.person("deleted"), world.person("erased")
    for person in (deleted, erased):
        operator("UserService.DeleteUser", user_id=person.id)
    operator("UserService.EraseUser", user_id=erased.id)
    return {"deleted": deleted.id, "erased": erased.id}
