"""Settings: the environment, read once. An unknown, misspelt or half-set variable refuses to start and says which."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .domain.permissions import Catalog, CatalogError
from .services.service import Limits

T = TypeVar("T")

PREFIX = "TENANTRY_"
_CATALOG = Path(__file__).resolve().parents[1] / "permissions.yaml"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ConfigError(Exception):
    """A setting is wrong. The text names the variable, never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator sets. The database's URL may hold a password, so it stays out of `repr`."""

    database_url: str
    data_dir: Path
    http_address: str
    grpc_address: str
    workers: int
    limits: Limits
    permissions_file: Path | None

    def __repr__(self) -> str:
        return f"Settings(http_address={self.http_address!r}, grpc_address={self.grpc_address!r}, workers={self.workers})"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment: its name, its default as text, what it means, and how it is read."""

    name: str
    default: str
    meaning: str
    read: Callable[[str], Any]


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `12h` or `30d`. Raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,5})([smhd])", text)
    if match is None:
        raise ValueError("must be a number and one of s, m, h, d, for instance 30d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _address(text: str) -> str:
    match = re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("must be host:port")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise ValueError("must be a whole number from 1")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if not all(re.fullmatch(r"\S{1,100}", word) for word in words) or len(set(words)) != len(words):
        raise ValueError("must be different names, separated by commas")
    return words


VARIABLES = (
    Variable("DATABASE_URL", "", "SQLite or PostgreSQL, by URL; default: a SQLite file in the data folder", str),
    Variable("DATA_DIR", ".data", "folder of the SQLite file and of demo.json", Path),
    Variable("HTTP_ADDRESS", "127.0.0.1:8080", "where the gateway listens: REST, gRPC and gRPC-Web", _address),
    Variable("GRPC_ADDRESS", "127.0.0.1:50051", "where the server listens: gRPC", _address),
    Variable("WORKERS", "1", "server processes that share the gRPC port", _count),
    Variable("REGIONS", "us,eu", "regions that organizations can choose", _words),
    Variable("PERMISSIONS_FILE", "", "file that extends the permission catalog", Path),
    Variable("MAX_ORGANIZATIONS_PER_USER", "10", "organizations a user may have created, the personal one included", _count),
    Variable("MAX_PENDING_INVITATIONS", "1000", "invitations of an organization that may be pending", _count),
    Variable("MAX_API_TOKENS", "1000", "API tokens of an owner in an organization", _count),
    Variable("INVITATION_LIFETIME", "7d", "how long an invitation can be accepted when nothing else is said", duration),
    Variable("UNDELETE_WINDOW", "30d", "how long a deleted organization can be brought back", duration),
)


def load(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment. Raises ConfigError."""
    known = {PREFIX + variable.name for variable in VARIABLES}
    if unknown := sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        raise ConfigError(f"unknown setting: {', '.join(unknown)}")
    values = {variable.name: _read(variable, environment) for variable in VARIABLES}
    data_dir = values["DATA_DIR"]
    return Settings(
        database_url=values["DATABASE_URL"] or f"sqlite:///{data_dir / 'tenantry.db'}",
        data_dir=data_dir,
        http_address=values["HTTP_ADDRESS"],
        grpc_address=values["GRPC_ADDRESS"],
        workers=values["WORKERS"],
        permissions_file=values["PERMISSIONS_FILE"] if environment.get(PREFIX + "PERMISSIONS_FILE") else None,
        limits=Limits(
            regions=values["REGIONS"],
            organizations_per_user=values["MAX_ORGANIZATIONS_PER_USER"],
            pending_invitations=values["MAX_PENDING_INVITATIONS"],
            api_tokens=values["MAX_API_TOKENS"],
            invitation_lifetime=values["INVITATION_LIFETIME"],
            undelete_window=values["UNDELETE_WINDOW"],
        ),
    )


def _read(variable: Variable, environment: Mapping[str, str]) -> Any:
    text = environment.get(PREFIX + variable.name, "") or variable.default
    try:
        return variable.read(text)
    except ValueError as error:
        raise ConfigError(f"{PREFIX}{variable.name} {error}") from None


def load_catalog(permissions_file: Path | None = None) -> Catalog:
    """The permission catalog: ours, extended by the operator's file. Raises ConfigError."""
    sources = [_CATALOG] if permissions_file is None else [_CATALOG, permissions_file]
    try:
        return Catalog(*(yaml.safe_load(path.read_text()) for path in sources))
    except (OSError, yaml.YAMLError, CatalogError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{PREFIX}PERMISSIONS_FILE: {error}") from error
