"""Runs the peers over the same databases: what they need is installed outside the repository's own environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .data import Size, organization_id, secret
from .running import Running, free_address, process, wait_for_port

_PEERS = Path(__file__).with_name("peers")
_BETTER_AUTH = _PEERS / "better_auth"
_REQUESTS = 20_000
_USERS, _ORGANIZATIONS = 5, 20
_PASSWORD = "correct horse battery staple"
# SQLAlchemy's drivers for asyncio.
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

Requests = list[tuple[str, bytes]]


class Absent(Exception):
    """Why a peer is not measured."""


@contextmanager
def fastapi(environment: Path, url: str, postgres: int, workers: int = 1) -> Iterator[Running]:
    """FastAPI on uvicorn, as it comes: with a log line a request. Raises Absent when its environment was not made."""
    python = environment / "bin" / "python"
    if not python.exists():
        raise Absent("its environment is not there: `make bench` makes it")
    address = free_address()
    host, port = address.split(":")
    command = [str(python), "-m", "uvicorn", "benchmarks.peers.fastapi_app:app", "--host", host, "--port", port]
    command += ["--workers", str(workers)]
    engine, _, place = url.partition(":")
    variables = {"DATABASE_URL": f"{_DRIVERS[engine]}:{place}", "PYTHONPATH": "."}
    with process(command, variables, log=False) as started:
        wait_for_port(address, started)
        yield Running(address, started.pid, postgres)


def get_organization(size: Size, address: str) -> Requests:
    """GetOrganization over REST: any organization, by any of its members."""
    random, made = Random(7), []
    for _ in range(_REQUESTS):
        organization = random.randint(1, size.organizations)
        token = secret(random.choice(size.members(organization)))
        head = f"GET /organizations/{organization_id(organization)} HTTP/1.1\r\nHost: {address}\r\n"
        made.append(("", f"{head}Authorization: Bearer {token}\r\n\r\n".encode()))
    return made


@contextmanager
def better_auth(cache: Path, url: str, postgres: int) -> Iterator[Running]:
    """better-auth on Node. Raises Absent without Node or npm, or when npm cannot install it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise Absent("there is no Node or npm here")
    folder = cache / "better_auth"
    shutil.copytree(_BETTER_AUTH, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    if not (folder / "node_modules" / ".package-lock.json").exists():
        done = subprocess.run([npm, "ci"], cwd=folder, capture_output=True, check=False, timeout=300)
        if done.returncode:
            raise Absent("npm could not install it")
    address, parts = free_address(), urlsplit(url)
    database = {"PGHOST": parse_qs(parts.query)["host"][0], "PGUSER": "postgres", "PGDATABASE": parts.path[1:]}
    command = [node, str(folder / "server.mjs"), address.split(":")[1]]
    with process(command, {**database, "NODE_ENV": "production", "NODE_NO_WARNINGS": "1"}) as started:
        wait_for_port(address, started)
        yield Running(address, started.pid, postgres)


def has_permission(address: str) -> Requests:
    """Makes users and organizations, and asks whether their owners may invite."""
    pairs = []
    for number in range(_USERS):
        account = {"email": f"user{number}@example.com", "password": _PASSWORD, "name": f"User {number}"}
        cookie = _post(address, "/sign-up/email", account)[1]
        for turn in range(_ORGANIZATIONS // _USERS):
            slug = f"organization-{number}-{turn}"
            made, _ = _post(address, "/organization/create", {"name": slug, "slug": slug}, cookie)
            pairs.append((cookie, str(made["id"])))
    bodies = [_question(address, cookie, organization) for cookie, organization in pairs]
    random = Random(7)
    return [("", random.choice(bodies)) for _ in range(_REQUESTS)]


def _question(address: str, cookie: str, organization: str) -> bytes:
    body = json.dumps({"permissions": {"invitation": ["create"]}, "organizationId": organization})
    head = (
        f"POST /api/auth/organization/has-permission HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n"
        f"Cookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def _post(address: str, path: str, body: dict[str, Any], cookie: str = "") -> tuple[Any, str]:
    """The answer, and the cookies that it sets."""
    request = urllib.request.Request(f"http://{address}/api/auth{path}", json.dumps(body).encode())
    for name, value in (("Content-Type", "application/json"), ("Origin", f"http://{address}"), ("Cookie", cookie)):
        if value:
            request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=20) as answer:
        cookies = SimpleCookie()
        for header in answer.headers.get_all("set-cookie") or ():
            cookies.load(header)
        return json.loads(answer.read()), "; ".join(f"{name}={morsel.coded_value}" for name, morsel in cookies.items())


def environment() -> Path:
    """Where `make bench` installs the peers in Python; BENCH_PEERS says otherwise."""
    default = Path(__file__).resolve().parents[2] / ".venv" / "peers"
    return Path(os.environ.get("BENCH_PEERS", default))
