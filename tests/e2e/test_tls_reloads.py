"""Who a client certificate stands for follows the operator's files: from the next call on, also on old connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
import structlog
from structlog.testing import LogCapture
from support.certificates import LOCAL, Authority, Leaf, Placed, dns, replace, uri
from support.rpc import Client
from support.who import Caller, am_i, answering
from support.world import World

from tenantry_server import ports, tls
from tenantry_server.bootstrap import Server
from tenantry_server.config import ConfigError, load
from tenantry_server.tls import Transport

pytest_plugins = ("support.only",)

KNOWN = frozenset({"user:read"})
AUTHORITY, SERVICES, STRANGER = Authority(), Authority(), Authority()
BILLING = "spiffe://example.org/billing"
LIST = "UserService.ListUsers"
ONE = f"principals: [{{spiffe: '{BILLING}', name: billing}}]"
OTHER = f"principals: [{{spiffe: '{BILLING}', name: accounts, permissions: [user:read]}}]"
AS_BILLING, AS_ACCOUNTS, NOBODY = ("certificate:billing", None), ("certificate:accounts", ["user:read"]), (None, None)


class Files:
    """An operator's files, and the server's transport by them."""

    def __init__(self, folder: Path) -> None:
        self.principals, self.revoked = folder / "principals.yaml", folder / "revoked.pem"
        self.principals.write_text(ONE)
        self.revoked.write_bytes(SERVICES.revoke())
        pair = Placed(folder / "tls", AUTHORITY.sign(*LOCAL)).files
        self._settings = {
            "GRPC_TLS_CERT_FILE": pair.chain,
            "GRPC_TLS_KEY_FILE": pair.key,
            "MTLS_ADDRESS": "127.0.0.1:0",
            "MTLS_CLIENT_CA_FILE": SERVICES.file(folder / "clients.crt"),
            "MTLS_PRINCIPALS_FILE": self.principals,
        }

    def transport(self, *, with_lists: bool = True) -> Transport:
        """The transport, with revocation lists or without."""
        more = {"MTLS_CRL_FILE": self.revoked} if with_lists else {}
        settings = {f"TENANTRY_{name}": str(value) for name, value in (self._settings | more).items()}
        found = ports.transport(load(settings), KNOWN)
        assert found is not None
        return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An operator's files."""
    return Files(tmp_path)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server says of files, from now on."""
    capture = LogCapture()
    monkeypatch.setattr(tls, "log", structlog.wrap_logger(None, [capture], structlog.BoundLogger))

    class Events(list[str]):
        def __iter__(self) -> Iterator[str]:
            return iter(entry["event"] for entry in capture.entries)

    return Events()


@contextmanager
def connected(transport: Transport, leaf: Leaf) -> Iterator[Callable[[], tuple[str | None, list[str] | None]]]:
    """Asks a server, over one connection, whom it takes the bearer of a certificate for."""
    with answering(transport) as running, AUTHORITY.channel(running.mtls_address, leaf) as channel:

        def who() -> tuple[str | None, list[str] | None]:
            caller: Caller = am_i(channel)
            return caller.principal, caller.permissions

        yield who


def test_the_file_of_principals_is_followed_on_connections_that_are_there(files: Files, warnings: list[str]) -> None:
    with connected(files.transport(), SERVICES.sign(uri(BILLING))) as who:
        assert who() == AS_BILLING
        replace(files.principals, OTHER.encode())
        assert who() == AS_ACCOUNTS
        replace(files.principals, b"principals: []")
        assert who() == NOBODY
        replace(files.principals, ONE.encode())
        assert who() == AS_BILLING
    assert list(warnings) == ["principals reloaded"] * 3


@pytest.mark.parametrize("content", [b"", b"principals: [", b"\xff", OTHER.replace("user:read", "no:such").encode(), None])
def test_a_file_of_principals_that_is_no_good_keeps_the_old_ones_and_warns_once(
    files: Files, warnings: list[str], content: bytes | None
) -> None:
    with connected(files.transport(), SERVICES.sign(uri(BILLING))) as who:
        if content is None:
            files.principals.unlink()
        else:
            replace(files.principals, content)
        assert [who(), who()] == [AS_BILLING] * 2
        assert list(warnings) == ["principals kept"]
        replace(files.principals, OTHER.encode())
        assert who() == AS_ACCOUNTS


def test_whose_certificate_is_revoked_is_nobody_from_the_next_call_on(files: Files, warnings: list[str]) -> None:
    revoked, other = (SERVICES.sign(uri(BILLING)) for _ in range(2))
    with connected(files.transport(), revoked) as who:
        assert who() == AS_BILLING
        replace(files.revoked, SERVICES.revoke(other))
        assert who() == AS_BILLING
        replace(files.revoked, SERVICES.revoke(other) + SERVICES.revoke(revoked))
        assert who() == NOBODY
    with connected(files.transport(), SERVICES.sign(uri(BILLING))) as who:
        assert who() == AS_BILLING
    assert list(warnings) == ["revocation lists reloaded"] * 2


def test_control_without_the_lists_a_revoked_certificate_goes_on_being_somebody(files: Files) -> None:
    revoked = SERVICES.sign(uri(BILLING))
    replace(files.revoked, SERVICES.revoke(revoked))
    with connected(files.transport(with_lists=False), revoked) as who:
        assert who() == AS_BILLING
    with connected(files.transport(), revoked) as who:
        assert who() == NOBODY


BAD_LISTS: dict[str, tuple[Callable[[Leaf], bytes | None], str]] = {
    "none": (lambda leaf: b"", "holds no revocation list in PEM"),
    "a certificate": (lambda leaf: leaf.chain, "holds no revocation list in PEM"),
    "cut off": (lambda leaf: SERVICES.revoke(leaf)[:-60], "holds no revocation list in PEM"),
    "a stranger's": (lambda leaf: STRANGER.revoke(leaf), "has a revocation list that is signed by none of the authorities"),
    "one of two a stranger's": (
        lambda leaf: SERVICES.revoke() + STRANGER.revoke(),
        "has a revocation list that is signed by none of the authorities",
    ),
    "a part": (lambda leaf: SERVICES.revoke(is_partial=True), "has a revocation list of a kind that is not understood"),
    "gone": (lambda leaf: None, "cannot be read: No such file or directory"),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_lists_that_are_no_good_keep_the_old_ones_and_the_server_from_starting(
    files: Files, warnings: list[str], name: str
) -> None:
    make, reason = BAD_LISTS[name]
    revoked = SERVICES.sign(uri(BILLING))
    replace(files.revoked, SERVICES.revoke(revoked))
    with connected(files.transport(), revoked) as who:
        content = make(revoked)
        files.revoked.unlink()
        if content is not None:
            files.revoked.write_bytes(content)
        assert [who(), who()] == [NOBODY] * 2
    assert list(warnings) == ["revocation lists kept"]
    with pytest.raises(ConfigError) as refusal:
        files.transport()
    assert str(refusal.value) == f"TENANTRY_MTLS_CRL_FILE: {files.revoked} {reason}"


def test_the_server_refuses_the_call_of_a_revoked_certificate(on_sqlite: Callable[..., World], files: Files) -> None:
    world = on_sqlite(make=partial(Server, transport=files.transport()), open_channel=AUTHORITY.channel)
    leaf = SERVICES.sign(uri(BILLING), dns("billing.internal"))
    with AUTHORITY.channel(f"127.0.0.1:{world.deployment.server.mtls_port}", leaf) as channel:
        assert list(Client(channel)(LIST).users) == []
        replace(files.revoked, SERVICES.revoke(leaf))
        refusal = Client(channel).refusal(LIST)
        assert refusal.seen == (grpc.StatusCode.UNAUTHENTICATED, "MISSING_CREDENTIAL", {})
