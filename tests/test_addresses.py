"""Addresses as two 64-bit halves."""

from ipaddress import IPv4Address, IPv6Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.addresses import address, addresses, halves

ADDRESS = st.ip_addresses()


@given(ADDRESS)
def test_the_text_of_an_address_reads_back_to_its_halves(ip):
    assert halves(address(*halves(ip))) == halves(ip)


@pytest.mark.parametrize("text", ["", "198.18.0", "198.18.0.256", "fe80::1::2", "example.com"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        halves(text)


def test_an_ipv4_address_stands_as_a_mapped_one():
    assert halves(IPv4Address("198.18.0.66")) == halves(IPv6Address("::ffff:198.18.0.66"))


@given(st.lists(ADDRESS))
def test_a_column_of_addresses_reads_like_each_of_them(ips):
    column = np.array([halves(ip) for ip in ips], np.uint64).reshape(-1, 2)
    assert addresses(column[:, 0], column[:, 1]) == [address(*halves(ip)) for ip in ips]
