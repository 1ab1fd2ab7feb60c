"""Real certificates: authorities, leaves with any names, files that are replaced as operators do it, and who trusts whom."""

from __future__ import annotations

import ipaddress
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection
from typing import Any

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tenantry_server.tls import CertificateFiles

from .http import TIMEOUT

DAY = timedelta(days=1)


def dns(name: str) -> x509.DNSName:
    """A DNS name in a certificate, whatever it spells."""
    return x509.DNSName(name)


def uri(text: str) -> x509.UniformResourceIdentifier:
    """A URI in a certificate; SPIFFE ids are URIs."""
    return x509.UniformResourceIdentifier(text)


# What servers and gateways of tests are called.
LOCAL = (dns("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key, PEM."""

    chain: bytes
    key: bytes

    @property
    def serial(self) -> int:
        """What tells it from all others."""
        return x509.load_pem_x509_certificate(self.chain).serial_number


class Authority:
    """Signs certificates."""

    def __init__(self) -> None:
        made = trustme.CA()
        self.pem = made.cert_pem.bytes()
        self._name = x509.load_pem_x509_certificate(self.pem).subject
        self._key: Any = load_pem_private_key(made.private_key_pem.bytes(), None)

    def sign(
        self,
        *names: x509.GeneralName,
        common_name: str = "",
        lifetime: timedelta = DAY,
        usage: x509.ObjectIdentifier | None = None,
        key: Any = None,
    ) -> Leaf:
        """A leaf with these alternative names, valid since two days ago; a negative lifetime is over already."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self._name, x509.Name(subject), key.public_key(), x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + lifetime)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        chain = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return Leaf(chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def revoke(self, *leaves: Leaf, is_partial: bool = False) -> bytes:
        """A revocation list with these leaves, PEM; a partial one adds to another list."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(self._name, now - DAY, now + DAY)
        for leaf in leaves:
            entry = x509.RevokedCertificateBuilder().serial_number(leaf.serial).revocation_date(now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        if is_partial:
            builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def file(self, path: Path) -> Path:
        """Writes its own certificate."""
        path.write_bytes(self.pem)
        return path

    def trust(self, leaf: Leaf | None = None, *, folder: Path | None = None) -> ssl.SSLContext:
        """A client's context: who trusts this authority alone and, with a leaf, presents it by a file in the folder."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        if leaf is not None and folder is not None:
            file = folder / f"{leaf.serial}.pem"
            file.write_bytes(leaf.key + leaf.chain)
            context.load_cert_chain(file)
        return context

    def channel(self, address: str, leaf: Leaf | None = None, *options: tuple[str, Any]) -> grpc.Channel:
        """A channel of a client that trusts this authority alone, and presents a leaf."""
        presented = (leaf.key, leaf.chain) if leaf else ()
        credentials = grpc.ssl_channel_credentials(self.pem, *presented)
        # Each channel has connections of its own, or those of others would be used again.
        return grpc.secure_channel(address, credentials, [("grpc.use_local_subchannel_pool", 1), *options])


class Placed:
    """A pair of files that is replaced by renaming each into place."""

    def __init__(self, folder: Path, leaf: Leaf) -> None:
        self.files = self.named(folder)
        for file in (self.files.chain, self.files.key):
            file.parent.mkdir(parents=True, exist_ok=True)
        self.place(leaf)

    def named(self, folder: Path) -> CertificateFiles:
        """Where the files are."""
        return CertificateFiles(folder / "tls.crt", folder / "tls.key")

    def place(self, leaf: Leaf) -> None:
        """Puts another pair in place, one file after the other."""
        self.place_chain(leaf.chain)
        replace(self.files.key, leaf.key)

    def place_chain(self, content: bytes) -> None:
        """Puts the certificate in place alone."""
        replace(self.files.chain, content)


class Apart(Placed):
    """The same, each file in a folder of its own."""

    def named(self, folder: Path) -> CertificateFiles:
        return CertificateFiles(folder / "certs" / "tls.crt", folder / "private" / "tls.key")


class Mounted:
    """A pair of files in a volume as Kubernetes mounts a secret: links through `..data`, which is swapped."""

    def __init__(self, folder: Path, leaf: Leaf) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.files = CertificateFiles(folder / "tls.crt", folder / "tls.key")
        self.place(leaf)
        for file in (self.files.chain, self.files.key):
            file.symlink_to(Path("..data") / file.name)

    def place(self, leaf: Leaf) -> None:
        """Swaps the volume's contents, all at once."""
        contents, before = Path(tempfile.mkdtemp(prefix="..", dir=self._folder)), (self._folder / "..data").resolve()
        (contents / "tls.crt").write_bytes(leaf.chain)
        (contents / "tls.key").write_bytes(leaf.key)
        link = self._folder / "..data_tmp"
        link.symlink_to(contents.name)
        link.rename(self._folder / "..data")
        shutil.rmtree(before, ignore_errors=True)


def replace(file: Path, content: bytes) -> None:
    """Renames new content into place."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.rename(file)


@contextmanager
def connected(address: str, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Iterator[ssl.SSLSocket]:
    """A TLS connection that offers what gRPC needs. Raises OSError when the handshake fails."""
    host, _, port = address.rpartition(":")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        create_connection((host, int(port)), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host, session=session) as secured,
    ):
        yield secured


def serial_of(address: str) -> int:
    """The serial number of the certificate that a new connection gets to see."""
    context = ssl._create_unverified_context()
    with connected(address, context) as connection:
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number
