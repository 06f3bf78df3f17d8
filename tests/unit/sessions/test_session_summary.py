"""The summary: `add` and `merge` say the same, and merging is commutative, associative and idempotent."""

from accounting_double import INTERIM, NOON_S, START, STOP, ZONE, accounting
from hypothesis import given
from hypothesis import strategies as st

from aaad.sessions.record import AccountingRecord, read
from aaad.sessions.summary import Part, add, decode, encode, facts, merge, part_of

small = st.integers(0, 3)
records = st.builds(
    lambda status, at_s, values: read(accounting(status, NOON_S + 100 * at_s, grant=1, **values)),
    st.sampled_from([START, INTERIM, STOP]),
    small,
    st.fixed_dictionaries(
        {},
        optional={
            "time_s": st.sampled_from([0, 60, 300, 2**32 - 1]),
            "octets": st.tuples(st.sampled_from([0, 7, 2**32 - 1]), st.sampled_from([0, 7, 2**32 - 1])),
            "gigawords": st.booleans(),
            "packets": st.tuples(small, small),
            "stamp": st.sampled_from([5, int(NOON_S)]),
            "cause": small,
            "port": small,
            "port_id": st.sampled_from([b"a", b"b"]),
            "called": st.sampled_from([b"a", b"b"]),
            "mac": st.sampled_from([b"1A:BB:CC:DD:EE:01", b"1A:BB:CC:DD:EE:02"]),
            "source": st.sampled_from(["192.0.2.1", "192.0.2.2"]),
            "identifier": st.sampled_from([b"", b"bng"]),
            "nas_id": st.integers(1, 2),
            "ipv4": st.sampled_from(["100.64.0.1", "100.64.0.2"]),
            "ipv6_prefix": st.sampled_from(["2001:db8:1::/64", "2001:db8:2::/64"]),
            "delegated": st.sampled_from(["2001:db8:1::/56", "2001:db8:2::/56"]),
        },
    ),
)


def added(of: list[AccountingRecord]) -> Part:
    part = part_of(of[0], ZONE)
    for record in of[1:]:
        add(part, record)
    return part


@given(records)
def test_what_one_record_says_is_what_adding_it_to_nothing_says(record: AccountingRecord) -> None:
    nothing = Part(grant=record.class_body, zone=ZONE)
    add(nothing, record)
    assert part_of(record, ZONE) == nothing


@given(st.lists(records, min_size=1, max_size=7))
def test_adding_and_merging_are_one(of: list[AccountingRecord]) -> None:
    parts = [part_of(record, ZONE) for record in of]
    expected = added(of)
    assert merge(parts) == expected == merge(reversed(parts)) == added(of[::-1])
    assert merge((merge(parts[:2]), *parts[2:])) == expected
    assert merge((expected, expected, *parts)) == expected
    assert decode(encode([expected])) == [expected]
    assert facts(expected).records <= len(of)


@given(st.lists(records, min_size=2, max_size=7))
def test_merging_leaves_the_parts_as_they_are(of: list[AccountingRecord]) -> None:
    one, other = added(of[:1]), added(of[1:])
    before = encode([one, other])
    merge((one, other))
    assert encode([one, other]) == before


def test_what_is_stored_of_a_session_is_small() -> None:
    """Some 300 octets for one that says everything, 4 for each of the newest records."""
    part = added(
        [
            read(
                accounting(
                    INTERIM,
                    NOON_S + 300 * number,
                    time_s=300 * number,
                    octets=(10**9 * number, 10**10 * number),
                    grant=7,
                    mac=b"1A:BB:CC:DD:EE:01",
                    called=b"pppoe-srv1",
                    port_id=b"vlan100",
                    port=15_728_641,
                    ipv4="100.64.1.2",
                    stamp=int(NOON_S) + 300 * number,
                )
            )
            for number in range(1, 100)
        ]
    )
    assert len(encode([part])) < 590
