"""Daytona's published Python client, connected to a gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from daytona_api_client import ApiClient, Configuration
from support.gateway import Front
from support.world import Person

Connect = Callable[[Person | str], ApiClient]


@contextmanager
def connecting(gateway: Front) -> Iterator[Connect]:
    """Makes clients, for people or tokens; all of them are closed at the end."""
    with ExitStack() as stack:

        def connected(caller: Person | str) -> ApiClient:
            token = caller if isinstance(caller, str) else caller.token
            client = ApiClient(Configuration(host=f"http://{gateway.address}/api", access_token=token))
            stack.callback(client.rest_client.pool_manager.clear)
            return client

        yield connected
