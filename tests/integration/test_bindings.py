"""What bindings of logins and the rows beside them demand of each other: devices, prefixes, concentrators."""

import pytest

from aaad.db.connection import Database
from aaad.errors import StoreError

PROVIDER = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.contract (id, client_id, branch_id, status) VALUES (1, 1, 1, 'A'), (2, 1, 1, 'D');
INSERT INTO erp.login (id, contract_id, name, password) VALUES (1, 1, 'a', 'x'), (2, 1, 'b', 'x'), (3, 2, 'c', 'x');
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'one', '192.0.2.1', 's'), (2, 'two', '192.0.2.2', 's');
"""


@pytest.fixture
async def database(dsn):
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    await database.execute(PROVIDER)
    yield database
    await database.close()


async def refused(database: Database, sql: str) -> str | None:
    with pytest.raises(StoreError) as caught:
        await database.execute(sql)
    return caught.value.constraint


async def value(database: Database, sql: str) -> object:
    row = await database.fetchrow(sql)
    assert row is not None
    return row[0]


async def test_r3_4_one_device_is_one_mac_login(database: Database):
    await database.execute("UPDATE erp.login SET authentication = 'D', mac = '001a2b3c4d5e' WHERE id = 1")
    assert await value(database, "SELECT mac_login FROM erp.login WHERE id = 1") is True
    await database.execute("UPDATE erp.login SET mac_login = false WHERE id = 1")  # of D it always is
    assert await value(database, "SELECT mac_login FROM erp.login WHERE id = 1") is True
    taking = "UPDATE erp.login SET authentication = 'H', mac_login = true, mac = '00-1A-2B-3C-4D-5E' WHERE id = 2"
    assert await refused(database, taking) == "login_mac_login_unique"
    # Who is only bound to it has a name of his own.
    await database.execute("UPDATE erp.login SET mac = '00-1A-2B-3C-4D-5E' WHERE id = 2")
    assert await refused(database, "UPDATE erp.login SET mac = NULL WHERE id = 1") == "login_mac_login_with_mac"
    await database.execute("UPDATE erp.login SET deleted_at = now() WHERE id = 1")
    await database.execute(taking)
    assert await refused(database, "UPDATE erp.login SET deleted_at = NULL WHERE id = 1") == "login_mac_login_unique"
    assert (
        await refused(database, "UPDATE erp.login SET authentication = 'L' WHERE id = 2") == "login_mac_login_of_kind"
    )


async def test_a_mac_login_needs_no_password(database: Database):
    await database.execute(
        "INSERT INTO erp.login (id, contract_id, name, authentication, mac, mac_login) "
        "VALUES (4, 1, 'totem', 'H', '001a2b3c4d5e', true)"
    )
    assert (
        await refused(database, "UPDATE erp.login SET mac_login = false WHERE name = 'totem'")
        == "login_password_required"
    )


@pytest.mark.parametrize("column", ["ipv6_prefix", "delegated_ipv6_prefix"])
async def test_prefixes_of_two_logins_do_not_overlap(database: Database, column: str):
    await database.execute(f"UPDATE erp.login SET {column} = '2001:db8::/60' WHERE id = 1")
    inside = f"UPDATE erp.login SET {column} = '2001:db8:0:1::/64' WHERE id = 2"
    assert await refused(database, inside) == f"login_{column}_unique"
    await database.execute(f"UPDATE erp.login SET {column} = '2001:db8:0:10::/64' WHERE id = 2")
    await database.execute("UPDATE erp.login SET deleted_at = now() WHERE id = 1")
    await database.execute(inside)


async def test_a_concentrator_with_bound_logins_stays_but_for_those_of_cancelled_contracts(database: Database):
    await database.execute("UPDATE erp.login SET nas_id = 1 WHERE id = 3")
    await database.execute("UPDATE erp.login SET nas_id = 2 WHERE id IN (1, 3)")
    await database.execute("UPDATE erp.login SET nas_id = 1 WHERE id = 3")
    assert await refused(database, "DELETE FROM net.nas WHERE id = 1") == "login_nas_id_fkey"
    await database.execute(
        "INSERT INTO erp.parameter (name, value) VALUES ('delete_nas_with_cancelled_contracts', 'S')"
    )
    await database.execute("DELETE FROM net.nas WHERE id = 1")
    assert await value(database, "SELECT nas_id FROM erp.login WHERE id = 3") is None
    assert await refused(database, "DELETE FROM net.nas WHERE id = 2") == "login_nas_id_fkey"  # of an active contract
    await database.execute("UPDATE erp.login SET deleted_at = now() WHERE id = 1")
    await database.execute("DELETE FROM net.nas WHERE id = 2")


async def test_what_belongs_to_a_row_goes_with_it(database: Database):
    await database.execute(
        "INSERT INTO erp.plan (id, name, upload, download) VALUES (7, 'P', '1M', '1M');"
        "INSERT INTO erp.plan_phase (plan_id, phase, hours, upload, download) VALUES (7, 'turbo', '{1}', '2M', '2M');"
        "INSERT INTO erp.plan_attribute (plan_id, name, value) VALUES (7, 'Filter-Id', 'x');"
        "INSERT INTO erp.login_attribute (login_id, name, value) VALUES (1, 'Filter-Id', 'x');"
        "INSERT INTO net.router_administrator (name, password, nas_id) VALUES ('root', 'x', 1);"
        "DELETE FROM erp.plan; DELETE FROM erp.login; DELETE FROM net.nas"
    )
    for table in ("erp.plan_phase", "erp.plan_attribute", "erp.login_attribute", "net.router_administrator"):
        assert await value(database, f"SELECT count(*) FROM {table}") == 0, table


async def test_an_administrator_has_one_entry_for_each_concentrator_and_one_for_all(database: Database):
    insert = "INSERT INTO net.router_administrator (name, password, nas_id) VALUES ('{}', 'x', {})"
    for name, nas in (("root", "NULL"), ("root", "1"), ("root", "2")):
        await database.execute(insert.format(name, nas))
    for name, nas in (("ROOT", "NULL"), ("Root", "1")):
        assert await refused(database, insert.format(name, nas)) == "router_administrator_unique"


async def test_hours_become_bits(database: Database):
    for hours, mask in (("NULL", 0), ("'{0}'", 1), ("'{23,0}'", 1 | 1 << 23), ("'{5,5}'", 32)):
        assert await value(database, f"SELECT erp.hours_mask({hours})") == mask
