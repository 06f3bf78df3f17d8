"""The fold against lives of which everything is known, and against the reference, whatever the order of records.

Any permutation, any repetition and any split in batches ends in the same rows, and those are the expected ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

from accounting_double import INTERIM, NOON_S, START, STOP, ZONE, accounting
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_fold import Row, in_order, of_facts, rows

from aaad.sessions.fold import StoredLife, fold
from aaad.sessions.record import AccountingRecord, read
from aaad.sessions.summary import Progress, SessionFacts
from aaad.spool.records import Accounting

SPLIT_TESTS = settings(max_examples=100)


def folded(batches: Iterable[Sequence[Accounting]], zone: str = ZONE) -> list[Row]:
    """Fold as the drain does: rows of a family are read, folded and written, batch by batch."""
    table: dict[bytes, dict[int, StoredLife]] = {}
    facts = {}
    for batch in batches:
        families: dict[bytes, list[AccountingRecord]] = {}
        for record in map(read, batch):
            families.setdefault(record.family, []).append(record)
        for family, records in families.items():
            stored = table.setdefault(family, {})
            changes = fold(list(stored.values()), records, zone)
            for life in changes.removed:
                del stored[life]
                del facts[family, life]
            for life in changes.lives:
                before, now = facts.get((family, life.life)), life.facts
                assert life.version == (stored[life.life].version if before is not None else 0)
                assert before is None or life.started_before == before.started_at
                if life.only_goes_on:
                    rest = set(SessionFacts._fields) - set(Progress._fields)
                    assert [getattr(before, name) for name in rest] == [getattr(now, name) for name in rest]
                stored[life.life] = StoredLife(life.life, life.version + 1, life.summary)
                facts[family, life.life] = now
    assert {(family, life) for family, stored in table.items() for life in stored} == set(facts)
    return in_order(map(of_facts, facts.values()))


def batches_of(records: list[Accounting], random: Random) -> Iterator[list[Accounting]]:
    """Cut records into batches of any size."""
    left = list(records)
    while left:
        size = random.choice((1, 1, 2, 5, len(left)))
        yield left[:size]
        del left[:size]


def disturbed(records: list[Accounting], random: Random) -> list[Accounting]:
    """Return the records in any order, some of them again."""
    again = random.sample(records, random.randint(0, len(records)))
    mixed = records + again
    random.shuffle(mixed)
    return mixed


# --- Lives of which everything is known --------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """What happened at one moment of a life, as its NAS counts it."""

    status: int
    time_s: int
    octets: tuple[int, int]  # whole, since the beginning


@dataclass(frozen=True)
class Life:
    """One session as it truly was, and how its records travelled."""

    start_s: float
    events: tuple[Event, ...]
    grant: int | None
    gigawords: bool
    ipv4: str
    lost: frozenset[int]
    without_class: frozenset[int]
    copies: tuple[tuple[int, ...], ...]  # for each event, after how many seconds it was sent (again)
    says_delay: bool
    clock_offset_s: int | None  # of the NAS's clock; None: no Event-Timestamp

    def delivered(self) -> list[Event]:
        return [event for place, event in enumerate(self.events) if place not in self.lost]

    def records(self) -> Iterator[Accounting]:
        for place, event in enumerate(self.events):
            if place in self.lost:
                continue
            for later_s in self.copies[place]:
                yield accounting(
                    event.status,
                    self.start_s + event.time_s + later_s,
                    time_s=event.time_s if event.status != START else None,
                    octets=event.octets if event.status != START else None,
                    gigawords=self.gigawords,
                    grant=None if place in self.without_class else self.grant,
                    delay_s=later_s if self.says_delay else None,
                    stamp=self.stamp(event),
                    ipv4=self.ipv4 if event.time_s else "0.0.0.0",
                    cause=1 if event.status == STOP else None,
                )

    def stamp(self, event: Event) -> int | None:
        return None if self.clock_offset_s is None else int(self.start_s) + event.time_s + self.clock_offset_s

    def instants(self, place: int) -> list[float]:
        """Event times of an event's copies by rule R5.1."""
        event = self.events[place]
        if self.clock_offset_s is not None and abs(self.clock_offset_s) <= 200:
            return [float(self.stamp(event) or 0)]
        return [self.start_s + event.time_s + (0 if self.says_delay else later_s) for later_s in self.copies[place]]

    def expected(self) -> Row:
        """The row that must come out, from what is true."""
        heard = [(place, event) for place, event in enumerate(self.events) if place not in self.lost]
        instants = [at for place, _ in heard for at in self.instants(place)]
        stop = [place for place, event in heard if event.status == STOP]
        days: dict[date, tuple[int, int]] = {}
        for place, event in heard:
            for at in self.instants(place):
                if any(event.octets):
                    local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(ZONE)).date()
                    days[local] = max(days.get(local, (0, 0)), event.octets)
        start_seen = 0 not in self.lost
        return {
            "started_at": min(self.instants(0))
            if start_seen
            else min(at - event.time_s for place, event in heard for at in self.instants(place)),
            "start_seen": start_seen,
            "heard_at": max(instants),
            "ended_at": min(self.instants(stop[0])) if stop else None,
            "session_time_s": heard[-1][1].time_s,
            "octets_in": heard[-1][1].octets[0],
            "octets_out": heard[-1][1].octets[1],
            "days": days,
            "ipv4": self.ipv4 if any(event.time_s for _, event in heard) else None,
            "records": len(heard),
            "grant": self.grant,
            "terminate_cause": 1 if stop else None,
        }


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """Several sessions of one user name and Acct-Session-Id."""
    found = []
    start_s = NOON_S + draw(st.integers(0, 40_000)) + draw(st.sampled_from([0.0, 0.25, 0.999]))
    for serial in range(1, draw(st.integers(1, 3)) + 1):
        interval_s = draw(st.sampled_from([60, 300, 3600, 30_000]))
        count = draw(st.integers(1, 9))
        # Lost is never more than one record after another, so that two records are less than 2^32 octets apart.
        steps = draw(
            st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1)), min_size=count, max_size=count)
        )
        events = [Event(START, 0, (0, 0))]
        for number, (step_in, step_out) in enumerate(steps, 1):
            before = events[-1].octets
            events.append(Event(INTERIM, number * interval_s, (before[0] + step_in, before[1] + step_out)))
        if draw(st.booleans()):
            events[-1] = replace(events[-1], status=STOP)
        lost = []
        for place in range(len(events)):
            if place - 1 not in lost and draw(st.integers(0, 4)) == 0:
                lost.append(place)
        if len(lost) == len(events):
            lost.pop()
        grant = draw(st.sampled_from([None, serial]))
        bare = draw(st.sets(st.integers(0, count), max_size=2)) if grant else set()
        if grant and all(place in bare | set(lost) for place in range(len(events))):
            bare = set()
        found.append(
            Life(
                start_s=start_s,
                events=tuple(events),
                grant=grant,
                gigawords=draw(st.booleans()),
                ipv4=f"100.64.0.{serial}",
                lost=frozenset(lost),
                without_class=frozenset(bare),
                copies=tuple(
                    tuple(sorted(draw(st.sets(st.integers(0, 20), min_size=1, max_size=3)))) for _ in events
                ),
                says_delay=draw(st.booleans()),
                clock_offset_s=draw(st.sampled_from([None, 0, -150, 150, -1_700_000_000, 100_000])),
            )
        )
        start_s += events[-1].time_s + draw(st.sampled_from([400, 5000, 90_000]))
    return found


def in_short(row: Row) -> Row:
    """The columns of which a life tells; of the grant its number."""
    keys = (
        *("started_at", "start_seen", "heard_at", "ended_at", "session_time_s", "octets_in", "octets_out", "days"),
        *("ipv4", "records", "terminate_cause"),
    )
    return {**{key: row[key] for key in keys}, "grant": row["grant"] and row["grant"][2]}


@SPLIT_TESTS
@given(lives(), st.randoms(use_true_random=False))
def test_sessions_come_out_as_they_were_whatever_became_of_their_records(true: list[Life], random: Random) -> None:
    records = [record for life in true for record in life.records()]
    expected = in_order(life.expected() for life in true)
    for _ in range(2):
        got = folded(batches_of(disturbed(records, random), random))
        assert in_order(map(in_short, got)) == expected
    assert in_order(map(in_short, rows(records, ZONE))) == expected


# --- Records of which nothing is known --------------------------------------------------------------


@st.composite
def any_record(draw: st.DrawFn) -> Accounting:
    """A record that may collide with others in every way, and of which little makes sense."""
    status = draw(st.sampled_from([START, INTERIM, INTERIM, STOP]))
    small = st.sampled_from([0, 1, 5, 2**32 - 2])
    return accounting(
        status,
        NOON_S + draw(st.sampled_from([0, 0.5, 30, 100, 119, 121, 240, 300, 1000, 40_000, 100_000])),
        time_s=draw(st.sampled_from([None, 0, 1, 60, 150, 300, 900, 40_000, 2**32 - 1])),
        octets=draw(st.one_of(st.none(), st.tuples(small, small))),
        gigawords=draw(st.integers(0, 3)) == 0,
        packets=draw(st.one_of(st.none(), st.tuples(small, small))),
        grant=draw(st.sampled_from([None, None, 1, 2])),
        delay_s=draw(st.sampled_from([None, 0, 5, 100, 2**32 - 1])),
        stamp=draw(st.sampled_from([None, 1, int(NOON_S), int(NOON_S) + 200])),
        ipv4=draw(st.sampled_from([None, "0.0.0.0", "100.64.0.1", "100.64.0.2"])),
        delegated=draw(st.sampled_from([None, "2001:db8:1::/56", "2001:db8:2::/56"])),
        ipv6_address=draw(st.sampled_from([None, "2001:db8::1"])),
        cause=draw(st.sampled_from([None, 1, 2])),
        called=draw(st.sampled_from([None, b"pppoe1", b"pppoe2"])),
        user=draw(st.sampled_from([b"joao", b"Joao"])),
        nas_id=draw(st.sampled_from([1, 1, 1, 2])),
        source=draw(st.sampled_from(["192.0.2.1", "192.0.2.9"])),
        identifier=draw(st.sampled_from([b"bng-1", b"bng-1", b""])),
        swapped=draw(st.integers(0, 5)) == 0,
    )


@SPLIT_TESTS
@given(st.lists(any_record(), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_any_records_in_any_order_end_in_the_rows_of_the_reference(records: list[Accounting], random: Random) -> None:
    expected = in_order(rows(records, ZONE))
    assert folded([records]) == expected
    for _ in range(3):
        assert folded(batches_of(disturbed(records, random), random)) == expected


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(65, 300))
def test_of_a_long_session_all_but_the_count_is_proof_of_any_order(random: Random, count: int) -> None:
    records = [
        accounting(INTERIM, NOON_S + number * 300, time_s=number * 300, octets=(number * 7, number * 2**32), grant=1)
        for number in range(1, count + 1)
    ]
    (expected,) = rows(records, ZONE)
    (in_turn,) = folded(batches_of(records, random))
    assert in_turn == expected
    (mixed,) = folded(batches_of(disturbed(records, random), random))
    assert mixed | {"records": 0} == expected | {"records": 0}


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(100, 256))
def test_r5_5_wraps_are_found_in_any_order_while_the_samples_are_kept(random: Random, count: int) -> None:
    step = 2**31 - 5
    records = [
        accounting(INTERIM, NOON_S + n * 300, time_s=n * 300, octets=(n * step, n * 3), gigawords=False, grant=1)
        for n in range(1, count + 1)
    ]
    random.shuffle(records)
    (got,) = folded(batches_of(records, random))
    assert (got["octets_in"], got["octets_out"]) == (count * step, count * 3)


@example(Random(1))
@given(st.randoms(use_true_random=False))
def test_r5_5_in_turn_wraps_are_found_however_long_the_session(random: Random) -> None:
    step = 2**32 - 1 - random.randrange(1000)
    count = 700
    records = [
        accounting(INTERIM, NOON_S + n * 300, time_s=n * 300, octets=(n * step, n), gigawords=False)
        for n in range(1, count)
    ]
    (got,) = folded(batches_of(records, random))
    assert (got["octets_in"], got["octets_out"]) == ((count - 1) * step, count - 1)
