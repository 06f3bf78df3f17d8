"""A batch sorted as it is read: nothing is lost, nothing counted twice, and each kind goes where it is dealt with."""

from accounting_double import INTERIM, NOON_S, ON, START, STOP, accounting

from aaad.sessions.entries import read_entry
from aaad.sessions.intake import Gathered, Intake
from aaad.sessions.record import AccountingRecord
from aaad.spool.records import (
    AddressBound,
    BindingLearned,
    Granted,
    LoginRefused,
    MessageAuthenticatorArmed,
    NameRefused,
    Record,
    RouterSeen,
    encode,
)

OF_THE_NETWORK: list[Record] = [
    RouterSeen(1, "192.0.2.1", b"bng-1", "192.0.2.250", NOON_S),
    MessageAuthenticatorArmed(1, "192.0.2.1", b"bng-1", NOON_S),
    LoginRefused(4, "wrong_password", 29_000_000, 12),
    NameRefused(1, "192.0.2.1", b"", "unknown_login", 29_000_000, 3, ("al***(5)",)),
]
BINDING = BindingLearned(4, "mac", "AA:BB:CC:DD:EE:01", NOON_S)
BOUND = AddressBound(1, 0, NOON_S, 1, 2, "100.64.0.7/32", 4, 0xAABBCCDDEEFF, 1, 86_400)
GRANTED = Granted(1, 0, 9, 4, NOON_S, "100.64.0.7", "", "")
RESTART = accounting(ON, NOON_S)
OF_SESSIONS = [
    accounting(START, NOON_S, session=b"a"),
    accounting(START, NOON_S + 1, session=b"b"),
    accounting(INTERIM, NOON_S + 300, session=b"a", time_s=300),
    accounting(STOP, NOON_S + 400, session=b"a", time_s=400),
]
BATCH = [OF_SESSIONS[0], BINDING, *OF_THE_NETWORK, GRANTED, RESTART, BOUND, *OF_SESSIONS[1:]]


def test_each_kind_goes_where_it_is_dealt_with_in_the_order_of_the_spool() -> None:
    entries = [read_entry(encode(record)) for record in BATCH]
    intake = Intake(entries)
    assert [entry.content for entry in intake.now] == OF_THE_NETWORK
    assert [entry.content for entry in intake.of_erp] == [BINDING]
    assert [entry.content for entry in intake.of_ledger] == [BOUND]
    sorted_away = {entry.payload for entry in (*intake.now, *intake.of_erp, *intake.of_ledger)}
    assert intake.of_sessions == [entry for entry in entries if entry.payload not in sorted_away]
    assert [router.at_s for router in intake.heard.take()] == [NOON_S + 400]


def test_every_record_is_counted_by_its_kind() -> None:
    intake = Intake(read_entry(encode(record)) for record in BATCH)
    once = dict.fromkeys((*map(type, OF_THE_NETWORK), BindingLearned, AddressBound, Granted), 1)
    assert intake.counts() == {**once, AccountingRecord: len(OF_SESSIONS) + 1}
    assert Intake().counts().total() == 0


def test_records_of_a_family_stay_together_in_their_order() -> None:
    entries = [read_entry(encode(record)) for record in BATCH]
    for gathered in (Intake(entries).gathered, Gathered(entry.content for entry in entries)):
        assert [[record.session_time_s for record in records] for records in gathered.families.values()] == [
            [-1, 300, 400],
            [-1],
        ]
        assert all(record.family == family for family, records in gathered.families.items() for record in records)
        assert len(gathered.restarts) == len(gathered.grants) == 1
