"""A server on the real ports that answers every call with who it is by: the connection, and its certificate's principal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from tenantry_server import tls
from tenantry_server.rpc.certificates import certificate_principal
from tenantry_server.tls import ClientCertificates, Transport

_SERVICE = "tenantry.synthetic.Who"


@dataclass(frozen=True)
class Caller:
    """Who a server took us for. A principal by its credential; None is nobody."""

    connection: str
    principal: str | None
    kind: str
    permissions: list[str] | None


@dataclass(frozen=True)
class Ports:
    """Where the server listens."""

    address: str
    mtls_address: str


def _answer(clients: ClientCertificates | None, context: grpc.ServicerContext) -> bytes:
    found = certificate_principal(context, clients.principals, clients.revoked) if clients else None
    permissions = None if found is None or found.permissions is None else sorted(found.permissions)
    return json.dumps([context.peer(), found and found.credential_id, found.kind if found else "", permissions]).encode()


@contextmanager
def answering(transport: Transport | None) -> Iterator[Ports]:
    """Serves with a transport, as the server does."""
    clients = transport.clients if transport else None
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda _, context: _answer(clients, context))
    with ThreadPoolExecutor(4) as executor:
        server = grpc.server(executor)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Am": handler}),))
        port, mtls_port = tls.listen(server, "127.0.0.1:0", transport)
        server.start()
        try:
            yield Ports(f"127.0.0.1:{port}", f"127.0.0.1:{mtls_port}")
        finally:
            server.stop(grace=1).wait()


def am_i(channel: grpc.Channel, *metadata: tuple[str, str]) -> Caller:
    """Who a server takes us for. Raises grpc.RpcError."""
    ask: Any = channel.unary_unary(f"/{_SERVICE}/Am")
    return Caller(*json.loads(ask(b"", metadata=metadata, timeout=20)))
