"""How an organization stood, told from its audit trail: what each action did, and what cannot be told."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.standings import CATALOG, HERE, WRITER

from tenantry_server.domain.audit import AuditEvent
from tenantry_server.domain.errors import HistoryNotRetained
from tenantry_server.domain.history import ACTIONS, Past, fold, not_told
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import PrincipalKind
from tenantry_server.domain.roles import MemberRole

SERVICES = Path(__file__).resolve().parents[2] / "server" / "tenantry_server" / "services"
START = datetime(2030, 1, 1, tzinfo=UTC)
ANA, BO, CY = "ANA", "BO", "CY"
OWNER, MEMBER = MemberRole.OWNER, MemberRole.MEMBER


def event(revision: int, action: str, target: str = HERE, **changes: tuple[Any, Any]) -> AuditEvent:
    """An event, a second after the one before."""
    return AuditEvent(
        organization_id=HERE,
        revision=revision,
        time=START + timedelta(seconds=revision),
        actor_kind=PrincipalKind.USER,
        actor_id=ANA,
        credential_id="T",
        action=action,
        target_type=action.partition(".")[0],
        target_id=target,
        changes=changes,
        call_id="C",
    )


def told(*actions: tuple[str, str, dict[str, Any]], first: str = "organization.create") -> list[AuditEvent]:
    """A trail that begins with Ana's organization."""
    founding: dict[str, Any] = {"state": (None, "active"), "creator_user_id": (None, ANA)}
    return [
        event(1, first, HERE, **founding),
        *(event(2 + index, action, target, **changes) for index, (action, target, changes) in enumerate(actions)),
    ]


def at(trail: Iterable[AuditEvent], revision: int | None = None) -> Past:
    """How it stood right after a revision; at the end, if none is said."""
    until = START + timedelta(days=1) if revision is None else START + timedelta(seconds=revision)
    return fold(HERE, trail, until=until)


def members(past: Past) -> dict[str, tuple[str, list[str]]]:
    """The standing and the roles, by name, of everybody who has one."""
    found = {}
    for user_id in (ANA, BO, CY):
        if role := past.member_role(user_id):
            found[user_id] = (role.value, [assigned.name for assigned in past.roles_of(CATALOG, user_id)])
    return found


_JOINS = {"role": (None, "member"), "assigned_roles": (None, [WRITER.id])}
_PAYER = {"name": (None, "Payer"), "description": (None, "x"), "permissions": (None, ["bill:pay"]), "assignable": (None, True)}


def test_before_its_first_event_there_is_no_organization() -> None:
    past = at(told(), 0)
    assert (past.revision, past.state, past.member_role(ANA), past.is_latest) == (0, None, None, False)
    assert at([]).is_latest


def test_whoever_founds_an_organization_owns_it() -> None:
    past = at(told())
    assert (past.revision, past.state, members(past)) == (1, OrganizationState.ACTIVE, {ANA: ("owner", [])})


def test_a_personal_organization_begins_and_ends_with_its_user() -> None:
    trail = [
        event(1, "user.create", ANA, personal_organization_id=(None, HERE)),
        event(2, "user.update", ANA, name=("Ana", "Anna")),
        event(3, "user.delete", ANA, state=("active", "deleted")),
        event(4, "user.erase", ANA, state=("deleted", "erased")),
    ]
    assert (at(trail, 2).state, members(at(trail, 2))) == (OrganizationState.ACTIVE, {ANA: ("owner", [])})
    assert (at(trail).state, members(at(trail))) == (OrganizationState.DELETED, {})


def test_memberships_come_change_and_end() -> None:
    trail = told(
        ("member.add", BO, _JOINS),
        ("member.update_access", BO, {"role": ("member", "owner")}),
        ("member.update_access", BO, {"role": ("owner", "member"), "assigned_roles": ([WRITER.id], [])}),
        ("member.add", CY, {"role": (None, "owner"), "assigned_roles": (None, [])}),
        ("member.leave", CY, {"role": ("owner", None)}),
        ("member.remove", BO, {"role": ("member", None)}),
    )
    assert members(at(trail, 2))[BO] == ("member", ["Writer"])
    assert members(at(trail, 3))[BO] == ("owner", ["Writer"])
    assert members(at(trail, 4))[BO] == ("member", [])
    assert members(at(trail, 5))[CY] == ("owner", [])
    assert set(members(at(trail, 6))) == {ANA, BO}
    assert set(members(at(trail))) == {ANA}


def test_ownership_is_handed_on_with_the_roles_that_each_keeps() -> None:
    trail = told(
        ("member.add", BO, _JOINS),
        (
            "organization.transfer_ownership",
            HERE,
            {"owner_user_id": (ANA, BO), "former_owner_roles": ([], [WRITER.id])},
        ),
    )
    assert members(at(trail)) == {ANA: ("member", ["Writer"]), BO: ("owner", ["Writer"])}


def test_a_role_grants_what_it_said_then_and_is_gone_with_its_deletion() -> None:
    trail = told(
        ("role.create", "R1", _PAYER),
        ("member.add", BO, {"role": (None, "member"), "assigned_roles": (None, ["R1", WRITER.id])}),
        ("role.update", "R1", {"permissions": (["bill:pay"], ["bill:pay", "thing:write"])}),
        ("role.update", "R1", {"name": ("Payer", "Buyer")}),
        ("role.delete", "R1", {"permissions": (["bill:pay"], None), "members": ([BO], [])}),
    )
    assert [role.permissions for role in at(trail, 3).roles_of(CATALOG, BO)] == [("bill:pay",), ("thing:write",)]
    assert at(trail, 4).roles_of(CATALOG, BO)[0].permissions == ("bill:pay", "thing:write")
    assert [(role.name, role.permissions) for role in at(trail, 5).own_roles] == [("Buyer", ("bill:pay", "thing:write"))]
    assert members(at(trail))[BO] == ("member", ["Writer"])
    assert at(trail).own_roles == ()


def test_an_invitation_gives_what_it_offered_when_it_was_accepted() -> None:
    offer = {"role": (None, "member"), "assigned_roles": (None, ["R1"]), "state": (None, "pending")}
    trail = told(
        ("role.create", "R1", _PAYER),
        ("invitation.create", "I1", offer),
        ("invitation.create", "I2", offer | {"role": (None, "owner")}),
        ("invitation.update", "I1", {"assigned_roles": (["R1"], ["R1", WRITER.id])}),
        ("invitation.resend", "I1", {"expire_time": ("a", "b")}),
        ("role.delete", "R1", {"permissions": (["bill:pay"], None)}),
        ("invitation.accept", "I1", {"state": ("pending", "accepted"), "user_id": (None, BO)}),
        ("invitation.accept", "I2", {"state": ("pending", "accepted"), "user_id": (None, CY)}),
    )
    assert members(at(trail)) == {ANA: ("owner", []), BO: ("member", ["Writer"]), CY: ("owner", [])}


def test_invitations_that_nobody_accepts_change_nothing() -> None:
    offer = {"role": (None, "member"), "assigned_roles": (None, [])}
    trail = told(
        ("invitation.create", "I1", offer),
        ("invitation.cancel", "I1", {"state": ("pending", "cancelled")}),
        ("invitation.decline", "I2", {"state": ("pending", "declined")}),
    )
    assert members(at(trail)) == {ANA: ("owner", [])}


def test_states_follow_deletion_and_return() -> None:
    trail = told(
        ("organization.delete", HERE, {"state": ("active", "deleted")}),
        ("organization.undelete", HERE, {"state": ("deleted", "active")}),
    )
    states = [at(trail, revision).state for revision in (1, 2, 3)]
    assert states == [OrganizationState.ACTIVE, OrganizationState.DELETED, OrganizationState.ACTIVE]


def test_a_user_who_is_deleted_parts_with_everything_and_a_successor_owns_what_they_owned() -> None:
    going = {"role": ("owner", None), "assigned_roles": ([], None)}
    newcomer = told(("user.delete", ANA, going | {"successor_user_id": (None, BO)}))
    assert members(at(newcomer)) == {BO: ("owner", [])}
    promoted = told(("member.add", BO, _JOINS), ("user.delete", ANA, going | {"successor_user_id": (None, BO)}))
    assert members(at(promoted)) == {BO: ("owner", ["Writer"])}


def test_a_user_who_is_deleted_holds_nothing_of_what_nobody_else_owned() -> None:
    trail = told(("organization.delete", HERE, {"state": ("active", "deleted")}), ("user.delete", ANA, {}))
    assert at(trail, 2).member_role(ANA) is OWNER
    assert at(trail).member_role(ANA) is None


def test_a_system_role_that_the_catalog_has_lost_grants_nothing() -> None:
    trail = told(("member.add", BO, {"role": (None, "member"), "assigned_roles": (None, ["LOST"])}))
    assert at(trail).member_role(BO) is MEMBER
    assert at(trail).roles_of(CATALOG, BO) == ()


def test_what_comes_later_does_not_count_even_when_nobody_can_tell_it() -> None:
    trail = told(("member.add", BO, _JOINS), ("moon.land", HERE, {}))
    past = at(trail, 2)
    assert (past.revision, past.is_latest) == (2, False)


def test_the_first_change_that_is_later_ends_the_past_when_clocks_disagree() -> None:
    early = told(("member.add", BO, _JOINS), ("member.remove", BO, {"role": ("member", None)}))
    late = [early[0], event(2, "member.add", BO, **_JOINS), early[2]]
    late[1] = AuditEvent(
        **{name: getattr(late[1], name) for name in AuditEvent.__slots__} | {"time": START + timedelta(hours=1)}
    )
    assert at(late, 3).revision == 1


# -- what cannot be told ---------------------------------------------------------------------------------------------------

_GOOD = told(("member.add", BO, _JOINS), ("member.remove", BO, {"role": ("member", None)}))


@pytest.mark.parametrize(
    ("trail", "revision"),
    [
        (_GOOD[1:], 1),
        ([_GOOD[0], _GOOD[2]], 2),
        ([*_GOOD, event(4, "moon.land")], 4),
        ([*_GOOD, event(4, "member.remove", BO)], 4),
        ([*_GOOD, event(4, "member.update_access", BO, role=("member", "owner"))], 4),
        ([*_GOOD, event(4, "member.add", BO, role=(None, "emperor"), assigned_roles=(None, []))], 4),
        ([*_GOOD, event(4, "member.add", BO)], 4),
        ([*_GOOD, event(4, "invitation.accept", "I9", user_id=(None, BO))], 4),
        ([*_GOOD, event(4, "role.update", "R9", name=("a", "b"))], 4),
        ([*_GOOD, event(4, "role.delete", "R9")], 4),
        ([*_GOOD, event(4, "organization.delete", HERE)], 4),
        ([*_GOOD, event(4, "organization.transfer_ownership", HERE, owner_user_id=(ANA, CY))], 4),
    ],
    ids=[
        "its beginning is missing",
        "one is missing",
        "an action that nobody knows",
        "a member leaves who is none",
        "a member changes who is none",
        "a standing that nobody knows",
        "a member joins as nothing",
        "an invitation that was never made",
        "a role that was never made changes",
        "a role that was never made ends",
        "a state that is not said",
        "an heir who is no member",
    ],
)
def test_what_the_trail_cannot_tell_is_refused_with_the_first_such_revision(trail: list[AuditEvent], revision: int) -> None:
    with pytest.raises(HistoryNotRetained) as refusal:
        at(trail)
    assert refusal.value.metadata == {"organization_id": HERE, "revision": str(revision)}


def test_a_trail_that_begins_late_is_refused_for_the_time_before_it_too() -> None:
    with pytest.raises(HistoryNotRetained):
        at(_GOOD[1:], 0)


def test_what_could_not_be_told_is_the_revision_after_what_could() -> None:
    assert not_told(at(_GOOD)).metadata == {"organization_id": HERE, "revision": "4"}


# -- every action ----------------------------------------------------------------------------------------------------------


def _recorded() -> set[str]:
    """Every text in the services that is spelt like an action and is given to something that records it."""
    found = set()
    for path in SERVICES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= {
                    argument.value
                    for argument in node.args
                    if isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and argument.value.replace("_", "").replace(".", "").isalpha()
                    and argument.value.count(".") == 1
                }
    return found


def test_every_action_that_services_record_can_be_told() -> None:
    recorded = _recorded()
    assert {"organization.create", "invitation.resend", "organization.delete", "user.erase"} <= recorded
    assert recorded == ACTIONS
