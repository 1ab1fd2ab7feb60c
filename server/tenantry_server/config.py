"""Settings: the environment, read once. An unknown, misspelt or half-set variable refuses to start and says which."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from .domain.rates import Rate, RateClass, Rates
from .oidc.issuers import Issuer, issuers
from .services.counters import SharedCounter
from .services.secret_keys import SecretKeys, SecretKeysError
from .services.service import Limits

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIX = "TENANTRY_"
_NO_KEYS = "must be a file of keys, one a line: 32 bytes in URL-safe base64"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ConfigError(Exception):
    """A setting is wrong. The text names the variable, never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator sets. URLs of databases may hold a password, so they stay out of `repr`."""

    database_url: str
    database_prepare: bool
    replica_url: str
    data_dir: Path
    http_address: str
    grpc_address: str
    workers: int
    limits: Limits
    regions_file: Path | None
    permissions_file: Path | None
    rate_limit_redis_url: str
    trusted_proxies: tuple[Network, ...]
    oidc_issuers: tuple[Issuer, ...]
    grpc_tls_cert_file: Path | None
    grpc_tls_key_file: Path | None
    grpc_tls_ca_file: Path | None
    grpc_tls_server_name: str
    http_tls_cert_file: Path | None
    http_tls_key_file: Path | None
    mtls_address: str
    mtls_client_ca_file: Path | None
    mtls_principals_file: Path | None
    mtls_crl_file: Path | None

    @property
    def scheme(self) -> str:
        """What the gateway speaks."""
        return "http" if self.http_tls_cert_file is None else "https"

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


def _address_or_none(text: str) -> str:
    return _address(text) if text else ""


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]*|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,7}", text):
        raise ValueError("must be a host name or an IP address")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise ValueError("must be a whole number from 1")
    return int(text)


def _rate(text: str) -> Rate | None:
    if text == "off":
        return None
    calls, _, window = text.partition("/")
    try:
        seconds = duration(window).total_seconds()
    except ValueError:
        seconds = 0
    if not re.fullmatch(r"0|[1-9]\d{0,8}", calls) or not 1 <= seconds <= 86400:
        raise ValueError("must be calls and a time of at most a day, for instance 100/1m, or off")
    return Rate(int(calls), int(seconds))


def _redis(text: str) -> str:
    if text:
        SharedCounter(text)
    return text


def _key_file(text: str) -> SecretKeys | None:
    """Keys in a file that is named, and so must be there."""
    if not text:
        return None
    try:
        Path(text).stat()
    except OSError:
        raise ValueError(_NO_KEYS) from None
    return _secret_keys(Path(text))


def _secret_keys(file: Path) -> SecretKeys:
    keys = SecretKeys(file)
    try:
        keys.read()
    except (OSError, ValueError, SecretKeysError):
        raise ValueError(_NO_KEYS) from None
    return keys


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError("must be addresses or networks, separated by commas") from None


def _flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return text == "yes"


VARIABLES = (
    Variable("DATABASE_URL", "", "SQLite or PostgreSQL, by URL; default: a SQLite file in the data folder", str),
    Variable("DATABASE_PREPARE", "yes", "whether PostgreSQL keeps statements prepared; no: behind an old PgBouncer", _flag),
    Variable("REPLICA_URL", "", "a replica of the PostgreSQL database, by URL, that answers reads", str),
    Variable("DATA_DIR", ".data", "folder of the SQLite file and of demo.json", Path),
    Variable("HTTP_ADDRESS", "127.0.0.1:8080", "where the gateway listens: REST, gRPC and gRPC-Web", _address),
    Variable("GRPC_ADDRESS", "127.0.0.1:50051", "where the server listens: gRPC", _address),
    Variable("WORKERS", "1", "server processes that share the gRPC port", _count),
    Variable("REGIONS_FILE", "", "file with the regions of a new installation; default: us and eu", _file),
    Variable("PERMISSIONS_FILE", "", "file that extends the catalog of permissions, roles and metrics", Path),
    Variable("OIDC_ISSUER", "", "identity providers whose tokens are accepted, by URL as in iss, separated by commas", str),
    Variable("OIDC_AUDIENCE", "", "what aud must contain, one for each identity provider", str),
    Variable("OIDC_JWKS_URL", "", "where each identity provider's keys are; default: where its discovery document says", str),
    Variable("OIDC_JWKS_FILE", "", "files with the keys of identity providers, instead of URLs", str),
    Variable("MAX_ORGANIZATIONS_PER_USER", "10", "organizations a user may have created, the personal one included", _count),
    Variable("MAX_PENDING_INVITATIONS", "1000", "invitations of an organization that may be pending", _count),
    Variable(
        "MAX_INVITATIONS_PER_ADDRESS", "100", "invitations to an address that may be pending, from all organizations", _count
    ),
    Variable("MAX_API_TOKENS", "1000", "API tokens of an owner in an organization", _count),
    Variable("MAX_ROLES", "1000", "roles of an organization's own", _count),
    Variable("INVITATION_LIFETIME", "7d", "how long an invitation can be accepted when nothing else is said", duration),
    Variable("UNDELETE_WINDOW", "30d", "how long a deleted organization can be brought back", duration),
    Variable("RATE_LIMIT", "100/1m", "calls of an organization, all its members and tokens together; off: no limit", _rate),
    Variable("RATE_LIMIT_SANDBOX_CREATE", "100/1m", "calls of an organization that make sandboxes", _rate),
    Variable("RATE_LIMIT_SANDBOX_LIFECYCLE", "100/1m", "calls of an organization that start, stop or end sandboxes", _rate),
    Variable("RATE_LIMIT_PRINCIPAL", "100/1m", "calls of a person outside any organization", _rate),
    Variable("RATE_LIMIT_ADDRESS", "100/1m", "calls from an address of which nobody knows who makes them", _rate),
    Variable("RATE_LIMIT_PLATFORM", "off", "calls of an operator or an internal service", _rate),
    Variable("RATE_LIMIT_REDIS_URL", "", "Redis in which several processes count together; default: each by itself", _redis),
    Variable("TRUSTED_PROXIES", "127.0.0.0/8,::1", "networks whose x-forwarded-for is believed: the gateway's", _networks),
    Variable(
        "SECRET_KEYS_FILE", "", "keys that encrypt secrets of settings; default: secret.keys in the data folder", _key_file
    ),
    Variable("GRPC_TLS_CERT_FILE", "", "certificate chain of the gRPC port, PEM, which then speaks TLS only", _file),
    Variable("GRPC_TLS_KEY_FILE", "", "private key of that certificate, PEM", _file),
    Variable("GRPC_TLS_CA_FILE", "", "authorities by which the gateway verifies that certificate, PEM", _file),
    Variable("GRPC_TLS_SERVER_NAME", "", "name in that certificate, where it is not the host of the address", _host),
    Variable("HTTP_TLS_CERT_FILE", "", "certificate chain of the gateway, PEM, which then speaks TLS only", _file),
    Variable("HTTP_TLS_KEY_FILE", "", "private key of that certificate, PEM", _file),
    Variable(
        "MTLS_ADDRESS", "", "where the server listens for internal services: gRPC, by client certificate", _address_or_none
    ),
    Variable("MTLS_CLIENT_CA_FILE", "", "authorities whose client certificates that port demands, PEM", _file),
    Variable("MTLS_PRINCIPALS_FILE", "", "file that says which service a client certificate stands for", _file),
    Variable("MTLS_CRL_FILE", "", "revocation lists of those authorities, PEM; whose certificate is on one is nobody", _file),
)
# What means nothing alone: a variable, and those it needs.
_NEEDS = {
    "GRPC_TLS_CERT_FILE": ("GRPC_TLS_KEY_FILE",),
    "GRPC_TLS_KEY_FILE": ("GRPC_TLS_CERT_FILE",),
    "GRPC_TLS_SERVER_NAME": ("GRPC_TLS_CA_FILE",),
    "HTTP_TLS_CERT_FILE": ("HTTP_TLS_KEY_FILE",),
    "HTTP_TLS_KEY_FILE": ("HTTP_TLS_CERT_FILE",),
    "MTLS_ADDRESS": ("GRPC_TLS_CERT_FILE", "MTLS_CLIENT_CA_FILE", "MTLS_PRINCIPALS_FILE"),
    "MTLS_CLIENT_CA_FILE": ("MTLS_ADDRESS",),
    "MTLS_PRINCIPALS_FILE": ("MTLS_ADDRESS",),
    "MTLS_CRL_FILE": ("MTLS_ADDRESS",),
}


def load(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment. Raises ConfigError."""
    known = {PREFIX + variable.name for variable in VARIABLES}
    if unknown := sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        raise ConfigError(f"unknown setting: {', '.join(unknown)}")
    values = {variable.name: _read(variable, environment) for variable in VARIABLES}
    _ensure_complete(values)
    data_dir = values["DATA_DIR"]
    return Settings(
        database_url=values["DATABASE_URL"] or f"sqlite:///{data_dir / 'tenantry.db'}",
        database_prepare=values["DATABASE_PREPARE"],
        replica_url=values["REPLICA_URL"],
        data_dir=data_dir,
        http_address=values["HTTP_ADDRESS"],
        grpc_address=values["GRPC_ADDRESS"],
        workers=values["WORKERS"],
        regions_file=values["REGIONS_FILE"],
        permissions_file=values["PERMISSIONS_FILE"] if environment.get(PREFIX + "PERMISSIONS_FILE") else None,
        rate_limit_redis_url=values["RATE_LIMIT_REDIS_URL"],
        trusted_proxies=values["TRUSTED_PROXIES"],
        oidc_issuers=_issuers(values),
        limits=Limits(
            organizations_per_user=values["MAX_ORGANIZATIONS_PER_USER"],
            pending_invitations=values["MAX_PENDING_INVITATIONS"],
            pending_invitations_per_address=values["MAX_INVITATIONS_PER_ADDRESS"],
            api_tokens=values["MAX_API_TOKENS"],
            roles=values["MAX_ROLES"],
            invitation_lifetime=values["INVITATION_LIFETIME"],
            undelete_window=values["UNDELETE_WINDOW"],
            rates=_rates(values),
            secret_keys=values["SECRET_KEYS_FILE"] or _default_secret_keys(data_dir),
        ),
        **{name.lower(): value for name, value in values.items() if "TLS_" in name},
    )


def _ensure_complete(values: Mapping[str, Any]) -> None:
    for name, needed in _NEEDS.items():
        if values[name] and (missing := [PREFIX + other for other in needed if not values[other]]):
            raise ConfigError(f"{PREFIX}{name} needs {' and '.join(missing)}")
    # Server processes share their ports: one that is both would sometimes demand a certificate, and sometimes not.
    ports = [values[name].rpartition(":")[2].lstrip("0") for name in ("GRPC_ADDRESS", "MTLS_ADDRESS")]
    if ports[1] and ports[0] == ports[1]:
        raise ConfigError(f"{PREFIX}MTLS_ADDRESS must have another port than {PREFIX}GRPC_ADDRESS")


def _read(variable: Variable, environment: Mapping[str, str]) -> Any:
    text = environment.get(PREFIX + variable.name, "") or variable.default
    try:
        return variable.read(text)
    except ValueError as error:
        raise ConfigError(f"{PREFIX}{variable.name} {error}") from None


def _rates(values: Mapping[str, Any]) -> Rates:
    others = {name.value: values[f"RATE_LIMIT_{name.upper()}"] for name in RateClass if name is not RateClass.AUTHENTICATED}
    return Rates(authenticated=values["RATE_LIMIT"], **others)


def _default_secret_keys(data_dir: Path) -> SecretKeys:
    try:
        return _secret_keys(data_dir / "secret.keys")
    except ValueError as error:
        raise ConfigError(f"secret.keys in {PREFIX}DATA_DIR {error}") from None


def _issuers(values: Mapping[str, Any]) -> tuple[Issuer, ...]:
    """The four settings of identity providers, which make sense only together."""
    texts = {name: values[f"OIDC_{name.upper()}"] for name in ("issuer", "audience", "jwks_url", "jwks_file")}
    try:
        return issuers(**texts)
    except ValueError as error:
        raise ConfigError(str(error)) from None
