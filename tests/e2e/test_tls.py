"""TLS to the gateway, from it to the server, and to the server: nothing in plaintext, nothing unverified, no call lost."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from e2e.shapes import exactly, organization
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.certificates import LOCAL, Apart, Authority, Leaf, Mounted, Placed, connected, dns, replace, serial_of
from support.gateway import Front, eventually, fronting
from support.http import exchange
from support.rpc import Client
from support.who import am_i, answering
from support.world import World

from tenantry_server import processes
from tenantry_server.bootstrap import Server
from tenantry_server.processes import ProcessError
from tenantry_server.tls import Transport, Upstream

pytest_plugins = ("support.only",)

LIST, REST = "OrganizationService.ListOrganizations", "/api/organizations"
PERSONAL = [organization(name="Personal", personal=exactly(True))]
AUTHORITY, STRANGER = Authority(), Authority()


def signed() -> Leaf:
    """Another certificate for this machine."""
    return AUTHORITY.sign(*LOCAL)


Pairs = type[Placed] | type[Mounted]


class Stack:
    """A server and a gateway before it, all by TLS."""

    def __init__(self, serve: Callable[..., World], folder: Path, pairs: Pairs = Placed) -> None:
        self.folder = folder
        self.ca = AUTHORITY.file(folder / "ca.crt")
        self.server, self.gateway = pairs(folder / "server", signed()), pairs(folder / "gateway", signed())
        make = partial(Server, transport=Transport(self.server.files))
        self.world = serve(make=make, open_channel=AUTHORITY.channel)
        self.address = self.world.deployment.address

    @contextmanager
    def fronted(self, **options: Any) -> Iterator[Front]:
        """Runs the gateway, which trusts the authority, unless it is told otherwise."""
        options = {"certificate": self.gateway.files, "upstream": Upstream(self.ca, "localhost"), **options}
        with fronting(self.address, self.folder, trust=AUTHORITY.trust(), **options) as front:
            yield front


@pytest.fixture
def stack(on_sqlite: Callable[..., World], tmp_path: Path) -> Stack:
    """A server that speaks TLS."""
    return Stack(on_sqlite, tmp_path)


def healthy(front: Front) -> bool:
    """Whether the gateway has found the server."""
    with front.http() as http:
        return http.get("/healthz").status == 200


# -- who is served -----------------------------------------------------------------------------------------------------


def test_rest_and_grpc_are_answered_over_tls_through_the_gateway_and_by_the_server(stack: Stack) -> None:
    token = stack.world.person().token
    with stack.fronted() as front:
        eventually(lambda: healthy(front), "the gateway finds the server, over TLS")
        with front.http(token) as http, AUTHORITY.channel(front.address) as channel:
            assert http.get(REST).seen == (200, PERSONAL)
            assert http.get(REST, Authorization="Bearer x").status == 401
            assert [each.name for each in Client(channel, token)(LIST).organizations] == ["Personal"]
    assert [each.name for each in stack.world.client(token)(LIST).organizations] == ["Personal"]


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_the_gateway_speaks_both_versions_of_http_over_tls(stack: Stack, protocol: str) -> None:
    context = AUTHORITY.trust()
    with stack.fronted() as front:
        plain = socket.create_connection(("127.0.0.1", int(front.address.rpartition(":")[2])))
        context.set_alpn_protocols([protocol])
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            assert connection.selected_alpn_protocol() == protocol


def test_plaintext_is_refused(stack: Stack) -> None:
    token = stack.world.person().token
    with stack.fronted() as front:
        for address in (front.address, stack.address):
            assert b"HTTP" not in exchange(address, b"GET /api/organizations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with grpc.insecure_channel(address) as channel:
                assert Client(channel, token).refusal(LIST).code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(stack: Stack) -> None:
    def handshake(address: str, version: ssl.TLSVersion) -> str | None:
        context = AUTHORITY.trust()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        with connected(address, context) as connection:
            return connection.version()

    with stack.fronted() as front:
        for address in (front.address, stack.address):
            assert handshake(address, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
            assert handshake(address, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                handshake(address, ssl.TLSVersion.TLSv1_1)


# -- the server proves who it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "name"), [(STRANGER, "localhost"), (AUTHORITY, "tenantry.internal"), (AUTHORITY, "127.0.0.2")]
)
def test_a_server_that_does_not_prove_who_it_is_gets_no_call(stack: Stack, authority: Authority, name: str) -> None:
    wrong = Upstream(authority.file(stack.folder / "other.crt"), name)
    token = stack.world.person().token
    with stack.fronted(upstream=wrong) as front, front.http(token) as http, AUTHORITY.channel(front.address) as channel:
        for _ in range(3):
            assert http.get(REST).status == 503
            assert Client(channel, token).refusal(LIST).code == grpc.StatusCode.UNAVAILABLE
        assert http.get("/healthz").status == 503


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_control_with_the_right_authority_and_name_it_gets_them(stack: Stack, name: str) -> None:
    with stack.fronted(upstream=Upstream(stack.ca, name)) as front:
        eventually(lambda: healthy(front), "the gateway finds the server")


def test_the_gateway_says_nothing_in_plaintext_to_who_does_not_speak_tls(
    on_sqlite: Callable[..., World], tmp_path: Path
) -> None:
    world = on_sqlite()
    token = world.person().token
    upstream = Upstream(AUTHORITY.file(tmp_path / "ca.crt"), "localhost")
    with (
        fronting(world.deployment.address, tmp_path, upstream=upstream) as front,
        front.http(token) as http,
    ):
        assert [http.get(REST).status for _ in range(3)] == [503] * 3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with fronting(address, tmp_path, upstream=upstream), listener.accept()[0] as connection:
            assert connection.recv(1) == b"\x16", "the first record is a handshake (RFC 8446 5.1)"


def test_waiting_for_a_server_that_does_not_prove_who_it_is_is_in_vain(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    processes.wait_until_serving(stack.address, lambda: True, Upstream(stack.ca, "localhost"))
    monkeypatch.setattr(processes, "_START_TIME", 1.0)
    for upstream in (Upstream(STRANGER.file(stack.folder / "other.crt"), "localhost"), Upstream(stack.ca, "other"), None):
        with pytest.raises(ProcessError):
            processes.wait_until_serving(stack.address, lambda: True, upstream)


# -- other certificates ------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """One kind of call over and over, in a thread of its own: how often it was answered, and what else happened."""

    call: Callable[[], Any]
    answered: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Calls until it is told to stop."""
        while not stop.wait(0.01):
            try:
                self.call()
                self.answered += 1
            except Exception as error:
                self.failures.append(repr(error))

    def goes_on(self) -> None:
        """Returns when more of its calls are answered."""
        goal = self.answered + 3
        eventually(lambda: self.answered >= goal, f"more calls are answered, after {self.failures}")


@contextmanager
def loads(*calls: Callable[[], Any]) -> Iterator[list[Load]]:
    """Makes these calls for as long as the block lasts."""
    stop, running = threading.Event(), [Load(call) for call in calls]
    with ThreadPoolExecutor(len(calls)) as pool:
        ended = [pool.submit(load.run, stop) for load in running]
        try:
            yield running
        finally:
            stop.set()
        for each in ended:
            each.result()


@pytest.mark.parametrize("pairs", [Placed, Mounted])
def test_certificates_are_replaced_under_load_without_losing_a_call(
    on_sqlite: Callable[..., World], tmp_path: Path, pairs: Pairs
) -> None:
    stack = Stack(on_sqlite, tmp_path, pairs)
    token = stack.world.person().token
    without_retries = ("grpc.enable_retries", 0)

    def rpc(channel: grpc.Channel) -> None:
        assert len(Client(channel, token)(LIST).organizations) == 1

    def rpc_anew(address: str) -> None:
        with AUTHORITY.channel(address, None, without_retries) as channel:
            rpc(channel)

    with stack.fronted() as front, ExitStack() as open_:
        eventually(lambda: healthy(front), "the gateway finds the server")
        http = open_.enter_context(front.http(token))
        direct, through = (
            open_.enter_context(AUTHORITY.channel(address, None, without_retries)) for address in (stack.address, front.address)
        )

        def rest() -> None:
            assert http.get(REST).seen == (200, PERSONAL)

        def rest_anew() -> None:
            with front.http(token) as another:
                assert another.get(REST).seen == (200, PERSONAL)

        rest()
        before = http.socket
        calls: list[Callable[[], Any]] = [rest, rest_anew, partial(rpc, direct), partial(rpc, through)]
        calls += [partial(rpc_anew, stack.address), partial(rpc_anew, front.address)]
        with loads(*calls) as running:
            for _ in range(4):
                replaced(stack, front)
                for load in running:
                    load.goes_on()
        assert [load.failures for load in running] == [[]] * len(running)
        assert http.socket is before is not None, "who was connected still is"


def replaced(stack: Stack, front: Front) -> None:
    """Puts other certificates in place, and returns when those who come see them."""
    for pair, address in ((stack.server, stack.address), (stack.gateway, front.address)):
        leaf = signed()
        pair.place(leaf)
        seen(address, leaf)


def seen(address: str, leaf: Leaf) -> None:
    """Returns when new connections see a certificate."""
    eventually(lambda: serial_of(address) == leaf.serial, "the new certificate is seen")


def test_who_was_connected_to_the_server_still_is(tmp_path: Path) -> None:
    placed = Placed(tmp_path / "tls", signed())
    with answering(Transport(placed.files)) as ports, AUTHORITY.channel(ports.address) as channel:
        before = am_i(channel).connection
        leaf = signed()
        placed.place(leaf)
        assert serial_of(ports.address) == leaf.serial
        assert am_i(channel).connection == before
        with AUTHORITY.channel(ports.address) as another:
            assert am_i(another).connection != before


@pytest.mark.parametrize("pairs", [Placed, Apart])
def test_a_pair_that_does_not_fit_keeps_the_old_one(
    on_sqlite: Callable[..., World], tmp_path: Path, capsys: pytest.CaptureFixture[str], pairs: type[Placed]
) -> None:
    stack = Stack(on_sqlite, tmp_path, pairs)
    token = stack.world.person().token
    said = ""

    def refused() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "Failed to reload certificates" in said

    with stack.fronted() as front, front.http(token) as http:
        eventually(lambda: healthy(front), "the gateway finds the server")
        for pair, address in ((stack.server, stack.address), (stack.gateway, front.address)):
            before, leaf = serial_of(address), signed()
            pair.place_chain(leaf.chain)  # type: ignore[union-attr]  # they are renamed into place
            if address == front.address:
                eventually(refused, "Envoy has tried")
            assert [serial_of(address) for _ in range(3)] == [before] * 3
            assert http.get(REST).status == 200
            replace(pair.files.key, leaf.key)
            seen(address, leaf)
            assert http.get(REST).status == 200


def test_another_authority_for_the_server_is_trusted_once_it_is_in_place(stack: Stack) -> None:
    successor = Authority()
    stack.server.place(successor.sign(*LOCAL))
    with stack.fronted() as front:
        assert [healthy(front) for _ in range(3)] == [False] * 3
        replace(stack.ca, AUTHORITY.pem + successor.pem)
        eventually(lambda: healthy(front), "the gateway trusts the successor, too")


def test_control_the_load_notices_a_server_that_does_not_go_on(tmp_path: Path) -> None:
    placed = Placed(tmp_path / "tls", signed())
    with ExitStack() as open_:
        ports = open_.enter_context(answering(Transport(placed.files)))
        with AUTHORITY.channel(ports.address) as channel, loads(partial(am_i, channel)) as (load,):
            load.goes_on()
            open_.close()
            eventually(lambda: load.failures, "a call fails")


# -- health ------------------------------------------------------------------------------------------------------------


def test_health_is_told_over_tls(stack: Stack) -> None:
    with AUTHORITY.channel(stack.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # missing in the stubs
        assert check(health_pb2.HealthCheckRequest(), timeout=20).status == health_pb2.HealthCheckResponse.SERVING
    with stack.fronted() as front:
        eventually(lambda: healthy(front), "the gateway finds the server")
        stack.world.deployment.server.announce_end()
        eventually(lambda: not healthy(front), "the gateway hears of the end")


def test_a_certificate_may_be_for_another_name_than_the_address(tmp_path: Path) -> None:
    placed = Placed(tmp_path / "tls", AUTHORITY.sign(dns("tenantry.internal")))
    override = ("grpc.ssl_target_name_override", "tenantry.internal")
    with answering(Transport(placed.files)) as ports, AUTHORITY.channel(ports.address, None, override) as channel:
        assert am_i(channel).principal is None
