"""`tenantry` as an operator types it: commands that end by themselves. Those that serve: test_processes.py;
those that make tokens: test_command_line_tokens.py.

Every run is a process and costs a second, so one engine does where engines make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from e2e.commands import Shell, failed, shell_on
from e2e.shapes import ULID
from support import raw
from support.engines import Engines
from support.world import World, fresh

from tenantry_server import config
from tenantry_server.cli import main

pytest_plugins = ("support.only",)

README = Path(__file__).resolve().parents[2] / "README.md"
LIST, GET = "OrganizationService.ListOrganizations", "OrganizationService.GetOrganization"

Deploy = Callable[..., World]


# -- migrate, doctor ---------------------------------------------------------------------------------------------------


def test_nothing_works_before_the_schema_is_current_and_migrate_makes_it_so(
    engine: str, engines: Engines, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, {"DATABASE_URL": engines.new(engine)})
    assert re.fullmatch(r"Error: migrations are pending: 0001_\w+.*; run `tenantry migrate`", failed(shell, "doctor"))
    done = shell.run("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Applied: 0001_\w+(, \d{4}_\w+)*\.\n", done.stdout)
    done = shell.run("migrate")
    assert (done.returncode, done.stdout) == (0, "The schema is current.\n")


def test_by_default_the_database_is_a_file_in_a_private_data_folder(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.run("migrate").returncode == 0
    assert (tmp_path / ".data" / "tenantry.db").is_file()
    assert (tmp_path / ".data").stat().st_mode & 0o777 == 0o700


def test_the_doctor_names_what_is_broken_and_ends_with_status_1(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    shell, broken = shell_on(world, tmp_path), world.organization(world.person())
    done = shell.run("doctor")
    assert (done.returncode, done.stdout, done.stderr) == (0, "All invariants hold.\n", "")
    with raw.connect(world.deployment.url) as connection:
        connection.execute("UPDATE memberships SET role = 'member' WHERE organization_id = ?", (broken.id,))
    done = shell.run("doctor")
    assert (done.returncode, done.stdout) == (1, f"broken: every organization has an owner: {broken.id}\n")


# -- user create -------------------------------------------------------------------------------------------------------


def test_a_user_is_made_with_a_personal_organization_and_a_token(deploy_own: Deploy, tmp_path: Path) -> None:
    world = deploy_own()
    shell, email = shell_on(world, tmp_path), f"{fresh('Ana')}@example.com"
    made = shell.json("user", "create", "--email", email, "--name", "Ana")
    assert made == {"user_id": ULID, "personal_organization_id": ULID, "token": made["token"]}
    client = world.client(made["token"])
    (personal,) = client(LIST).organizations
    assert (personal.id, personal.personal) == (made["personal_organization_id"], True)
    assert client("OrganizationService.CreateOrganization", name="Acme").name == "Acme"
    again = failed(shell, "user", "create", "--email", email.upper(), "--name", "Ana again")
    assert again == f"Error: a user with the verified address {email.lower()} exists"


def test_a_user_may_be_unverified_and_is_printed_for_people(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    done = shell_on(world, tmp_path).run("user", "create", "--email", "b@example.com", "--name", "Ben", "--unverified")
    assert (done.returncode, done.stderr) == (0, "")
    shown = dict(line.split(": ") for line in done.stdout.splitlines())
    assert shown == {"user_id": ULID, "personal_organization_id": ULID, "token": shown["token"]}
    refusal = world.client(shown["token"]).refusal("OrganizationService.CreateOrganization", name="Acme")
    assert refusal.reason == "EMAIL_NOT_VERIFIED"


def test_a_bad_address_makes_no_user(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    line = failed(shell_on(world, tmp_path), "user", "create", "--email", "a@b@c", "--name", "X")
    assert line == "Error: email: must be an e-mail address"
    with raw.connect(world.deployment.url) as connection:
        assert connection.execute("SELECT * FROM users") == []


def test_a_name_that_no_request_may_have_makes_no_user(tmp_path: Path) -> None:
    done = Shell(tmp_path).run("user", "create", "--email", "a@example.com", "--name", "<b>Ana</b>")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--name': must not contain an HTML tag, a web address, line ends or control characters" in done.stderr
    assert list(tmp_path.iterdir()) == []


# -- region create -----------------------------------------------------------------------------------------------------


def test_a_region_is_made_that_organizations_can_use(deploy_own: Deploy, tmp_path: Path) -> None:
    world = deploy_own()
    shell = shell_on(world, tmp_path)
    made = shell.json("region", "create", "--id", "ap", "--name", "Asia-Pacific")
    assert made == {"region_id": "ap", "name": "Asia-Pacific", "type": "shared"}
    ana = world.person()
    assert ana.rpc("OrganizationService.CreateOrganization", name="Acme", default_region_id="ap").default_region_id == "ap"
    assert failed(shell, "region", "create", "--id", "ap") == "Error: there is a region ap already"
    assert failed(shell, "region", "create", "--id", "A P") == "Error: region 'A P' is misspelt"


def test_a_region_may_be_dedicated_and_without_quotas(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    done = shell_on(world, tmp_path).run("region", "create", "--id", "lab", "--dedicated", "--without-quotas")
    assert (done.returncode, done.stdout) == (0, "region_id: lab\nname: lab\ntype: dedicated\n")
    ana = world.person()
    regions = ana.rpc("RegionService.ListRegions", organization_id=ana.personal_organization_id).regions
    assert [(region.id, region.enforce_quotas) for region in regions] == [("lab", False)]


def test_the_first_start_makes_the_regions_of_the_operators_file(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "regions.yaml").write_text("regions: [{id: moon}]\n")
    shell.settings["REGIONS_FILE"] = "regions.yaml"
    assert shell.run("migrate").returncode == 0
    assert shell.json("region", "create", "--id", "mars")["region_id"] == "mars"
    assert failed(shell, "region", "create", "--id", "moon") == "Error: there is a region moon already"
    assert shell.json("region", "create", "--id", "us")["region_id"] == "us"


def test_a_region_that_nobody_uses_is_deleted_and_told(deploy_own: Deploy, tmp_path: Path) -> None:
    world = deploy_own()
    shell = shell_on(world, tmp_path)
    for region_id in ("ap", "moon"):
        shell.json("region", "create", "--id", region_id)
    world.person().rpc("OrganizationService.CreateOrganization", name="Acme", default_region_id="moon")
    assert failed(shell, "region", "delete", "--id", "moon") == "Error: region moon is in use"
    assert shell.json("region", "delete", "--id", "ap") == {"region_id": "ap", "name": "ap", "type": "shared"}
    assert failed(shell, "region", "delete", "--id", "ap") == "Error: region ap not found"
    assert shell.json("region", "create", "--id", "ap", "--name", "Again")["name"] == "Again"
    told = world.platform()("AuditService.ListPlatformAuditEvents").events
    assert [(event.action, event.target.id) for event in told if event.action.startswith("region.")] == [
        *[("region.create", "ap"), ("region.delete", "ap"), ("region.create", "moon"), ("region.create", "ap")],
    ]
    assert world.breaches() == []


# -- settings ----------------------------------------------------------------------------------------------------------

WRONG_URL = "TENANTRY_DATABASE_URL must be sqlite:///file or postgresql://…"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("WORKRES", "s3cr3t", "unknown setting: TENANTRY_WORKRES"),
        ("WORKERS", "s3cr3t", "TENANTRY_WORKERS must be a whole number from 1"),
        ("DATABASE_URL", "mysql://u:s3cr3t@host/db", WRONG_URL),
        ("DATABASE_URL", "postgresql://u:with@s3cr3t@host/db", WRONG_URL),
        (
            "DATABASE_URL",
            "sqlite:////proc/s3cr3t/x.db",
            "TENANTRY_DATABASE_URL: its folder cannot be made: No such file or directory",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_its_value_is_not_told(tmp_path: Path, name: str, value: str, line: str) -> None:
    assert failed(Shell(tmp_path), "doctor", **{name: value}) == f"Error: {line}"


@pytest.mark.parametrize("command", ["up", "doctor"])
def test_a_database_that_cannot_be_reached_is_one_line_without_its_password(tmp_path: Path, command: str) -> None:
    shell = Shell(tmp_path)
    line = failed(shell, command, DATABASE_URL=f"postgresql://user:s3cr3t@{shell.http_address}/db")
    assert line.startswith("Error: the database cannot be used: ")
    assert "refused" in line
    assert "s3cr3t" not in line


def test_a_file_of_more_permissions_extends_the_catalog(on_sqlite: Deploy, tmp_path: Path) -> None:
    world = on_sqlite()
    shell, ana = shell_on(world, tmp_path), world.person("ana")
    shell.settings["PERMISSIONS_FILE"] = "more.yaml"
    create = ("token", "create", "--user", ana.email, "--permissions", "garden:water")
    assert failed(shell, *create).startswith("Error: TENANTRY_PERMISSIONS_FILE: ")
    (tmp_path / "more.yaml").write_text("permissions: {'garden:water': Water the garden}\n")
    assert shell.json(*create)["token_id"] == ULID


# -- help and README ---------------------------------------------------------------------------------------------------


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command, by the words that call it."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=each[0]) for each in commands(main)])
def test_the_help_of_every_command_says_what_it_does(words: str, command: click.Command) -> None:
    def joined(text: str | None) -> str:
        return " ".join((text or "?").split())

    shown = joined(command.get_help(click.Context(command, info_name=f"tenantry {words}")))
    assert joined(command.help) in shown
    options: list[Any] = [option for option in command.params if not getattr(option, "hidden", False)]
    for option in options:
        if isinstance(option, click.Argument):  # which the command's own text speaks of
            assert option.human_readable_name in joined(command.help)
            continue
        assert option.opts[0] in shown
        assert joined(option.help) in shown


def test_the_help_lists_every_command_and_every_setting(tmp_path: Path) -> None:
    done = Shell(tmp_path).run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in main.commands:
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE)
    for variable in config.VARIABLES:
        assert re.search(rf"^    TENANTRY_{variable.name} +{re.escape(variable.meaning)}", done.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_the_readme_has_exactly_the_settings_there_are() -> None:
    rows = re.findall(r"^\| `(TENANTRY_\w+)` \|(.*?)\|(.*?)\|$", README.read_text(), re.MULTILINE)
    documented = [(name, default.strip("` "), meaning.strip()) for name, default, meaning in rows]
    assert documented == [(config.PREFIX + each.name, each.default, each.meaning) for each in config.VARIABLES]
