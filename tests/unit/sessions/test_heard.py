"""What is heard of routers: the latest record tells time and clock, however records come (rules R5.3, R10)."""

from itertools import permutations

from accounting_double import INTERIM, NOON_S, START, accounting

from aaad.sessions.heard import HeardRouters
from aaad.sessions.record import read

RECORDS = [
    read(accounting(START, NOON_S, stamp=int(NOON_S) + 7_200)),
    read(accounting(INTERIM, NOON_S + 300, stamp=int(NOON_S) + 300 + 3_600)),
    read(accounting(INTERIM, NOON_S + 600, stamp=int(NOON_S) + 600)),
    read(accounting(INTERIM, NOON_S + 900)),  # it says no time
]


def test_a_routers_clock_is_off_by_what_its_latest_stamped_record_says() -> None:
    for records in permutations(RECORDS):
        together, merged = HeardRouters(), HeardRouters()
        for record in records:
            together.note(record)
            one = HeardRouters()
            one.note(record)
            merged.merge(one)
        for heard in (together, merged):
            (router,) = heard.take()
            assert (router.at_s, router.clock_offset_s) == (NOON_S + 900, 0.0)
            assert heard.take() == []


def test_each_router_has_a_clock_of_its_own() -> None:
    heard = HeardRouters()
    for place in (1, 2):
        heard.note(read(accounting(START, NOON_S, stamp=int(NOON_S) + place, source=f"192.0.2.{place}")))
    assert [(one.source_address, one.clock_offset_s) for one in heard.take()] == [
        ("192.0.2.1", 1.0),
        ("192.0.2.2", 2.0),
    ]
