"""How the ports speak, by the settings: in plaintext or TLS, and never in one where the other was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.certificates import LOCAL, Authority, Placed, replace

from tenantry_server import ports
from tenantry_server.config import ConfigError, Settings, load
from tenantry_server.tls import CertificateFiles, ClientCertificates, Transport, Upstream

AUTHORITY = Authority()
PRINCIPALS = "principals: [{dns: billing.internal, name: billing, permissions: [user:read]}]\n"
KNOWN = frozenset({"user:read"})


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    """A pair that fits, and beside it all the other files."""
    AUTHORITY.file(tmp_path / "ca.crt")
    (tmp_path / "principals.yaml").write_text(PRINCIPALS)
    return Placed(tmp_path / "tls", AUTHORITY.sign(*LOCAL)).files


def settings(folder: Path, *names: str, **more: str) -> Settings:
    """Settings in which these variables name their files, and more."""
    named = {
        "GRPC_TLS_CERT_FILE": folder / "tls/tls.crt",
        "GRPC_TLS_KEY_FILE": folder / "tls/tls.key",
        "GRPC_TLS_CA_FILE": folder / "ca.crt",
        "HTTP_TLS_CERT_FILE": folder / "tls/tls.crt",
        "HTTP_TLS_KEY_FILE": folder / "tls/tls.key",
        "MTLS_ADDRESS": "127.0.0.1:50052",
        "MTLS_CLIENT_CA_FILE": folder / "ca.crt",
        "MTLS_PRINCIPALS_FILE": folder / "principals.yaml",
    }
    return load({f"TENANTRY_{name}": str(value) for name, value in ({name: named[name] for name in names} | more).items()})


GRPC = ("GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE")
HTTP = ("HTTP_TLS_CERT_FILE", "HTTP_TLS_KEY_FILE")
MTLS = (*GRPC, "MTLS_ADDRESS", "MTLS_CLIENT_CA_FILE", "MTLS_PRINCIPALS_FILE")
CA = "GRPC_TLS_CA_FILE"


def test_without_settings_everything_is_plaintext(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert (ports.transport(plain, KNOWN), ports.front(plain), ports.upstream(plain)) == (None, None, None)
    assert (ports.of_server(plain), plain.scheme) == (("127.0.0.1:50051",), "http")


def test_each_port_speaks_as_it_is_set(tmp_path: Path, files: CertificateFiles) -> None:
    assert ports.transport(settings(tmp_path, *GRPC), KNOWN) == Transport(files)
    assert (ports.front(settings(tmp_path, *HTTP)), settings(tmp_path, *HTTP).scheme) == (files, "https")
    mutual = settings(tmp_path, *MTLS)
    assert ports.of_server(mutual) == ("127.0.0.1:50051", "127.0.0.1:50052")
    transport = ports.transport(mutual, KNOWN)
    assert transport is not None
    assert transport.clients is not None
    principals = transport.clients.principals
    assert [principal.credential_id for principal in principals().values()] == ["certificate:billing"]
    assert transport == Transport(files, ClientCertificates("127.0.0.1:50052", tmp_path / "ca.crt", principals))


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "127.0.0.1"),
        ({"GRPC_ADDRESS": "tenantry.internal:1"}, "tenantry.internal"),
        ({"GRPC_ADDRESS": "[0:0::1]:1"}, "::1"),
        ({"GRPC_ADDRESS": "0.0.0.0:1", "GRPC_TLS_SERVER_NAME": "tenantry.internal"}, "tenantry.internal"),
        ({"GRPC_TLS_SERVER_NAME": "0:0::2"}, "::2"),
    ],
)
def test_the_server_must_prove_the_name_of_its_address_or_the_one_that_is_set(
    tmp_path: Path, files: CertificateFiles, more: dict[str, str], name: str
) -> None:
    assert ports.upstream(settings(tmp_path, CA, **more)) == Upstream(tmp_path / "ca.crt", name)
    assert ports.upstream(settings(tmp_path, CA, *GRPC, **more)) == Upstream(tmp_path / "ca.crt", name)


def of_server(found: Settings) -> Any:
    return ports.transport(found, KNOWN)


@pytest.mark.parametrize(
    ("port", "names", "text"),
    [
        (of_server, (CA,), "TENANTRY_GRPC_TLS_CA_FILE needs TENANTRY_GRPC_TLS_CERT_FILE where the server runs"),
        (ports.upstream, GRPC, "TENANTRY_GRPC_TLS_CERT_FILE needs TENANTRY_GRPC_TLS_CA_FILE where the gateway runs"),
    ],
)
def test_tls_on_one_side_alone_is_refused_by_the_other(
    tmp_path: Path, files: CertificateFiles, port: Callable[[Settings], Any], names: tuple[str, ...], text: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        port(settings(tmp_path, *names))
    assert str(refusal.value) == text
    assert port(settings(tmp_path, *GRPC, CA)) is not None


@pytest.mark.parametrize(
    ("port", "names", "file", "text"),
    [
        (of_server, GRPC, "tls/tls.key", "TENANTRY_GRPC_TLS_CERT_FILE: "),
        (ports.front, HTTP, "tls/tls.crt", "TENANTRY_HTTP_TLS_CERT_FILE: "),
        (ports.upstream, (CA,), "ca.crt", "TENANTRY_GRPC_TLS_CA_FILE: "),
        (of_server, MTLS, "ca.crt", "TENANTRY_MTLS_CLIENT_CA_FILE: "),
        (of_server, MTLS, "principals.yaml", "TENANTRY_MTLS_PRINCIPALS_FILE: "),
    ],
)
def test_a_file_that_is_no_good_is_told_by_its_variable(
    tmp_path: Path, files: CertificateFiles, port: Callable[[Settings], Any], names: tuple[str, ...], file: str, text: str
) -> None:
    assert port(settings(tmp_path, *names)) is not None
    replace(tmp_path / file, b"garbage")
    with pytest.raises(ConfigError) as refusal:
        port(settings(tmp_path, *names))
    assert str(refusal.value).startswith(text)
