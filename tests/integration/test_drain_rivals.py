"""Customers who come and go: of very many sessions of a login the drain looks at the few that matter (rule R5.2)."""

import re
from pathlib import Path

import pytest
from accounting_records import INTERIM, START, STOP, T, accounting
from drain_house import House, make_login

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


async def rows_read(house: House, port: int) -> int:
    """How many rows of sessions are read for one that begins now."""
    values = ["{7}", "{NULL}", '{"02:00:5E:00:53:01"}', "{NULL}", "{1}", f"{{{port}}}", f"{{{T + 9000}}}"]
    plan = await house.database.fetch(
        f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {FIND_RIVALS}", *values, f"{{{T + 9000}}}", NEIGHBOURS_MAX
    )
    text = "\n".join(row[0] for row in plan)
    scans = re.findall(r"Scan .*on session(?:_\d+)? \(actual rows=(\d+) loops=(\d+)\)", text)
    assert scans, text
    removed = [int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", text)]
    return sum(int(rows) * int(loops) for rows, loops in scans) + sum(removed)


@pytest.mark.parametrize("port", [None, 15_728_640])
async def test_a_session_costs_the_same_however_often_its_customer_came_and_went(house, port):
    changes = {} if port is None else {"port": port}
    house.put([record for number in range(CAME_AND_WENT) for record in life(number, 10 * number, **changes)])
    await house.drain_all()
    await house.database.execute("ANALYZE net.session")
    assert await house.value("SELECT count(*) FROM net.session WHERE end_evidence = 'stop'") == CAME_AND_WENT
    assert 1 <= await rows_read(house, port or 1) <= ROWS_MAX


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
