"""Where a call comes from: whom a chain of proxies may speak for."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from tenantry_server.rpc.addresses import address_of

TRUSTED = (ip_network("127.0.0.0/8"), ip_network("::1"), ip_network("10.0.0.0/8"))


class _Context:
    """A call from a peer, with what proxies said."""

    def __init__(self, peer: str, *forwarded: str) -> None:
        self._peer = peer
        self._metadata = [("x-request-id", "x"), *(("x-forwarded-for", value) for value in forwarded)]

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self._metadata


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("ipv4:192.0.2.7:50000", (), "192.0.2.7"),
        ("ipv4:192.0.2.7:50000", ("198.51.100.1",), "192.0.2.7"),  # who is not trusted speaks for nobody
        ("ipv4:127.0.0.1:50000", (), "127.0.0.1"),
        ("ipv4:127.0.0.1:50000", ("192.0.2.7",), "192.0.2.7"),
        ("ipv4:127.0.0.1:50000", ("198.51.100.1, 192.0.2.7",), "192.0.2.7"),  # the rest anybody could have made up
        ("ipv4:127.0.0.1:50000", ("198.51.100.1", "192.0.2.7"), "192.0.2.7"),
        ("ipv4:127.0.0.1:50000", ("198.51.100.1, 192.0.2.7, 10.1.2.3",), "192.0.2.7"),
        ("ipv4:127.0.0.1:50000", ("10.1.2.3",), "10.1.2.3"),
        ("ipv4:127.0.0.1:50000", ("garbage",), "127.0.0.1"),
        ("ipv6:%5B::1%5D:50000", ("2001:db8:1:2:3:4:5:6",), "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:50000", (), "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:50000", (), "192.0.2.7"),
        ("unix:", (), ""),
    ],
)
def test_the_last_one_who_is_not_trusted_is_where_it_comes_from(peer: str, forwarded: tuple[str, ...], found: str) -> None:
    context: Any = _Context(peer, *forwarded)
    assert address_of(context, TRUSTED) == found
