"""Who calls by a client certificate.

gRPC's C core verifies the certificate when the connection is made: it is of the authority we trust, it is for clients, its
time has come. What it then tells of the names in it (`peer_dns`, `peer_spiffe_id`, `x509_subject_alternative_name` …) is cut
at a NUL: `billing.internal\\0.evil.example` reads `billing.internal`. So the names are read from the certificate itself
(`x509_pem_cert`), by their types: subject alternative names, RFC 5280 section 4.2.1.6. The common name counts for nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import grpc
from cryptography import x509

from ..domain.certificates import Identity, IdentityKind, Principals, Revoked, principal_of
from ..domain.principal import Principal


class _Certificate(NamedTuple):
    """What counts of a certificate: the identities in it, when it ends, and what a list of revoked ones knows it by."""

    identities: frozenset[Identity]
    end: datetime
    key: tuple[bytes, int]


def certificate_principal(
    context: grpc.ServicerContext, principals: Callable[[], Principals], revoked: Callable[[], Revoked]
) -> Principal | None:
    """The principal that the caller's client certificate stands for; None without one, when it stands for nobody, and when it
    was revoked, which the C core does not look at.

    Nothing that the caller says counts, only the connection: metadata is not looked at.
    """
    properties: Mapping[str, Any] = context.auth_context()
    if list(properties.get("transport_security_type", ())) != [b"ssl"]:
        return None
    pems = properties.get("x509_pem_cert", ())
    if len(pems) != 1:
        return None
    certificate = _read(pems[0])
    # TLS asks for the time only in full handshakes. A connection may go on past it, and a session may be resumed past it.
    if certificate is None or datetime.now(UTC) > certificate.end or certificate.key in revoked():
        return None
    return principal_of(certificate.identities, principals())


@lru_cache(maxsize=1024)
def _read(pem: bytes) -> _Certificate | None:
    """A certificate; None when it cannot be read or has no names."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        found = [Identity(IdentityKind.DNS, name.lower()) for name in names.get_values_for_type(x509.DNSName)]
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None
    # A certificate with several is no SPIFFE document: X509-SVID section 2.
    if len(uris) == 1:
        found.append(Identity(IdentityKind.SPIFFE, uris[0]))
    key = certificate.issuer.public_bytes(), certificate.serial_number
    return _Certificate(frozenset(found), certificate.not_valid_after_utc, key)
