"""PostgreSQL under Patroni on three machines, and HAProxy in front, by the very files that a reader deploys."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from support.gateway import eventually

from .machines import Machine, lay_network

FILES = Path(__file__).parents[2] / "server" / "deploy" / "patroni"
# What the tests call their secret.
_PASSWORD = "made-up-for-tests"
_LONGEST = 120.0


def postgresql_version() -> str:
    """The newest that Debian's packages installed, such as 15."""
    return max((folder.name for folder in Path("/usr/lib/postgresql").iterdir()), key=int)


def render(name: str, values: dict[str, str]) -> str:
    """A file of the deployment, as `envsubst` makes it, but that it may lack no value."""
    return Template((FILES / name).read_text()).substitute(values)


class Patroni:
    """All of it, from the moment that it is healthy."""

    primary_url, replica_url = (f"postgresql://tenantry:{_PASSWORD}@127.0.0.1:{port}/tenantry" for port in (5000, 5001))

    def __init__(self, folder: Path) -> None:
        lay_network()
        self.machines = [Machine(folder / f"db{number}", number) for number in (1, 2, 3)]
        values = {machine.name.upper(): machine.address for machine in self.machines}
        values |= {"CLUSTER_PASSWORD": _PASSWORD, "POSTGRESQL": postgresql_version()}
        for machine in self.machines:
            own = values | {"NAME": machine.name, "ADDRESS": machine.address}
            for name in ("etcd.env", "patroni.yml"):
                (machine.folder / name).write_text(render(name, own))
            machine.boot()
        (folder / "haproxy.cfg").write_text(render("haproxy.cfg", values))
        with (folder / "haproxy.log").open("wb") as log:
            subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stdout=log, stderr=log)
        eventually(self.is_healthy, "three machines are up", within=_LONGEST)
        self._create_database()

    def who_is(self, role: str) -> list[Machine]:
        """The machines that say they are "primary", "replica" or "synchronous": the replica that has every acknowledged change.
        A frozen one says nothing, and one that was cut off says for some seconds what it was.
        """
        return [machine for machine in self.machines if _is(machine, role)]

    def is_healthy(self, *, synchronous: bool = True) -> bool:
        """Whether there is a primary that two replicas follow, one of them synchronously if that is so demanded."""
        primaries, replicas = (self.who_is(role) for role in ("primary", "replica?lag=1MB"))
        followed = len(primaries) == 1 and len(replicas) == 2 and (not synchronous or self.who_is("synchronous"))
        cluster = _get(primaries[0], "cluster") if followed else None
        if not cluster or len(cluster["members"]) != 3:
            return False
        return len({member.get("timeline") for member in cluster["members"]}) == 1

    def others(self, machine: Machine) -> list[Machine]:
        """All but one."""
        return [other for other in self.machines if other is not machine]

    def switch_over(self, machine: Machine) -> None:
        """The planned way: a healthy primary hands over to the synchronous standby."""
        (standby,) = self.who_is("synchronous")
        _send(machine, "POST", "switchover", {"leader": machine.name, "candidate": standby.name})

    def replicate(self, *, synchronously: bool) -> None:
        """Sets whether changes wait for a second machine."""
        _send(self.machines[0], "PATCH", "config", {"synchronous_mode": synchronously})
        is_set = lambda: bool(self.who_is("synchronous")) == synchronously
        eventually(is_set, "replication is as set", within=_LONGEST)

    def _create_database(self) -> None:
        (primary,) = self.who_is("primary")
        command = ["psql", "-h", str(primary.folder / "run" / "postgresql"), "-v", "ON_ERROR_STOP=1"]
        script = ["-v", f"password={_PASSWORD}", "-f", str(FILES / "tenantry.sql")]
        _as_postgres([*command, *script])


def _as_postgres(command: list[str]) -> None:
    done = subprocess.run(
        command, cwd="/", user="postgres", group="postgres", extra_groups=[], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _is(machine: Machine, role: str) -> bool:
    """What the machine's Patroni says; a frozen one says nothing."""
    return _asked(machine, role, lambda answer: answer.status == 200) is True


def _get(machine: Machine, path: str) -> Any:
    return _asked(machine, path, json.load)


def _asked(machine: Machine, path: str, read: Callable[[Any], Any]) -> Any:
    try:
        with urlopen(f"http://{machine.address}:8008/{path}", timeout=1) as answer:
            return read(answer)
    except (URLError, OSError, ValueError):
        return None


def _send(machine: Machine, method: str, path: str, body: dict[str, Any]) -> None:
    credential = base64.b64encode(f"patroni:{_PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {credential}", "Content-Type": "application/json"}
    request = Request(f"http://{machine.address}:8008/{path}", json.dumps(body).encode(), headers, method=method)
    with urlopen(request, timeout=60) as answer:
        assert answer.status == 200, answer.read()


MISSING = [
    name
    for name, place in (
        ("root", None if os.getuid() else "/"),
        ("patroni", "/usr/bin/patroni"),
        ("etcd", "/usr/bin/etcd"),
        ("haproxy", "/usr/sbin/haproxy"),
        ("nft", "/usr/sbin/nft"),
        ("postgresql", "/usr/lib/postgresql"),
    )
    if place is None or not Path(place).exists()
]
