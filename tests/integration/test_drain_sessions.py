"""Accounting drained into a real PostgreSQL: what rows of net.session come of it (rules R2.4, R5, R6.1, R9.1)."""

from datetime import UTC, datetime

import pytest
from accounting_records import INTERIM, MAC, START, STOP, T, accounting
from drain_house import House, make_login


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret, address_space) VALUES (1, 'n', '192.0.2.0/24', 's', 3)"
    )
    yield made
    await made.database.close()


async def sessions(house: House, columns: str = "*", order: str = "started_at, heard_at") -> list[dict]:
    rows = await house.database.fetch(f"SELECT {columns} FROM net.session ORDER BY {order}")
    return [dict(row.items()) for row in rows]


def at(offset_s: float) -> datetime:
    return datetime.fromtimestamp(T + offset_s, UTC)


async def test_start_interim_and_stop_become_one_row(house):
    await make_login(house, 7)
    common = {"user": "login7", "ipv4": "100.64.0.7"}
    house.put(
        [
            accounting(START, T, **common),
            accounting(INTERIM, T + 300, time_s=300, octets=(1000, 9000), **common),
            accounting(STOP, T + 400, time_s=400, octets=(1500, 9900), cause=1, **common),
        ]
    )
    await house.drain_all()
    (row,) = await sessions(house)
    assert (row["login_id"], row["contract_id"], row["client_id"], row["plan_id"], row["branch_id"]) == (
        7,
        1,
        1,
        1,
        1,
    )
    assert (row["started_at"], row["heard_at"]) == (at(0), at(400))
    assert (row["ended_at"], row["ended_latest"], row["end_evidence"]) == (at(400), at(400), "stop")
    assert (row["octets_in"], row["octets_out"], row["session_time_s"]) == (1500, 9900, 400)
    assert (str(row["ipv4"]), row["ipv4_evidence"], row["mac"].lower()) == ("100.64.0.7", "reported", MAC.lower())
    assert (row["nas_id"], row["address_space"], row["terminate_cause"], row["records"]) == (1, 3, 1, 3)
    assert (row["acct_session_id"], row["user_name"], row["time_zone"]) == ("81a00001", "login7", "America/Sao_Paulo")
