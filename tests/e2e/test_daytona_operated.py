"""What Daytona's operators and collectors do to an organization: suspensions, and where telemetry is exported to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from daytona_api_client import (
    OrganizationsApi,
    OrganizationSuspension,
    OtelConfig,
)
from e2e.clients import connecting
from e2e.scene import UNKNOWN, Scene
from e2e.shapes import daytona_error, dotenv_error, organization
from support.http import Http
from support.metered import Metered
from support.world import fresh

from tenantry_server.domain.clock import floor, isoformat

SECRET = "canary-otel"
UNTIL = "2100-01-01T00:00:00.000Z"
NEVER = "1970-01-01T00:00:00.000Z"


@pytest.fixture
def operator(scene: Scene) -> Http:
    """REST as an operator."""
    return scene.by(scene.world.platform_token())


def shown(scene: Scene) -> Any:
    """The organization, as its owner sees it."""
    return scene.as_owner.get(scene.path()).body


# -- suspensions -----------------------------------------------------------------------------------------------------------


def test_a_suspension_shows_its_reason_and_its_end_and_stops_everything_but_reading(scene: Scene, operator: Http) -> None:
    body = {"reason": "Unpaid", "until": UNTIL, "suspensionCleanupGracePeriodHours": 48}
    now = floor(scene.world.clock.now())
    with scene.world.at(now):
        answer = operator.post(scene.path("/suspend"), body)
    assert (answer.status, answer.raw) == (204, b"")
    found = shown(scene)
    assert (found["suspended"], found["suspendedAt"], found["suspendedUntil"]) == (True, isoformat(now), UNTIL)
    assert (found["suspensionReason"], found["suspensionCleanupGracePeriodHours"]) == ("Unpaid", 48)
    roles = scene.path("/roles")
    message = f"organization {scene.path().rpartition('/')[2]} is suspended: Unpaid"
    assert scene.as_owner.get(roles).seen == daytona_error(403, roles, message)
    assert scene.as_owner.get(scene.v1()).body["data"]["status"] == "suspended"
    refusal = scene.as_owner.patch(scene.v1(), {"name": "New"})
    words = {"organization_id": scene.organization.id, "suspension_reason": "Unpaid"}
    message = f"organization {scene.organization.id} is suspended: Unpaid"
    assert refusal.seen == dotenv_error(403, "organization_suspended", message, **words)

    answer = operator.post(scene.path("/unsuspend"))
    assert (answer.status, answer.raw) == (204, b"")
    found = shown(scene)
    assert found == organization(
        id=found["id"], name="Acme", createdBy=found["createdBy"], suspensionCleanupGracePeriodHours=48
    )
    assert scene.as_owner.get(roles).status == 200


def test_a_suspension_needs_no_body_and_keeps_the_grace_period(scene: Scene, operator: Http) -> None:
    assert operator.post(scene.path("/suspend"), {"suspensionCleanupGracePeriodHours": 7}).status == 204
    assert operator.post(scene.path("/suspend"), {"suspensionCleanupGracePeriodHours": 0}).status == 204
    assert operator.post(scene.path("/suspend")).status == 204
    found = shown(scene)
    assert (found["suspended"], found["suspensionReason"], found["suspendedUntil"]) == (True, "", NEVER)
    assert found["suspensionCleanupGracePeriodHours"] == 7


def test_a_suspension_is_over_when_its_time_has_come(scene: Scene, operator: Http) -> None:
    until = floor(scene.world.clock.now() + timedelta(hours=1))
    assert operator.post(scene.path("/suspend"), {"until": isoformat(until)}).status == 204
    assert shown(scene)["suspended"]
    with scene.world.at(until):
        assert not shown(scene)["suspended"]
        assert scene.as_owner.get(scene.path("/roles")).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"until": "2001-01-01T00:00:00.000Z"}, "until must be in the future"),
        ({"until": "tomorrow"}, "until: invalid value"),
        ({"until": ""}, "until: invalid value"),
        ({"until": "2100-02-30T00:00:00Z"}, "until: invalid value"),
        ({"until": "10000-01-01T00:00:00Z"}, "until: invalid value"),
        ({"until": 4102444800}, "until: invalid value"),
        ({"suspensionCleanupGracePeriodHours": -1}, "suspensionCleanupGracePeriodHours must be greater than or equal to 0"),
    ],
)
def test_a_suspension_that_makes_no_sense_is_refused(scene: Scene, operator: Http, body: Any, message: str) -> None:
    with scene.world.unchanged(scene.organization):
        answer = operator.post(scene.path("/suspend"), body)
    assert answer.status == 400
    assert answer.body["message"].startswith(message)


def test_nobody_suspends_what_is_not_there(scene: Scene, operator: Http) -> None:
    for verb in ("suspend", "unsuspend"):
        path = f"/api/organizations/{UNKNOWN}/{verb}"
        message = f"no access to organization {UNKNOWN}, or it does not exist"
        assert operator.post(path).seen == daytona_error(403, path, message)


# -- telemetry -------------------------------------------------------------------------------------------------------------


def test_telemetry_is_read_in_clear_by_the_collector_and_masked_by_everybody_else(scene: Scene) -> None:
    path = scene.path("/otel-config")
    collector = scene.by(scene.world.platform_token(["otel-config:read"]))
    assert collector.get(path).seen[0] == 404
    config = {"endpoint": "https://otel.example/v1", "headers": {"api-key": SECRET, " ": "dropped", "empty": " "}}
    answer = scene.as_owner.put(path, config)
    assert (answer.status, answer.raw) == (204, b"")
    clear = {"endpoint": "https://otel.example/v1", "headers": {"api-key": SECRET}}
    assert collector.get(path).seen == (200, clear)
    assert shown(scene)["otelConfig"] == {**clear, "headers": {"api-key": "******"}}
    listed = {each["id"]: each for each in scene.as_owner.get("/api/organizations").body}
    assert listed[shown(scene)["id"]]["otelConfig"]["headers"] == {"api-key": "******"}

    again = {"endpoint": "http://other:4318", "headers": {"api-key": "******", "second": "new"}}
    assert scene.as_owner.put(path, again).status == 204
    assert collector.get(path).body == {"endpoint": "http://other:4318", "headers": {"api-key": SECRET, "second": "new"}}
    assert SECRET not in str(scene.world.events(scene.organization, scene.owner))

    for _ in range(2):
        assert scene.as_owner.delete(path).status == 204
    message = f"organization {scene.path().rpartition('/')[2]} has no OpenTelemetry configuration"
    assert collector.get(path).seen == daytona_error(404, path, message)
    assert "otelConfig" not in shown(scene)


def test_telemetry_is_read_by_the_token_of_a_sandbox(scene: Scene) -> None:
    acme, token = Metered(scene.world, scene.owner), fresh("sandbox-token-")
    acme.organization = scene.organization
    path = f"/api/organizations/otel-config/by-sandbox-auth-token/{token}"
    collector = scene.by(scene.world.platform_token(["otel-config:read"]))
    missing = daytona_error(404, path, "resource sandbox not found")
    assert collector.get(path).seen == missing
    lease = acme.reserve(volume=1)
    acme.service("QuotaService.Commit", lease_id=lease.id, resource_token=token, **acme.here)
    no_config = f"organization {scene.organization.id} has no OpenTelemetry configuration"
    assert collector.get(path).seen == daytona_error(404, path, no_config)
    config = {"endpoint": "https://otel.example/v1", "headers": {"api-key": SECRET}}
    assert scene.as_owner.put(scene.path("/otel-config"), config).status == 204
    assert collector.get(path).seen == (200, config)
    assert scene.as_owner.get(path).status == 403
    assert scene.by(scene.world.platform_token(["resource:read"])).get(path).status == 403
    assert scene.http.get(path).status == 401
    acme.release(lease)
    assert collector.get(path).seen == missing


def test_what_the_documented_experiment_sets_is_what_the_collector_gets(scene: Scene) -> None:
    config = {"otel": {"endpoint": "http://otel-collector:4317", "headers": {"api-key": SECRET}}}
    assert scene.as_owner.put(scene.path("/experimental-config"), config).status == 200
    collector = scene.by(scene.world.platform_token(["otel-config:read"]))
    assert collector.get(scene.path("/otel-config")).seen == (200, config["otel"])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"endpoint": ""},
        {"endpoint": "  "},
        {"endpoint": "ftp://otel.example"},
        {"endpoint": "https://user:password@otel.example"},
        {"endpoint": "https://otel.example", "headers": {"a b": "x"}},
        {"endpoint": "https://otel.example", "headers": {"a": "x\r\nHost: evil"}},
        {"endpoint": "https://otel.example", "headers": {"a": "é"}},
    ],
)
def test_telemetry_that_goes_nowhere_is_refused(scene: Scene, config: Any) -> None:
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.put(scene.path("/otel-config"), config).status == 400


def test_the_published_client_suspends_and_configures(scene: Scene) -> None:
    with connecting(scene.gateway) as connected:
        operator, owner = OrganizationsApi(connected(scene.world.platform_token())), OrganizationsApi(connected(scene.owner))
        organization_id = scene.path().rpartition("/")[2]
        owner.update_organization_otel_config(organization_id, OtelConfig(endpoint="https://otel.example", headers={"a": "b"}))
        assert operator.get_organization_otel_config(organization_id).headers == {"a": "b"}
        acme, token = Metered(scene.world, scene.owner), fresh("sandbox-token-")
        acme.organization = scene.organization
        acme.service("QuotaService.Commit", lease_id=acme.reserve(volume=1).id, resource_token=token, **acme.here)
        assert operator.get_organization_otel_config_by_sandbox_auth_token(token).headers == {"a": "b"}
        suspension = OrganizationSuspension(
            reason="Unpaid", until=scene.world.clock.now() + timedelta(days=1), suspension_cleanup_grace_period_hours=5
        )
        operator.suspend_organization(organization_id, suspension)
        found = owner.get_organization(organization_id)
        assert (found.suspended, found.suspension_reason) == (True, "Unpaid")
        assert found.otel_config == OtelConfig(endpoint="https://otel.example", headers={"a": "******"})
        operator.unsuspend_organization(organization_id)
        owner.delete_organization_otel_config(organization_id)
        assert not owner.get_organization(organization_id).suspended
