"""A server process reduced to what races need: `python -m support.writer URL ORGANIZATION COUNT` makes so many roles."""

from __future__ import annotations

import sys
from dataclasses import replace

from tenantry_server import bootstrap
from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import Conflict
from tenantry_server.services.service import Limits
from tenantry_server.store.urls import open_database

from .deployment import CATALOG


def main(url: str, organization_id: str, count: int) -> None:
    """Makes roles, when a line on standard input says so."""
    database = open_database(url)
    services = bootstrap.wire(database, CATALOG, Limits())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        call = replace(calls.operator("test"), organization_id=organization_id)
        try:
            services.roles.create(call, name=f"Role {number}", description="", permissions=["sandbox:write"])
        except Conflict:
            sys.stdout.write("conflict\n")
    database.shut_down()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
