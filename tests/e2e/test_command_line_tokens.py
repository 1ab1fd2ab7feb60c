"""`tenantry token create` as an operator types it, and what may be done with what it prints.

Every run is a process and costs a second, so one engine does where engines make no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from e2e.commands import Shell, failed, shell_on
from e2e.scene import UNKNOWN_ULID
from e2e.shapes import INSTANT, ULID, secret
from support import raw
from support.world import World

from tenantry_server.domain.ids import to_uuid

pytest_plugins = ("support.only",)

LIST, GET = "OrganizationService.ListOrganizations", "OrganizationService.GetOrganization"
CURRENT, USERS = "ApiTokenService.GetCurrentApiToken", "UserService.ListUsers"

NOTHING = "permissions: must name what a token can do, unless it narrows nothing"
SHORT = "must have 1 to 200 characters, not all of them blank"
SAFE = "must not contain an HTML tag, a web address, line ends or control characters"
ID = "must be a ULID (26 characters) or a UUID (36 characters)"
ALONE = "give --user, --organization or both, or --platform alone"

Deploy = Callable[..., World]


def test_tokens_are_made_for_people_and_organizations_narrowed_and_for_a_while(deploy_own: Deploy, tmp_path: Path) -> None:
    world = deploy_own()
    shell, ana = shell_on(world, tmp_path), world.person("ana")
    acme = world.organization(ana)
    user, here = ("--user", ana.email.upper()), ("--organization", acme.id)

    answer = shell.json("token", "create", *user)
    assert answer == {"token_id": ULID, "token": answer["token"]}
    assert len(world.client(answer["token"])(LIST).organizations) == 2

    answer = shell.json("token", "create", *here)
    assert answer == {"token_id": ULID, "token": answer["token"]}
    assert [each.id for each in world.client(answer["token"])(LIST).organizations] == [acme.id]

    before = datetime.now(UTC)
    answer = shell.json("token", "create", *user, *here, "--permissions", "organization:read, role:read", "--expires-in", "30d")
    assert answer == {"token_id": ULID, "token": answer["token"], "expire_time": INSTANT}
    lifetime = datetime.fromisoformat(answer["expire_time"]) - before
    assert timedelta(days=30) - timedelta(seconds=1) < lifetime < timedelta(days=30, minutes=1)
    client = world.client(answer["token"])
    assert client(GET, organization_id=acme.id).id == acme.id
    assert client.refusal("MemberService.ListMembers", organization_id=acme.id).metadata == {"permissions": "member:read"}
    assert client.refusal(GET, organization_id=ana.personal_organization_id).reason == "ORGANIZATION_NOT_ACCESSIBLE"
    world.clock.advance(timedelta(days=30, minutes=2))
    assert client.refusal(LIST).code == grpc.StatusCode.UNAUTHENTICATED


def test_a_token_for_nobody_or_of_nothing_is_refused(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    shell, ana, ben = shell_on(world, tmp_path), world.person("ana"), world.person("ben")
    acme = world.organization(ana)
    refusals = {
        ("--user", "nobody@example.com"): "user nobody@example.com not found",
        ("--organization", UNKNOWN_ULID): f"no access to organization {UNKNOWN_ULID}, or it does not exist",
        ("--user", ben.email, "--organization", acme.id): f"member {ben.id} not found",
        (
            "--user",
            ana.email,
            "--permissions",
            "role:read,fly:high",
        ): "permissions[1]: 'fly:high' is not a permission of the catalog",
        ("--user", ana.email, "--permissions", "user:read"): "permissions[0]: 'user:read' is not a permission of the catalog",
        ("--user", ana.email, "--permissions", " , "): NOTHING,
        ("--platform", "--permissions", "role:read"): "permissions[0]: 'role:read' is not a permission of the catalog",
        ("--platform", "--permissions", ""): NOTHING,
    }
    for arguments, text in refusals.items():
        assert failed(shell, "token", "create", *arguments) == f"Error: {text}"
    with raw.connect(world.deployment.url) as connection:
        assert connection.execute("SELECT COUNT(*) FROM api_tokens") == [(2,)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], ALONE),
        (["--name", "x", "--permissions", "role:read"], ALONE),
        (["--platform", "--user", "a@example.com"], ALONE),
        (["--platform", "--organization", UNKNOWN_ULID], ALONE),
        (["--platform", "--user", "a@example.com", "--organization", UNKNOWN_ULID], ALONE),
        (["--platform", "--name"], "Option '--name' requires an argument."),
        (["--platform", "--expires-in", "0d"], "must be a number and one of s, m, h, d, for instance 30d"),
        (["--user", "a@example.com", "--expires-in", "30"], "must be a number and one of s, m, h, d, for instance 30d"),
        (["--platform", "--name", ""], f"'--name': {SHORT}"),
        (["--platform", "--name", "x" * 201], f"'--name': {SHORT}"),
        (["--platform", "--name", "nightly\x1b[31m"], f"'--name': {SAFE}"),
        (["--user", "a@example.com", "--name", "see https://evil.example"], f"'--name': {SAFE}"),
        (["--organization", "garbage"], f"'--organization': {ID}"),
        (["--user", "a@example.com", "--organization", ""], f"'--organization': {ID}"),
    ],
)
def test_a_command_that_is_misspelt_is_a_usage_error(tmp_path: Path, arguments: list[str], text: str) -> None:
    done = Shell(tmp_path).run("token", "create", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("email", ["", "a@b@c"])
def test_an_address_that_is_none_never_makes_a_token_of_the_organizations_own(
    on_sqlite: Deploy, tmp_path: Path, email: str
) -> None:
    world = on_sqlite()
    acme = world.organization(world.person())
    done = shell_on(world, tmp_path).run("token", "create", "--user", email, "--organization", acme.id)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--user': must be an e-mail address" in done.stderr
    with raw.connect(world.deployment.url) as connection:
        assert connection.execute("SELECT COUNT(*) FROM api_tokens WHERE kind = 'org'") == [(0,)]


def test_an_organization_is_named_by_any_spelling_of_its_id(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    acme = world.organization(world.person())
    shell = shell_on(world, tmp_path)
    for spelling in (acme.id.lower(), to_uuid(acme.id)):
        made = shell.json("token", "create", "--organization", spelling)
        assert world.client(made["token"])(CURRENT).api_token.organization_id == acme.id


def test_a_platform_token_is_made_for_operators_and_reaches_no_organization(deploy_own: Deploy, tmp_path: Path) -> None:
    world = deploy_own()
    shell, ana = shell_on(world, tmp_path), world.person("ana")
    acme = world.organization(ana)
    answer = shell.json("token", "create", "--platform")
    assert answer == {"token_id": ULID, "token": secret("plt")}
    client = world.client(answer["token"])
    assert [each.id for each in client(USERS).users] == [ana.id]
    assert client(CURRENT).api_token.id == answer["token_id"]
    assert client.refusal(GET, organization_id=acme.id).metadata == {"principal_kind": "platform"}
    (event,) = client("AuditService.ListPlatformAuditEvents").events
    assert (event.action, event.target.id) == ("api_token.create", answer["token_id"])
    assert answer["token"] not in str(event)


def test_a_platform_token_is_narrowed_named_and_for_a_while(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    shell, person = shell_on(world, tmp_path), world.person()
    options = ("--name", "support", "--permissions", "user:read, user:delete", "--expires-in", "1h")
    answer = shell.json("token", "create", "--platform", *options)
    assert answer == {"token_id": ULID, "token": secret("plt"), "expire_time": INSTANT}
    client = world.client(answer["token"])
    token = client(CURRENT).api_token
    assert (token.name, list(token.granted_permissions), token.unrestricted) == ("support", ["user:delete", "user:read"], False)
    assert client("UserService.GetUser", user_id=person.id).email == person.email
    refusal = client.refusal("UserService.UpdateUser", user_id=person.id, name="X")
    assert refusal.metadata == {"permissions": "user:update"}
    world.clock.advance(timedelta(hours=1, minutes=1))
    assert client.refusal(USERS).code == grpc.StatusCode.UNAUTHENTICATED


def test_what_is_printed_for_people_is_a_line_a_value(on_sqlite: Deploy, tmp_path: Path) -> None:
    shell = shell_on(on_sqlite(), tmp_path)
    done = shell.run("token", "create", "--platform", "--expires-in", "1h")
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.split(": ", 1) for line in done.stdout.splitlines()]
    assert shown == [["token_id", ULID], ["token", secret("plt")], ["expire_time", INSTANT]]
    assert not list(tmp_path.iterdir())


def test_a_token_has_the_name_it_is_given_or_a_new_one_and_a_name_is_taken_once(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    shell, ana = shell_on(world, tmp_path), world.person("ana")
    acme = world.organization(ana)
    owners = (
        ("--platform",),
        ("--user", ana.email),
        ("--organization", acme.id),
        ("--user", ana.email, "--organization", acme.id),
    )
    for owner in owners:
        named = shell.json("token", "create", *owner, "--name", "nightly")
        assert world.client(named["token"])(CURRENT).api_token.name == "nightly"
        line = failed(shell, "token", "create", *owner, "--name", "nightly")
        assert line == "Error: there is a token named nightly already"
    unnamed = [shell.json("token", "create", "--platform")["token"] for _ in range(2)]
    first, second = (world.client(token)(CURRENT).api_token.name for token in unnamed)
    assert first != second
    assert first.startswith("token ")
