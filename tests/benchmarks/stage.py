"""Sets up what is measured: databases, servers and peers, all of them running at once, and the calls to make on them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tenantry.v1 import member_service_pb2, member_service_pb2_grpc

from . import fill, rivals, running
from .data import CROWD, LARGE, SMALL, Size, organization_id, secret
from .measure import Generator, Subject, keep
from .running import Running
from .scenarios import FLOOR, HEALTH, SCENARIOS, making

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_BARE_THREADS = 4
_PAGE, _WALK = 100, 1_000
FASTAPI, BETTER_AUTH = "FastAPI, SQLAlchemy ORM: GetOrganization", "better-auth: has-permission"
# What of ours a peer is compared with, and which of them run on an engine.
PEERS = {FASTAPI: "GetOrganization", BETTER_AUTH: "CheckPermission"}
_PEERS_ON = {"sqlite": (FASTAPI,), "postgresql": (FASTAPI, BETTER_AUTH)}
_NODE_WARM_UP = 12.0


@dataclass
class Stage:
    """Where it all runs: `folder` goes away, `cache` stays. PostgreSQL ends with the stack, `servers` as soon as they are told
    to: their connections are more than it admits at once.
    """

    stack: ExitStack
    generator: Generator
    folder: Path
    cache: Path
    with_large: bool
    urls: dict[tuple[str, Size], str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    servers: ExitStack = field(default_factory=ExitStack)
    _postgres: Any = None

    def __post_init__(self) -> None:
        self.stack.push(self.servers)

    def end_servers(self) -> None:
        """Ends ours and the peers that run."""
        self.servers.close()

    @property
    def postgres(self) -> Any:
        """The PostgreSQL server. With large data, it stays in the cache."""
        if self._postgres is None:
            place = self.cache if self.with_large else self.folder
            self._postgres = self.stack.enter_context(fill.postgres(place / "postgres", keep=self.with_large))
        return self._postgres

    def postmaster(self, engine: str) -> int:
        """The root of the database's processes, if it has any."""
        return int(self.postgres.get_pid()) if engine == "postgresql" else 0

    def url(self, engine: str, size: Size) -> str:
        """A database with the data."""
        if (engine, size) not in self.urls:
            if engine == "sqlite":
                made = fill.sqlite_url(self.cache if size is LARGE else self.folder, size)
            else:
                made = fill.postgres_url(self.postgres, size)
            self.urls[engine, size] = made
        return self.urls[engine, size]

    def calls(self, engine: str, size: Size) -> Iterator[Subject]:
        """Every call on an engine."""
        target = self.servers.enter_context(running.tenantry(self.url(engine, size), postgres=self.postmaster(engine)))
        group = NAMES[engine] + (", large" if size is LARGE else "")
        page, run = last_page(target.address, size), f"r{os.getpid()}x{int(time.time())}x"
        for number, scenario in enumerate(SCENARIOS):
            if size is SMALL or scenario.in_large:
                requests = keep(self.folder, f"{engine}-{size.name}-{number}", scenario.requests(making(size, run, page)))
                yield Subject(group, scenario.name, target, scenario.path, requests, scenario.in_flight)

    def bare(self) -> Subject:
        """The empty call on grpc's own server."""
        target = self.servers.enter_context(running.bare(_BARE_THREADS))
        requests = keep(self.folder, "bare", FLOOR.requests(making(SMALL, "", "")))
        return Subject("bare", "empty call without interceptors", target, HEALTH, requests, FLOOR.in_flight)

    def peers(self, engine: str) -> Iterator[Subject]:
        """The peers that can be measured here on an engine, warm."""
        start = {FASTAPI: self._fastapi, BETTER_AUTH: self._better_auth}
        for number, name in enumerate(_PEERS_ON[engine]):
            try:
                target, made = start[name](engine)
            except rivals.Absent as reason:
                self.absent[name] = str(reason)
                continue
            requests = keep(self.folder, f"peer-{engine}-{number}", made)
            group = f"{NAMES[engine]}, peers"
            subject = Subject(group, name, target, "", requests, FLOOR.in_flight, connections=FLOOR.in_flight)
            subject.measure(self.generator, _NODE_WARM_UP)
            yield subject

    def _fastapi(self, engine: str, workers: int = 1) -> tuple[Running, rivals.Requests]:
        peer = rivals.fastapi(rivals.environment(), self.url(engine, SMALL), self.postmaster(engine), workers)
        target = self.servers.enter_context(peer)
        return target, rivals.get_organization(SMALL, target.address)

    def fastapi_beside(self, engine: str, workers: int) -> Subject | None:
        """FastAPI with as many processes as several of ours have, if it can be measured here."""
        if FASTAPI in self.absent:
            return None
        target, made = self._fastapi(engine, workers)
        requests = keep(self.folder, f"peer-{engine}-several", made)
        return Subject(f"{NAMES[engine]}, peers", FASTAPI, target, "", requests, FLOOR.in_flight)

    def _better_auth(self, engine: str) -> tuple[Running, rivals.Requests]:
        url = fill.database_of(self.postgres, "better_auth", fresh=True)
        peer = rivals.better_auth(self.cache, url, self.postmaster(engine))
        target = self.servers.enter_context(peer)
        return target, rivals.has_permission(target.address)


def last_page(address: str, size: Size) -> str:
    """The token of the crowd's last page of 100, found by walking all the others."""
    metadata = (("authorization", f"Bearer {secret(size.crowd_members[0])}"),)
    request = member_service_pb2.ListMembersRequest(organization_id=organization_id(size.crowd))
    with grpc.insecure_channel(address) as channel:
        stub = member_service_pb2_grpc.MemberServiceStub(channel)
        left = CROWD - _PAGE
        while left:
            request.page_size = min(left, _WALK)
            answer = stub.ListMembers(request, metadata=metadata)
            request.page_token, left = answer.next_page_token, left - len(answer.members)
    return request.page_token
