"""Ends of sessions that sent no Stop (rules R5.2, R9.1), in every order of their records, in a real PostgreSQL."""

import random
from itertools import permutations, product

import pytest
from accounting_records import INTERIM, OFF, ON, START, STOP, T, accounting, class_of
from drain_house import House, make_login

from aaad.sessions.intake import Gathered
from aaad.sessions.ledger import Ledger
from aaad.sessions.record import read
from aaad.spool.records import Accounting

ORDERS_MAX = 20
OTHER_MAC = "02:00:5E:00:53:99"

Row = tuple[str, float, float, float | None, float | None, str | None, int]


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    for login_id in (7, 8):
        await make_login(made, login_id)
    yield made
    await made.database.close()


async def write(house: House, ledger: Ledger, *batches: list[Accounting], foresees: bool = False) -> None:
    """Each batch in a transaction; `foresees`: what it comes to is looked at before the one before it is written."""
    following = [Gathered([read(record) for record in records]) for records in batches]
    for number, gathered in enumerate(following):
        if foresees and number + 1 < len(following):
            coming = following[number + 1]
            coming.foreseen = await ledger.foresee(house.database, coming.families)
        async with house.database.transaction("read_committed") as transaction:
            await ledger.write(transaction, gathered)


async def rows(house: House) -> list[Row]:
    """Id, start, last heard, certain and possible end, evidence, count of records; times from T on."""
    found = await house.database.fetch(
        "SELECT acct_session_id, started_at, heard_at, ended_at, ended_latest, end_evidence, records "
        "FROM net.session ORDER BY started_at, acct_session_id"
    )
    return [
        (
            row[0],
            *(None if at is None else round(at.timestamp() - T, 3) for at in (row[1], row[2], row[3], row[4])),
            *row[5:],
        )
        for row in map(tuple, found)
    ]


async def check_every_order(house: House, records: list[Accounting], expected: list[Row]) -> None:
    """Each record a batch of its own, each twice, and all at once, foreseen or not: the same rows."""
    orders = list(permutations(records))
    random.Random(1).shuffle(orders)
    ways = [[[record] for record in order] for order in orders[:ORDERS_MAX]]
    ways += [[[record] for record in order + order[:2]] for order in orders[-3:]]
    ways += [[list(order)] for order in orders[:2]]
    ways += [[list(order[:2]), list(order[2:])] for order in orders[-4:]]
    for batches, foresees in product(ways, (False, True)):
        await write(house, Ledger(), *batches, foresees=foresees)
        assert await rows(house) == expected, [[describe(record) for record in batch] for batch in batches]
        await house.database.execute("DELETE FROM net.session; DELETE FROM net.nas_restart")


def describe(record: Accounting) -> str:
    reading = read(record)
    return f"{reading.status.name} {reading.acct_session_id} at {reading.at_s - T:g}"


A = {"user": "login7", "session": "81a00001"}
B = {"user": "login7", "session": "82a00001"}
C = {"user": "login7", "session": "82a00002"}


async def test_r5_2_a_restart_ends_what_began_before_and_was_not_heard_after(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 300, time_s=300, octets=(1, 2), **A),
            accounting(ON, T + 400, called=""),
            accounting(START, T + 450, **B),
            accounting(INTERIM, T + 750, time_s=300, octets=(1, 2), **B),
        ],
        [("81a00001", 0, 300, 300, 400, "nas_restart", 2), ("82a00001", 450, 750, None, None, None, 2)],
    )


async def test_r5_2_a_session_that_is_heard_later_was_not_ended(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(OFF, T + 100, called=""),
            accounting(ON, T + 150, called=""),
            accounting(INTERIM, T + 300, time_s=300, octets=(1, 2), **A),
            accounting(START, T + 1, user="login8", session="1", mac=OTHER_MAC, port=2),
        ],
        [("81a00001", 0, 300, None, None, None, 2), ("1", 1, 1, 1, 100, "nas_restart", 1)],
    )


async def test_r5_2_only_of_that_router_and_service(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(START, T + 1, user="login8", session="1", called="pppoe2"),
            accounting(ON, T + 100, called="pppoe2"),
            accounting(ON, T + 200, called="", identifier=b"another"),
            accounting(ON, T + 200, called="", source="192.0.2.9"),
            accounting(ON, T + 0.5, called="", delay_s=7),
        ],
        [("81a00001", 0, 0, 0, 0.5, "nas_restart", 1), ("1", 1, 1, 1, 100, "nas_restart", 1)],
    )


async def test_r5_2_a_restart_of_one_service_ends_no_session_of_another(house):
    await check_every_order(
        house,
        [accounting(START, T, called="pppoe1", **A), accounting(ON, T + 100, called="pppoe2")],
        [("81a00001", 0, 0, None, None, None, 1)],
    )


async def test_another_device_on_a_port_of_that_number_of_another_router_replaces_nothing(house):
    await check_every_order(
        house,
        [accounting(START, T, **A), accounting(START, T + 50, mac=OTHER_MAC, identifier=b"another", **B)],
        [("81a00001", 0, 0, None, None, None, 1), ("82a00001", 50, 50, None, None, None, 1)],
    )


async def test_r5_2_what_begins_at_the_very_instant_or_later_goes_on(house):
    await check_every_order(
        house,
        [accounting(START, T, **A), accounting(ON, T, called=""), accounting(OFF, T - 5, called="")],
        [("81a00001", 0, 0, None, None, None, 1)],
    )


async def test_field_2_the_same_device_dials_again_and_again_without_stops_and_waits_for_no_cleaner(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 300, time_s=300, octets=(1, 2), **A),
            accounting(START, T + 500, **B),
            accounting(START, T + 900, **C),
        ],
        [
            ("81a00001", 0, 300, 300, 500, "replaced", 2),
            ("82a00001", 500, 500, 500, 900, "replaced", 1),
            ("82a00002", 900, 900, None, None, None, 1),
        ],
    )


async def test_field_1_after_a_power_cut_every_old_session_has_ended(house):
    """No Stop, the On is late, one dials before it is known."""
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(START, T + 10, user="login8", session="81a00002", mac=OTHER_MAC, port=2),
            accounting(INTERIM, T + 310, time_s=300, user="login8", session="81a00002", mac=OTHER_MAC, port=2),
            accounting(ON, T + 1000, called="", delay_s=20),
            accounting(START, T + 1010, **B),
        ],
        [
            ("81a00001", 0, 0, 0, 1000, "nas_restart", 1),
            ("81a00002", 10, 310, 310, 1000, "nas_restart", 2),
            ("82a00001", 1010, 1010, None, None, None, 1),
        ],
    )


async def test_another_device_of_the_same_login_replaces_nothing(house):
    await check_every_order(
        house,
        [accounting(START, T, **A), accounting(START, T + 50, mac=OTHER_MAC, port=2, **B)],
        [("81a00001", 0, 0, None, None, None, 1), ("82a00001", 50, 50, None, None, None, 1)],
    )


async def test_another_login_on_the_same_port_replaces_nothing(house):
    """Of IPoE and of many concentrators NAS-Port is an interface that all its customers share."""
    await check_every_order(
        house,
        [accounting(START, T, **A), accounting(START, T + 50, user="login8", session="2", mac=OTHER_MAC)],
        [("81a00001", 0, 0, None, None, None, 1), ("2", 50, 50, None, None, None, 1)],
    )


async def test_field_8_a_new_session_of_the_same_login_on_the_same_port_replaces_the_old(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 40, time_s=40, **A),
            accounting(START, T + 50, mac=OTHER_MAC, **B),
        ],
        [("81a00001", 0, 40, 40, 50, "replaced", 2), ("82a00001", 50, 50, None, None, None, 1)],
    )


async def test_two_sessions_that_are_both_heard_go_on_both(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(START, T + 50, **B),
            accounting(INTERIM, T + 300, time_s=300, **A),
            accounting(INTERIM, T + 350, time_s=300, **B),
        ],
        [("81a00001", 0, 300, None, None, None, 2), ("82a00001", 50, 350, None, None, None, 2)],
    )


async def test_its_own_stop_goes_before_any_guess(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(START, T + 50, **B),
            accounting(ON, T + 60, called=""),
            accounting(STOP, T + 20, time_s=20, cause=2, **A),
            accounting(STOP, T + 90, time_s=40, cause=1, **B),
        ],
        [("81a00001", 0, 20, 20, 20, "stop", 2), ("82a00001", 50, 90, 90, 90, "stop", 2)],
    )


async def test_field_7_an_id_that_is_used_again_is_another_session(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 300, time_s=300, **A),
            accounting(START, T + 5000, **(A | {"mac": OTHER_MAC, "port": 3})),
            accounting(STOP, T + 5100, time_s=100, cause=1, **(A | {"mac": OTHER_MAC, "port": 3})),
        ],
        [("81a00001", 0, 300, 300, 5000, "id_reused", 2), ("81a00001", 5000, 5100, 5100, 5100, "stop", 2)],
    )


async def test_the_beginning_of_the_newer_one_is_known_better_later(house):
    """Its Interim tells whole seconds; what ended the older one is the Start's own instant."""
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 900.9, time_s=300, **B),
            accounting(START, T + 600.25, **B),
        ],
        [("81a00001", 0, 0, 0, 600.25, "replaced", 1), ("82a00001", 600.25, 900.9, None, None, None, 2)],
    )
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 900.25, time_s=300, **B),
            accounting(START, T + 600.75, **B),
            accounting(ON, T + 600.5, called=""),
        ],
        [("81a00001", 0, 0, 0, 600.5, "nas_restart", 1), ("82a00001", 600.75, 900.25, None, None, None, 2)],
    )
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(INTERIM, T + 900.25, time_s=300, **B),
            accounting(START, T + 600.75, **B),
            accounting(START, T + 700, **C),
        ],
        [
            ("81a00001", 0, 0, 0, 600.75, "replaced", 1),
            ("82a00001", 600.75, 900.25, None, None, None, 2),
            ("82a00002", 700, 700, None, None, None, 1),
        ],
    )


async def test_sessions_of_an_unknown_name_end_likewise_on_their_port(house):
    nobody = {"user": "nobody"}
    await check_every_order(
        house,
        [
            accounting(START, T, session="1", **nobody),
            accounting(START, T + 70, session="2", **nobody),
            accounting(START, T + 80, session="3", user="somebody"),
        ],
        [
            ("1", 0, 0, 0, 70, "replaced", 1),
            ("2", 70, 70, None, None, None, 1),
            ("3", 80, 80, None, None, None, 1),
        ],
    )


async def test_grants_tell_lives_of_one_id_apart_and_the_older_one_ends(house):
    first, second = class_of(login_id=7, serial=1), class_of(login_id=7, serial=2)
    await check_every_order(
        house,
        [
            accounting(START, T, own_class=first, **A),
            accounting(START, T + 3, own_class=second, **A),
            accounting(INTERIM, T + 303, time_s=300, own_class=second, **A),
        ],
        [("81a00001", 0, 0, 0, 3, "id_reused", 1), ("81a00001", 3, 303, None, None, None, 2)],
    )


@pytest.mark.parametrize("evidence", ["lost", "gone", "operator"])
async def test_r5_a_late_interim_opens_again_what_was_ended_by_guess(house, evidence):
    ledger = Ledger()
    await write(house, ledger, [accounting(START, T, **A)])
    await house.database.execute(
        "UPDATE net.session SET ended_at = heard_at, ended_latest = heard_at + interval '1 hour', "
        "end_evidence = $1, version = version + 1",
        evidence,
    )
    await write(house, ledger, [accounting(INTERIM, T + 300, time_s=300, **A)])
    assert await rows(house) == [("81a00001", 0, 300, 300, 3600, evidence, 2)], (
        "heard, but before the end that is said"
    )
    await write(house, ledger, [accounting(INTERIM, T + 3700, time_s=3700, **A)])
    assert await rows(house) == [("81a00001", 0, 3700, None, None, None, 3)]


async def test_field_4_a_session_without_a_stop_does_not_stay_for_ever(house):
    """What comes after it on its device tells that it is over, however long ago it was silent."""
    await check_every_order(
        house,
        [accounting(START, T, **A), accounting(START, T + 864_000, **B)],
        [("81a00001", 0, 0, 0, 864_000, "replaced", 1), ("82a00001", 864_000, 864_000, None, None, None, 1)],
    )


async def test_field_5_what_has_ended_is_not_ended_again(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(STOP, T + 30, time_s=30, cause=1, **A),
            accounting(ON, T + 40, called=""),
            accounting(OFF, T + 35, called=""),
        ],
        [("81a00001", 0, 30, 30, 30, "stop", 2)],
    )


async def test_field_9_an_interim_after_the_stop_opens_nothing(house):
    await check_every_order(
        house,
        [
            accounting(START, T, **A),
            accounting(STOP, T + 30, time_s=30, cause=1, **A),
            accounting(INTERIM, T + 31, time_s=30, **A),
        ],
        [("81a00001", 0, 31, 30, 30, "stop", 3)],
    )


async def test_field_11_records_by_another_way_are_of_the_same_session(house):
    """The VPN is down, and the concentrator speaks from its public address; a restart there ends it as well."""
    granted = class_of(login_id=7)
    await check_every_order(
        house,
        [
            accounting(START, T, own_class=granted, **A),
            accounting(INTERIM, T + 300, time_s=300, source="198.51.100.9", nas_id=2, own_class=granted, **A),
            accounting(ON, T + 400, called="", source="198.51.100.9", nas_id=2),
        ],
        [("81a00001", 0, 300, 300, 400, "nas_restart", 2)],
    )


async def test_field_17_a_session_whose_start_was_lost_is_there(house):
    await check_every_order(
        house,
        [accounting(INTERIM, T + 300, time_s=300, **A), accounting(STOP, T + 400, time_s=400, cause=1, **A)],
        [("81a00001", 0, 400, 400, 400, "stop", 2)],
    )
