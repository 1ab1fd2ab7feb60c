"""Adding by e-mail address, for who may not read members: what is answered tells nothing of who is known."""

from collections.abc import Callable

import grpc
import pytest
from support.deployment import CATALOG
from support.rpc import Client
from support.world import World, fresh

from tenantry_server.services.service import Limits

ADD = "tenantry.rest.dotenv.v1.MemberService.AddMember"


def quiet_client(world: World) -> tuple[Client, str, dict[str, str]]:
    """A client that may add members and not read them; the organization; and addresses, each known in another way."""
    owner = world.person("owner")
    acme = world.organization(owner)
    member, user, invited = world.member(acme, owner), world.person("user"), f"{fresh('invited')}@example.com"
    world.invite(acme, owner, invited)
    client = world.client(world.token(owner, organization_id=acme.id, permissions=sorted(CATALOG.all - {"member:read"})))
    unverified = world.person("unverified", verified=False)
    addresses = {
        "member": member.email,
        "user": user.email,
        "invited": invited,
        "unverified": unverified.email,
        "unknown": f"{fresh('unknown')}@example.com",
    }
    return client, acme.id, addresses


def test_the_answer_is_the_same_for_everybody(world: World) -> None:
    client, organization_id, addresses = quiet_client(world)
    for _ in range(2):  # the second time, everybody is a member or invited
        for email in addresses.values():
            data = client(ADD, organization_id=organization_id, email=email, role="member").data
            assert (data.type, data.HasField("id"), data.email, data.role, data.status) == (
                "request",
                False,
                email,
                "member",
                "accepted",
            )


@pytest.mark.parametrize("known", ["user", "unknown"])
def test_an_address_that_is_invited_too_often_is_refused_alike(known: str, deploy_own: Callable[..., World]) -> None:
    world = deploy_own(limits=Limits(pending_invitations_per_address=1, organizations_per_user=100))
    client, organization_id, addresses = quiet_client(world)
    another = world.person()
    world.invite(world.organization(another), another, addresses[known])
    refusal = client.refusal(ADD, organization_id=organization_id, email=addresses[known], role="member")
    assert refusal.seen == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "LIMIT_EXCEEDED",
        {"limit": "pending invitations to an address", "maximum": "1"},
    )


@pytest.mark.parametrize("known", ["member", "user", "invited", "unverified", "unknown"])
def test_a_full_organization_refuses_everybody_alike(known: str, deploy_own: Callable[..., World]) -> None:
    world = deploy_own(limits=Limits(pending_invitations=1, organizations_per_user=100))
    client, organization_id, addresses = quiet_client(world)
    refusal = client.refusal(ADD, organization_id=organization_id, email=addresses[known], role="member")
    assert refusal.seen == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "LIMIT_EXCEEDED",
        {"limit": "pending invitations", "maximum": "1"},
    )
