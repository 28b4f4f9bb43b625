"""What counts as the open internet, by a table that no release of Python changes (R-108, R-109,
S-034).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import OutOfFiles
from app.media.addresses import DENIED_V4, is_own, is_public, system_resolver
from tests.scarce import no_descriptors

DENIED_RANGES = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
    224.0.0.0/4 224.0.0.0/24 232.0.0.0/8 239.0.0.0/8 240.0.0.0/4 255.255.255.255/32
    ::/128 ::1/128 100::/64 fc00::/7 fd00::/8 fe80::/10 fec0::/10 ff00::/8 ff02::/16 ff0e::/16
    2001::/23 2001:2::/48 2001:10::/28 2001:20::/28 2001:db8::/32 3ffe::/16 3fff::/20 5f00::/16
    64:ff9b:1::/48 4000::/3 e000::/4 1000::/4 8000::/1
""".split()

METADATA = """
    169.254.169.254 169.254.170.2 169.254.169.123 100.100.100.200 192.0.0.192 168.63.129.16
    fd00:ec2::254 fd20:ce::254 fe80::a9fe:a9fe ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe
    2002:a9fe:a9fe:: ::a9fe:a9fe
""".split()

INSIDE = """
    127.0.0.1 127.0.0.2 127.1.2.3 127.255.255.254 0.0.0.0 0.0.0.1 10.1.2.3 10.255.255.254
    172.16.0.1 172.20.10.1 172.31.255.254 192.168.0.1 192.168.1.254 100.64.0.1 100.127.255.254
    198.18.0.1 198.19.255.254 192.0.0.8 192.0.0.170 224.0.0.1 239.255.255.250 240.0.0.1
    255.255.255.255 ::1 :: fe80::1 fec0::1 fc00::1 fdff::1 ff02::1 ff05::1:3
    ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:0:0 ::127.0.0.1 ::7f00:1 ::10.0.0.1
    64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::192.168.1.1 64:ff9b:1::7f00:1 64:ff9b:1:808:8:800::
    2002:7f00:1:: 2002:a00:1:: 2002:c0a8:101::1 2002:6440:1::
    2001:0:7f00:1:0:0:f7f7:f7f7 2001:0:808:808:0:0:f7f7:f7f7 ::8.8.8.8 2001:0:4136:e378:8000:63bf:f5ff:fffe
    fe80::1%eth0 fe80::1%1 2606:4700::1%eth0 1.1.1.1%eth0
""".split()

NO_ADDRESSES = ["", "localhost", "1.1.1", "1.1.1.1.1", "01.1.1.1", "1.1.1.1 ", "[::1]", "1::2::3"]

OPEN = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255
    128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255
    192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700:4700::1111 2001:4860:4860::8888
    2a00:1450::1 2400:cb00::1 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2002:808:808::1
""".split()


def edges(text: str) -> list[str]:
    network = IPv6Network(text) if ":" in text else IPv4Network(text)
    middle = network[network.num_addresses // 2]
    return [str(address) for address in {network[0], network[-1], middle}]


DENIED = sorted({*METADATA, *INSIDE, *NO_ADDRESSES, *(a for r in DENIED_RANGES for a in edges(r))})


def test_the_table_of_denied_addresses_is_long_enough() -> None:
    assert len(DENIED) >= 120


@pytest.mark.parametrize("address", DENIED)
def test_an_address_that_leads_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OPEN)
def test_an_address_on_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


# R-109 and M-25: the C library reads all of these, so only its answer can be judged
SPELLINGS = """
    127.0.0.1 2130706433 0x7f000001 0x7f.1 0x7F.0x0.0x0.0x1 017700000001 0177.0.0.1 0177.1 127.1
    127.0.1 0 0x0 00 127.0.0.1. ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 localhost localhost. LOCALHOST
    167772161 0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.43518 10.1 192.168.257
    64:ff9b::7f00:1 2002:7f00:1:: 2001:0:7f00:1:0:0:f7f7:f7f7 ::127.0.0.1 fe80::1%1
""".split()


@pytest.mark.parametrize("spelling", [*SPELLINGS, "①②⑦.0.0.1", "１２７.０.０.１", "127。0。0。1"])
def test_no_spelling_of_an_inner_address_gets_past_resolution(spelling: str) -> None:
    try:
        answers = system_resolver(spelling)
    except OSError:  # some C libraries do not read some of them, which is as good
        answers = []

    assert not any(is_public(answer) for answer in answers)


def test_the_system_resolver_gives_each_address_once() -> None:
    assert list(system_resolver("127.1")) == ["127.0.0.1"]


WRAPPERS = {
    "mapped": lambda inner: (0xFFFF << 32) | inner,
    "compatible": lambda inner: inner,
    "nat64": lambda inner: (0x64FF9B << 96) | inner,
    "local nat64": lambda inner: (0x64FF9B0001 << 80) | inner,
    "6to4": lambda inner: (0x2002 << 112) | (inner << 80),
    "6to4 with a host": lambda inner: (0x2002 << 112) | (inner << 80) | 0x1,
    "teredo relay": lambda inner: (0x20010000 << 96) | (inner << 64) | 0xF7F7F7F7,
    "teredo peer": lambda inner: (0x20010000 << 96) | (0x08080808 << 64) | (inner ^ 0xFFFFFFFF),
}

DENIED_INNER = st.sampled_from(DENIED_V4).flatmap(
    lambda network: st.integers(int(network[0]), int(network[-1]))
)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@given(inner=DENIED_INNER)
def test_a_denied_address_stays_denied_in_every_wrapping(wrapper: str, inner: int) -> None:
    wrapped = IPv6Address(WRAPPERS[wrapper](inner))

    assert (is_public(str(IPv4Address(inner))), is_public(str(wrapped))) == (False, False)


@given(st.ip_addresses(v=6).filter(lambda address: int(address) >> 125 != 1))
def test_nothing_outside_global_unicast_is_public_unless_it_carries_what_is(
    address: IPv6Address,
) -> None:
    carries = int(address) >> 32 in (0xFFFF, 0x64FF9B << 64)

    assert carries or not is_public(str(address))


@given(st.text(max_size=60))
def test_text_that_is_no_address_is_never_public(text: str) -> None:
    assert not is_public(text + "x")


@pytest.mark.parametrize(
    ("address", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("1.1.1.1", False), ("x", False), ("", False)],
)
def test_the_kernel_knows_which_addresses_are_ours(address: str, own: bool) -> None:
    assert is_own(address) is own


def test_without_descriptors_nobody_knows_whose_an_address_is() -> None:
    """R-145: not knowing is not a no, or the guard would be off."""
    with no_descriptors(), pytest.raises(OutOfFiles):
        is_own("127.0.0.1")
