"""Internal services by their certificates: who gets a connection, who is somebody then, and that nothing else makes one so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.certificates import DAY, LOCAL, Authority, Leaf, Placed, connected, dns, replace, uri
from support.gateway import eventually, fronting
from support.rpc import Client
from support.who import Caller, Ports, am_i, answering
from support.world import World

from tenantry_server.bootstrap import Server
from tenantry_server.domain.certificates import read_principals
from tenantry_server.rpc import certificates
from tenantry_server.tls import ClientCertificates, Transport, Upstream

pytest_plugins = ("support.only",)

LIST = "OrganizationService.ListOrganizations"
# Who signs the server's certificate, who signs those of services, and who signs for anybody.
AUTHORITY, SERVICES, STRANGER = Authority(), Authority(), Authority()
BILLING, REPORTS = "spiffe://example.org/billing", "reports.internal"
PRINCIPALS = read_principals(
    {
        "principals": [
            {"spiffe": BILLING, "name": "billing"},
            {"dns": REPORTS, "name": "reports", "permissions": ["user:read"]},
        ]
    },
    frozenset({"user:read"}),
)
NOBODY = (None, "", None)
AS_BILLING = ("certificate:billing", "platform", None)
AS_REPORTS = ("certificate:reports", "platform", ["user:read"])
UNMAPPED = uri("spiffe://example.org/unmapped")


def transport(folder: Path) -> Transport:
    """A server's TLS with a port for services."""
    pair = Placed(folder / "tls", AUTHORITY.sign(*LOCAL)).files
    return Transport(pair, ClientCertificates("127.0.0.1:0", SERVICES.file(folder / "clients.crt"), lambda: PRINCIPALS))


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    """A server that answers who one is."""
    with answering(transport(tmp_path)) as running:
        yield running


def seen(caller: Caller) -> tuple[str | None, str, list[str] | None]:
    """Whom a server took a caller for."""
    return caller.principal, caller.kind, caller.permissions


def by(ports: Ports, leaf: Leaf | None, *metadata: tuple[str, str]) -> tuple[str | None, str, list[str] | None]:
    """Whom the port for services takes the bearer of a certificate for. Raises grpc.RpcError."""
    with AUTHORITY.channel(ports.mtls_address, leaf) as channel:
        return seen(am_i(channel, *metadata))


# -- who gets a connection ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: None,
        lambda: STRANGER.sign(uri(BILLING)),
        lambda: AUTHORITY.sign(uri(BILLING)),
        lambda: SERVICES.sign(uri(BILLING), lifetime=-DAY),
        lambda: SERVICES.sign(uri(BILLING), usage=ExtendedKeyUsageOID.SERVER_AUTH),
    ],
    ids=["none", "a stranger's", "the server's authority's", "expired", "a server's"],
)
def test_without_a_good_certificate_there_is_no_connection(ports: Ports, make: Callable[[], Leaf | None]) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        by(ports, make())
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE


def test_without_tls_there_is_none_either(ports: Ports) -> None:
    with grpc.insecure_channel(ports.mtls_address) as channel, pytest.raises(grpc.RpcError):
        am_i(channel)


def test_control_with_a_good_certificate_there_is_one(ports: Ports) -> None:
    for usage in (None, ExtendedKeyUsageOID.CLIENT_AUTH):
        assert by(ports, SERVICES.sign(uri(BILLING), usage=usage)) == AS_BILLING


def test_the_authority_of_services_is_replaced_and_a_session_of_before_does_not_help(tmp_path: Path) -> None:
    successor = Authority()
    with answering(transport(tmp_path)) as ports:
        context = AUTHORITY.trust(SERVICES.sign(uri(BILLING)), folder=tmp_path)

        def spoken(session: Any = None) -> Any:
            """The session, and whether it was resumed, of a connection that the server has spoken HTTP/2 on."""
            with connected(ports.mtls_address, context, session) as connection:
                answered = False
                with suppress(OSError):  # a refusal may be an alert, or nothing
                    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
                    answered = len(connection.recv(100)) > 0
                return connection.session, connection.session_reused, answered

        session, resumed, answered = spoken()
        assert (resumed, answered) == (False, True)
        assert spoken(session)[1:] == (True, True), "sessions are resumed"
        with AUTHORITY.channel(ports.mtls_address, SERVICES.sign(uri(BILLING))) as before:
            assert seen(am_i(before)) == AS_BILLING
            replace(tmp_path / "clients.crt", successor.pem)
            assert spoken(session)[1:] == (False, False), "its authority is trusted no more"
            with pytest.raises(grpc.RpcError):
                by(ports, SERVICES.sign(uri(BILLING)))
            assert by(ports, successor.sign(uri(BILLING))) == AS_BILLING
            assert seen(am_i(before)) == AS_BILLING, "who was connected still is"


# -- who is somebody ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([uri(BILLING)], AS_BILLING),
        ([uri(BILLING), dns("anything.internal")], AS_BILLING),
        ([dns(REPORTS)], AS_REPORTS),
        ([dns("Reports.Internal")], AS_REPORTS),
        ([dns("a.internal"), dns(REPORTS), UNMAPPED], AS_REPORTS),
        ([UNMAPPED], NOBODY),
        ([dns("unmapped.internal")], NOBODY),
        # Names that are spelt like those of others, as another kind of name.
        ([dns(BILLING)], NOBODY),
        ([uri(REPORTS)], NOBODY),
        ([x509.RFC822Name("billing@example.org"), x509.DirectoryName(x509.Name([]))], NOBODY),
        # Names that are cut at a NUL where C reads them.
        ([dns(REPORTS + "\0.stranger.example")], NOBODY),
        ([uri(BILLING + "\0/stranger")], NOBODY),
        # Names that are nearly those of others.
        ([uri(BILLING + "/")], NOBODY),
        ([uri(BILLING + "?x")], NOBODY),
        ([uri(BILLING.upper())], NOBODY),
        ([uri("spiffe://example.org/b%69lling")], NOBODY),
        ([uri("spiffe://example.org/x/../billing")], NOBODY),
        ([dns(REPORTS + ".")], NOBODY),
        ([dns("*.internal")], NOBODY),
        ([dns("x." + REPORTS)], NOBODY),
        # Names of several.
        ([uri(BILLING), UNMAPPED], NOBODY),
        ([uri(BILLING), uri("https://example.org")], NOBODY),
        ([uri(BILLING), dns(REPORTS)], NOBODY),
    ],
    ids=str,
)
def test_a_certificate_stands_for_a_principal_by_a_name_of_the_right_kind(
    ports: Ports, names: list[x509.GeneralName], expected: Any
) -> None:
    assert by(ports, SERVICES.sign(*names)) == expected


@pytest.mark.parametrize("name", [BILLING, REPORTS])
def test_a_common_name_stands_for_nobody(ports: Ports, name: str) -> None:
    assert by(ports, SERVICES.sign(common_name=name)) == NOBODY
    assert by(ports, SERVICES.sign(UNMAPPED, common_name=name)) == NOBODY


def test_on_the_other_port_nobody_is_anybody(ports: Ports) -> None:
    with AUTHORITY.channel(ports.address, SERVICES.sign(uri(BILLING))) as channel:
        assert seen(am_i(channel)) == NOBODY
    with answering(None) as plain, grpc.insecure_channel(plain.address) as channel:
        assert seen(am_i(channel)) == NOBODY


def test_a_certificate_that_ends_ends_its_principal_on_connections_that_go_on(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + cls.ahead

    monkeypatch.setattr(certificates, "datetime", Later)
    with AUTHORITY.channel(ports.mtls_address, SERVICES.sign(uri(BILLING), lifetime=DAY)) as channel:
        before = am_i(channel)
        assert seen(before) == AS_BILLING
        Later.ahead = DAY
        after = am_i(channel)
        assert (seen(after), after.connection) == (NOBODY, before.connection)


# -- what makes nobody somebody ----------------------------------------------------------------------------------------

SPOOFS = [
    ("x-forwarded-client-cert", f'By=spiffe://example.org/tenantry;Hash=00;Subject="";URI={BILLING};DNS={REPORTS}'),
    ("x-forwarded-tls-client-cert", "MII"),
    ("x-forwarded-tls-client-cert-info", f'SAN="{BILLING}"'),
    *((name, BILLING) for name in ("x-spiffe-id", "x-peer-spiffe-id", "peer_spiffe_id", "spiffe-id", "x-client-spiffe-id")),
    *((name, REPORTS) for name in ("x-peer-dns", "x509_subject_alternative_name", "x-client-san", "x-real-service")),
    *((name, f"CN={REPORTS}") for name in ("ssl-client-subject-dn", "x-ssl-client-s-dn", "x-client-dn", "x-client-cert-cn")),
    *((name, "SUCCESS") for name in ("ssl-client-verify", "x-ssl-client-verify", "x-client-verify")),
    *((name, "certificate:billing") for name in ("x-principal", "x-principal-id", "x-tenantry-principal", "x-credential-id")),
    *((name, "platform") for name in ("x-principal-kind", "x-internal", "x-service-identity", "x-internal-identity")),
    *((name, "MII") for name in ("ssl-client-cert", "x-ssl-cert", "x-client-cert", "x-arr-clientcert", "client-cert")),
    ("x-amzn-mtls-clientcert-subject", f"CN={REPORTS}"),
    ("client-cert-chain", ":MII:"),
    ("transport_security_type", "ssl"),
]


@pytest.mark.parametrize(("name", "value"), SPOOFS)
def test_no_header_makes_a_caller_somebody_or_somebody_else(ports: Ports, name: str, value: str) -> None:
    assert by(ports, SERVICES.sign(UNMAPPED), (name, value)) == NOBODY
    assert by(ports, SERVICES.sign(dns(REPORTS)), (name, value.replace(REPORTS, BILLING))) == AS_REPORTS
    with AUTHORITY.channel(ports.address) as channel:
        assert seen(am_i(channel, (name, value))) == NOBODY


# -- the whole server --------------------------------------------------------------------------------------------------


@pytest.fixture
def world(on_sqlite: Callable[..., World], tmp_path: Path) -> World:
    """A server with both ports."""
    return on_sqlite(make=partial(Server, transport=transport(tmp_path)), open_channel=AUTHORITY.channel)


def services_channel(world: World, leaf: Leaf | None) -> grpc.Channel:
    """A channel to the port for services."""
    return AUTHORITY.channel(f"127.0.0.1:{world.deployment.server.mtls_port}", leaf)


def test_the_port_for_services_is_another_door_to_the_same_server(world: World) -> None:
    token = world.person().token
    with services_channel(world, SERVICES.sign(UNMAPPED)) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # missing in the stubs
        assert check(health_pb2.HealthCheckRequest(), timeout=20).status == health_pb2.HealthCheckResponse.SERVING
        assert Client(channel, token)(LIST) == world.client(token)(LIST)
    for leaf in (None, STRANGER.sign(uri(BILLING))):
        with services_channel(world, leaf) as channel:
            assert Client(channel, token).refusal(LIST).code == grpc.StatusCode.UNAVAILABLE


def test_no_header_makes_a_caller_of_the_server_somebody(world: World, tmp_path: Path) -> None:
    metadata = tuple(SPOOFS)
    address = world.deployment.address
    upstream = Upstream(AUTHORITY.file(tmp_path / "ca.crt"), "localhost")
    with (
        fronting(address, tmp_path, upstream=upstream) as front,
        AUTHORITY.channel(address) as direct,
        services_channel(world, SERVICES.sign(UNMAPPED)) as service,
        front.http() as http,
    ):
        for channel in (direct, service):
            for spoof in metadata:
                assert Client(channel, metadata=(spoof,)).refusal(LIST).reason == "MISSING_CREDENTIAL"
            assert Client(channel, metadata=metadata).refusal(LIST).reason == "MISSING_CREDENTIAL"
        eventually(lambda: http.get("/healthz").status == 200, "the gateway finds the server")
        for name, value in metadata:
            if "_" not in name:  # which the gateway refuses at once
                assert http.send("GET", "/api/organizations", None, {name: value}).status == 401


def test_a_mapped_certificate_is_the_platforms_credential_whatever_headers_say(world: World) -> None:
    for metadata in ((), *((spoof,) for spoof in SPOOFS)):
        with services_channel(world, SERVICES.sign(dns(REPORTS))) as channel:
            refusal = Client(channel, metadata=metadata).refusal(LIST)
        assert (refusal.reason, refusal.metadata) == ("PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": "platform"})


def test_a_mapped_certificate_and_a_bearer_credential_are_one_too_many(world: World) -> None:
    token = world.person().token
    with services_channel(world, SERVICES.sign(uri(BILLING))) as channel:
        assert Client(channel, token).refusal(LIST).code == grpc.StatusCode.UNAUTHENTICATED
