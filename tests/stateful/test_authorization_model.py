"""After every random change, each way of asking who may do what says what the model says, and so they all say the same."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from stateful.authorization_model import Model, Subject, Token, person_of
from stateful.company import PEOPLE, PERMISSIONS, TENANTS, Company
from support.asking import batch, check, decision, effective, members_with, organizations_with, why
from support.rpc import Client
from support.world import World

from tenantry.v1 import authorization_pb2
from tenantry_server.domain import authorization as rules
from tenantry_server.services import permission_lists
from tenantry_server.store.queries import authorization as statements

_KINDS = authorization_pb2.PermissionChangeKind


class Asked(Company):
    """The company, and every way of asking about it."""

    def named(self, subject: Subject, fallen: Random) -> dict[str, Any]:
        """A subject, as a question names it."""
        if isinstance(subject, int):
            return {"subject": {"user_id": self.people[subject].id}}
        return {"subject": fallen.choice([{"api_token_id": subject.id}, {"credential": subject.secret}])}

    def ensure_equal(self, fallen: Random) -> None:
        """Every way of asking says what the model says."""
        self.model.now = self.world.clock.now()
        subjects: list[Subject] = [*range(PEOPLE), *self.model.tokens]
        asked = [(subject, tenant, name) for subject in subjects for tenant in range(TENANTS) for name in PERMISSIONS]
        items = [{**self.here(tenant), "permission": name, **self.named(subject, fallen)} for subject, tenant, name in asked]
        expected = [(self.model.holds(*one), self.world.revision(self.model.tenants[one[1]].id)) for one in asked]
        assert batch(self.service, items) == expected
        for one, item in fallen.sample(list(zip(asked, items, strict=True)), 3):
            self._ensure_explained(one, item)
            assert check(self.service, **item) == self.model.holds(*one)
        subject = fallen.choice(subjects)
        for tenant in range(TENANTS):
            held = effective(self.service, **self.here(tenant), **self.named(subject, fallen))
            assert held == self.model.held(subject, tenant)
            self._ensure_members(tenant, fallen.choice(PERMISSIONS))
        self._ensure_organizations(self.service, subject, fallen)
        self._ensure_own(fallen)

    def _ensure_members(self, tenant: int, permission: str) -> None:
        if self.model.tenants[tenant].state == "ACTIVE":
            members = [person for person in range(PEOPLE) if self.model.holds(person, tenant, permission)]
            found = members_with(self.programs[tenant], self.model.tenants[tenant].id, permission, page_size=2)
            assert found == sorted(self.people[person].id for person in members)

    def _ensure_organizations(self, client: Client, subject: Subject, fallen: Random) -> None:
        permission = fallen.choice(PERMISSIONS)
        named = self.named(subject, fallen) if client is self.service else {}
        ours = {tenant.id for tenant in self.model.tenants}
        found = ours & set(organizations_with(client, permission, page_size=1, **named))
        assert found == {tenant.id for n, tenant in enumerate(self.model.tenants) if self.model.holds(subject, n, permission)}

    def _ensure_own(self, fallen: Random) -> None:
        """The same, asked by the bearer; and what one who may read members is told of others."""
        good = [token for token in self.model.tokens if self.model.decision(token, 0, "organization:read") not in _BAD]
        token = fallen.choice(good)
        client, asked = self.world.client(token.secret), [(n, name) for n in range(TENANTS) for name in PERMISSIONS]
        told = batch(client, [{**self.here(tenant), "permission": name} for tenant, name in asked])
        expected = [(self.model.holds(token, *one), self.model.sees(token, one[0])) for one in asked]
        assert [(answer[0], answer[1] != 0) for answer in told] == expected
        self._ensure_organizations(client, token, fallen)
        for tenant, name in fallen.sample(asked, 2):
            assert check(client, **self.here(tenant), permission=name) == self.model.holds(token, tenant, name)
            assert effective(client, **self.here(tenant)) == self.model.held(token, tenant)
            if self.model.holds(token, tenant, "member:read"):
                person = fallen.randrange(PEOPLE)
                found = check(client, **self.here(tenant), permission=name, **self.named(person, fallen))
                assert found == self.model.holds(person, tenant, name)

    def _ensure_explained(self, one: tuple[Subject, int, str], item: dict[str, Any]) -> None:
        subject, tenant, permission = one
        expected, told = self.model.decision(*one), why(self.service, **item)
        assert decision(told) == expected
        self.seen[expected] += 1
        standing = self.model.standing(subject, tenant)
        known = self.model.granting(self.model.tenants[tenant], standing, permission) if standing else []
        assert [role.role_id for role in told.granting_roles] == (known if expected != "UNKNOWN_CREDENTIAL" else [])
        steps = [(_KINDS.Name(step.kind).removeprefix("PERMISSION_CHANGE_KIND_"), step) for step in told.changes]
        assert bool(steps) == (expected not in _FINAL and not _is_kept_out(subject, tenant))
        if person_of(subject) not in self.model.gone:
            self._ensure_turned_around(one, steps)

    def _ensure_turned_around(self, one: tuple[Subject, int, str], steps: list[tuple[str, Any]]) -> None:
        """All steps together turn the answer around, and no fewer."""
        before = self.model.holds(*one)
        for left_out in (None, *range(len(steps))):
            model, subject = copy.deepcopy((self.model, one[0]))
            for index, (kind, step) in enumerate(steps):
                if index != left_out:
                    _apply(model, (subject, *one[1:]), kind, step)
            is_turned = left_out is None and bool(steps)
            assert model.holds(subject, *one[1:]) == (before is not is_turned)


_FINAL = {"UNKNOWN_PERMISSION", "UNKNOWN_CREDENTIAL", "OUT_OF_REACH", "EXCLUDED"}
_BAD = {"UNKNOWN_CREDENTIAL", "CREDENTIAL_EXPIRED"}


def _is_kept_out(subject: Subject, tenant: int) -> bool:
    return isinstance(subject, Token) and tenant in subject.kept_out


def _apply(model: Model, one: tuple[Subject, int, str], kind: str, step: Any) -> None:
    """Makes a change in the model, if it can be made without the one that is left out."""
    if kind not in ("ASSIGN_ROLE", "MAKE_OWNER") or model.standing(*one[:2]):
        model.apply(*one, kind, step.role.role_id, step.member_role == 1)


_ACTS = [act for name, act in vars(Company).items() if name.startswith("act_")]


class Authorization(RuleBasedStateMachine):
    """Acts upon the two organizations."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        super().__init__()
        self.company = Asked(world, seen)
        self.fallen = Random(0)
        self.step = 0

    @initialize()
    def begin(self) -> None:
        """Or most of it would be nothing at all."""
        for seed in range(4):
            self.company.act_access(Random(seed))
            self.company.act_create_role(Random(seed))
            self.company.act_make_token(Random(seed))

    @rule(thrown=st.integers(0, 2**32 - 1))
    def act(self, thrown: int) -> None:
        self.step += 1
        fallen = self.fallen = Random(f"{thrown} {self.step}")
        if not self.company.active() or fallen.random() < 0.15:
            self.company.revive()
        act = fallen.choice(_ACTS)
        note(act.__name__)
        act(self.company, fallen)

    @invariant()
    def every_way_of_asking_says_the_same(self) -> None:
        self.company.ensure_equal(self.fallen)


_SETTINGS: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "stateful_step_count": 30,
    "suppress_health_check": list(HealthCheck),
}


def _run(world: World, seen: Counter[str], **more: Any) -> None:
    run_state_machine_as_test(
        lambda: Authorization(world, seen),  # type: ignore[arg-type]  # it takes whatever makes a machine
        settings=settings(**_SETTINGS, **more),
    )


@pytest.mark.slow
def test_every_way_of_asking_says_what_the_model_says(deploy_own: Callable[..., World]) -> None:
    world, seen = deploy_own(), Counter[str]()
    _run(world, seen, max_examples=25)
    every = {
        value.name.removeprefix("PERMISSION_DECISION_") for value in authorization_pb2.PermissionDecision.DESCRIPTOR.values
    }
    missing = every - set(seen) - {"UNSPECIFIED", "UNKNOWN_ORGANIZATION", "PLATFORM_CREDENTIAL"}
    assert not missing, f"the run shows too little: nothing of {sorted(missing)}"


def _forgets_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def holding_of(sight: rules.Sight | None, revision: int) -> rules.Holding:
        return rules.Holding(sight.permissions if sight else frozenset(), revision)

    for module in ("domain.authorization", "services.authorization", "services.inquiries", "store.subjects"):
        monkeypatch.setattr(f"tenantry_server.{module}.holding_of", holding_of)


def _forgets_system_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = lambda self, permission: {"granting": [], "word": f" {permission} "}
    monkeypatch.setattr(permission_lists.PermissionLists, "_granting", nothing)


def _forgets_other_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "HOLDERS", statements.MEMBERS)


@pytest.mark.parametrize("forget", [_forgets_the_state, _forgets_system_roles, _forgets_other_roles])
def test_control_a_way_of_asking_that_forgets_something_is_found(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, forget: Callable[[pytest.MonkeyPatch], None]
) -> None:
    world = deploy_own()
    forget(monkeypatch)
    with pytest.raises(AssertionError):
        _run(world, Counter(), max_examples=5, phases=[Phase.generate])
