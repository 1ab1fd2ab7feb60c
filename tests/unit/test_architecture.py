"""The shape of the code: which layer may import what, how long a file may be, what the repository holds.

Reads sources alone and imports nothing of the server.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "server" / "tenantry_server"
MODULES = sorted(PACKAGE.rglob("*.py"))

_EDGE = {"domain", "services", "wire", "grpc", "google"}
# What each layer may import beside itself and the standard library: other layers, and distributions.
ALLOWED = {
    "domain": set(),
    # Migrations are read as files, outside the package, so they name what they need in full.
    "store": {"domain", "peewee", "playhouse", "psycopg", "tenantry_server.store.expanding"},
    "oidc": {"domain", "jwt", "cryptography", "structlog"},
    "services": {"domain", "store", "oidc", "email_validator"},
    "rpc": {*_EDGE, "tenantry.policy", "tenantry.v1"},
    "envoy": {*_EDGE, "tenantry.envoy", "structlog"},
    "rest.authzen": {*_EDGE, "tenantry.rest.authzen"},
    "rest.daytona": {*_EDGE, "tenantry.rest.daytona"},
    "rest.dotenv": {*_EDGE, "tenantry.rest.dotenv"},
    "wire": {"domain", "google"},
    "config": {"domain", "oidc", "services"},
    "operator_files": {"config", "domain", "yaml"},
    "logs": {"structlog"},
    "backups": {"store"},
    "children": set(),
    "tls": {"domain", "grpc", "cryptography", "structlog"},
    "ports": {"config", "operator_files", "tls"},
    "gateway": {"children", "gateway_tls", "tls", "yaml"},
    "gateway_tls": {"tls"},
    "sweeper": {"domain", "services", "store", "structlog"},
    "bootstrap": {
        *{"oidc", "rest.authzen", "rest.daytona", "rest.dotenv", "rpc", "servicers", "services", "store", "sweeper"},
        *{"tls", "wiring", "grpc", "grpc_health"},
    },
    "servicers": {
        *{"envoy", "rest.authzen", "rest.daytona", "rest.dotenv", "rpc", "services", "wiring"},
        *{"tenantry", "grpc"},
    },
    "wiring": {"domain", "store", "services"},
    "demo": {"bootstrap", "domain", "services"},
    "processes": {
        *{
            "bootstrap",
            "children",
            "config",
            "domain",
            "gateway",
            "oidc",
            "operator_files",
            "ports",
            "services",
            "store",
            "tls",
        },
        *{"grpc", "grpc_health", "structlog"},
    },
    "environment": {"bootstrap", "config", "operator_files", "store", "click"},
    "printing": {"click"},
    "region_commands": {"domain", "environment", "operator_files", "printing", "click"},
    "cli": {
        *{
            "backups",
            "bootstrap",
            "config",
            "demo",
            "domain",
            "environment",
            "gateway",
            "logs",
            "operator_files",
            "printing",
            "processes",
            "region_commands",
            "services",
            "store",
        },
        "click",
        "rpc.policy",  # the error of a wrong declaration, which stops the server from starting
    },
    "__main__": {"cli"},
    "rest": set(),
    "": set(),
}
# Single modules that may import more than their layer.
EXCEPTIONS = {
    # Reads who calls in the same statement as what they may do, before any service is there, and knows the errors of a
    # connection that broke; logs every call.
    "rpc.interceptors": {"store", "peewee", "structlog"},
    # Sends calls to one of two databases, inside of which services know of one.
    "rpc.source": {"store"},
    # Checks the rules that requests declare.
    "rpc.validation": {"protovalidate"},
    # Counts in Redis, and says so when it cannot.
    "services.counters": {"limits", "structlog"},
    # Encrypts secrets.
    "services.secret_keys": {"cryptography"},
    # Reads the names in certificates, which grpc tells only in part.
    "rpc.certificates": {"cryptography"},
}
LONGEST = 350
TOP_LEVEL = {"proto", "server", "gateway", "clients", "tests", "buf.yaml", "Makefile", "README.md"}
_TRACKER = re.compile(
    r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "HA" + "CK", "WI" + "P")) + r")\b"
    r"|\b(?i:" + "|".join(("iss" + "ue", "tic" + "ket", "pull req" + "uest", "mile" + "stone", "back" + "log")) + r")s?\b"
    r"|(?<![\w&/])#\d+\b"
)


def module_name(path: Path) -> str:
    """`domain.ids`, `rest.daytona.errors`, `cli`; a package's own file by the package's name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """The layer of a module: its folder, each dialect for itself."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "rest" else parts[0]


def imports(module: str, source: str, *, is_package: bool = False) -> Iterator[str]:
    """What a module imports, absolutely; the server's own modules without the package's name."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] + ([node.module] if node.module else [])
            yield from (".".join([*base, alias.name]) for alias in node.names)


def forbidden(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What a module imports against the rule."""
    layer = layer_of(module)
    allowed = {layer, *ALLOWED[layer], *EXCEPTIONS.get(module, set())}
    return [
        name
        for name in imports(module, source, is_package=is_package)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
    ]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_what_its_layer_may(path: Path) -> None:
    assert forbidden(module_name(path), path.read_text(), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "statement", "found"),
    [
        ("domain.ids", "import peewee", "peewee"),
        ("domain.ids", "from ..store import models", "store.models"),
        ("store.models", "from ..services.roles import Roles", "services.roles.Roles"),
        ("oidc.verifier", "import grpc", "grpc"),
        ("oidc.keys", "from ..store.queries import users", "store.queries.users"),
        ("oidc.claims", "from ..services.users import Users", "services.users.Users"),
        ("services.roles", "import jwt", "jwt"),
        ("services.roles", "import grpc", "grpc"),
        ("services.roles", "from tenantry.v1 import role_pb2", "tenantry.v1.role_pb2"),
        ("services.roles", "def f():\n    import peewee", "peewee"),
        ("rpc.roles", "from ..store.queries import roles", "store.queries.roles"),
        ("rpc.roles", "from ..rest.daytona import convert", "rest.daytona.convert"),
        ("rest.daytona.roles", "from ...rpc import convert", "rpc.convert"),
        ("rest.daytona.roles", "from ..dotenv import convert", "rest.dotenv.convert"),
        ("rest.daytona.roles", "from tenantry.v1 import role_pb2", "tenantry.v1.role_pb2"),
        ("rest.dotenv.members", "from ...store import transactions", "store.transactions"),
        ("rpc.policy", "from .. import bootstrap", "bootstrap"),
        ("processes", "from .cli import main", "cli.main"),
        ("wire", "from . import config", "config"),
    ],
)
def test_control_what_is_forbidden_is_found(module: str, statement: str, found: str) -> None:
    assert forbidden(module, statement) == [found]


def test_every_exception_is_needed() -> None:
    for module, more in EXCEPTIONS.items():
        source = (PACKAGE / f"{module.replace('.', '/')}.py").read_text()
        used = {prefix for name in imports(module, source) for prefix in more if name.split(".")[0] == prefix}
        assert used == more


def test_only_programs_import_the_composition_root_and_nothing_imports_the_command_line() -> None:
    def importers(of: str) -> set[str]:
        return {
            module_name(path)
            for path in MODULES
            for name in imports(module_name(path), path.read_text(), is_package=path.name == "__init__.py")
            if layer_of(name) == of
        }

    assert importers("bootstrap") == {"cli", "demo", "environment", "processes"}
    assert importers("cli") == {"__main__"}


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in (ROOT / "server", ROOT / "gateway")
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".py", ".lua") and "migrations" not in path.parts and "build" not in path.parts
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_the_repository_holds_nothing_else() -> None:
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize("folder", ["proto/tenantry", "server", "gateway", "tests", "clients"])
def test_the_code_speaks_of_itself_and_not_of_its_tracker(folder: str) -> None:
    words = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".proto", ".lua", ".yaml", ".toml", ".http") and not _is_made(path)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if _TRACKER.search(line)
    }
    assert words == set()


@pytest.mark.parametrize("line", ["see " + "iss" + "ue 7", "TO" + "DO: later", "closes " + "#" + "12"])
def test_control_the_trackers_words_are_found(line: str) -> None:
    assert _TRACKER.search(line)


def _is_made(path: Path) -> bool:
    return "_pb2" in path.name or not {"__pycache__", "node_modules", "build"}.isdisjoint(path.parts)
