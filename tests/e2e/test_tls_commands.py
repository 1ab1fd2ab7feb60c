"""`tenantry up`, `serve` and `gateway` with TLS settings, as an operator runs them; and half of them, which start nothing."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path

import grpc
import pytest
from e2e.commands import Process, Running, Shell, free_address
from e2e.shapes import exactly, organization
from e2e.test_processes import sockets
from support.certificates import LOCAL, Authority, Placed, connected, dns, replace, serial_of
from support.gateway import eventually
from support.http import TIMEOUT, Http
from support.rpc import Client

AUTHORITY, SERVICES = Authority(), Authority()
LIST, REST = "OrganizationService.ListOrganizations", "/api/organizations"
PERSONAL = organization(name="Personal", personal=exactly(True))
SERVER = {"GRPC_TLS_CERT_FILE": "server/tls.crt", "GRPC_TLS_KEY_FILE": "server/tls.key"}
CA = {"GRPC_TLS_CA_FILE": "ca.crt"}
FRONT = {"HTTP_TLS_CERT_FILE": "front/tls.crt", "HTTP_TLS_KEY_FILE": "front/tls.key"}
CLIENTS = {"MTLS_CLIENT_CA_FILE": "clients.crt", "MTLS_PRINCIPALS_FILE": "principals.yaml"}


class TlsShell(Shell):
    """A folder with certificates for everything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mtls_address = free_address()
        self.server = Placed(self.folder / "server", AUTHORITY.sign(*LOCAL))
        self.front = Placed(self.folder / "front", AUTHORITY.sign(*LOCAL))
        AUTHORITY.file(self.folder / "ca.crt")
        SERVICES.file(self.folder / "clients.crt")
        (self.folder / "principals.yaml").write_text("principals: [{dns: billing.internal, name: billing}]\n")

    @property
    def mtls(self) -> dict[str, str]:
        """The settings of the port for services."""
        return {"MTLS_ADDRESS": self.mtls_address, **CLIENTS}

    def http(self, token: str = "") -> Http:
        connection = HTTPSConnection(self.http_address, timeout=TIMEOUT, context=AUTHORITY.trust())
        return Http(self.http_address, token, connection=connection)


@pytest.fixture
def shell(tmp_path: Path) -> TlsShell:
    """Commands in a folder of their own."""
    return TlsShell(tmp_path)


def strange_lines(running: Running) -> list[str]:
    """What is neither JSON in its log, nor what Envoy says of a certificate whose key is not in place yet."""
    said = "envoy warning: Failed to reload certificates: "
    return [line for line in running.err.read_text().splitlines() if not line.startswith(("{", said))]


def test_up_serves_everything_by_tls_takes_new_certificates_and_ends(shell: TlsShell) -> None:
    with shell.start("up", "--demo", **SERVER, **CA, **FRONT, **shell.mtls) as running:
        assert f"https://{shell.http_address}" in running.says("Tenantry is ready at ")
        token = json.loads((shell.folder / ".data" / "demo.json").read_text())["owner"]["token"]
        with shell.http(token) as http, AUTHORITY.channel(shell.grpc_address) as channel:
            assert PERSONAL in http.get(REST).body
            assert len(Client(channel, token)(LIST).organizations) == 2
            leaf = AUTHORITY.sign(*LOCAL)
            shell.front.place(leaf)
            shell.server.place(leaf)
            assert serial_of(shell.grpc_address) == leaf.serial
            eventually(lambda: serial_of(shell.http_address) == leaf.serial, "the gateway takes the new certificate")
            assert PERSONAL in http.get(REST).body
        for presented, code in ((None, "UNAVAILABLE"), (SERVICES.sign(dns("billing.internal")), "UNAUTHENTICATED")):
            with AUTHORITY.channel(shell.mtls_address, presented) as channel:
                assert Client(channel, "" if presented is None else "x").refusal(LIST).code.name == code
        with grpc.insecure_channel(shell.grpc_address) as channel:
            assert Client(channel, token).refusal(LIST).code == grpc.StatusCode.UNAVAILABLE
        family = running.process.children()
        assert running.ends(signal.SIGINT) == 0
        assert not any(each.is_alive for each in family)
    assert f"curl https://{shell.http_address}/api/organizations" in running.out.read_text()
    assert '"event": "certificates reloaded"' in running.err.read_text()
    assert strange_lines(running) == []


def test_the_gateway_alone_needs_the_authority_and_no_key_of_the_server(shell: TlsShell) -> None:
    assert shell.run("migrate").returncode == 0
    with shell.start("serve", **SERVER), shell.start("gateway", **CA, **FRONT) as gateway:
        assert gateway.says("The gateway listens on") == f"The gateway listens on https://{shell.http_address}."
        with shell.http() as http:
            eventually(lambda: http.get("/healthz").status == 200, "the gateway finds the server")


def test_workers_share_both_ports(shell: TlsShell) -> None:
    assert shell.run("migrate").returncode == 0
    shell.settings["WORKERS"] = "2"
    with shell.start("serve", **SERVER, **shell.mtls) as supervisor:
        eventually(lambda: supervisor.err.read_text().count('"event": "serving"') == 2, "both workers serve")
        for address in (shell.grpc_address, shell.mtls_address):
            spread(supervisor.workers(), address)
        leaf = AUTHORITY.sign(*LOCAL)
        shell.server.place(leaf)
        assert {serial_of(shell.grpc_address) for _ in range(20)} == {leaf.serial}, "each worker sees it by itself"
        presented = AUTHORITY.trust(SERVICES.sign(dns("x")), folder=shell.folder)
        for _ in range(20):
            with connected(shell.mtls_address, presented) as connection:
                assert connection.selected_alpn_protocol() == "h2"


def spread(workers: list[Process], address: str) -> None:
    """Sees that connections to an address come to each worker."""
    host, _, port = address.rpartition(":")
    before = [sockets(each) for each in workers]
    with ExitStack() as open_:
        for _ in range(30):
            open_.enter_context(socket.create_connection((host, int(port))))
        eventually(
            lambda: all(sockets(each) > count + 1 for each, count in zip(workers, before, strict=True)),
            "connections spread over all",
        )


def test_a_port_for_services_that_somebody_has_is_one_clear_line(shell: TlsShell) -> None:
    assert shell.run("migrate").returncode == 0
    host, _, port = shell.mtls_address.rpartition(":")
    with socket.create_server((host, int(port))):
        done = shell.run("serve", **SERVER, **shell.mtls)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.lower() == f"error: cannot listen on {shell.mtls_address}: address already in use\n"


@pytest.mark.parametrize(
    ("command", "settings", "line"),
    [
        ("doctor", {"HTTP_TLS_KEY_FILE": "x"}, "TENANTRY_HTTP_TLS_KEY_FILE needs TENANTRY_HTTP_TLS_CERT_FILE"),
        ("serve", CA, "TENANTRY_GRPC_TLS_CA_FILE needs TENANTRY_GRPC_TLS_CERT_FILE where the server runs"),
        ("up", CA, "TENANTRY_GRPC_TLS_CA_FILE needs TENANTRY_GRPC_TLS_CERT_FILE where the server runs"),
        ("up", SERVER, "TENANTRY_GRPC_TLS_CERT_FILE needs TENANTRY_GRPC_TLS_CA_FILE where the gateway runs"),
        ("gateway", SERVER, "TENANTRY_GRPC_TLS_CERT_FILE needs TENANTRY_GRPC_TLS_CA_FILE where the gateway runs"),
        (
            "serve",
            {**SERVER, "MTLS_ADDRESS": "127.0.0.1:1"},
            "TENANTRY_MTLS_ADDRESS needs TENANTRY_MTLS_CLIENT_CA_FILE and TENANTRY_MTLS_PRINCIPALS_FILE",
        ),
        (
            "serve",
            {"MTLS_ADDRESS": "127.0.0.1:1", **CLIENTS},
            "TENANTRY_MTLS_ADDRESS needs TENANTRY_GRPC_TLS_CERT_FILE",
        ),
    ],
)
def test_half_of_a_configuration_starts_nothing(shell: TlsShell, command: str, settings: dict[str, str], line: str) -> None:
    done = shell.run(command, **settings)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {line}\n")


@pytest.mark.parametrize(
    ("command", "file", "content", "line"),
    [
        ("up", "server/tls.key", AUTHORITY.sign(*LOCAL).key, "TENANTRY_GRPC_TLS_CERT_FILE: server/tls.crt does not belong to "),
        ("serve", "server/tls.crt", b"", "TENANTRY_GRPC_TLS_CERT_FILE: server/tls.crt holds no certificate in PEM"),
        ("gateway", "front/tls.key", b"", "TENANTRY_HTTP_TLS_CERT_FILE: front/tls.key holds no private key in PEM"),
        ("gateway", "ca.crt", b"", "TENANTRY_GRPC_TLS_CA_FILE: ca.crt holds no certificate in PEM"),
        ("serve", "clients.crt", b"", "TENANTRY_MTLS_CLIENT_CA_FILE: clients.crt holds no certificate in PEM"),
        (
            "serve",
            "principals.yaml",
            b"principals: [{dns: '*.internal', name: all}]",
            "TENANTRY_MTLS_PRINCIPALS_FILE: principal 1: '*.internal' is no DNS name; there are no wildcards",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_files_that_are_no_good_start_nothing(shell: TlsShell, command: str, file: str, content: bytes, line: str) -> None:
    assert shell.run("migrate").returncode == 0
    replace(shell.folder / file, content)
    done = shell.run(command, WORKERS="2", **SERVER, **CA, **FRONT, **shell.mtls)  # which would start, and end, and start …
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {line}")
    assert len(done.stderr.splitlines()) == 1
