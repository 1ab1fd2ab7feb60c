"""The command line. No rules here: it parses, calls and prints."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from . import config, demo, logs, processes
from .backups import BackupError, backup, restore
from .bootstrap import Services
from .config import ConfigError
from .domain import call as calls
from .domain import ids
from .domain.clock import isoformat
from .domain.errors import InvalidRequest, TenantryError
from .domain.names import flaws
from .environment import Environment, pass_environment
from .gateway import GatewayError
from .operator_files import load_catalog
from .printing import show
from .processes import ProcessError
from .region_commands import region
from .rpc.policy import PolicyError
from .services.resealing import reseal
from .services.retention import Retention
from .store.database import DatabaseFailure
from .store.invariants import breaches
from .store.schema import SchemaError, ensure_current, migrate, plan

_REFUSALS = (BackupError, ConfigError, TenantryError, SchemaError, ProcessError, GatewayError, PolicyError)

_SETTINGS_HELP = "\b\nSettings, from the environment:\n" + "\n".join(
    f"  {config.PREFIX + variable.name:<40}{variable.meaning}{f' ({variable.default})' if variable.default else ''}"
    for variable in config.VARIABLES
)


class _Group(click.Group):
    """Turns refusals into one line on standard error and status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except _REFUSALS as refusal:
            raise click.ClickException(_text(refusal)) from refusal
        except DatabaseFailure as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise click.ClickException(f"the database cannot be used: {reason}") from error


def _text(refusal: Exception) -> str:
    violations = getattr(refusal, "violations", ())
    if violations:
        return "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return str(refusal)


@click.group(cls=_Group, epilog=_SETTINGS_HELP, context_settings={"max_content_width": 120})
@click.version_option(package_name="tenantry-server", prog_name="tenantry")
@click.pass_context
def main(context: click.Context) -> None:
    """Tenantry: organizations, members, roles, invitations, API tokens and the audit trail of a product.

    \b
    Start with:
      tenantry up --demo         serve everything, with two demo users
      tenantry user create       make a user and a token
      tenantry token create      make another token
      tenantry doctor            check that the data is sound
    """
    logs.configure()
    if context.invoked_subcommand and not context.resilient_parsing:
        context.obj = Environment(config.load(os.environ))


@main.command()
@click.option("--demo", "with_demo", is_flag=True, help="On an empty database, make two users and an organization.")
@pass_environment
def up(environment: Environment, with_demo: bool) -> None:
    """Migrate, serve, and run the gateway, in the foreground; Ctrl-C drains and ends it."""
    database = environment.database()
    migrate(database)
    settings = environment.settings
    if with_demo:
        made = demo.create(environment.services(), settings.data_dir)
        click.echo(
            f"Demo: two users and an organization; their tokens are in {made}."
            if made
            else "Demo: the database has users already, so nothing was made."
        )
    database.shut_down()
    if not settings.limits.secret_keys.read():
        settings.limits.secret_keys.add()

    def ready(address: str) -> None:
        click.echo(
            f"Tenantry is ready at {settings.scheme}://{address}: REST, gRPC and gRPC-Web. gRPC alone: {settings.grpc_address}."
        )
        path = settings.data_dir / demo.FILE
        if with_demo and path.exists():
            read = f"import json; print(json.load(open('{path}'))['owner']['token'])"
            click.echo(f'\n  TOKEN=$(python3 -c "{read}")')
            click.echo(f'  curl {settings.scheme}://{address}/api/organizations -H "Authorization: Bearer $TOKEN"\n')

    processes.up(settings, ready)


@main.command()
@click.option("--worker", is_flag=True, hidden=True)
@pass_environment
def serve(environment: Environment, worker: bool) -> None:
    """Serve gRPC, in as many processes as TENANTRY_WORKERS says."""
    environment.database()
    if worker or environment.settings.workers == 1:
        processes.serve(environment.settings, share_port=worker)
    else:
        processes.supervise(environment.settings)


@main.command()
@pass_environment
def gateway(environment: Environment) -> None:
    """Run the gateway (Envoy) in front of a server."""
    settings = environment.settings
    processes.gateway(settings, lambda address: click.echo(f"The gateway listens on {settings.scheme}://{address}."))


@main.command("migrate")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and do nothing.")
@pass_environment
def migrate_command(environment: Environment, only_plan: bool) -> None:
    """Bring the database's schema to this version."""
    if not only_plan:
        applied = migrate(environment.database())
        click.echo(f"Applied: {', '.join(applied)}." if applied else "The schema is current.")
        return
    for step in (steps := plan(environment.database())):
        click.echo(f"{step.name}: {step.purpose}")
        click.echo(
            "  An earlier version can go on serving." if step.only_adds else "  No earlier version can serve from then on."
        )
        for statement in step.statements:
            click.echo(f"    {statement};")
    if not steps:
        click.echo("The schema is current.")


@main.command()
@click.pass_context
@pass_environment
def doctor(environment: Environment, context: click.Context) -> None:
    """Check every invariant on a live database; list what is broken and end with status 1."""
    database = environment.database()
    ensure_current(database)
    found = list(breaches(database, load_catalog(environment.settings.permissions_file)))
    for breach in found:
        click.echo(f"broken: {breach.invariant}: {breach.offender}")
    if found:
        context.exit(1)
    click.echo("All invariants hold.")


@main.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_environment
def backup_command(environment: Environment, file: Path) -> None:
    """Write a copy of everything to FILE, while the server goes on."""
    database = environment.database()
    ensure_current(database)
    backup(database, environment.settings.database_url, file)
    click.echo(f"{file} has all there is.")


@main.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
@pass_environment
def restore_command(environment: Environment, context: click.Context, file: Path) -> None:
    """Put a copy from FILE into an empty database, bring it to this version, and check every invariant."""
    restore(environment.database(), environment.settings.database_url, file)
    migrate(environment.database())
    context.invoke(doctor)


@main.command()
@pass_environment
def sweep(environment: Environment) -> None:
    """Remove now what the server removes in the background: purged organizations, forgotten answers, what has expired."""
    removed = Retention(environment.services().store).sweep()
    click.echo(
        f"Removed: {removed.organizations} organizations, {removed.answers} kept answers, "
        f"{removed.secrets} former secrets, {removed.invitations} expired invitations."
    )


def _name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and (found := flaws(value)):
        raise click.BadParameter("; ".join(found))
    return value


def _id(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and (found := ids.find(value)) is None:
        raise click.BadParameter("must be a ULID (26 characters) or a UUID (36 characters)")
    return None if value is None else found


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else config.duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@main.group()
def user() -> None:
    """Users."""


@user.command("create")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--name", required=True, callback=_name, help="Name.")
@click.option("--unverified", is_flag=True, help="The address is not verified.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_environment
def user_create(environment: Environment, email: str, name: str, unverified: bool, as_json: bool) -> None:
    """Make a user, their personal organization and a token, which is shown this once."""
    services = environment.services()
    operator = calls.operator("tenantry user create")
    made = services.users.create(operator, email=email, name=name, email_verified=not unverified)
    token = services.api_tokens.provision(operator, user_id=made.user.id)
    show(
        as_json,
        user_id=made.user.id,
        personal_organization_id=made.personal_organization.id,
        token=token.secret,
    )


main.add_command(region)


@main.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.option("--user", "email", help="Whose token it is, by e-mail address. Left out: the organization's own.")
@click.option("--organization", callback=_id, help="The one organization it is bound to, by id.")
@click.option("--platform", is_flag=True, help="An operator's or an internal service's, with platform permissions.")
@click.option("--name", callback=_name, help="What it is called. Left out: something new.")
@click.option("--permissions", help="What it is narrowed to, separated by commas. Left out: nothing narrower.")
@click.option("--expires-in", callback=_duration, help="How long it is good for, for instance 30d. Left out: for good.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_environment
def token_create(
    environment: Environment,
    email: str | None,
    organization: str | None,
    platform: bool,
    name: str | None,
    permissions: str | None,
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Make a token, which is shown this once."""
    if platform == any(option is not None for option in (email, organization)):
        raise click.UsageError("give --user, --organization or both, or --platform alone")
    services, operator = environment.services(), calls.operator("tenantry token create")
    granted = None if permissions is None else [word.strip() for word in permissions.split(",") if word.strip()]
    if platform:
        token = services.platform_tokens.provision(operator, permissions=granted, lifetime=expires_in, name=name or "")
    else:
        token = services.api_tokens.provision(
            operator,
            user_id="" if email is None else _user_id(services, email),
            organization_id=organization or "",
            permissions=granted,
            lifetime=expires_in,
            name=name or "",
        )
    expires = {} if token.expire_time is None else {"expire_time": isoformat(token.expire_time)}
    show(as_json, token_id=token.id, token=token.secret, **expires)


def _user_id(services: Services, email: str) -> str:
    try:
        return services.users.find_by_email(email).id
    except InvalidRequest as refusal:
        text = "; ".join(violation.description for violation in refusal.violations)
        raise click.BadParameter(text, click.get_current_context(), param_hint="'--user'") from refusal


@main.group("secret-key")
def secret_key() -> None:
    """Keys that encrypt secrets at rest."""


@secret_key.command("add")
@pass_environment
def secret_key_add(environment: Environment) -> None:
    """Put a new key before the others: from now on it encrypts, in every process, and all of them decrypt."""
    keys = environment.settings.limits.secret_keys
    click.echo(f"Key {keys.add()} in {keys.file} encrypts from now on.")


@secret_key.command("reseal")
@pass_environment
def secret_key_reseal(environment: Environment) -> None:
    """Encrypt every stored secret with the first key, so that the others can be thrown away."""
    services = environment.services()
    count = reseal(services.store, environment.settings.limits.secret_keys)
    click.echo(f"Encrypted anew: the secrets of {count} organizations.")
