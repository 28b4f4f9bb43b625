"""Which network addresses a caller's URL may lead to.

The text of a host proves nothing: `2130706433`, `0x7f.1` and `127.1` all resolve to 127.0.0.1. So
only what a name resolved to is judged, and always by the table below. The flags of `ipaddress`
alone are no guard: `is_global` is true for multicast, for fec0::/10 and for 127.0.0.1 wrapped in
NAT64 or 6to4, and what it says has changed between Python releases.

An IPv6 address that carries an IPv4 one is judged by what it carries, because that is where the
packets end up on a network that unwraps it. Teredo and the old IPv4-compatible form are denied
whole.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from app.descriptors import check_descriptors

Resolver = Callable[[str], Sequence[str]]

DENIED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches our own listeners
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; 100.100.100.200 is a cloud's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent, on an address that looks public
        "169.254.0.0/16",  # link-local; 169.254.169.254 is most clouds' metadata service
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112, answers DNS only
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast at its end
    )
)

UNICAST_V6 = IPv6Network("2000::/3")  # all of IPv6 that was ever given out for the open internet

DENIED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks, anycast services
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the old 6bone
        "3fff::/20",  # documentation
    )
)

_NAT64 = IPv6Network(
    "64:ff9b::/96"
)  # 64:ff9b:1::/48 is for local use: never public, whatever it carries
_LOW_32 = 0xFFFFFFFF
_NOBODYS = {4: "192.0.2.1", 6: "2001:db8::1"}  # documentation: no host has them


def is_public(text: str) -> bool:
    """Whether `text` is an address on the open internet. Anything that is not an address is not."""
    if "%" in text:  # a zone only makes sense on a link of ours
        return False
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if carried := _carried(address):
        return _is_public_v4(carried)
    return address in UNICAST_V6 and not any(address in network for network in DENIED_V6)


def is_own(text: str) -> bool:
    """Whether the address is one of this host's, as far as its interfaces know.

    Only an address of ours can be bound to, unless the system lets anything be bound
    (`ip_nonlocal_bind`); then nothing is known and the answer is no. Nothing is sent. A public
    address that a router in front of us translates is not seen either: the firewall has to cover
    that one.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return _can_bind(text) and not _can_bind(_NOBODYS[address.version])


def system_resolver(host: str) -> Sequence[str]:
    """Every address the system knows for `host`, best first, each once; `OSError` when none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        check_descriptors(error)  # or nothing was found out
        return False
    return True


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in DENIED_V4)


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & _LOW_32)
    return None
