"""Settings of organizations: switches, experiments, and the secrets among them, which nobody reads back."""

import json
from typing import Any

import pytest
from grpc import StatusCode
from support.sealed import opened
from support.world import Person, World

from tenantry_server.store.models import AuditEvent, Organization, RequestRecord

UPDATE = "OrganizationService.UpdateOrganizationSettings"
GET = "OrganizationService.GetOrganization"
CANARY = "canary-8d1f77aa"  # a word that nothing else in the database has
SECRET, OTHER = f"Bearer {CANARY}", f"{CANARY}-2"
MASK = "******"
CONFIG = {"otel": {"endpoint": "https://otel.example.com", "headers": {"Authorization": SECRET, "X-Key": OTHER}}, "beta": True}


def stored(world: World, organization: Any) -> Any:
    """The configuration that the database keeps, in clear; every secret in it is encrypted."""
    query = Organization.select(Organization.experimental_config).where(Organization.id == organization.id)
    with world.deployment.database.reading():
        text = query.tuples().execute(world.deployment.database)[0][0]
    assert CANARY not in text
    return opened(text, organization.id)


def kept(world: World) -> str:
    """Everything that the database keeps of audit events and of answers."""
    rows: list[Any] = []
    with world.deployment.database.reading():
        for column in (AuditEvent.changes, RequestRecord.answer):
            rows += column.model.select(column).tuples().execute(world.deployment.database)
    return str(rows)


def configure(person: Person, organization: Any, config: dict[str, Any], **more: Any) -> Any:
    return person.rpc(UPDATE, organization_id=organization.id, experimental_config=config, **more)


def test_settings_are_read_back(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    config = {"beta": True, "share": 0.25, "count": 3, "names": ["a", None, {"deep": {"er": "é"}}], "empty": {}}
    after = configure(ana, acme, config, limited_network_egress=True)
    assert after == ana.rpc(GET, organization_id=acme.id)
    assert after.settings.limited_network_egress
    assert after.revision == acme.revision + 1
    assert stored(world, acme) == config


def test_settings_that_are_not_named_stay(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    configure(ana, acme, {"beta": True})
    after = ana.rpc(UPDATE, organization_id=acme.id, limited_network_egress=True)
    assert dict(after.settings.experimental_config) == {"beta": True}
    after = configure(ana, acme, {"gamma": 1})
    assert after.settings.limited_network_egress
    assert stored(world, acme) == {"gamma": 1}


def test_header_values_are_stored_and_never_shown(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    answer = configure(ana, acme, CONFIG, request_id="settings-1")
    repeated = configure(ana, acme, CONFIG, request_id="settings-1")
    seen = [
        answer,
        repeated,
        ana.rpc(GET, organization_id=acme.id),
        *ana.rpc("OrganizationService.ListOrganizations").organizations,
    ]
    seen += [ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)]
    seen += [ana.rpc("OrganizationService.UndeleteOrganization", organization_id=acme.id)]
    seen += world.events(acme, ana)
    headers = answer.settings.experimental_config["otel"]["headers"]
    assert dict(headers) == {"Authorization": MASK, "X-Key": MASK}
    assert stored(world, acme) == CONFIG
    assert CANARY not in str(seen)
    assert CANARY not in kept(world)


@pytest.mark.parametrize(
    "headers", [f"Authorization={SECRET}", [{"name": "Authorization", "value": SECRET}], {"A": {"b": SECRET}}]
)
def test_headers_of_any_shape_are_secret(world: World, headers: Any) -> None:
    ana = world.person()
    acme = world.organization(ana)
    answer = configure(ana, acme, {"otel": {"headers": headers}}, request_id="settings-1")
    assert stored(world, acme) == {"otel": {"headers": headers}}
    configure(ana, acme, dict(answer.settings.experimental_config))
    assert stored(world, acme) == {"otel": {"headers": headers}}
    assert CANARY not in str([answer, *world.events(acme, ana)])
    assert CANARY not in kept(world)


def test_masked_values_sent_back_keep_what_is_stored(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    shown = configure(ana, acme, CONFIG).settings.experimental_config
    shown["beta"] = False
    ana.rpc(UPDATE, organization_id=acme.id, experimental_config=shown)
    assert stored(world, acme) == {**CONFIG, "beta": False}


@pytest.mark.parametrize("asterisks", ["*", "***", "*" * 64])
def test_any_number_of_asterisks_keeps_what_is_stored(world: World, asterisks: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    configure(ana, acme, CONFIG)
    configure(ana, acme, {"otel": {"headers": {"Authorization": asterisks, "X-Key": "new"}}})
    assert stored(world, acme) == {"otel": {"headers": {"Authorization": SECRET, "X-Key": "new"}}}


def test_masked_value_takes_nothing_from_another_header_or_organization(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    configure(ana, acme, CONFIG)
    configure(ana, birch, {"otel": {"headers": {"Authorization": MASK}}})
    assert stored(world, birch) == {"otel": {"headers": {"Authorization": MASK}}}
    configure(ana, acme, {"otel": {"headers": {"authorization": MASK}}})
    assert stored(world, acme) == {"otel": {"headers": {"authorization": MASK}}}


def test_asterisks_elsewhere_are_values_like_others(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    configure(ana, acme, {"headers": {"a": "b"}, "note": "n"})
    after = configure(ana, acme, {"headers": {"a": MASK}, "note": MASK})
    assert stored(world, acme) == {"headers": {"a": MASK}, "note": MASK}
    assert after.settings.experimental_config["note"] == MASK


def test_change_of_a_secret_alone_is_audited_without_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    configure(ana, acme, {"otel": {"headers": {"X-Key": SECRET}}})
    configure(ana, acme, {"otel": {"headers": {"X-Key": OTHER}}})
    (change,) = world.events(acme, ana)[0].changes
    masked = {"otel": {"headers": {"X-Key": MASK}}}
    assert change.field == "experimental_config"
    assert change.before == change.after
    assert change.after.struct_value["otel"]["headers"]["X-Key"] == MASK
    assert stored(world, acme) != masked


def _of_size(size: int, **config: Any) -> dict[str, Any]:
    """A configuration whose JSON has so many bytes."""
    empty = len(json.dumps({**config, "pad": ""}, separators=(",", ":")))
    return {**config, "pad": "x" * (size - empty)}


def test_configuration_may_have_16_kib(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    config = _of_size(16 * 1024)
    configure(ana, acme, config)
    assert stored(world, acme) == config


def test_configuration_of_more_is_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    wide = {"pad": "é" * (8 * 1024)}  # few characters, many bytes
    with world.unchanged(acme):
        for config in (_of_size(16 * 1024 + 1), wide):
            refusal = ana.rpc.refusal(UPDATE, organization_id=acme.id, experimental_config=config)
            invalid = (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "experimental_config"})
            assert refusal.seen == invalid
            assert refusal.violations == {"experimental_config": "CONFIG_SIZE"}


def test_refused_configuration_is_not_repeated_in_the_refusal(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(UPDATE, organization_id=acme.id, experimental_config=_of_size(17_000, **CONFIG))
    assert CANARY not in f"{refusal} {refusal.details} {refusal.trailing}"


def test_values_that_json_does_not_have_are_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        for number in (float("nan"), float("inf")):
            refusal = ana.rpc.refusal(UPDATE, organization_id=acme.id, experimental_config={"a": number})
            assert refusal.violations == {"experimental_config": "JSON"}


def test_members_without_the_permission_change_no_settings(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana)
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(UPDATE, organization_id=acme.id, limited_network_egress=True)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "organization:update"})
