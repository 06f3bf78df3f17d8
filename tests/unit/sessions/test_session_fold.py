"""The fold by name: each complaint of other systems' users that it answers, and what identity, time and octets obey.

What people complain of in other systems (field.md 4, items 1 to 17), and where it is shown here or elsewhere:

1. a stale session blocks a login: `test_field_1_*` and `test_field_8_*` of endings by other evidence,
   `test_r5_4_after_a_power_cut_all_get_in_at_once` of simultaneous use
2. cleaned up after days: `test_field_2_*` of endings by other evidence; rule R5.3
3. a NAS that cannot be asked: `test_r5_4_item_3_a_silent_nas_keeps_nobody_out_*` of simultaneous use
4. no Stop ever: `test_item_4_without_a_stop_the_row_says_until_when_it_is_certain`; ended by `truth`
5. a cleaner that closes all: `test_field_5_*` of endings, `test_complaint_5_*` of lost sessions
6. lost accounting: `test_item_6_any_one_record_is_enough_to_know_the_session`
7. ids used again: `test_item_7_*`
8. a newer session of the same port: `test_field_8_*` of endings, which have NAS-Port and MAC from here
9. `test_item_9_an_interim_after_the_stop_opens_no_second_row`
10. `test_item_10_*`
11. `test_item_11_*`
12. `test_item_12_*`
13. `test_item_13_*`
14. `test_item_14_directions_are_the_customers_whatever_the_nas_calls_them`
15. `test_item_15_an_interim_storm_costs_no_space`
16. lost Stops that cut off who is online: `truth`; `test_item_16_a_lost_stop_touches_no_later_session`
17. `test_item_17_*`
"""

import json
from itertools import permutations

import pytest
from accounting_double import DAY_S, INTERIM, NOON_S, START, STOP, ZONE, accounting, attribute, our_class
from reference_fold import in_order, of_facts

from aaad.errors import SpoolError
from aaad.sessions.fold import TIMELESS_MAX, Folded, StoredLife, fold
from aaad.sessions.record import read
from aaad.sessions.summary import RECENT_MAX, SessionFacts, decode
from aaad.spool.records import Accounting

GIGA = 2**32


class Table:
    """The rows of one family, as PostgreSQL would keep them."""

    def __init__(self) -> None:
        self.stored: dict[int, StoredLife] = {}
        self.facts: dict[int, SessionFacts] = {}

    def take(self, *records: Accounting, zone: str = ZONE) -> Folded:
        """Fold records in and keep what came out."""
        changes = fold(list(self.stored.values()), [read(record) for record in records], zone)
        for life in changes.removed:
            del self.stored[life], self.facts[life]
        for life in changes.lives:
            self.stored[life.life] = StoredLife(life.life, life.version + 1, life.summary)
            self.facts[life.life] = life.facts
        return changes

    @property
    def rows(self) -> list[SessionFacts]:
        """All rows, the session that began first before the others."""
        return sorted(self.facts.values(), key=lambda facts: (facts.started_at, facts.grant_serial or 0))

    @property
    def row(self) -> SessionFacts:
        (row,) = self.rows
        return row


def rows_of(*records: Accounting, zone: str = ZONE) -> list[SessionFacts]:
    """Fold one batch of one family, and see that other orders, one by one and repeated, end in the same."""
    table = Table()
    table.take(*records, zone=zone)
    expected = in_order(map(of_facts, table.rows))
    for order in [records[::-1]] if len(records) > 4 else permutations(records):
        other = Table()
        for record in order:
            other.take(record, zone=zone)
        other.take(*order, zone=zone)
        assert in_order(map(of_facts, other.rows)) == expected
    return table.rows


def row_of(*records: Accounting, zone: str = ZONE) -> SessionFacts:
    (row,) = rows_of(*records, zone=zone)
    return row


def start(at_s: float = 0, **values: object) -> Accounting:
    """A Start, so many seconds after noon."""
    return accounting(START, NOON_S + at_s, **values)  # type: ignore[arg-type]


def interim(at_s: float, time_s: int | None, **values: object) -> Accounting:
    """An Interim-Update, so many seconds after noon."""
    return accounting(INTERIM, NOON_S + at_s, time_s=time_s, **values)  # type: ignore[arg-type]


def stop(at_s: float, time_s: int | None, **values: object) -> Accounting:
    """A Stop, so many seconds after noon."""
    return accounting(STOP, NOON_S + at_s, time_s=time_s, **{"cause": 1, **values})  # type: ignore[arg-type]


# --- A session ------------------------------------------------------------------------------------------------------


def test_a_session_from_start_to_stop() -> None:
    values = {
        "grant": 41,
        "mac": b"1A:BB:CC:DD:EE:01",
        "called": b"pppoe-srv1",
        "port": 15_728_641,
        "port_id": b"vlan100",
        "ipv4": "100.64.1.2",
        "delegated": "2001:db8:ab::/56",
    }
    row = row_of(
        start(stamp=int(NOON_S), **values),
        interim(300.5, 300, octets=(1000, 5 * GIGA), packets=(10, 20), stamp=int(NOON_S) + 300, **values),
        stop(450, 450, octets=(1500, 6 * GIGA), packets=(15, 30), stamp=int(NOON_S) + 450, **values),
    )
    assert row == SessionFacts(
        acct_session_id="81a00001",
        user_name="joao",
        login_id=7,
        contract_id=8,
        plan_id=9,
        time_zone=ZONE,
        grant_node=1,
        grant_slot=0,
        grant_serial=41,
        grant_fingerprint=0xF00D,
        nas_id=1,
        source_address="192.0.2.1",
        nas_identifier=b"bng-1",
        nas_port=15_728_641,
        nas_port_id="vlan100",
        called_station_id="pppoe-srv1",
        calling_station_id="1A:BB:CC:DD:EE:01",
        mac="1a:bb:cc:dd:ee:01",
        circuit_id=None,
        ipv4="100.64.1.2",
        ipv6_prefix=None,
        delegated_ipv6_prefix="2001:db8:ab:0:0:0:0:0/56",
        started_at=NOON_S,
        start_seen=True,
        heard_at=NOON_S + 450,
        ended_at=NOON_S + 450,
        terminate_cause=1,
        interim_s=300,
        nas_started_at=int(NOON_S),
        nas_heard_at=int(NOON_S) + 450,
        session_time_s=450,
        octets_in=1500,
        octets_out=6 * GIGA,
        packets_in=15,
        packets_out=30,
        days=(20_833,),
        day_octets_in=(1500,),
        day_octets_out=(6 * GIGA,),
        records=3,
        address_changes=None,
    )


def test_a_record_that_changes_nothing_writes_nothing() -> None:
    table = Table()
    records = start(grant=1), interim(300, 300, grant=1)
    assert len(table.take(*records).lives) == 1
    assert table.take(*records) == Folded([], [])
    assert table.take(records[1]) == Folded([], [])


def test_a_row_keeps_its_name_and_says_which_version_it_follows() -> None:
    table = Table()
    first = table.take(start(grant=1)).lives[0]
    second = table.take(interim(300, 300, grant=1)).lives[0]
    assert (first.version, second.version) == (0, 1)
    assert first.life == second.life
    assert 0 <= first.life < 2**31


def test_a_summary_that_cannot_be_read_is_said() -> None:
    for summary in (b"", b"\x92\x01\x90", b"\x92\x63\x90", b"rubbish"):
        with pytest.raises(SpoolError, match="summary"):
            fold([StoredLife(1, 1, summary)], [read(start())], ZONE)


def test_columns_that_nothing_was_said_of_are_null() -> None:
    row = row_of(start())
    assert (row.login_id, row.grant_serial, row.nas_port, row.mac, row.ipv4, row.ended_at, row.interim_s) == (
        None,
    ) * 7
    assert (row.days, row.octets_in, row.records) == ((), 0, 1)


# --- Complaints of other systems' users ----------------------------------------------------------------------------


def test_item_4_without_a_stop_the_row_says_until_when_it_is_certain() -> None:
    row = row_of(start(), interim(300, 300), interim(600, 600))
    assert (row.ended_at, row.heard_at, row.interim_s) == (None, NOON_S + 600, 300)


@pytest.mark.parametrize("record", [start(), interim(0, 300), interim(0, None), stop(0, 300), stop(0, 0)])
def test_item_6_any_one_record_is_enough_to_know_the_session(record: Accounting) -> None:
    row = row_of(record)
    assert (row.records, row.user_name, row.source_address) == (1, "joao", "192.0.2.1")


def test_item_7_an_id_used_again_after_a_reboot_is_another_session() -> None:
    first, second = rows_of(
        start(0, ipv4="100.64.0.1"),
        interim(300, 300, octets=(100, 900)),
        start(4000, ipv4="100.64.0.2"),
        interim(4300, 300, octets=(5, 6)),
    )
    assert (first.ipv4, first.octets_out, first.heard_at) == ("100.64.0.1", 900, NOON_S + 300)
    assert (second.ipv4, second.octets_out, second.started_at) == ("100.64.0.2", 6, NOON_S + 4000)


def test_item_7_an_id_used_again_within_a_second_is_told_by_class() -> None:
    first, second = rows_of(
        start(0, grant=1, ipv4="100.64.0.1"),
        start(0.4, grant=2, ipv4="100.64.0.2"),
        stop(10, 10, grant=1, octets=(1, 2)),
        stop(500, 500, grant=2, octets=(3, 4)),
    )
    assert (first.grant_serial, first.ipv4, first.session_time_s) == (1, "100.64.0.1", 10)
    assert (second.grant_serial, second.ipv4, second.session_time_s) == (2, "100.64.0.2", 500)


def test_item_7_one_id_at_two_concentrators_is_two_sessions() -> None:
    assert len(rows_of(start(), start(1, nas_id=2, identifier=b"bng-2"))) == 2
    assert len(rows_of(start(), start(1, identifier=b"bng-2"))) == 2
    assert len(rows_of(start(identifier=b""), start(1, identifier=b"", source="192.0.2.9"))) == 2


def test_item_7_grants_of_two_nodes_with_one_number_are_two() -> None:
    other = Accounting(
        1, "192.0.2.1", b"bng-1", NOON_S, start().attributes + attribute(25, our_class(1, node=2)), True
    )
    assert len(rows_of(start(grant=1), other)) == 2


def test_item_9_an_interim_after_the_stop_opens_no_second_row() -> None:
    for grant in (None, 1):
        row = row_of(
            start(grant=grant),
            stop(600, 600, octets=(10, 20), grant=grant),
            interim(601, 600, octets=(10, 20), grant=grant),
        )
        assert (row.ended_at, row.terminate_cause, row.records, row.octets_in) == (NOON_S + 600, 1, 3, 10)


def test_item_10_a_time_that_begins_again_under_one_id_is_another_session_and_takes_nothing_away() -> None:
    first, second = rows_of(
        interim(3600, 3600, octets=(1000, 9000)), interim(4000, 200, octets=(1, 2)), interim(4200, 400, octets=(3, 4))
    )
    assert (first.session_time_s, first.octets_in) == (3600, 1000)
    assert (second.session_time_s, second.octets_in, second.started_at) == (400, 3, NOON_S + 3800)


def test_item_10_a_time_that_begins_again_under_one_grant_is_never_less() -> None:
    row = row_of(interim(3600, 3600, octets=(1000, 9000), grant=1), interim(4000, 200, octets=(1, 2), grant=1))
    assert (row.session_time_s, row.octets_in, row.octets_out) == (3600, 1000, 9000)


def test_item_11_a_source_address_that_changes_is_one_session_by_class() -> None:
    row = row_of(
        start(grant=1, source="10.0.0.1", identifier=b""),
        interim(300, 300, grant=1, source="203.0.113.9", identifier=b"", octets=(10, 20)),
        stop(600, 600, grant=1, source="203.0.113.9", identifier=b"", octets=(20, 40)),
    )
    assert (row.session_time_s, row.octets_in, row.source_address, row.records) == (600, 20, "203.0.113.9", 3)


def test_item_11_it_is_one_session_by_nas_identifier_too() -> None:
    row = row_of(start(source="10.0.0.1"), interim(300, 300, source="203.0.113.9"))
    assert (row.records, row.source_address) == (2, "203.0.113.9")


def test_item_12_gigawords() -> None:
    row = row_of(start(), interim(300, 300, octets=(7 * GIGA + 1, 2)), stop(400, 400, octets=(7 * GIGA + 5, GIGA)))
    assert (row.octets_in, row.octets_out) == (7 * GIGA + 5, GIGA)


def test_item_12_a_nas_without_gigawords_wraps() -> None:
    counters = [(4_000_000_000, 10), (100, 20), (3_000_000_000, 30), (5, 40)]
    row = row_of(
        *(interim(300 * n, 300 * n, octets=pair, gigawords=False) for n, pair in enumerate(counters, 1)),
    )
    assert (row.octets_in, row.octets_out) == (2 * GIGA + 5, 40)


def test_item_12_a_wrap_across_midnight_counts_on_the_day_that_reported_it() -> None:
    row = row_of(
        interim(0, 300, octets=(4_000_000_000, 1), gigawords=False),
        interim(DAY_S, 300 + DAY_S, octets=(1000, 2), gigawords=False),
    )
    assert (row.days, row.day_octets_in) == ((20_833, 20_834), (4_000_000_000, GIGA + 1000))


def test_item_12_gigawords_said_only_when_they_are_not_zero() -> None:
    row = row_of(
        interim(300, 300, octets=(4_000_000_000, 1), gigawords=False),
        interim(600, 600, octets=(100, 1), gigawords=False),
        interim(900, 900, octets=(GIGA + 5, 1)),
    )
    assert row.octets_in == GIGA + 5


def test_item_13_a_stop_without_octets_takes_nothing_away() -> None:
    row = row_of(start(), interim(300, 300, octets=(10, 20)), stop(400, 400))
    assert (row.octets_in, row.octets_out, row.session_time_s, row.ended_at) == (10, 20, 400, NOON_S + 400)


@pytest.mark.parametrize("gigawords", [False, True])
@pytest.mark.parametrize("time_s", [0, 400])
def test_item_13_zero_counters_at_a_lost_carrier_take_nothing_away(gigawords: bool, time_s: int) -> None:
    row = row_of(
        start(),
        interim(300, 300, octets=(10, 20), gigawords=gigawords),
        stop(400, time_s, octets=(0, 0), gigawords=gigawords, cause=2),
    )
    assert (row.octets_in, row.octets_out, row.terminate_cause) == (10, 20, 2)
    assert row.session_time_s == max(300, time_s)
    assert row.ended_at == NOON_S + 400


def test_item_13_one_direction_of_zero_takes_nothing_away() -> None:
    row = row_of(
        interim(300, 300, octets=(10, 20), gigawords=False),
        interim(600, 600, octets=(0, 30), gigawords=False),
        interim(900, 900, octets=(15, 0), gigawords=False),
    )
    assert (row.octets_in, row.octets_out) == (15, 30)


def test_item_14_directions_are_the_customers_whatever_the_nas_calls_them() -> None:
    row = row_of(interim(300, 300, octets=(5 * GIGA, 7), packets=(3, 1), swapped=True))
    assert (row.octets_in, row.octets_out, row.packets_in, row.packets_out) == (7, 5 * GIGA, 1, 3)


def test_item_15_an_interim_storm_costs_no_space() -> None:
    table = Table()
    for number in range(1, 2000):
        table.take(interim(5 * number, 5 * number, octets=(number, number), grant=1))
    assert (table.row.interim_s, table.row.records, table.row.octets_in) == (5, 1999, 1999)
    assert all(len(life.summary) < 600 for life in table.stored.values())


def test_item_15_the_interval_is_the_sessions_own() -> None:
    """An update right after the Start, as for an IPv6 address, tells of none: nobody is silent after five seconds."""
    assert row_of(start(0)).interim_s is None
    assert row_of(start(0), interim(2, 2)).interim_s is None
    assert row_of(start(0), interim(300, 300)).interim_s == 300
    assert row_of(start(0), interim(2, 2), interim(302, 302)).interim_s == 300
    assert row_of(start(0), *(interim(5 * n, 5 * n) for n in range(1, 9))).interim_s == 5, "a storm has its own"


def test_item_16_a_lost_stop_touches_no_later_session() -> None:
    first, second = rows_of(start(0, grant=1), start(900, grant=2), stop(1500, 600, grant=2))
    assert (first.ended_at, second.ended_at) == (None, NOON_S + 1500)


def test_item_17_an_interim_without_a_start_tells_when_it_began() -> None:
    row = row_of(interim(900.4, 900), interim(600, 600))
    assert (row.started_at, row.start_seen, row.records) == (NOON_S, False, 2)


def test_item_17_a_stop_alone_is_a_whole_session() -> None:
    row = row_of(stop(900, 900, octets=(1, 2)))
    assert (row.started_at, row.ended_at, row.octets_out) == (NOON_S, NOON_S + 900, 2)


def test_item_17_an_interim_before_its_start() -> None:
    table = Table()
    table.take(interim(300, 300, octets=(1, 2)))
    assert not table.row.start_seen
    table.take(start(1))
    assert (table.row.start_seen, table.row.started_at, table.row.records) == (True, NOON_S + 1, 2)


# --- Identity -------------------------------------------------------------------------------------------------------


def test_r4_6_a_record_without_class_belongs_to_the_grant_that_began_then() -> None:
    first, second = rows_of(
        start(0, grant=1), start(1000, grant=2), interim(1300, 300, octets=(1, 2)), stop(700, 700, octets=(8, 9))
    )
    assert (first.grant_serial, first.ended_at, first.octets_in) == (1, NOON_S + 700, 8)
    assert (second.grant_serial, second.ended_at, second.octets_in) == (2, None, 1)


def test_r4_6_of_two_grants_the_nearer_one() -> None:
    first, second = rows_of(start(0, grant=1), start(100, grant=2), stop(390, 300, octets=(8, 9)))
    assert (first.octets_in, second.octets_in) == (0, 8)


def test_r4_6_of_two_grants_equally_near_always_the_same() -> None:
    first, second = rows_of(start(0, grant=1), start(200, grant=2), stop(400, 300, octets=(8, 9)))
    assert (first.octets_in, second.octets_in) == (8, 0)


def test_r4_6_a_grant_of_another_router_is_not_asked() -> None:
    assert len(rows_of(start(0, grant=1), interim(300, 300, identifier=b"bng-2"))) == 2


def test_r4_6_a_grant_that_began_at_another_time_takes_no_record_without_class() -> None:
    assert len(rows_of(start(0, grant=1), interim(300 + 120, 300))) == 1
    assert len(rows_of(start(0, grant=1), interim(300 + 121, 300))) == 2


def test_two_sessions_become_one_when_a_record_joins_them() -> None:
    table = Table()
    table.take(start(0))
    table.take(interim(500, 300))
    assert [row.started_at for row in table.rows] == [NOON_S, NOON_S + 200]
    changes = table.take(interim(700, 600))
    assert len(changes.removed) == 1
    assert (table.row.records, table.row.started_at) == (3, NOON_S)


def test_a_chain_of_starts_is_one_session_also_when_its_links_come_together() -> None:
    table = Table()
    table.take(start(0))
    table.take(start(425))
    table.take(*(interim(1000 + start_s, 1000) for start_s in (100, 300, 200, 310)))
    assert (table.row.started_at, table.row.session_time_s) == (NOON_S, 1000)


def test_all_records_count_where_two_long_sessions_become_one() -> None:
    table = Table()
    early = [interim(300 * n, 300 * n) for n in range(1, 90)]
    late = [interim(200 + 301 * n, 301 * n) for n in range(100, 190)]
    table.take(*early)
    table.take(*late)
    assert [row.records for row in table.rows] == [89, 90]
    table.take(interim(300 * 200 + 100, 300 * 200))
    assert table.row.records == 180


def test_parts_of_two_zones_are_of_one_in_any_order() -> None:
    for zones in permutations(("America/Noronha", "America/Manaus")):
        table = Table()
        table.take(start(grant=1), zone=zones[0])
        table.take(interim(300, 300), zone=zones[1])
        assert (table.row.records, table.row.time_zone) == (2, "America/Manaus")


def test_a_late_class_joins_what_stood_alone() -> None:
    table = Table()
    table.take(start(0))
    table.take(interim(300, 300, grant=9))
    assert (table.row.grant_serial, table.row.login_id, table.row.records) == (9, 7, 2)


def test_a_stop_without_time_ends_the_session_that_began_last_before_it() -> None:
    for time_s in (None, 0):
        first, second = rows_of(start(0), start(4000), stop(9000, time_s))
        assert (first.ended_at, second.ended_at) == (None, NOON_S + 9000)
        first, second = rows_of(start(0), start(4000), stop(3000, time_s))
        assert (first.ended_at, second.ended_at) == (NOON_S + 3000, None)


def test_a_record_without_time_right_after_a_start_is_kept_with_it() -> None:
    table = Table()
    table.take(start(0))
    table.take(interim(0.3, 0))
    (stored,) = table.stored.values()
    assert (table.row.records, len(decode(stored.summary))) == (2, 1)


def test_a_record_without_time_between_two_starts_is_of_the_first() -> None:
    for time_s in (None, 0):
        for later_s in (100, 199, 250):
            first, second = rows_of(start(0), start(251), interim(later_s, time_s, octets=(1, 2)))
            assert (first.octets_in, second.octets_in) == (1, 0)
    first, second = rows_of(start(0, grant=1), start(100, grant=2), interim(99, None, octets=(1, 2)))
    assert (first.octets_in, second.octets_in) == (1, 0)


def test_a_record_without_time_after_two_starts_is_of_the_second() -> None:
    first, second = rows_of(start(0), start(150), interim(200, None, octets=(1, 2)))
    assert (first.octets_in, second.octets_in) == (0, 1)


def test_a_record_without_time_before_two_starts_is_of_the_first() -> None:
    first, second = rows_of(start(50, grant=1), start(90, grant=2), interim(0, None, octets=(1, 2)))
    assert (first.octets_in, second.octets_in) == (1, 0)


def test_a_record_without_time_just_before_the_only_start_is_of_it() -> None:
    assert row_of(interim(-0.4, 0), start(0)).records == 2
    assert len(rows_of(interim(-121, 0), start(0))) == 2


def test_a_record_without_time_waits_for_the_session_that_it_is_of() -> None:
    table = Table()
    table.take(stop(9000, None, octets=(1, 2)))
    table.take(start(0))
    assert (table.row.ended_at, table.row.records) == (NOON_S + 9000, 2)
    table.take(start(4000))
    first, second = table.rows
    assert (first.ended_at, first.octets_in, second.ended_at, second.octets_in) == (None, 0, NOON_S + 9000, 1)


def test_a_nas_that_never_says_the_time_stays_one_row_of_bounded_size() -> None:
    table = Table()
    for number in range(1, 60):
        table.take(interim(300 * number, None, octets=(number, number), stamp=int(NOON_S) + 300 * number))
    assert (table.row.records, table.row.octets_in, table.row.started_at) == (59, 59, NOON_S + 300)
    assert all(len(life.summary) < 300 * (TIMELESS_MAX + 2) for life in table.stored.values())
    table.take(start(0))
    assert (table.row.records, table.row.start_seen) == (60, True)


def test_names_of_new_lives_differ_from_those_that_history_may_keep() -> None:
    lives = {Table().take(start(grant=serial)).lives[0].life for serial in range(200)}
    lives |= {Table().take(start(4000.0 * number)).lives[0].life for number in range(200)}
    assert len(lives) == 400
    assert Table().take(start(grant=3)).lives[0].life == Table().take(stop(900, 900, grant=3)).lives[0].life


# --- Repetition -----------------------------------------------------------------------------------------------------


def test_r5_1_a_repetition_with_another_delay_is_the_same_record() -> None:
    row = row_of(
        interim(300, 300, octets=(1, 2), delay_s=0),
        interim(305, 300, octets=(1, 2), delay_s=5),
        interim(310.2, 300, octets=(1, 2), delay_s=10),
    )
    assert (row.records, row.heard_at) == (1, pytest.approx(NOON_S + 300.2))


def test_a_repeated_stop_ends_the_session_when_it_was_first_said() -> None:
    row = row_of(start(), stop(600, 600), stop(640, 600), stop(620, 600))
    assert (row.ended_at, row.records) == (NOON_S + 600, 2)


def test_the_stop_that_knows_most_counts() -> None:
    row = row_of(stop(600, 600, cause=1), stop(700, 0, cause=2), stop(650, 650, cause=3))
    assert (row.ended_at, row.terminate_cause) == (NOON_S + 650, 3)


def test_records_are_counted_once_as_far_as_the_newest_are_known() -> None:
    table = Table()
    records = [interim(300 * n, 300 * n, grant=1) for n in range(1, RECENT_MAX + 37)]
    table.take(*records)
    assert table.row.records == RECENT_MAX + 36
    table.take(*records[-RECENT_MAX:])
    assert table.row.records == RECENT_MAX + 36


# --- Time and days --------------------------------------------------------------------------------------------------


def test_r5_1_routers_that_boot_in_1970() -> None:
    row = row_of(start(stamp=60), interim(300, 300, stamp=360), stop(600, 600, stamp=660))
    assert (row.started_at, row.heard_at, row.ended_at) == (NOON_S, NOON_S + 300 + 300, NOON_S + 600)
    assert (row.nas_started_at, row.nas_heard_at) == (60, 660)


def test_r5_1_a_clock_that_is_set_within_the_session_makes_no_second_one() -> None:
    row = row_of(start(stamp=int(NOON_S) - 290), interim(300, 300, stamp=int(NOON_S) + 300))
    assert (row.records, row.started_at) == (2, NOON_S - 290)


def test_r5_5_usage_is_of_the_day_that_reported_it() -> None:
    row = row_of(
        interim(0, 300, octets=(10, 100)),
        interim(600, 900, octets=(20, 150)),
        interim(DAY_S, DAY_S + 300, octets=(25, 400)),
        interim(3 * DAY_S, 3 * DAY_S + 300, octets=(30, 500)),
    )
    assert row.days == (20_833, 20_834, 20_836)
    assert (row.day_octets_in, row.day_octets_out) == ((20, 25, 30), (150, 400, 500))


def test_r5_5_a_late_record_of_an_earlier_day_moves_the_next_one_too() -> None:
    table = Table()
    table.take(interim(0, 300, octets=(10, 10)), interim(DAY_S, DAY_S + 300, octets=(50, 50)))
    table.take(interim(3600, 3900, octets=(40, 40)))
    assert (table.row.days, table.row.day_octets_in) == ((20_833, 20_834), (40, 50))


@pytest.mark.parametrize(
    ("zone", "utc", "day"),
    [
        # Brasília is three hours behind; midnight there is 03:00 UTC.
        ("America/Sao_Paulo", 1_800_068_399, 20_833),
        ("America/Sao_Paulo", 1_800_068_400, 20_834),
        ("America/Manaus", 1_800_071_999, 20_833),
        ("America/Manaus", 1_800_072_000, 20_834),
        ("America/Rio_Branco", 1_800_075_599, 20_833),
        ("America/Rio_Branco", 1_800_075_600, 20_834),
        ("America/Noronha", 1_800_064_799, 20_833),
        ("America/Noronha", 1_800_064_800, 20_834),
        # Summer time: begins 2018-11-04 at 00:00 (03:00 UTC), ends 2019-02-17 at 00:00 (02:00 UTC, said twice).
        ("America/Sao_Paulo", 1_541_300_399, 17_838),
        ("America/Sao_Paulo", 1_541_300_400, 17_839),
        ("America/Sao_Paulo", 1_541_383_199, 17_839),
        ("America/Sao_Paulo", 1_541_383_200, 17_840),
        ("America/Sao_Paulo", 1_550_368_799, 17_943),
        ("America/Sao_Paulo", 1_550_372_399, 17_943),
        ("America/Sao_Paulo", 1_550_372_400, 17_944),
        ("Asia/Kathmandu", 1_800_036_899, 20_833),
        ("Asia/Kathmandu", 1_800_036_900, 20_834),
        ("UTC", 1_800_057_600, 20_834),
        ("Mars/Olympus_Mons", 1_800_057_600, 20_834),
        ("", 1_800_057_600, 20_834),
        ("../../etc/passwd", 1_800_057_600, 20_834),
    ],
)
def test_r5_5_days_are_those_of_the_sessions_zone(zone: str, utc: int, day: int) -> None:
    row = row_of(accounting(INTERIM, float(utc), time_s=60, octets=(1, 2)), zone=zone)
    assert (row.days, row.time_zone) == ((day,), zone)


def test_a_session_keeps_the_zone_that_it_began_in() -> None:
    for grant in (None, 1):
        for began, now in permutations(("America/Noronha", "America/Rio_Branco")):
            table = Table()
            table.take(start(grant=grant), zone=began)
            table.take(interim(300, 300, octets=(1, 2), grant=grant), zone=now)
            table.take(interim(600, None, octets=(1, 2), grant=grant), zone=now)
            assert table.row.time_zone == began


# --- Addresses and names --------------------------------------------------------------------------------------------


def test_0_0_0_0_is_no_address_and_takes_none_away() -> None:
    row = row_of(start(ipv4="0.0.0.0"), interim(300, 300, ipv4="100.64.0.1"), stop(600, 600, ipv4="0.0.0.0"))
    assert row.ipv4 == "100.64.0.1"
    assert row_of(start(ipv4="0.0.0.0")).ipv4 is None


def test_the_latest_address_counts() -> None:
    row = row_of(start(ipv4="100.64.0.9", ipv6_prefix="2001:db8:9::/64"), interim(300, 300, ipv4="100.64.0.1"))
    assert (row.ipv4, row.ipv6_prefix) == ("100.64.0.1", "2001:db8:9:0:0:0:0:0/64")


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        (b"1A:BB:CC:DD:EE:01", "1a:bb:cc:dd:ee:01"),
        (b"1a-bb-cc-dd-ee-01", "1a:bb:cc:dd:ee:01"),
        (b"1abb.ccdd.ee01", "1a:bb:cc:dd:ee:01"),
        (b"1:1a:bb:cc:dd:ee:1", "1a:bb:cc:dd:ee:01"),
        (b"00:00:00:00:00:00", None),
        (b"1A:BB:CC:DD:EE:0G", None),
        (b"1A:BB:CC:DD:EE  1", None),
        (b"203.0.113.200:443", None),
        (b"203.0.113.200", None),
        (b"5511999999999", None),
        ("ã".encode() * 6, None),
    ],
)
def test_the_device_is_known_in_any_form(text: bytes, mac: str | None) -> None:
    assert row_of(start(mac=text)).mac == mac


# --- What cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_s", [2**31, 2**32 - 1, 315_360_000])
def test_an_absurd_time_breaks_nothing(time_s: int) -> None:
    row = row_of(start(grant=1), stop(600, time_s, grant=1, octets=(2**64 - 1, 5)))
    assert (row.started_at, row.ended_at, row.octets_out) == (NOON_S, NOON_S + 600, 5)
    assert row.session_time_s <= 315_360_000


def test_years_ahead_break_nothing() -> None:
    far_s = 2.0**33 - NOON_S
    row = row_of(interim(far_s, 60, octets=(1, 2), stamp=2**32 - 1))
    assert (row.days, row.heard_at) == ((65_535,), 2.0**33)


def test_no_session_ends_before_it_began() -> None:
    row = row_of(start(0, stamp=int(NOON_S) + 250, grant=1), stop(100, 100, grant=1))
    assert row.started_at <= row.heard_at
    assert row.ended_at is not None
    assert row.started_at <= row.ended_at


def test_r9_1_an_address_that_changed_is_kept_with_its_time() -> None:
    """A later one does not take the time of the one before."""
    row = row_of(
        start(ipv4="100.64.0.1", delegated="2001:db8:1::/56"),
        interim(300, 300, ipv4="100.64.0.1", delegated="2001:db8:1::/56"),
        interim(600, 600, ipv4="100.64.0.2", delegated="2001:db8:1::/56"),
        stop(900, 900, ipv4="100.64.0.2"),
    )
    us = int(NOON_S) * 1_000_000
    assert (row.ipv4, row.delegated_ipv6_prefix) == ("100.64.0.2", "2001:db8:1:0:0:0:0:0/56")
    assert json.loads(row.address_changes or b"") == [
        {"kind": "ipv4", "value": "100.64.0.1", "since_us": us, "until_us": us + 300_000_000},
        {"kind": "ipv4", "value": "100.64.0.2", "since_us": us + 600_000_000, "until_us": None},
    ]


def test_of_an_address_that_changes_all_the_time_the_last_ones_are_kept() -> None:
    records = [interim(60 * n, 60 * n, ipv4=f"100.64.0.{n}") for n in range(1, 51)]
    row = row_of(*records)
    changes = json.loads(row.address_changes or b"")
    assert [change["value"] for change in changes] == [f"100.64.0.{n}" for n in range(34, 51)]
