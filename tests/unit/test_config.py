"""Settings: every variable by its default, by a good value and by bad ones, which are refused without being repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from support.issuer import SigningKey

from tenantry_server.config import PREFIX, VARIABLES, ConfigError, Settings, duration, load
from tenantry_server.domain.rates import Rate
from tenantry_server.oidc.issuers import Issuer
from tenantry_server.services.secret_keys import SecretKeys

Read = Callable[[Settings], Any]

# What the settings of identity providers need beside them.
TRUSTED = Issuer(url="https://id.example", audience="api")
BESIDE = {
    name: {f"{PREFIX}OIDC_ISSUER": TRUSTED.url, f"{PREFIX}OIDC_AUDIENCE": TRUSTED.audience}
    for name in ("OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_JWKS_URL", "OIDC_JWKS_FILE")
}

PER_MINUTE = Rate(100, 60)
RATES = ["100", "100/m", "-1/1m", "1.5/1m", "100/2d", "100/0s", "on", "/1m", "1000000000/1m"]
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))

# Every variable: where it ends up, its default, a good value and what that means, and bad values.
CASES: dict[str, tuple[Read, Any, str, Any, list[str]]] = {
    "DATABASE_URL": (lambda s: s.database_url, "sqlite:///.data/tenantry.db", "sqlite:////x.db", "sqlite:////x.db", []),
    "DATABASE_PREPARE": (lambda s: s.database_prepare, True, "no", False, ["No", "true", "0", "off"]),
    "REPLICA_URL": (lambda s: s.replica_url, "", "postgresql://replica/x", "postgresql://replica/x", []),
    "DATA_DIR": (lambda s: s.data_dir, Path(".data"), "/var/lib/tenantry", Path("/var/lib/tenantry"), []),
    "HTTP_ADDRESS": (
        *(lambda s: s.http_address, "127.0.0.1:8080", "[::1]:80", "[::1]:80"),
        ["8080", ":8080", "host:", "host:65536", "host:-1", "a b:80", "http://host:80", "::1:80"],
    ),
    "GRPC_ADDRESS": (
        *(lambda s: s.grpc_address, "127.0.0.1:50051", "db-1.example:0", "db-1.example:0"),
        ["50051", "host:port", "host:123456"],
    ),
    "WORKERS": (lambda s: s.workers, 1, "4", 4, ["0", "-1", "1.5", "many", "١", "1000000000"]),
    "REGIONS_FILE": (lambda s: s.regions_file, None, "/regions.yaml", Path("/regions.yaml"), []),
    "PERMISSIONS_FILE": (lambda s: s.permissions_file, None, "/more.yaml", Path("/more.yaml"), []),
    "OIDC_ISSUER": (
        *(lambda s: s.oidc_issuers, (), "http://[::1]:8080/a", (replace(TRUSTED, url="http://[::1]:8080/a"),)),
        [
            "http://id.example",
            "id.example",
            "https://id.example?x",
            "https://a:b@id.example",
            "https://a.example,https://a.example",
        ],
    ),
    "OIDC_AUDIENCE": (
        *(lambda s: s.oidc_issuers, (), "https://api.example", (replace(TRUSTED, audience="https://api.example"),)),
        ["one,two", ",", "x" * 256],
    ),
    "OIDC_JWKS_URL": (
        *(lambda s: s.oidc_issuers, (), "https://id.example/keys", (replace(TRUSTED, jwks_url="https://id.example/keys"),)),
        ["http://id.example/keys", "https://id.example/keys,", ",", "keys"],
    ),
    "OIDC_JWKS_FILE": (
        *(lambda s: s.oidc_issuers, (), "jwks.json", (replace(TRUSTED, jwks_file=Path("jwks.json")),)),
        ["missing.json", "/", "jwks.json,jwks.json", __file__],
    ),
    "MAX_ORGANIZATIONS_PER_USER": (lambda s: s.limits.organizations_per_user, 10, "3", 3, ["0", "ten"]),
    "MAX_PENDING_INVITATIONS": (lambda s: s.limits.pending_invitations, 1000, "5", 5, ["-5", "1e3"]),
    "MAX_INVITATIONS_PER_ADDRESS": (lambda s: s.limits.pending_invitations_per_address, 100, "7", 7, ["0", "x"]),
    "MAX_API_TOKENS": (lambda s: s.limits.api_tokens, 1000, "7", 7, ["0", "all"]),
    "MAX_ROLES": (lambda s: s.limits.roles, 1000, "9", 9, ["0", "-1"]),
    "INVITATION_LIFETIME": (
        *(lambda s: s.limits.invitation_lifetime, timedelta(days=7), "12h", timedelta(hours=12)),
        ["7", "d", "0d", "-1d", "1w", "1 d", "1.5h", "9999999d"],
    ),
    "UNDELETE_WINDOW": (lambda s: s.limits.undelete_window, timedelta(days=30), "90s", timedelta(seconds=90), ["never"]),
    "RATE_LIMIT": (lambda s: s.limits.rates.authenticated, PER_MINUTE, "0/1d", Rate(0, 86400), RATES),
    "RATE_LIMIT_SANDBOX_CREATE": (lambda s: s.limits.rates.sandbox_create, PER_MINUTE, "7/90s", Rate(7, 90), RATES),
    "RATE_LIMIT_SANDBOX_LIFECYCLE": (lambda s: s.limits.rates.sandbox_lifecycle, PER_MINUTE, "7/1h", Rate(7, 3600), RATES),
    "RATE_LIMIT_PRINCIPAL": (lambda s: s.limits.rates.principal, PER_MINUTE, "off", None, RATES),
    "RATE_LIMIT_ADDRESS": (lambda s: s.limits.rates.address, PER_MINUTE, "off", None, RATES),
    "RATE_LIMIT_PLATFORM": (lambda s: s.limits.rates.platform, None, "1000/1s", Rate(1000, 1), RATES),
    "RATE_LIMIT_REDIS_URL": (
        *(lambda s: s.rate_limit_redis_url, "", "redis://:hunter2@127.0.0.1:6379/1", "redis://:hunter2@127.0.0.1:6379/1"),
        ["http://127.0.0.1", "redis", "memory://", "redis://host:port"],
    ),
    "TRUSTED_PROXIES": (
        *(lambda s: s.trusted_proxies, LOOPBACK, "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ["localhost", "10.0.0.1/8", "10.0.0.0/33", "*"],
    ),
    "SECRET_KEYS_FILE": (
        *(lambda s: s.limits.secret_keys, SecretKeys(Path(".data/secret.keys")), "keys", SecretKeys(Path("keys"))),
        ["missing.keys", "jwks.json", "/"],
    ),
    "GRPC_TLS_CERT_FILE": (lambda s: s.grpc_tls_cert_file, None, "/tls.crt", Path("/tls.crt"), []),
    "GRPC_TLS_KEY_FILE": (lambda s: s.grpc_tls_key_file, None, "/tls.key", Path("/tls.key"), []),
    "GRPC_TLS_CA_FILE": (lambda s: s.grpc_tls_ca_file, None, "/ca.crt", Path("/ca.crt"), []),
    "GRPC_TLS_SERVER_NAME": (
        *(lambda s: s.grpc_tls_server_name, "", "tenantry.internal", "tenantry.internal"),
        ["*.internal", "a b", "https://a", "a:80", "a/b", "[::1]"],
    ),
    "HTTP_TLS_CERT_FILE": (lambda s: s.http_tls_cert_file, None, "/tls.crt", Path("/tls.crt"), []),
    "HTTP_TLS_KEY_FILE": (lambda s: s.http_tls_key_file, None, "/tls.key", Path("/tls.key"), []),
    "MTLS_ADDRESS": (lambda s: s.mtls_address, "", "[::1]:50052", "[::1]:50052", ["50052", ":50052", "host:65536"]),
    "MTLS_CLIENT_CA_FILE": (lambda s: s.mtls_client_ca_file, None, "/ca.crt", Path("/ca.crt"), []),
    "MTLS_PRINCIPALS_FILE": (lambda s: s.mtls_principals_file, None, "/p.yaml", Path("/p.yaml"), []),
    "MTLS_CRL_FILE": (lambda s: s.mtls_crl_file, None, "/l.pem", Path("/l.pem"), []),
}
# What a variable means nothing without.
NEEDED = {
    "GRPC_TLS_CERT_FILE": {"GRPC_TLS_KEY_FILE"},
    "GRPC_TLS_KEY_FILE": {"GRPC_TLS_CERT_FILE"},
    "GRPC_TLS_SERVER_NAME": {"GRPC_TLS_CA_FILE"},
    "HTTP_TLS_CERT_FILE": {"HTTP_TLS_KEY_FILE"},
    "HTTP_TLS_KEY_FILE": {"HTTP_TLS_CERT_FILE"},
    "MTLS_ADDRESS": {"GRPC_TLS_CERT_FILE", "MTLS_CLIENT_CA_FILE", "MTLS_PRINCIPALS_FILE"},
    "MTLS_CLIENT_CA_FILE": {"MTLS_ADDRESS"},
    "MTLS_PRINCIPALS_FILE": {"MTLS_ADDRESS"},
    "MTLS_CRL_FILE": {"MTLS_ADDRESS"},
}
BAD = [(name, value) for name, (*_, values) in CASES.items() for value in values]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The present folder, with files of keys."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").write_text(f"{Fernet.generate_key().decode()}\n\n{Fernet.generate_key().decode()}\n")
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [SigningKey("ES256").jwk]}))


def test_every_variable_has_a_case_here() -> None:
    assert list(CASES) == [variable.name for variable in VARIABLES]


@pytest.mark.parametrize("name", CASES)
def test_a_variable_has_its_default_unless_it_is_set(name: str) -> None:
    read, default, good, meaning, _ = CASES[name]
    assert read(load({})) == default
    assert read(load({PREFIX + name: ""})) == default
    assert read(load(complete(name) | {**BESIDE.get(name, {}), PREFIX + name: good})) == meaning


def complete(*names: str) -> dict[str, str]:
    """Good values of variables, and of all that they need."""
    found, more = set(names), set(names)
    while more := set().union(*(NEEDED.get(name, ()) for name in more)) - found:
        found |= more
    return {PREFIX + name: CASES[name][2] for name in found}


@pytest.mark.parametrize("name", NEEDED)
def test_a_variable_that_means_nothing_alone_names_what_it_needs(name: str) -> None:
    assert load(complete(name))
    for missing in NEEDED[name]:
        with pytest.raises(ConfigError, match=rf"\b{PREFIX}{missing}\b"):
            load({key: value for key, value in complete(name).items() if key != PREFIX + missing})
    with pytest.raises(ConfigError) as refusal:
        load({PREFIX + name: CASES[name][2]})
    assert str(refusal.value).startswith(f"{PREFIX}{name} needs ")
    assert set(re.findall(r"TENANTRY_(\w+)", str(refusal.value))) == {name, *NEEDED[name]}


@pytest.mark.parametrize(("grpc", "mtls"), [("127.0.0.1:443", "127.0.0.1:443"), ("0.0.0.0:443", "[::1]:00443")])
def test_internal_services_have_a_port_of_their_own(grpc: str, mtls: str) -> None:
    with pytest.raises(ConfigError, match="TENANTRY_MTLS_ADDRESS must have another port than TENANTRY_GRPC_ADDRESS"):
        load(complete("MTLS_ADDRESS") | {"TENANTRY_GRPC_ADDRESS": grpc, "TENANTRY_MTLS_ADDRESS": mtls})
    any_port = {"TENANTRY_MTLS_ADDRESS": "127.0.0.1:0", "TENANTRY_GRPC_ADDRESS": "127.0.0.1:0"}
    assert load(complete("MTLS_ADDRESS") | any_port).mtls_address == "127.0.0.1:0"


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_the_variables_name_alone(name: str, value: str) -> None:
    beside = BESIDE.get(name, {})
    with pytest.raises(ConfigError) as refusal:
        load({**beside, PREFIX + name: value})
    text = str(refusal.value)
    assert text.startswith(f"{PREFIX}{name} must be ")
    with pytest.raises(ConfigError) as other:
        load({**beside, PREFIX + name: "\t"})
    assert text == str(other.value), "the text does not depend on the value"


def test_a_variable_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown setting: TENANTRY_DATABSE_URL, TENANTRY_workers"):
        load({"TENANTRY_workers": "2", "TENANTRY_DATABSE_URL": "x", "TENANTRYISH": "x", "PATH": "/bin"})


@pytest.mark.parametrize("name", BESIDE)
def test_identity_providers_are_not_configured_by_halves(name: str) -> None:
    missing = "OIDC_AUDIENCE" if name == "OIDC_ISSUER" else name
    with pytest.raises(ConfigError, match=f"^{PREFIX}{missing} must be .*{PREFIX}OIDC_ISSUER"):
        load({PREFIX + name: CASES[name][2]})


def test_the_sqlite_file_lies_in_the_data_folder() -> None:
    assert load({"TENANTRY_DATA_DIR": "/data"}).database_url == "sqlite:////data/tenantry.db"


def test_settings_do_not_show_the_databases_url() -> None:
    settings = load({"TENANTRY_DATABASE_URL": "postgresql://tenantry:hunter2@db/tenantry"})
    assert "hunter2" not in f"{settings!r} {settings} {[settings]}"
    assert "127.0.0.1:8080" in repr(settings)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1s", timedelta(seconds=1)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("999999d", timedelta(days=999999)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, meaning: timedelta) -> None:
    assert duration(text) == meaning
