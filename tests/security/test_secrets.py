"""Secrets stay where they belong: canaries are planted, everything is called, and everything that comes out is searched."""

from __future__ import annotations

import io
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from google.protobuf.descriptor import MethodDescriptor
from support import raw
from support.descriptors import methods
from support.rpc import Client, Refused
from support.stage import Stage, state_for
from support.world import World

from tenantry_server import cli, config, logs
from tenantry_server.domain import call as calls
from tenantry_server.domain.tokens import TokenKind, mint
from tenantry_server.rpc import interceptors
from tenantry_server.services.organizations import Organizations
from tenantry_server.store.answers import encode

HEADER = "canary-header-value"
PASSWORD = "canary-password"
CONFIG = {"otel": {"endpoint": "https://otel.example", "headers": {"api-key": HEADER}}}


class Scene:
    """A server that logs, an organization with a secret in its settings, and all that was said about it."""

    def __init__(self, world: World, log: io.StringIO) -> None:
        self.world = world
        self.stage = Stage(world)
        self._log = log
        self.said: list[str] = []
        self.stage.owner.rpc(
            "OrganizationService.UpdateOrganizationSettings",
            organization_id=self.stage.organization.id,
            experimental_config=CONFIG,
        )

    @property
    def log(self) -> str:
        """The log so far."""
        return self._log.getvalue()

    def call(self, client: Client, method: MethodDescriptor, request: Any) -> None:
        """Notes the answer, or everything that a refusal carries."""
        try:
            self.said.append(str(client.send(method.full_name, request)))
        except Refused as refusal:
            self.said.append(f"{refusal} {refusal.details} {refusal.trailing}")


@pytest.fixture
def scene(deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A scene on a server of its own, whose log is kept."""
    world, log = deploy_own(), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", log)
        logs.configure(logging.INFO)
        # A logger that was used before keeps to what was configured then.
        patch.setattr(interceptors, "log", structlog.get_logger("tenantry.calls"))
        yield Scene(world, log)
    logs.configure(logging.CRITICAL)


def _call_everything(scene: Scene) -> list[str]:
    """Every method: by the owner, with useless credentials, and with requests that are refused. Answers with the tokens."""
    channel = scene.world.deployment.channel
    wrong = mint(TokenKind.USER)
    unreadable = wrong[:-1] + ("x" if wrong[-1] != "x" else "y")
    for method in methods():
        stage = Stage(scene.world, state_for(method))
        request = stage.request(method)
        scene.call(Client(channel, wrong), method, request)
        scene.call(Client(channel, unreadable), method, request)
        scene.call(Client(channel, metadata=(("authorization", f"Basic {wrong}"),)), method, request)
        scene.call(Client(channel, metadata=(("authorization", wrong),)), method, request)
        scene.call(stage.stranger.rpc, method, request)
        scene.call(Client(channel, stage.owner.token), method, b"\xff" + stage.owner.token.encode())
        scene.call(stage.owner.rpc, method, scene.stage.request(method, validate_only=True))
        scene.call(stage.owner.rpc, method, request)
    return [wrong, unreadable, stage.owner.token, scene.stage.owner.token]


def test_no_token_and_no_header_value_gets_into_the_log_or_an_answer(scene: Scene) -> None:
    secrets = [*_call_everything(scene), HEADER]
    assert scene.log.count("\n") > len(methods())
    said = "\n".join(scene.said)
    assert [secret for secret in secrets if secret in scene.log or secret in said] == []


def test_the_settings_are_read_back_masked(scene: Scene) -> None:
    for method in methods():
        if method.name == "GetOrganization":
            scene.call(scene.stage.owner.rpc, method, scene.stage.request(method))
    assert any("******" in answer for answer in scene.said)
    assert not any(HEADER in answer for answer in scene.said)


def test_tables_keep_no_token_and_only_the_settings_keep_the_header_value(scene: Scene) -> None:
    stage = scene.stage
    again = {"otel": {"headers": {"api-key": "******", "second": HEADER}}}
    stage.owner.rpc(
        "OrganizationService.UpdateOrganizationSettings",
        organization_id=stage.organization.id,
        experimental_config=again,
        request_id="kept-under-a-request-id",
    )
    operator = calls.operator("test")
    operator.request_id, operator.fingerprint = "kept-too", "same"
    token = scene.world.services.api_tokens.provision(operator, organization_id=stage.organization.id)
    tables = {name: repr(rows) for name, rows in raw.snapshot(scene.world.deployment.url).items()}
    assert [name for name, rows in tables.items() if HEADER in rows] == ["organizations"]
    assert [name for name, rows in tables.items() if token.secret in rows or stage.owner.token in rows] == []
    assert "kept-under-a-request-id" in tables["request_records"]
    assert "kept-too" in tables["request_records"]


def test_the_audit_trail_says_that_a_secret_changed_but_not_which_it_is(scene: Scene) -> None:
    events = scene.world.events(scene.stage.organization, scene.stage.owner)
    settings = next(event for event in events if event.action == "organization.update_settings")
    assert [change.field for change in settings.changes] == ["experimental_config"]
    assert HEADER not in str(events)


def test_an_unforeseen_error_is_logged_without_the_values_around_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def fail(self: Organizations, call: calls.Call, **given: Any) -> None:
        shown.append(repr(call))
        raise RuntimeError("cannot happen")

    monkeypatch.setattr(Organizations, "update_settings", fail)
    refusal = scene.stage.owner.rpc.refusal(
        "OrganizationService.UpdateOrganizationSettings",
        organization_id=scene.stage.organization.id,
        experimental_config=CONFIG,
    )
    assert refusal.reason == "INTERNAL"
    entry = next(json.loads(line) for line in scene.log.splitlines() if "cannot happen" in line)
    assert entry["exception"][0]["frames"], "the log says where it happened"
    for text in (scene.log, *shown):
        assert HEADER not in text
        assert scene.stage.owner.token not in text


def test_the_text_of_an_unforeseen_error_stays_in_the_log(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Organizations, call: calls.Call, **given: Any) -> None:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(Organizations, "get", fail)
    for method in methods():
        if method.name == "GetOrganization":
            scene.call(scene.stage.owner.rpc, method, scene.stage.request(method))
    assert len(scene.said) == 3
    assert PASSWORD not in "".join(scene.said)
    assert PASSWORD in scene.log


def test_a_refused_configuration_is_not_repeated(scene: Scene) -> None:
    too_long = {"otel": {"headers": {"api-key": HEADER * 2000}}}
    for name, field in (
        ("OrganizationService.UpdateOrganizationSettings", "experimental_config"),
        ("tenantry.rest.daytona.v1.OrganizationService.UpdateExperimentalConfig", "config"),
    ):
        refusal = scene.stage.owner.rpc.refusal(name, organization_id=scene.stage.organization.id, **{field: too_long})
        assert refusal.reason == "INVALID_REQUEST"
        assert HEADER not in f"{refusal} {refusal.details} {refusal.trailing} {scene.log}"


def test_control_the_search_finds_a_token_that_is_logged(scene: Scene) -> None:
    interceptors.log.info("careless", token=scene.stage.owner.token)
    assert scene.stage.owner.token in scene.log


def test_records_do_not_show_secrets(world: World) -> None:
    person = world.person()
    token = world.services.api_tokens.provision(calls.operator("test"), user_id=person.id)
    assert token.secret
    assert token.secret not in repr(token)
    assert token.secret not in encode(token)
    settings = config.load({"TENANTRY_DATABASE_URL": f"postgresql://tenantry:{PASSWORD}@db/tenantry"})
    assert PASSWORD in settings.database_url
    assert PASSWORD not in f"{settings!r} {settings}"
    assert PASSWORD not in f"{cli._Environment(settings)!r}"


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
