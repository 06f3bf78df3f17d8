"""Leases as the replica keeps them: found for the lease's own pool and device only, and not near its end (R7.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import ReplicaError
from aaad.policy.lease import (
    GUARD_S,
    Lease,
    decode_leases,
    device_of,
    encode_lease,
    encode_leases,
    find_lease,
    find_unit,
)

NOW_S = 1_800_000_000

leases = st.lists(
    st.builds(
        Lease,
        pool_id=st.integers(1, 3) | st.integers(1, 2**31 - 1),
        device=st.integers(0, 3) | st.integers(0, 2**63 - 1),
        valid_until_s=st.integers(NOW_S - 100, NOW_S + 100) | st.integers(0, 2**32 - 1),
        family=st.sampled_from((4, 6)),
        number=st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1),
        prefix_length=st.integers(0, 128),
    ),
    max_size=6,
)


@given(leases)
def test_what_is_encoded_is_decoded(of_login: list[Lease]):
    assert decode_leases(encode_leases(of_login)) == of_login


@given(leases, st.integers(1, 3), st.integers(0, 3))
def test_r7_2_found_is_what_looking_at_all_finds(of_login: list[Lease], pool_id: int, device: int):
    fitting = [
        lease
        for lease in of_login
        if lease.pool_id == pool_id and lease.device == device != 0 and lease.valid_until_s - 60 > NOW_S
    ]
    data = encode_leases(of_login)
    found = find_lease(data, pool_id, device, NOW_S)
    assert found == max(fitting, key=lambda lease: lease.valid_until_s, default=None)
    assert find_unit(data, pool_id, device, NOW_S) == (found and (found.number, found.prefix_length))


def test_r7_2_the_guard_is_a_minute_and_another_device_or_pool_asks_the_ledger():
    lease = Lease(7, 0xAABBCCDDEEFF, NOW_S + 1000, 4, 0x64400001, 32)
    data = encode_leases([lease])
    assert find_lease(data, 7, 0xAABBCCDDEEFF, NOW_S) == lease
    assert find_lease(data, 7, 0xAABBCCDDEEFF, NOW_S + 1000 - GUARD_S - 0.001) == lease
    assert find_lease(data, 7, 0xAABBCCDDEEFF, NOW_S + 1000 - GUARD_S) is None
    assert find_lease(data, 7, 0xAABBCCDDEEFE, NOW_S) is None
    assert find_lease(data, 8, 0xAABBCCDDEEFF, NOW_S) is None
    assert find_unit(data, 7, 0xAABBCCDDEEFF, NOW_S + 1000 - GUARD_S - 0.001) == (0x64400001, 32)
    assert find_unit(data, 7, 0xAABBCCDDEEFF, NOW_S + 1000 - GUARD_S) is None
    assert find_unit(data, 7, 0xAABBCCDDEEFE, NOW_S) is None
    assert find_unit(data, 8, 0xAABBCCDDEEFF, NOW_S) is None


def test_r7_2_a_device_that_nothing_tells_is_no_other():
    assert device_of(0, "", 3, "") == 0
    data = encode_leases([Lease(7, 0, NOW_S + 1000, 4, 1, 32)])
    assert find_lease(data, 7, 0, NOW_S) is None


def test_octets_that_are_no_leases_are_not_believed():
    with pytest.raises(ReplicaError):
        decode_leases(encode_leases([Lease(7, 0, NOW_S, 4, 1, 32)])[:-1])
    assert decode_leases(b"") == []


@given(st.text(), st.integers(1, 2**31 - 1), st.text())
def test_a_device_fits_a_column_and_is_no_mac(calling: str, nas_id: int, port: str):
    device = device_of(0, calling, nas_id, port)
    assert device == device_of(0, calling, nas_id, port)
    if calling or port:
        assert 2**62 <= device < 2**63


def test_devices_are_told_by_mac_first_then_by_name_then_by_port_of_the_nas():
    assert device_of(0xAABBCCDDEEFF, "x", 3, "ether1") == 0xAABBCCDDEEFF
    assert device_of(0, "x", 3, "ether1") == device_of(0, "x", 4, "ether2")
    assert device_of(0, "", 3, "ether1") != device_of(0, "", 4, "ether1")
    assert device_of(0, "ether1", 3, "") != device_of(0, "", 3, "ether1")
    assert device_of(0, "x", 3, "") == 0x584928956253ECED  # every node says the same, now and later


def test_one_lease_of_a_packed_address_has_the_same_octets() -> None:
    four = encode_lease(7, 78, NOW_S, 4, 32, bytes((100, 64, 0, 7)))
    assert four == encode_leases([Lease(7, 78, NOW_S, 4, 0x64400007, 32)])
    number = 0x20010DB8000700000000000000000000
    six = encode_lease(7, 78, NOW_S, 6, 56, number.to_bytes(16, "big"))
    assert six == encode_leases([Lease(7, 78, NOW_S, 6, number, 56)])
