"""Which addresses may be reached."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.errors import RecipeError
from microlens.network import NetworkPolicy

PUBLIC = NetworkPolicy([])


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_are_permitted(address):
    """The public internet may be crawled, by IPv4, by IPv6, and by IPv4 in IPv6."""
    assert PUBLIC.permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "fd00::1",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "100.64.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "239.255.255.250",
        "ff02::1",
        "ff0e::1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "2002:a00:1::1",
    ],
)
def test_no_address_of_ours_is_permitted(address):
    """Loopback, private, link-local, multicast, reserved and unspecified addresses are refused in every spelling."""
    assert not PUBLIC.permits(address)


@pytest.mark.parametrize(
    "address", ["", "site.test", "127.1", "0x7f000001", "2130706433", "8.8.8.8 ", "[::1]", "1.2.3.4/8"]
)
def test_what_is_no_address_is_refused(address):
    """Only an address that was resolved can be permitted."""
    assert not PUBLIC.permits(address)


def test_a_recipe_may_allow_networks():
    """What the recipe allows may be reached, and nothing beside it."""
    policy = NetworkPolicy(["127.0.0.0/8", "fd00::/8"])

    assert all(policy.permits(address) for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "8.8.8.8"))
    assert not any(policy.permits(address) for address in ("10.0.0.1", "::1", "fe80::1"))


@pytest.mark.parametrize("network", ["127.0.0.1/8", "10.0.0.0/33", "localhost", "", "::/129"])
def test_a_network_that_is_none_is_a_recipe_error(network):
    """A mistyped network is named, with networks that work beside it."""
    with pytest.raises(RecipeError, match=r"network\.allow") as refused:
        NetworkPolicy(["10.0.0.0/8", network])
    assert "127.0.0.0/8" in refused.value.hint


@given(st.ip_addresses(v=4))
def test_an_address_means_the_same_inside_ipv6(address):
    """IPv4 in IPv6 (mapped, NAT64, 6to4) is judged as the IPv4 address that it ends at."""
    number = int(address)
    mapped, nat64 = (
        ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number) for prefix in ("::ffff:0:0", "64:ff9b::")
    )
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (number << 80))

    assert {PUBLIC.permits(str(address))} == {PUBLIC.permits(str(each)) for each in (mapped, nat64, sixtofour)}


@given(st.ip_addresses())
def test_what_is_permitted_is_global(address):
    """No permitted address is private, loopback, link-local or multicast."""
    if PUBLIC.permits(str(address)):
        unwanted = (address.is_loopback, address.is_link_local, address.is_multicast, address.is_unspecified)

        assert not any(unwanted)
        assert address.is_global
