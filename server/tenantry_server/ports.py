"""The ports: settings become how each of them speaks. What is wrong with that is told by the name of the variable."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .config import PREFIX, ConfigError, Settings
from .operator_files import load_principals
from .tls import (
    CertificateFiles,
    ClientCertificates,
    TlsError,
    Transport,
    Upstream,
    Watched,
    read_authorities,
    read_pair,
    read_revoked,
)


def of_server(settings: Settings) -> tuple[str, ...]:
    """The addresses that a server listens on."""
    return tuple(address for address in (settings.grpc_address, settings.mtls_address) if address)


def transport(settings: Settings, known: frozenset[str]) -> Transport | None:
    """How a server speaks TLS; None is plaintext. `known` are the platform's permissions.

    Raises ConfigError: when files are no good, and when only the gateway is told of TLS, which would call in vain.
    """
    certificate = _certificate("GRPC_TLS_CERT_FILE", settings.grpc_tls_cert_file, settings.grpc_tls_key_file)
    if certificate is None:
        if settings.grpc_tls_ca_file is not None:
            raise ConfigError(f"{PREFIX}GRPC_TLS_CA_FILE needs {PREFIX}GRPC_TLS_CERT_FILE where the server runs")
        return None
    if settings.mtls_client_ca_file is None or settings.mtls_principals_file is None:
        return Transport(certificate)
    return Transport(certificate, _clients(settings, settings.mtls_client_ca_file, settings.mtls_principals_file, known))


def _clients(settings: Settings, authorities: Path, listed: Path, known: frozenset[str]) -> ClientCertificates:
    """The port for internal services. What is in its files counts from the next call on."""
    with _named("MTLS_CLIENT_CA_FILE"):
        read_authorities(authorities)
    principals = Watched(partial(load_principals, known=known), listed, bad=ConfigError, noun="principals").current
    if settings.mtls_crl_file is None:
        return ClientCertificates(settings.mtls_address, authorities, principals)
    with _named("MTLS_CRL_FILE"):
        revoked = Watched(read_revoked, settings.mtls_crl_file, authorities, noun="revocation lists").current
    return ClientCertificates(settings.mtls_address, authorities, principals, revoked)


def front(settings: Settings) -> CertificateFiles | None:
    """The gateway's certificate; None is plaintext. Raises ConfigError when its files are no good."""
    return _certificate("HTTP_TLS_CERT_FILE", settings.http_tls_cert_file, settings.http_tls_key_file)


def upstream(settings: Settings) -> Upstream | None:
    """What the gRPC port must prove to who calls it; None is plaintext.

    Raises ConfigError: when the file is no good, and when only the server is told of TLS: nothing is called unverified.
    """
    if settings.grpc_tls_ca_file is None:
        if settings.grpc_tls_cert_file is not None:
            raise ConfigError(f"{PREFIX}GRPC_TLS_CERT_FILE needs {PREFIX}GRPC_TLS_CA_FILE where the gateway runs")
        return None
    with _named("GRPC_TLS_CA_FILE"):
        read_authorities(settings.grpc_tls_ca_file)
    host = settings.grpc_address.rpartition(":")[0].strip("[]")
    return Upstream(settings.grpc_tls_ca_file, _canonical(settings.grpc_tls_server_name or host))


def _certificate(variable: str, chain: Path | None, key: Path | None) -> CertificateFiles | None:
    if chain is None or key is None:
        return None
    with _named(variable):
        read_pair(chain, key)
    return CertificateFiles(chain, key)


def _canonical(name: str) -> str:
    """An IP address as certificates are compared with: in one of its many spellings."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


@contextmanager
def _named(variable: str) -> Iterator[None]:
    try:
        yield
    except TlsError as error:
        raise ConfigError(f"{PREFIX}{variable}: {error}") from error
