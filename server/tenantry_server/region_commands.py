"""`tenantry region …`: regions of the platform. No rules here: it parses, calls and prints."""

import click

from .domain import call as calls
from .environment import Environment, pass_environment
from .operator_files import read_region
from .printing import show


@click.group()
def region() -> None:
    """Regions of the platform."""


@region.command("create")
@click.option("--id", "region_id", required=True, help="What it is known by, for good.")
@click.option("--name", default="", help="What it is called. Left out: the id.")
@click.option("--dedicated", is_flag=True, help="For organizations that have a quota there; otherwise for all.")
@click.option("--without-quotas", is_flag=True, help="Every organization can use as much of it as there is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_environment
def region_create(
    environment: Environment, region_id: str, name: str, dedicated: bool, without_quotas: bool, as_json: bool
) -> None:
    """Make a region of the platform, under an id that stays."""
    wanted = {"id": region_id, "type": "dedicated" if dedicated else "shared", "enforce_quotas": not without_quotas}
    operator = calls.operator("tenantry region create")
    made = environment.services().regions.create_platform(operator, read_region(wanted | ({"name": name} if name else {})))
    show(as_json, region_id=made.id, name=made.name, type=made.type)


@region.command("delete")
@click.option("--id", "region_id", required=True, help="What it is known by.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_environment
def region_delete(environment: Environment, region_id: str, as_json: bool) -> None:
    """Delete a region of the platform that no organization uses, has a quota in or chose."""
    operator = calls.operator("tenantry region delete")
    gone = environment.services().regions.delete_platform(operator, region_id=region_id)
    show(as_json, region_id=gone.id, name=gone.name, type=gone.type)
