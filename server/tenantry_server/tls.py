"""TLS from files: certificates are looked at with every handshake, so that new ones need no restart and cost no call.

gRPC's C core asks for the configuration of each handshake (`grpc.dynamic_ssl_server_credentials`). Connections that are
there go on with what they have, for as long as the server lets any connection live. Sessions are resumed under the
configuration they began with and no other, so an authority that is taken away is taken away from those who come back, too.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .domain.certificates import Principals, Revoked

log = structlog.get_logger("tenantry.tls")

T = TypeVar("T")

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_BEGIN_LIST = b"-----BEGIN X509 CRL-----"
_SMALLEST_RSA = 2048


class TlsError(Exception):
    """Certificates cannot be used. The text says why, and nothing of what is in the files."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a certificate is, PEM, the authorities between it and the root behind it; and its private key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """The port for internal services: where it listens, whose certificates it demands, whom those stand for, and which of them
    count no more.
    """

    address: str
    authorities: Path
    principals: Callable[[], Principals]
    revoked: Callable[[], Revoked] = frozenset


@dataclass(frozen=True, slots=True)
class Transport:
    """How a server speaks TLS: with a certificate and, for internal services, on a second port."""

    certificate: CertificateFiles
    clients: ClientCertificates | None = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a server must prove: a certificate of one of these authorities, PEM, for this DNS name or IP address."""

    authorities: Path
    server_name: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its private key, PEM."""

    chain: bytes
    key: bytes


def read_pair(chain: Path, key: Path) -> Pair:
    """A pair that both gRPC and Envoy can use: keys of other kinds fail in one of them, with the first handshake.

    Raises TlsError.
    """
    pair = Pair(_bytes(chain), _bytes(key))
    try:
        public = _certificates(pair.chain, chain)[0].public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsError(f"{chain} is for a key of an unknown kind") from error
    try:
        secret = load_pem_private_key(pair.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TlsError(f"{key} holds no private key in PEM, unencrypted") from error
    is_rsa = isinstance(secret, rsa.RSAPrivateKey) and secret.key_size >= _SMALLEST_RSA
    is_ecdsa = isinstance(secret, ec.EllipticCurvePrivateKey) and isinstance(secret.curve, ec.SECP256R1 | ec.SECP384R1)
    if not is_rsa and not is_ecdsa:
        raise TlsError(f"{key} must be an RSA key from {_SMALLEST_RSA} bits, or ECDSA on P-256 or P-384")
    if public != secret.public_key():
        raise TlsError(f"{chain} does not belong to {key}")
    return pair


def read_authorities(file: Path) -> bytes:
    """Certificates to verify others by, PEM. Raises TlsError."""
    pem = _bytes(file)
    _certificates(pem, file)
    return pem


def read_revoked(file: Path, authorities: Path) -> Revoked:
    """What the revocation lists in a file take back, PEM, each signed by one of the authorities. Raises TlsError.

    A list that is past its next update goes on counting: who is on it stays there.
    """
    issuers = _certificates(_bytes(authorities), authorities)
    pems = [_BEGIN_LIST + rest for rest in _bytes(file).split(_BEGIN_LIST)[1:]]
    if not pems:
        raise TlsError(f"{file} holds no revocation list in PEM")
    return frozenset().union(*(_entries(pem, file, issuers) for pem in pems))


def _entries(pem: bytes, file: Path, issuers: list[x509.Certificate]) -> Iterator[tuple[bytes, int]]:
    try:
        found = x509.load_pem_x509_crl(pem)
        is_genuine = any(one.subject == found.issuer and found.is_signature_valid(one.public_key()) for one in issuers)  # type: ignore[arg-type]  # a key of another kind is a TypeError
        is_whole = not any(extension.critical for extension in found.extensions)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TlsError(f"{file} holds no revocation list in PEM") from error
    if not is_genuine:
        raise TlsError(f"{file} has a revocation list that is signed by none of the authorities")
    if not is_whole:  # which lists a part, or what others have signed: RFC 5280, sections 5.2.4 and 5.2.5
        raise TlsError(f"{file} has a revocation list of a kind that is not understood")
    name = found.issuer.public_bytes()
    return ((name, entry.serial_number) for entry in found)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsError(f"{file} cannot be read: {error.strerror}") from error


def _certificates(pem: bytes, file: Path) -> list[x509.Certificate]:
    """At least one. A last one that is cut off is an error, too, which the parser alone would pass over."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TlsError(f"{file} holds no certificate in PEM") from error
    if len(found) < pem.count(_BEGIN):
        raise TlsError(f"{file} is not complete")
    return found


class Watched(Generic[T]):
    """What files hold, read again when one of them is another than it was. For any number of threads."""

    def __init__(
        self, read: Callable[..., T], *files: Path, bad: type[Exception] = TlsError, noun: str = "certificates"
    ) -> None:
        """Raises what `read` does, `bad`, when the files are no good now; later that only keeps what was good. The noun is for
        the log.
        """
        self._read = read
        self._bad = bad
        self._noun = noun
        self._files = files
        self._lock = threading.Lock()
        self._has_warned = False
        # Before the files are read: what changes meanwhile is then seen as a change the next time.
        self._marks = self._look()
        self._current = read(*files)

    def current(self) -> T:
        """The last that was good. Costs one stat a file while nothing changes."""
        with self._lock:
            marks = self._look()
            if marks != self._marks:
                self._marks = marks
                self._reload()
            return self._current

    def _look(self) -> list[tuple[int, int, int] | None]:
        """Time of change in ns, size and inode of each file, links followed; None for one that is not there."""
        return [_mark(file) for file in self._files]

    def _reload(self) -> None:
        files = [str(file) for file in self._files]
        try:
            self._current = self._read(*self._files)
        except self._bad as error:
            if not self._has_warned:  # once, however many states a change goes through
                log.warning(f"{self._noun} kept", files=files, reason=str(error))
            self._has_warned = True
        else:
            log.info(f"{self._noun} reloaded", files=files)
            self._has_warned = False


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Configurations:
    """What the C core asks before each handshake, one at a time a port."""

    def __init__(self, pair: Watched[Pair], authorities: Watched[bytes] | None) -> None:
        self._pair = pair
        self._authorities = authorities
        self._made: tuple[Pair, bytes | None] | None = None

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        """The configuration; None when it is that of the handshake before."""
        now = self._pair.current(), self._authorities.current() if self._authorities else None
        if now == self._made:
            return None
        self._made = now
        pair, authorities = now
        return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], authorities)


def _credentials(pair: Watched[Pair], authorities: Watched[bytes] | None = None) -> grpc.ServerCredentials:
    """A port's credentials. With authorities, who has no certificate of theirs gets no connection."""
    configurations = _Configurations(pair, authorities)
    return grpc.dynamic_ssl_server_credentials(
        configurations(),  # type: ignore[arg-type]  # the first is there
        configurations,  # type: ignore[arg-type]  # the stubs do not know that None is an answer
        require_client_authentication=authorities is not None,
    )


def listen(server: grpc.Server, address: str, transport: Transport | None) -> tuple[int, int]:
    """Opens a server's port, plaintext without a transport, and that for internal services, 0 when there is none.

    Answers with their numbers. Raises RuntimeError when an address cannot be bound, TlsError when certificates are no good.
    """
    if transport is None:
        return server.add_insecure_port(address), 0
    pair = Watched(read_pair, transport.certificate.chain, transport.certificate.key)
    port = server.add_secure_port(address, _credentials(pair))
    if transport.clients is None:
        return port, 0
    authorities = Watched(read_authorities, transport.clients.authorities)
    return port, server.add_secure_port(transport.clients.address, _credentials(pair, authorities))


def open_channel(address: str, upstream: Upstream | None) -> grpc.Channel:
    """A channel to a server; plaintext when it need not prove anything. Raises TlsError."""
    if upstream is None:
        return grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(read_authorities(upstream.authorities))
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", upstream.server_name)])
