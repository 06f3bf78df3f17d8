"""Rows of the ledger on their way into the replica (rule R7.2)."""

from aaad.policy.lease import Lease, decode_leases
from aaad.replica.leases import LEASES_OF_LOGIN_MAX, compile_leases

FOUR = bytes((2, 32, 1, 4, 100, 64, 0, 7))
SIX = bytes((3, 56, 1, 16)) + bytes.fromhex("20010db8000700000000000000000000")


def test_each_login_has_its_leases_those_that_hold_longest_first() -> None:
    unusable: set[int] = set()
    found = compile_leases(
        [(5, 1, 77, 100.9, FOUR), (6, 1, 0, float("-inf"), FOUR), (5, 2, 78, 200.0, SIX)], unusable
    )
    assert {login_id: decode_leases(data) for login_id, data in found.items()} == {
        5: [Lease(2, 78, 200, 6, 0x20010DB8000700000000000000000000, 56), Lease(1, 77, 100, 4, 0x64400007, 32)],
        6: [Lease(1, 0, 0, 4, 0x64400007, 32)],
    }
    assert not unusable


def test_a_row_that_cannot_be_read_costs_itself_only() -> None:
    unusable: set[int] = set()
    rows = [
        (5, 1, 77, None, FOUR),
        (5, 1, 77, 100.0, FOUR),
        (6, 1, 77, 100.0, b""),
        (7, 1, 77, 100.0, b"\x09\x20\x01\x04"),
        (8, -1, 77, 100.0, FOUR),
    ]
    assert compile_leases(rows, unusable).keys() == {5}
    assert unusable == {5, 6, 7, 8}


def test_of_a_login_that_many_share_the_newest_leases_are_kept() -> None:
    rows = [(5, 1, number, 1000.0 + number, FOUR) for number in range(1, 1000)]
    kept = decode_leases(compile_leases(rows, set())[5])
    assert [lease.device for lease in kept] == list(range(999, 999 - LEASES_OF_LOGIN_MAX, -1))
