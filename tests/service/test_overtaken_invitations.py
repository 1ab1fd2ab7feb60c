"""An invitation that somebody's membership overtakes ends with it: nobody comes back through it later."""

import grpc
from support.world import World

ADD = "MemberService.AddMember"


def test_who_is_added_keeps_no_pending_invitation(world: World) -> None:
    owner, person = world.person("owner"), world.person("person")
    acme = world.organization(owner)
    invitation = world.invite(acme, owner, person.email)
    world.join(acme, owner, person)
    kept = owner.rpc("InvitationService.GetInvitation", organization_id=acme.id, invitation_id=invitation.id)
    assert kept.state == kept.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name["INVITATION_STATE_CANCELLED"].number
    assert kept.etag != invitation.etag
    (change,) = [c for c in world.events(acme, owner)[0].changes if c.field == "cancelled_invitation_id"]
    assert change.after.string_value == invitation.id


def test_who_was_removed_does_not_come_back_through_an_old_invitation(world: World) -> None:
    owner, person = world.person("owner"), world.person("person")
    acme = world.organization(owner)
    invitation = world.invite(acme, owner, person.email)
    world.join(acme, owner, person)
    owner.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=person.id)
    refusal = person.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=invitation.id)
    assert refusal.seen == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "INVITATION_NOT_PENDING",
        {"invitation_id": invitation.id, "state": "cancelled"},
    )


def test_the_invitation_of_an_unverified_claim_stays(world: World) -> None:
    """The address is not proven to be the new member's, so the invitation may be somebody else's."""
    owner, claimant = world.person("owner"), world.person("claimant", verified=False)
    acme = world.organization(owner)
    invitation = world.invite(acme, owner, claimant.email)
    world.join(acme, owner, claimant)
    kept = owner.rpc("InvitationService.GetInvitation", organization_id=acme.id, invitation_id=invitation.id)
    assert kept == invitation


def test_the_header_of_the_dialects_is_nothing_to_the_core(world: World) -> None:
    owner = world.person("owner")
    acme = world.organization(owner)
    client = type(owner.rpc)(world.deployment.channel, owner.token, metadata=(("idempotency-key", "one"),))
    for number in (1, 2):
        renamed = client("OrganizationService.UpdateOrganization", organization_id=acme.id, name=f"Name {number}")
        assert renamed.name == f"Name {number}"
