"""Where organizations export telemetry to: in clear for one kind of caller, masked for everybody else, encrypted at rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import raw
from support.deployment import LIMITS
from support.race import Code
from support.world import Person, World

from tenantry_server.services.resealing import reseal
from tenantry_server.services.secret_keys import SecretKeys

SET, DELETE = "OrganizationService.SetOtelConfig", "OrganizationService.DeleteOtelConfig"
GET, READ = "OrganizationService.GetOtelConfig", "OrganizationService.GetOrganization"
SETTINGS = "OrganizationService.UpdateOrganizationSettings"
CANARY, MASK = "canary-2f6b", "******"
ENDPOINT = "https://otel.example"


def export(person: Person, organization: Any, headers: dict[str, str], **more: Any) -> Any:
    """Sets where telemetry is exported to."""
    config = {"endpoint": ENDPOINT, "headers": headers}
    return person.rpc(SET, organization_id=organization.id, otel_config=config, **more)


def clear(world: World, organization: Any) -> dict[str, str]:
    """The headers, as who exports telemetry reads them."""
    return dict(world.platform("otel-config:read")(GET, organization_id=organization.id).headers)


def everything(world: World) -> str:
    """All that the database keeps."""
    return repr(raw.snapshot(world.deployment.url))


@pytest.fixture
def keyed(deploy_own: Callable[..., World], tmp_path: Path) -> tuple[World, SecretKeys]:
    """A server with a key of its own."""
    keys = SecretKeys(tmp_path / "secret.keys")
    keys.add()
    return deploy_own(limits=replace(LIMITS, secret_keys=keys)), keys


def test_what_is_kept_and_told_shows_no_secret(keyed: tuple[World, SecretKeys]) -> None:
    world, _ = keyed
    ana = world.person()
    acme = world.organization(ana)
    made = export(ana, acme, {"api-key": CANARY}, request_id="once")
    again = export(ana, acme, {"api-key": CANARY}, request_id="once")
    assert made == again
    shown = ana.rpc(READ, organization_id=acme.id)
    assert dict(shown.settings.otel_config.headers) == {"api-key": MASK}
    assert CANARY not in str([made, again, shown, *world.events(acme, ana)])
    assert CANARY not in everything(world)
    assert clear(world, acme) == {"api-key": CANARY}


def test_a_mask_keeps_what_is_stored_under_its_name_and_nothing_else(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    export(ana, acme, {"a": "one", "b": "two"})
    export(ana, acme, {"a": MASK, "c": MASK})
    assert clear(world, acme) == {"a": "one", "c": MASK}
    export(ana, birch, {"a": "*"})
    assert clear(world, birch) == {"a": "*"}


def test_a_change_of_a_secret_alone_is_in_the_trail_without_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    export(ana, acme, {"a": "one"})
    export(ana, acme, {"a": "two"})
    event = world.events(acme, ana)[0]
    assert event.action == "organization.set_otel_config"
    (change,) = event.changes
    assert (change.field, change.before) == ("otel_config", change.after)
    assert change.after.struct_value["headers"]["a"] == MASK


def test_a_suspended_organization_still_tells_the_collector_and_a_deleted_one_does_not(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    export(ana, acme, {"a": "one"})
    world.platform()("OrganizationService.SuspendOrganization", organization_id=acme.id)
    assert clear(world, acme) == {"a": "one"}
    world.platform()("OrganizationService.UnsuspendOrganization", organization_id=acme.id)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    refusal = world.platform().refusal(GET, organization_id=acme.id)
    assert refusal.seen == (Code.FAILED_PRECONDITION, "ORGANIZATION_DELETED", {"organization_id": acme.id})


def test_without_a_key_no_secret_is_taken_and_all_else_is(deploy_own: Callable[..., World]) -> None:
    world = deploy_own(limits=replace(LIMITS, secret_keys=SecretKeys()))
    ana = world.person()
    acme = world.organization(ana)
    nothing: dict[str, str] = {}
    missing = (Code.FAILED_PRECONDITION, "SECRET_KEYS_MISSING", nothing)
    with world.unchanged(acme):
        config = {"endpoint": ENDPOINT, "headers": {"a": CANARY}}
        assert ana.rpc.refusal(SET, organization_id=acme.id, otel_config=config).seen == missing
        refusal = ana.rpc.refusal(SETTINGS, organization_id=acme.id, experimental_config={"otel": config})
        assert refusal.seen == missing
    assert CANARY not in everything(world)
    export(ana, acme, {})
    ana.rpc(SETTINGS, organization_id=acme.id, experimental_config={"beta": True, "otel": {"endpoint": ENDPOINT}})
    assert clear(world, acme) == {}


def test_a_secret_whose_key_is_gone_is_told_by_the_keys_fingerprint(keyed: tuple[World, SecretKeys]) -> None:
    world, keys = keyed
    ana = world.person()
    acme = world.organization(ana)
    export(ana, acme, {"a": CANARY})
    assert keys.file is not None
    (fingerprint,) = keys.read()
    keys.file.unlink()
    keys.add()
    refusal = world.platform().refusal(GET, organization_id=acme.id)
    assert refusal.seen == (Code.FAILED_PRECONDITION, "SECRET_UNREADABLE", {"key": fingerprint})
    assert dict(ana.rpc(READ, organization_id=acme.id).settings.otel_config.headers) == {"a": MASK}


def test_after_resealing_the_old_keys_can_be_thrown_away(keyed: tuple[World, SecretKeys]) -> None:
    world, keys = keyed
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    export(ana, acme, {"a": CANARY})
    otel = {"endpoint": ENDPOINT, "headers": {"b": f"{CANARY}-2"}}
    ana.rpc(SETTINGS, organization_id=birch.id, experimental_config={"otel": otel})
    keys.add()
    with world.unchanged(acme, birch):
        assert reseal(world.services.store, keys) == 2
        assert reseal(world.services.store, keys) == 0
    assert keys.file is not None
    keys.file.write_text(keys.file.read_text().splitlines()[0])
    assert clear(world, acme) == {"a": CANARY}
    assert clear(world, birch) == {"b": f"{CANARY}-2"}


def test_secrets_from_before_they_were_encrypted_work_and_are_encrypted_by_resealing(keyed: tuple[World, SecretKeys]) -> None:
    world, keys = keyed
    ana = world.person()
    acme = world.organization(ana)
    database: Any = world.deployment.database
    text = '{"otel":{"endpoint":"https://otel.example","headers":{"a":"' + CANARY + '"}}}'
    database.execute_sql(
        f"UPDATE organizations SET experimental_config = {database.param} WHERE id = {database.param}", (text, acme.id)
    )
    assert clear(world, acme) == {"a": CANARY}
    assert reseal(world.services.store, keys) == 1
    assert CANARY not in everything(world)
    assert clear(world, acme) == {"a": CANARY}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "otel_config.endpoint"),
        ({"endpoint": "otel.example"}, "otel_config.endpoint"),
        ({"endpoint": "https://a:b@otel.example"}, "otel_config.endpoint"),
        ({"endpoint": f"https://otel.example/{'x' * 2000}"}, "otel_config.endpoint"),
        ({"endpoint": ENDPOINT, "headers": {"a b": "x"}}, "otel_config.headers[a b]"),
        ({"endpoint": ENDPOINT, "headers": {"a": "x\ny"}}, "otel_config.headers[a]"),
        ({"endpoint": ENDPOINT, "headers": {f"h{n}": "x" for n in range(51)}}, "otel_config.headers"),
        ({"endpoint": ENDPOINT, "headers": {f"h{n}": "x" * 4000 for n in range(5)}}, "otel_config"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(world: World, config: dict[str, Any], field: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(SET, organization_id=acme.id, otel_config=config)
    assert (refusal.code, set(refusal.violations)) == (Code.INVALID_ARGUMENT, {field})
