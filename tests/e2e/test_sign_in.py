"""Signing in end to end: `tenantry up` with its two settings, a real identity provider over HTTP, and REST through Envoy."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from e2e.commands import Running, Shell
from support.gateway import eventually
from support.http import Answer
from support.issuer import AUDIENCE, IdentityProvider, SigningKey, forge, rsa_key

ME, KEYS = "/api/users/me", "/api/api-keys"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    """Where people sign in."""
    with closing(IdentityProvider(algorithm="RS256")) as running:
        yield running


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, provider: IdentityProvider) -> Shell:
    """The two settings that plug the provider in."""
    return Shell(tmp_path_factory.mktemp("sign-in"), {"OIDC_ISSUER": provider.url, "OIDC_AUDIENCE": AUDIENCE})


@pytest.fixture(scope="module")
def up(shell: Shell) -> Iterator[Running]:
    """Everything, on an empty database."""
    with shell.start("up") as running:
        running.says("Tenantry is ready")
        yield running


def ask(shell: Shell, token: str, path: str = ME) -> Answer:
    """What a person with this token is answered."""
    with shell.http(token) as http:
        return http.get(path)


def test_a_person_appears_with_the_first_call(shell: Shell, up: Running, provider: IdentityProvider) -> None:
    token = provider.sign(sub="ana", email="Ana@Example.com", email_verified=True, name="Ana Alba")
    first, again = ask(shell, token), ask(shell, token)
    assert first.status == 200
    assert (first.body["email"], first.body["name"], first.body["emailVerified"]) == ("ana@example.com", "Ana Alba", True)
    assert again.body == first.body
    assert [(one["name"], one["personal"]) for one in ask(shell, token, "/api/organizations").body] == [("Personal", True)]
    who = ask(shell, token, "/api/v1/user").body
    assert [one["attributes"]["role"] for one in who["included"]] == ["owner"]


def test_a_person_who_signed_in_can_do_what_their_tokens_can(shell: Shell, up: Running, provider: IdentityProvider) -> None:
    with shell.http(provider.sign(sub="bo", email="bo@example.com", email_verified=True, name="Bo")) as http:
        made = http.post("/api/v1/organizations", {"name": "Bo's"})
        assert made.status == 201
        header = {"X-Daytona-Organization-ID": made.body["data"]["id"]}
        key = http.post(KEYS, {"name": "ci", "permissions": ["write:sandboxes"]}, **header)
        assert key.status == 201
        assert ask(shell, key.body["value"], f"{KEYS}/current").body["permissions"] == ["write:sandboxes"]
        assert http.get(f"{KEYS}/current").status == 404, "who signed in called without a key"


# Comes before tokens of unknown keys: the provider is asked about those at most every 30 seconds.
def test_keys_rotate_under_load_and_nobody_is_refused(shell: Shell, up: Running, provider: IdentityProvider) -> None:
    refused: list[Answer] = []
    stop = threading.Event()

    def call(subject: str) -> None:
        while not stop.is_set():
            answer = ask(shell, provider.sign(sub=subject))
            if answer.status not in (200, 503):
                refused.append(answer)

    threads = [threading.Thread(target=call, args=(f"person {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        provider.rotate("RS256")
        eventually(lambda: ask(shell, provider.sign(sub="ana")).status == 200, "the new key is known")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [answer.seen for answer in refused] == []


def public_pem(key: SigningKey) -> bytes:
    """The public key, as attackers use it for a shared secret."""
    return bytes(key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


BAD = (
    *("audience", "issuer", "signature", "key", "none", "public key as secret", "expired", "not yet", "no kid"),
    *("unknown kid", "oversized", "half", "base64"),
)


def bad_tokens(provider: IdentityProvider) -> dict[str, str]:
    """Tokens that nobody may believe."""
    now, hmac = provider.clock.now().timestamp(), jwt.get_algorithm_by_name("HS256")
    secret = public_pem(provider.key)
    payload = provider.claims(sub="mallory")
    return {
        "audience": provider.sign(aud="https://other.example"),
        "issuer": provider.sign(iss="https://other.example"),
        "signature": forge(provider.header(), payload, lambda _: bytes(256)),
        "key": provider.sign(key=SigningKey("RS256", kid=provider.current, private=rsa_key("another"))),
        "none": forge({"alg": "none", "typ": "JWT", "kid": provider.current}, payload, lambda _: b""),
        "public key as secret": forge(provider.header(alg="HS256"), payload, lambda signed: hmac.sign(signed, secret)),
        "expired": provider.sign(exp=now - 1),
        "not yet": provider.sign(nbf=now + 60),
        "no kid": provider.sign(headers={"kid": None}),
        "unknown kid": provider.sign(headers={"kid": "nobody's"}),
        "oversized": provider.sign(more="x" * 9000),
        "half": provider.sign()[:-20],
        "base64": base64.b64encode(b"a.b.c").decode(),
    }


@pytest.mark.parametrize("name", BAD)
def test_a_token_that_nobody_may_believe_is_refused(shell: Shell, up: Running, provider: IdentityProvider, name: str) -> None:
    eventually(lambda: ask(shell, provider.sign(sub="ana")).status == 200, "the keys are there")
    token = bad_tokens(provider)[name]
    refused = ask(shell, token)
    if name == "unknown kid":  # may wait for its turn to ask the provider
        eventually(lambda: ask(shell, token).status == 401, "it was asked for", within=90)
        refused = ask(shell, token)
    assert (refused.status, refused.body["message"]) == (401, "the credential is not valid")
    assert token not in up.err.read_text() + up.out.read_text()


def test_half_of_the_settings_start_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for settings, missing in (({"OIDC_ISSUER": "https://a.example"}, "OIDC_AUDIENCE"), ({"OIDC_AUDIENCE": "x"}, "OIDC_ISSUER")):
        done = shell.run("serve", **settings)
        assert done.returncode != 0
        assert f"TENANTRY_{missing}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_secrets_of_people_reach_no_log(shell: Shell, up: Running, provider: IdentityProvider) -> None:
    token = provider.sign(sub="canary", email="canary@example.com", secret_claim="canary-in-a-claim")
    assert ask(shell, token).status == 200
    said = up.out.read_text() + up.err.read_text()
    assert token not in said
    assert "canary-in-a-claim" not in said
    lines: list[Any] = [json.loads(line) for line in up.err.read_text().splitlines() if line.startswith("{")]
    assert any(line.get("method", "").endswith("GetAuthenticatedUser") for line in lines), "the log was looked at"
