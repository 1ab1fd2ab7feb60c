"""Secrets in settings stay there: those that organizations keep in theirs, and the operator's own."""

from __future__ import annotations

import logging
import traceback

import pytest
from click.testing import CliRunner
from support.descriptors import methods
from support.overheard import HEADER, Scene

from tenantry_server import cli, config, environment, logs

PASSWORD = "canary-password"


def test_the_settings_are_read_back_masked(scene: Scene) -> None:
    for method in methods():
        if method.name == "GetOrganization":
            scene.call(scene.stage.owner.rpc, method, scene.stage.request(method))
    assert any("******" in answer for answer in scene.said)
    assert not any(HEADER in answer for answer in scene.said)


def test_the_audit_trail_says_that_a_secret_changed_but_not_which_it_is(scene: Scene) -> None:
    events = scene.world.events(scene.stage.organization, scene.stage.owner)
    settings = next(event for event in events if event.action == "organization.update_settings")
    assert [change.field for change in settings.changes] == ["experimental_config"]
    assert HEADER not in str(events)


def test_a_refused_configuration_is_not_repeated(scene: Scene) -> None:
    too_long = {"otel": {"headers": {"api-key": HEADER * 2000}}}
    for name, field in (
        ("OrganizationService.UpdateOrganizationSettings", "experimental_config"),
        ("tenantry.rest.daytona.v1.OrganizationService.UpdateExperimentalConfig", "config"),
    ):
        refusal = scene.stage.owner.rpc.refusal(name, organization_id=scene.stage.organization.id, **{field: too_long})
        assert refusal.reason == "INVALID_REQUEST"
        assert HEADER not in f"{refusal} {refusal.details} {refusal.trailing} {scene.log}"


def test_the_operators_settings_do_not_show_the_password() -> None:
    settings = config.load({"TENANTRY_DATABASE_URL": f"postgresql://tenantry:{PASSWORD}@db/tenantry"})
    assert PASSWORD in settings.database_url
    assert PASSWORD not in f"{settings!r} {settings}"
    assert PASSWORD not in f"{environment.Environment(settings)!r}"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://tenantry:{PASSWORD}@127.0.0.1/tenantry",
        f"sqlite://tenantry:{PASSWORD}@127.0.0.1/tenantry",
        f"{PASSWORD}",
        f"postgresql://tenantry:{PASSWORD}@127.0.0.1:1/tenantry",
        f"postgresql://tenantry:{PASSWORD}:x@127.0.0.1:1/tenantry",
        f"postgresql://tenantry:{PASSWORD}%zz@127.0.0.1:1/tenantry",
        f"postgresql://tenantry:{PASSWORD}/x@127.0.0.1:1/tenantry",
        f"postgresql://tenantry:{PASSWORD}\N{ACCOUNT OF}@127.0.0.1:1/tenantry",
        f"postgresql://tenantry:[{PASSWORD}@127.0.0.1:1/tenantry",
        f"postgresql://tenantry:{PASSWORD}@127.0.0.1:port/tenantry",
    ],
)
def test_a_bad_database_url_is_refused_without_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TENANTRY_DATABASE_URL", url)
        result = CliRunner().invoke(cli.main, ["doctor"])
    logs.configure(logging.CRITICAL)
    assert result.exit_code == 1
    assert result.exc_info is not None
    assert PASSWORD not in result.output + "".join(traceback.format_exception(*result.exc_info))
