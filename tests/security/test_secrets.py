"""Secrets stay where they belong: canaries are planted, everything is called, and everything that comes out is searched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from support import raw
from support.descriptors import methods, shows_a_secret
from support.overheard import CONFIG, HEADER, Scene
from support.rpc import Client
from support.stage import Stage, state_for
from support.world import World, fresh

from tenantry_server.domain import call as calls
from tenantry_server.domain.tokens import TokenKind, mint
from tenantry_server.rpc import interceptors
from tenantry_server.services.organizations import Organizations
from tenantry_server.store import answers
from tenantry_server.store.answers import encode

PASSWORD = "canary-password"


def _unreadable(token: str) -> str:
    return token[:-1] + ("x" if token[-1] != "x" else "y")


def _useless(scene: Scene) -> dict[str, Client]:
    """Clients whose credentials say nothing, by the secrets in them: never made, broken, or not presented as they must be."""
    channel, wrong = scene.world.deployment.channel, {kind: mint(kind) for kind in TokenKind}
    found = {token: Client(channel, token) for good in wrong.values() for token in (good, _unreadable(good))}
    signed = scene.provider.sign(sub=fresh("subject"), exp=1)
    found |= {token: Client(channel, token) for token in (signed, _unreadable(scene.provider.sign()), "canary.looking.jwt")}
    basic, bare = mint(TokenKind.USER), mint(TokenKind.USER)
    found[basic] = Client(channel, metadata=(("authorization", f"Basic {basic}"),))
    found[bare] = Client(channel, metadata=(("authorization", bare),))
    return found


def _useful(scene: Scene, stage: Stage) -> dict[str, Client]:
    """Clients of everybody on a stage, by their tokens."""
    signed = scene.provider.sign(sub=fresh("subject"), email=f"{fresh('signed')}@example.com", email_verified=True)
    tokens = (stage.api_token, stage.own_token, stage.members_token, stage.platform_token)
    known = [*(token.secret for token in tokens), stage.stranger.token, signed, stage.operator_token, stage.owner.token]
    return {token: scene.world.client(token) for token in known}


def _call_everything(scene: Scene) -> set[str]:
    """Every method: by everybody, with useless credentials, and with requests that are refused. Answers with what was used."""
    secrets = set()
    for method in methods():
        stage = Stage(scene.world, state_for(method))
        request = stage.request(method, request_id=fresh("key"))
        clients = {**_useless(scene), **_useful(scene, stage)}
        scene.call(stage.actor(method), method, scene.stage.request(method, validate_only=True))
        scene.call(stage.actor(method), method, request)
        scene.call(stage.actor(method), method, request)
        for token, client in clients.items():
            scene.call(client, method, request)
            scene.call(client, method, b"\xff" + token.encode())
        secrets |= set(clients)
    return secrets


def _found(scene: Scene, secrets: set[str], *where: str) -> list[str]:
    return [secret for secret in secrets if any(secret in text for text in where)]


def test_no_secret_gets_out_but_once_to_whom_it_is_made_for(scene: Scene) -> None:
    """Into answers, the log, or a table: no token that was presented, no header's value, and no new token but in the answer."""
    secrets = _call_everything(scene)
    assert scene.log.count("\n") > len(methods())
    assert _found(scene, {*secrets, HEADER}, scene.log, *scene.said) == []
    shown = scene.shown
    assert len(shown) >= sum(map(shows_a_secret, methods()))
    assert len(set(shown)) == len(shown)
    tables = repr(raw.snapshot(scene.world.deployment.url))
    assert _found(scene, {*secrets, *shown}, scene.log, tables) == []


@pytest.mark.parametrize("kind", ["ApiToken", "MyApiToken", "PlatformToken"])
def test_a_rotated_secret_is_gone_and_the_new_one_is_shown_once(scene: Scene, kind: str) -> None:
    methods_of = {method.name: method for method in methods() if method.name.endswith(kind)}
    rotate, read = methods_of[f"Rotate{kind}"], methods_of[f"Get{kind}"]
    before = _secret_of(scene.stage, rotate)
    request = scene.stage.request(rotate)
    request.ClearField("overlap")
    scene.call(scene.stage.actor(rotate), rotate, request)
    (new,) = scene.shown
    for client in (scene.world.client(before), scene.world.client(new), scene.stage.actor(read)):
        scene.call(client, read, scene.stage.request(read))
    assert "INVALID_CREDENTIAL" in scene.said[1]
    assert "INVALID_CREDENTIAL" not in scene.said[2] + scene.said[3]
    assert scene.shown == [new]
    assert _found(scene, {before, new}, scene.log, repr(raw.snapshot(scene.world.deployment.url))) == []


def _secret_of(stage: Stage, method: MethodDescriptor) -> str:
    """The secret of the token that a request of this method names."""
    tokens = (stage.api_token, stage.own_token, stage.platform_token)
    return next(token.secret for token in tokens if token.id == stage.request(method).api_token_id)


def test_tables_keep_no_token_and_no_header_value(scene: Scene) -> None:
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
    assert [name for name, rows in tables.items() if HEADER in rows] == []
    assert [name for name, rows in tables.items() if token.secret in rows or stage.owner.token in rows] == []
    assert "kept-under-a-request-id" in tables["request_records"]
    assert "kept-too" in tables["request_records"]


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


def test_control_the_search_finds_a_token_that_is_logged(scene: Scene) -> None:
    interceptors.log.info("careless", token=scene.stage.owner.token)
    assert scene.stage.owner.token in scene.log


def test_control_the_search_finds_a_secret_that_is_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "encode", lambda answer: json.dumps(answer.secret))
    owner = scene.stage.owner.rpc
    made = owner("ApiTokenService.CreateMyApiToken", name="Careless", unrestricted=True, request_id=fresh("key"))
    assert _found(scene, {made.secret}, repr(raw.snapshot(scene.world.deployment.url))) == [made.secret]


def test_records_do_not_show_secrets(world: World) -> None:
    person = world.person()
    token = world.services.api_tokens.provision(calls.operator("test"), user_id=person.id)
    assert token.secret
    assert token.secret not in repr(token)
    assert token.secret not in encode(token)
