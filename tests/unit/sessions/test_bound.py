"""What the ledger makes of an address that was given out while PostgreSQL was away (rule R7.2)."""

import pytest

from aaad.sessions.bound import Judged, Row, Verdict, judge, rounds_of
from aaad.spool.records import AddressBound

AT_S = 1_700_000_000.0
POOLS = {1}


def bound(
    *, login_id: int = 5, at_s: float = AT_S, address: str = "100.64.0.7/32", pool_id: int = 1, device: int = 77
) -> AddressBound:
    return AddressBound(1, 0, at_s, 1, pool_id, address, login_id, device, 3, 86_400)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (None, Judged(Verdict.BIND)),
        (Row("bound", 5, AT_S, None), Judged(Verdict.KNOWN)),
        (Row("bound", 5, AT_S + 9, None), Judged(Verdict.KNOWN)),
        (Row("bound", 5, AT_S - 9, None), Judged(Verdict.BIND)),
        (Row("bound", 6, AT_S - 9, None), Judged(Verdict.CONFLICT, "of_another", 6)),
        (Row("bound", 6, AT_S + 9, None), Judged(Verdict.CONFLICT, "of_another", 6)),
        (Row("fixed", 5, None, None), Judged(Verdict.KNOWN)),
        (Row("fixed", 6, None, None), Judged(Verdict.CONFLICT, "of_another", 6)),
        (Row("foreign", None, None, None), Judged(Verdict.BIND)),
        (Row("foreign", 5, None, None), Judged(Verdict.BIND)),
        (Row("foreign", 6, None, None), Judged(Verdict.CONFLICT, "of_another", 6)),
        # Given back to the pool before anybody knew of it.
        (Row("released", None, None, AT_S + 9), Judged(Verdict.BIND)),
        # Ended since.
        (Row("released", 5, AT_S, AT_S + 9), Judged(Verdict.LATE)),
        (Row("released", 5, AT_S - 99, AT_S - 9), Judged(Verdict.BIND)),
        # Another has had it since, or before, or for a while together.
        (Row("released", 6, AT_S + 5, AT_S + 9), Judged(Verdict.LATE)),
        (Row("released", 6, AT_S - 99, AT_S - 9), Judged(Verdict.BIND)),
        (Row("released", 6, AT_S - 99, AT_S + 9), Judged(Verdict.BIND, "of_another", 6)),
    ],
)
def test_r7_2_the_ledger_is_right_and_nothing_is_brought_back(row: Row | None, expected: Judged) -> None:
    assert judge(bound(), row, POOLS) == expected


def test_r7_2_an_address_of_a_pool_that_is_gone_is_marked_so_that_nobody_gets_it() -> None:
    gone = bound(pool_id=2)
    assert judge(gone, None, POOLS) == Judged(Verdict.MARK, "not_given")
    assert judge(gone, Row("foreign", 5, AT_S, None), POOLS) == Judged(Verdict.KNOWN, "not_given")
    assert judge(gone, Row("bound", 6, AT_S, None), POOLS) == Judged(Verdict.CONFLICT, "of_another", 6)


def test_records_come_in_rounds_in_which_each_address_comes_once() -> None:
    other = bound(address="100.64.0.6/32", login_id=9)
    first, again, its = bound(at_s=AT_S), bound(at_s=AT_S + 1), bound(at_s=AT_S + 2, login_id=8)
    assert rounds_of([its, other, again, first]) == [[other, again], [its]]
    assert rounds_of([]) == []
