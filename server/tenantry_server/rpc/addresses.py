"""Where a call comes from: the address of the connection or, through proxies that are trusted, the one that called them."""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import unquote

import grpc

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Whoever has one address of IPv6 has all of such a network.
_IPV6_PREFIX = 64


def address_of(context: grpc.ServicerContext, trusted: Iterable[Network]) -> str:
    """The address that a call counts against: for IPv6 its network.

    Every proxy adds whom it was called from to `x-forwarded-for`, at the end; what stands before the first one that is not
    trusted anybody could have made up.
    """
    found = _parsed(re.sub(r"^ipv[46]:\[?|\]?:\d+$", "", unquote(context.peer())))
    values = (value for key, value in context.invocation_metadata() if key == "x-forwarded-for")
    forwarded = [part for value in values for part in str(value).split(",")]
    while found is not None and forwarded and any(found in network for network in trusted):
        found = _parsed(forwarded.pop().strip()) or found
    return "" if found is None else _bucket(found)


def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _bucket(address: Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
