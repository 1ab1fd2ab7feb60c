"""Random acts by random principals: the server and the model agree on each of them, and on what there is afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, note, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from stateful.both import CODES, PEOPLE, PRINCIPALS, Both
from stateful.model import Model, Principal
from support.world import World

_PERMISSIONS = (
    "sandbox:write member:create member:update member:delete role:create role:update role:delete invitation:create "
    "invitation:update invitation:delete audit-log:read organization:update billing:read"
).split()


class Dice(Random):
    """What falls. Hypothesis throws; left to itself it would choose the same few acts and people again and again."""

    def principal(self, model: Model) -> Principal:
        """Half of the time an owner, for whom more is possible, and often somebody who has roles."""
        owners = [Principal(person) for person, standing in model.members.items() if standing.owner]
        bearers = [Principal(person) for person, standing in model.members.items() if standing.roles]
        return self.choice(self.choice([owners, owners, bearers or owners, PRINCIPALS]))

    def target(self, model: Model) -> int:
        """Half of the time an owner, or somebody who answers for an invitation."""
        owners = [person for person, standing in model.members.items() if standing.owner]
        granters = [offer.granter.person for offer in model.invitations.values() if offer.granter.person is not None]
        everybody = list(range(PEOPLE))
        return self.choice(self.choice([owners, granters or everybody, everybody, everybody]))

    def invitation(self, model: Model) -> str:
        """Mostly one that is open, or at least not over."""
        alive = [key for key, invitation in model.invitations.items() if invitation.state == "pending"]
        return self.choice(alive if alive and not self.rarely() else list(model.invitations))

    def person(self) -> int:
        return self.randrange(PEOPLE)

    def rarely(self) -> bool:
        return self.random() < 0.2

    def some(self, things: list[str], most: int) -> list[str]:
        return self.sample(things, min(self.randint(0, most), len(things)))

    def permissions(self) -> frozenset[str]:
        return frozenset(self.some(_PERMISSIONS, 2)) | {self.choice(_PERMISSIONS)}


class Acts:
    """What can be done: each act takes what falls, who acts, and whether they only rehearse."""

    def __init__(self, both: Both) -> None:
        self.both = both

    def add(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._access("AddMember", fallen, who, rehearse)

    def update(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._access("UpdateMemberAccess", fallen, who, rehearse)

    def _access(self, method: str, fallen: Dice, who: Principal, rehearse: bool) -> None:
        roles = fallen.some(self.both.roles, 2)
        self.both.access(who, method, fallen.target(self.both.model), fallen.rarely(), roles, rehearse=rehearse)

    def remove(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        person = fallen.target(self.both.model)
        predict = lambda model, now: model.remove(who, person)
        self.both.act(who, "MemberService.RemoveMember", predict, rehearse=rehearse, user_id=self.both.people[person].id)

    def leave(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self.both.act(who, "OrganizationService.LeaveOrganization", lambda model, now: model.leave(who), rehearse=rehearse)

    def transfer(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        person = fallen.person()
        predict = lambda model, now: model.transfer(who, person)
        user_id = self.both.people[person].id
        self.both.act(who, "OrganizationService.TransferOwnership", predict, rehearse=rehearse, user_id=user_id)

    def create_role(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self.both.create_role(who, fallen.permissions(), rehearse=rehearse)

    def update_role(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        role, permissions = fallen.choice(self.both.roles), fallen.permissions()
        self.both.act(
            who,
            "RoleService.UpdateRole",
            lambda model, now: model.update_role(who, role, permissions),
            rehearse=rehearse,
            role_id=role,
            permissions=sorted(permissions),
            update_mask={"paths": ["permissions"]},
        )

    def delete_role(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        role, unassign = fallen.choice(self.both.roles), fallen.random() < 0.5
        predict = lambda model, now: model.delete_role(who, role, unassign, now)
        self.both.act(who, "RoleService.DeleteRole", predict, rehearse=rehearse, role_id=role, unassign=unassign)

    def invite(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self.both.invite(who, fallen.person(), fallen.rarely(), fallen.some(self.both.roles, 2), rehearse=rehearse)

    def update_invitation(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        roles = fallen.some(self.both.roles, 2)
        fields = {"assigned_role_ids": roles, "update_mask": {"paths": ["assigned_role_ids"]}}
        predict = lambda model, key, now: model.update_invitation(who, key, roles, now)
        self._move("UpdateInvitation", predict, fallen, who, rehearse, **fields)

    def resend(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._move("ResendInvitation", lambda model, key, now: model.resend(who, key, now), fallen, who, rehearse)

    def cancel(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._move("CancelInvitation", lambda model, key, now: model.cancel(who, key, now), fallen, who, rehearse)

    def _move(
        self, method: str, predict: Callable[..., None], fallen: Dice, who: Principal, rehearse: bool, **fields: Any
    ) -> None:
        key = fallen.invitation(self.both.model)
        act = lambda model, now: predict(model, key, now)
        self.both.act(who, f"InvitationService.{method}", act, rehearse=rehearse, invitation_id=key, **fields)

    def accept(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._answer("AcceptInvitation", fallen, who, rehearse)

    def decline(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._answer("DeclineInvitation", fallen, who, rehearse)

    def _answer(self, method: str, fallen: Dice, who: Principal, rehearse: bool) -> None:
        model = self.both.model
        key = fallen.invitation(model)
        if not fallen.rarely():  # whom it is meant for, more often than not
            who = Principal(model.emails.index(model.invitations[key].email))
        predict = lambda model, now: model.answer(who, key, now, accept=method == "AcceptInvitation")
        self.both.act(who, f"InvitationService.{method}", predict, rehearse=rehearse, scoped=False, invitation_id=key)

    def rename(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self.both.rename(who, rehearse=rehearse)

    def delete(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._live("DeleteOrganization", Model.delete, who, rehearse=not fallen.rarely())

    def undelete(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self._live("UndeleteOrganization", Model.undelete, who, rehearse=rehearse)

    def _live(self, method: str, predict: Callable[..., None], who: Principal, *, rehearse: bool) -> None:
        act = lambda model, now: predict(model, who, now)
        self.both.act(who, f"OrganizationService.{method}", act, rehearse=rehearse)

    def let_time_pass(self, fallen: Dice, who: Principal, rehearse: bool) -> None:
        self.both.world.clock.advance(timedelta(days=fallen.choice([1, 3, 8, 8, 31])))


_ACTS = [act for name, act in vars(Acts).items() if not name.startswith("_")]


class Organization(RuleBasedStateMachine):
    """Acts upon one organization."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        super().__init__()
        self.both = Both(world, seen)
        self.acts = Acts(self.both)
        self.step = 0

    @initialize()
    def begin(self) -> None:
        """An administrator, a role that somebody has, and an invitation that offers it: or most acts would be refused."""
        owner, both = Principal(0), self.both
        both.create_role(owner, frozenset({"member:delete", "sandbox:write"}))
        both.access(owner, "AddMember", 1, False, [both.roles[1]])
        both.access(owner, "AddMember", 2, False, [both.roles[2]])
        both.invite(owner, 3, False, [both.roles[2]])

    @rule(thrown=st.integers(0, 2**32 - 1))
    def act(self, thrown: int) -> None:
        self.step += 1
        model = self.both.model
        fallen = Dice(f"{thrown} {self.step} {model.revision}")
        act = Acts.undelete if model.purge and fallen.rarely() else fallen.choice(_ACTS)
        who, rehearse = fallen.principal(model), fallen.rarely()
        note(f"{act.__name__} by {who}{', rehearsed' if rehearse else ''}")
        act(self.acts, fallen, who, rehearse)

    @invariant()
    def both_are_equal(self) -> None:
        self.both.ensure_equal()

    def teardown(self) -> None:
        self.both.ensure_sound()


# What must have been done, and refused, in a run that shows something.
_METHODS = (
    *(f"MemberService.{name}" for name in ("AddMember", "UpdateMemberAccess", "RemoveMember")),
    *(f"RoleService.{name}" for name in ("CreateRole", "UpdateRole", "DeleteRole")),
    *(f"InvitationService.{name}Invitation" for name in ("Create", "Update", "Resend", "Cancel", "Accept", "Decline")),
    *(f"OrganizationService.{name}Organization" for name in ("Update", "Delete", "Undelete", "Leave")),
    "OrganizationService.TransferOwnership",
)
_EXPECTED = {*CODES, *(f"{method} done" for method in _METHODS)}


def test_the_server_does_what_the_model_says(deploy_own: Callable[..., World]) -> None:
    world, seen = deploy_own(), Counter[str]()
    run_state_machine_as_test(
        lambda: Organization(world, seen),  # type: ignore[arg-type]  # it takes whatever makes a machine
        settings=settings(
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=50,
            stateful_step_count=50,
            suppress_health_check=list(HealthCheck),
        ),
    )
    missing = _EXPECTED - set(seen)
    assert len(missing) <= 3, f"the run shows too little: nothing of {sorted(missing)}"
