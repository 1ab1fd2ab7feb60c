"""Who is kept out of an organization by one token does not get back in by what that token makes, changes or rotates."""

from dataclasses import dataclass
from typing import Any

import pytest
from support.tokens import MINE, OURS, Made, inaccessible, is_good, mine
from support.world import Person, World

from tenantry_server.services import own_tokens
from tenantry_server.store.people import ApiToken
from tenantry_server.store.queries import api_tokens
from tenantry_server.store.statements import changing, value

CREATE, UPDATE, ROTATE, REVOKE = (MINE.format(verb) for verb in ("Create", "Update", "Rotate", "Revoke"))
READ = "OrganizationService.GetOrganization"


@dataclass
class Stage:
    """A member whose leaked token an owner has ended in their organization, and other tokens of the member's."""

    ana: Person
    bo: Person
    acme: Any
    leaked: Made
    unbound: Made
    bound: Made

    @property
    def key(self) -> dict[str, str]:
        return {"organization_id": self.acme.id}


@pytest.fixture
def stage(world: World) -> Stage:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo)
    made = [mine(world, bo.rpc), mine(world, bo.rpc, "sandbox:read"), mine(world, bo.rpc, "sandbox:read", bound_to=acme)]
    ana.rpc(OURS.format("Revoke"), organization_id=acme.id, api_token_id=made[0].id)
    return Stage(ana, bo, acme, *made)


def test_what_it_makes_is_kept_out_too(world: World, stage: Stage) -> None:
    again = mine(world, stage.leaked.rpc)
    and_again = mine(world, again.rpc)
    for client in (stage.leaked.rpc, again.rpc, and_again.rpc):
        assert client.refusal(READ, **stage.key).seen == inaccessible(stage.acme.id)
        assert client.refusal(CREATE, **stage.key, name="x", unrestricted=True).seen == inaccessible(stage.acme.id)
        assert client(READ, organization_id=stage.bo.personal_organization_id)
    assert stage.bo.rpc(READ, **stage.key)


def test_it_gets_no_secret_that_reaches_further(world: World, stage: Stage) -> None:
    with world.unchanged(stage.acme):
        for other in (stage.unbound, stage.bound):
            assert stage.leaked.rpc.refusal(ROTATE, api_token_id=other.id).seen == inaccessible(stage.acme.id)
            assert is_good(other.rpc)
    rotated = stage.leaked.rpc(ROTATE, api_token_id=stage.leaked.id)
    assert world.client(rotated.secret).refusal(READ, **stage.key).seen == inaccessible(stage.acme.id)
    beside = mine(world, stage.bo.rpc)
    stage.ana.rpc(OURS.format("Revoke"), **stage.key, api_token_id=beside.id)
    assert world.client(rotated.secret)(ROTATE, api_token_id=beside.id).secret


def test_it_lets_no_token_that_reaches_further_do_more(world: World, stage: Stage) -> None:
    wider = {"permissions": ["sandbox:read", "sandbox:write"]}
    with world.unchanged(stage.acme):
        for other in (stage.unbound, stage.bound):
            assert stage.leaked.rpc.refusal(UPDATE, api_token_id=other.id, **wider).seen == inaccessible(stage.acme.id)
    assert stage.leaked.rpc(UPDATE, api_token_id=stage.unbound.id, name="New").api_token.name == "New"


def test_it_changes_nothing_in_the_organization(world: World, stage: Stage) -> None:
    with world.unchanged(stage.acme):
        for method, fields in ((UPDATE, {"name": "New"}), (REVOKE, {})):
            refusal = stage.leaked.rpc.refusal(method, api_token_id=stage.bound.id, **fields)
            assert refusal.seen == inaccessible(stage.acme.id)


def test_other_credentials_of_the_person_are_as_free_as_before(world: World, stage: Stage) -> None:
    assert mine(world, stage.bo.rpc).rpc(READ, **stage.key)
    assert stage.bo.rpc(ROTATE, api_token_id=stage.leaked.id).secret
    assert stage.bo.rpc(UPDATE, api_token_id=stage.bound.id, permissions=["sandbox:read", "role:read"]).api_token


def test_without_the_rule_it_gets_back_in(world: World, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    nothing = ApiToken.id == ""
    monkeypatch.setattr(api_tokens, "INHERIT_EXCLUSIONS", changing(lambda: ApiToken.delete().where(nothing)))
    monkeypatch.setattr(api_tokens, "KEPT_OUT_BEYOND", value(lambda: ApiToken.select(ApiToken.id).where(nothing)))
    monkeypatch.setattr(own_tokens, "_enter", lambda change: None)
    back = [mine(world, stage.leaked.rpc).rpc]
    for other in (stage.unbound, stage.bound):
        back.append(world.client(stage.leaked.rpc(ROTATE, api_token_id=other.id).secret))
    assert [client.refusal(READ, **stage.key).reason for client in back[1:]] == ["PERMISSION_MISSING"] * 2
    assert back[0](READ, **stage.key)
