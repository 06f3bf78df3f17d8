"""Customers who come and go: of very many sessions of a login the drain looks at the few that matter (rule R5.2)."""

import re
from pathlib import Path

import pytest
from accounting_records import INTERIM, MAC, START, STOP, T, accounting
from drain_house import House, make_login

from aaad.metrics import CounterFile
from aaad.sessions import drain as drain_module
from aaad.sessions.keeping import KEEPING_COUNTERS, Keeping
from aaad.sessions.verdicts import NEIGHBOURS_MAX

STATEMENTS = (Path(__file__).resolve().parents[2] / "aaad" / "sessions" / "sessions.sql").read_text()
FIND_RIVALS = re.search(r"-- name: find_rivals\n(.*?);\n", STATEMENTS, re.DOTALL)[1]
CAME_AND_WENT = 400
ROWS_MAX = 40


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
    nas = "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
    await made.database.execute(nas)
    await make_login(made, 7)
    yield made
    await made.database.close()


def life(number: int, begins_s: float, lasts_s: float = 2, **changes) -> list:
    session = f"81{number:06x}"
    told = {"user": "login7", "session": session, "port": 15_728_640 + number} | changes
    return [
        accounting(START, T + begins_s, **told),
        accounting(STOP, T + begins_s + lasts_s, time_s=int(lasts_s), octets=(1, 1), **told),
    ]


async def ends(house: House) -> dict[str, str | None]:
    rows = await house.database.fetch("SELECT acct_session_id, end_evidence FROM net.session")
    return {row[0]: row[1] for row in rows}


async def found(house: House, session: str = "81ffff00") -> tuple:
    """What tells of a session's end, and until when it may have lived, in seconds from T on."""
    row = await house.database.fetchrow(
        "SELECT end_evidence, extract(epoch FROM ended_latest)::float8 - $2::float8 FROM net.session "
        "WHERE acct_session_id = $1",
        session,
        T,
    )
    return tuple(row)


async def sweep(house: House, tmp_path: Path, *, heard_until_s: float) -> None:
    """One whole round through the sessions, where their router was heard until then."""
    await house.database.execute(
        "INSERT INTO net.router (nas_id, source_address, nas_identifier, first_seen, last_seen, accounting_at) "
        "SELECT 1, '192.0.2.7', 'bng', at, at, at FROM to_timestamp($1) AS at",
        T + heard_until_s,
    )
    door = house.connect()
    keeper = Keeping(door, door, CounterFile(tmp_path / "control-0.cnt", KEEPING_COUNTERS))
    for _ in range(100):
        if not await keeper.look_at_overlooked():
            break
    await door.close()


def going_on(until: int, *, every_s: int = 100, **changes) -> list:
    """One session that is heard while others come and go."""
    told = {"user": "login7", "session": "81ffff00", "port": 15_800_000} | changes
    return [
        accounting(START, T, **told),
        *(accounting(INTERIM, T + at, time_s=at, octets=(1, 1), **told) for at in range(60, until, every_s)),
    ]


async def rows_read(house: House, port: int, *, mac: str = MAC, calling: str = "NULL") -> int:
    """How many rows of sessions are read for one that begins now."""
    began = f"{{{T + 9000}}}"
    values = ["{7}", "{NULL}", f"{{{mac}}}", f"{{{calling}}}", "{1}", f"{{{port}}}", began, began]
    plan = await house.database.fetch(
        f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {FIND_RIVALS}", *values, NEIGHBOURS_MAX
    )
    text = "\n".join(row[0] for row in plan)
    scans = re.findall(r"Scan .*on session(?:_\d+)? \(actual rows=(\d+) loops=(\d+)\)", text)
    assert scans, text
    removed = [int(count) for count in re.findall(r"Rows Removed by (?:Filter|Index Recheck): (\d+)", text)]
    return sum(int(rows) * int(loops) for rows, loops in scans) + sum(removed)


@pytest.mark.parametrize("port", [None, 15_728_640])
async def test_a_session_costs_the_same_however_often_its_customer_came_and_went(house, port):
    changes = {} if port is None else {"port": port}
    house.put([record for number in range(CAME_AND_WENT) for record in life(number, 10 * number, **changes)])
    await house.drain_all()
    await house.database.execute("ANALYZE net.session")
    assert await house.value("SELECT count(*) FROM net.session WHERE end_evidence = 'stop'") == CAME_AND_WENT
    assert 1 <= await rows_read(house, port or 1) <= ROWS_MAX


async def test_a_session_without_a_mac_costs_the_same_however_often_its_customer_came_and_went(house):
    house.put([record for number in range(CAME_AND_WENT) for record in life(number, 10 * number, mac="hall-7")])
    await house.drain_all()
    await house.database.execute("ANALYZE net.session")
    assert await house.value("SELECT count(*) FROM net.session WHERE mac IS NULL") == CAME_AND_WENT
    assert 1 <= await rows_read(house, 1, mac="NULL", calling="hall-7") <= ROWS_MAX


async def test_a_session_costs_the_same_however_many_others_share_its_port(house):
    house.put([record for number in range(CAME_AND_WENT) for record in life(number, 10 * number, port=99, mac="")])
    await house.drain_all()
    await house.database.execute(
        "UPDATE net.session SET login_id = CASE WHEN ascii(substr(acct_session_id, 8)) % 2 = 0 "
        "THEN 1000 + extract(epoch FROM started_at)::integer % 10000 END"
    )
    house.put([r for number in range(500, 500 + CAME_AND_WENT) for r in life(number, 10 * number, mac="")])
    await house.drain_all()
    await house.database.execute("ANALYZE net.session")
    assert await house.value("SELECT count(*) FROM net.session WHERE login_id = 7") == CAME_AND_WENT
    assert await rows_read(house, 99) <= ROWS_MAX


@pytest.mark.parametrize("between", [0, 1, NEIGHBOURS_MAX - 1])
async def test_r5_2_what_lost_its_carrier_is_ended_by_the_next_one_though_others_came_and_went_before(house, between):
    lost = accounting(START, T + 4000, user="login7", session="81ffff00", port=15_800_000)
    came = [record for number in range(20) for record in life(number, 10 * number)]
    house.put([*came, lost])
    await house.drain_all()
    assert (await ends(house))["81ffff00"] is None
    house.put([record for number in range(100, 101 + between) for record in life(number, 5000 + number)])
    await house.drain_all()
    assert (await ends(house))["81ffff00"] == "replaced"


async def test_r5_2_the_late_start_of_one_that_others_followed_is_ended_by_the_first_of_them(house):
    house.put([record for number in range(1, 30) for record in life(number, 100 * number)])
    await house.drain_all()
    house.put([accounting(START, T + 50, user="login7", session="81000000", port=15_728_640)])
    await house.drain_all()
    found = await house.value(
        "SELECT extract(epoch FROM ended_latest) FROM net.session WHERE acct_session_id = '81000000'"
    )
    assert (await ends(house))["81000000"] == "replaced"
    assert float(found) == T + 100


async def test_r5_2_who_is_heard_while_others_of_his_device_come_and_go_lives_on(house):
    long = {"user": "login7", "session": "81ffff00", "port": 15_800_000}
    records = [accounting(START, T, **long)]
    for number in range(3 * NEIGHBOURS_MAX):
        records += life(number, 100 * number + 10)
        records.append(accounting(INTERIM, T + 100 * number + 60, time_s=100 * number + 60, octets=(1, 1), **long))
    house.put(records)
    await house.drain_all()
    assert (await ends(house))["81ffff00"] is None


LATER = [accounting(START, T + 5000, user="login7", session="81eeee00", port=15_900_000)]


@pytest.mark.parametrize("changes", [{}, {"mac": "hall-7"}, {"port": 99, "mac": ""}], ids=["mac", "no mac", "port"])
@pytest.mark.parametrize("is_last", [True, False])
async def test_r5_2_the_next_one_ends_who_was_heard_while_others_came_and_went_in_whatever_order(
    house, tmp_path, is_last, changes
):
    long = going_on(1800, **changes)
    others = [record for number in range(18) for record in life(number, 100 * number + 10, **changes)]
    later = [accounting(START, T + 5000, **({"user": "login7", "session": "81eeee00", "port": 99} | changes))]
    for records in [others, long, later] if is_last else [later, others, long]:
        house.put(records)
        await house.drain_all()
    await sweep(house, tmp_path, heard_until_s=9000)
    assert await found(house) == ("replaced", 5000)
    assert await found(house, "81eeee00") == (None, None)
    told = "SELECT count(*) FROM net.session_end, net.session WHERE session.family = ANY(families) AND {}"
    assert await house.value(told.format("acct_session_id = '81ffff00'")) >= 1


async def test_r5_2_the_first_that_followed_is_what_ended_it_though_a_later_one_was_known_before(house, tmp_path):
    house.put(going_on(1800))
    house.put(LATER)
    await house.drain_all()
    assert await found(house) == ("replaced", 5000)
    house.put([record for number in range(18) for record in life(number, 100 * number + 10)])
    house.put(life(18, 3000))
    await house.drain_all()
    await sweep(house, tmp_path, heard_until_s=9000)
    assert await found(house) == ("replaced", 3000)


async def test_r5_2_who_is_still_heard_is_left_alone(house, tmp_path, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 3600.0)  # it does not look again at what it may not have seen
    house.put([record for number in range(18) for record in life(number, 100 * number + 10)])
    await house.drain_all()
    house.put(going_on(1800))
    house.put(life(18, 1780))
    await house.drain_all()
    before = await house.database.fetch("SELECT * FROM net.session ORDER BY acct_session_id")
    await sweep(house, tmp_path, heard_until_s=1900)
    assert await house.database.fetch("SELECT * FROM net.session ORDER BY acct_session_id") == before
    assert await found(house) == (None, None)


async def test_r5_2_those_that_came_while_it_lived_hide_nobody_who_was_there_before_it(house):
    house.put([accounting(START, T - 100, user="login7", session="81dddd00", port=15_700_000)])
    house.put([record for number in range(18) for record in life(number, 100 * number + 10)])
    await house.drain_all()
    assert await found(house, "81dddd00") == ("replaced", 10)
    house.put(going_on(1800))
    await house.drain_all()
    assert await found(house, "81dddd00") == ("replaced", 0)


async def test_r5_2_what_was_told_by_a_beginning_that_was_none_is_void_though_others_came_and_went_since(house):
    lost = {"user": "login7", "session": "81dddd00", "port": 15_700_000}
    redated = {"user": "login7", "session": "81cccc00", "port": 15_700_001}
    house.put([accounting(START, T - 100, **lost), accounting(INTERIM, T + 1900, time_s=1900, **redated)])
    await house.drain_all()
    assert await found(house, "81dddd00") == ("replaced", 0)
    house.put([record for number in range(18) for record in life(number, 2 * number + 1, 1)])
    await house.drain_all()
    assert await found(house, "81dddd00") == ("replaced", 0)
    house.put([accounting(START, T + 40, **redated)])
    await house.drain_all()
    assert await found(house, "81dddd00") == ("replaced", 1)


@pytest.mark.parametrize("begins", [0, 9])  # which of both lives stays hangs on a hash of this
async def test_r5_2_what_was_told_by_a_life_that_became_part_of_another_is_void_though_others_came_and_went(
    house, begins
):
    lost = {"user": "login7", "session": "81dddd00", "port": 15_700_000}
    one = {"user": "login7", "session": "81cccc00", "port": 15_700_001}
    house.put(
        [accounting(START, T + begins, **one), accounting(START, T + 150, **lost), accounting(START, T + 200, **one)]
    )
    await house.drain_all()
    assert await house.value("SELECT count(*) FROM net.session WHERE acct_session_id = '81cccc00'") == 2
    assert await found(house, "81dddd00") == ("replaced", 200)
    house.put([record for number in range(18) for record in life(number, 2 * number + 202, 1)])
    await house.drain_all()
    house.put([accounting(INTERIM, T + 300, time_s=190, **one)])  # its beginning joins both
    await house.drain_all()
    assert await house.value("SELECT count(*) FROM net.session WHERE acct_session_id = '81cccc00'") == 1
    assert await found(house, "81dddd00") == ("replaced", 202)


# S lives, N comes; N's Interim-Update is drained before its Start and says that it began later, as its clock has it.
S = {"user": "login7", "session": "81ffff00", "port": 15_800_000}
N = {"user": "login7", "session": "81eeee00", "port": 15_900_000}
INTERIM_OF_N = [accounting(INTERIM, T + 2300, time_s=300, octets=(1, 1), **N)]


@pytest.mark.parametrize("count", [NEIGHBOURS_MAX + 1, 3 * NEIGHBOURS_MAX])
@pytest.mark.parametrize("is_late", [True, False])
async def test_r5_2_who_was_heard_after_the_true_beginning_of_the_next_one_lives_on_in_whatever_order(
    house, tmp_path, count, is_late
):
    long = [accounting(START, T, **S), accounting(INTERIM, T + 1990, time_s=1990, octets=(1, 1), **S)]
    start = [accounting(START, T + 1985, **N)]
    others = [record for number in range(count) for record in life(number, 600 + 100 * number)]
    for records in [long, INTERIM_OF_N, others, start] if is_late else [long, others, start, INTERIM_OF_N]:
        house.put(records)
        await house.drain_all()
    await sweep(house, tmp_path, heard_until_s=9000)
    assert await found(house) == (None, None)


@pytest.mark.parametrize("is_late", [True, False])
async def test_r5_2_the_true_beginning_of_the_next_one_is_what_ended_it_in_whatever_order(house, tmp_path, is_late):
    long = [accounting(START, T, **S), accounting(INTERIM, T + 1000, time_s=1000, octets=(1, 1), **S)]
    start = [accounting(START, T + 2000.5, **N)]
    others = [record for number in range(NEIGHBOURS_MAX + 1) for record in life(number, 600 + 100 * number)]
    for records in [long, INTERIM_OF_N, others, start] if is_late else [long, others, start, INTERIM_OF_N]:
        house.put(records)
        await house.drain_all()
    await sweep(house, tmp_path, heard_until_s=9000)
    assert await found(house) == ("replaced", 2000.5)


async def test_r5_2_of_a_name_of_nobodys_too_the_true_beginning_of_the_next_one_counts(house, tmp_path):
    def of_nobody(facts: dict) -> dict:
        return facts | {"user": "nobody", "port": 15_800_000}

    long = [
        accounting(START, T, **of_nobody(S)),
        accounting(INTERIM, T + 1990, time_s=1990, octets=(1, 1), **of_nobody(S)),
    ]
    interim = [accounting(INTERIM, T + 2300, time_s=300, octets=(1, 1), **of_nobody(N))]
    others = [
        record
        for number in range(NEIGHBOURS_MAX + 1)
        for record in life(number, 600 + 100 * number, user="nobody", port=15_800_000)
    ]
    for records in [long, interim, others, [accounting(START, T + 1985, **of_nobody(N))]]:
        house.put(records)
        await house.drain_all()
    await sweep(house, tmp_path, heard_until_s=9000)
    assert await found(house) == (None, None)
