"""`aaad pool import` with a simulated router and the tables of a FreeRADIUS (rules R7.3, R7.4)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from test_pool_commands import CLEAN, LOGINS, House, make_house

from aaad.db.embedded import EmbeddedPostgres
from aaad.simulator.routeros import Router, RouterosServer

FREERADIUS = Path(__file__).with_name("freeradius_tables.sql").read_text()


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    return make_house(postgres, _template, tmp_path_factory, "pool_import")


@pytest.fixture
def aaad(database: House) -> Iterator[House]:
    database.execute(CLEAN + LOGINS)
    yield database


def a_router() -> Router:
    router = Router(identity="bng-centro", aaad="api-secret")
    router.table("/ip/pool").put({"name": "pppoe", "ranges": "100.64.0.2-100.64.0.254"})
    router.connect("ana@fibra", "100.64.0.7", caller="02:00:00:00:00:05", session="0x81", pool="pppoe")
    router.connect("padaria", "100.64.0.8", caller="02:00:00:00:00:06", session="0x82", pool="pppoe")
    router.connect("visitor", "100.64.0.9", caller="", session="0x83", pool="pppoe")
    return router


def reached(aaad: House, server: RouterosServer) -> None:
    aaad.sql(
        "UPDATE net.nas SET api_address = $1::text::inet, api_port = $2, api_tls = false, api_user = 'aaad', "
        "api_password = 'api-secret'",
        server.address,
        server.port,
    )


def test_r7_3_a_router_is_shown_first_and_then_taken_over_and_nobody_is_dropped(aaad: House) -> None:
    router = a_router()
    with RouterosServer(router) as server:
        reached(aaad, server)
        dry = aaad.ok("pool", "import", "--router", "bng-centro")
        assert (dry["applied"], dry["bound"], dry["marked"]) == (False, 2, 1)
        assert dry["unknown_names"] == ["visitor"]
        assert aaad.sql("SELECT FROM net.pool") == []
        shown = aaad("pool", "import", "--router", "bng-centro", language="pt")
        assert "--apply" in shown.output
        assert "visitor" in shown.output
        assert "bng-centro" in shown.complaint  # what is going on
        done = aaad.ok("pool", "import", "--router", "bng-centro", "--apply")
        again = aaad.ok("pool", "import", "--router", "bng-centro", "--apply")
    assert (done["applied"], done["bound"], done["marked"]) == (True, 2, 1)
    assert (again["bound"], again["marked"], again["kept"]) == (0, 0, 3)
    assert router.changes == []
    found = aaad.sql("SELECT address::text, state, login_id FROM net.lease ORDER BY lease.address")
    assert found == [
        ("100.64.0.7/32", "bound", 50),
        ("100.64.0.8/32", "bound", 51),
        ("100.64.0.9/32", "foreign", None),
    ]
    pool = aaad.ok("pool", "show", "pppoe")
    assert pool["adopting_since"] is not None
    assert pool["awaited"] == ["bng-centro"]
    operators = aaad.sql("SELECT DISTINCT operator FROM erp.history WHERE text LIKE $1", f"pool {pool['id']} %")
    assert operators == [("maria",)]


def test_what_is_not_taken_over_is_told_and_why(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/28", "--exclude", "100.64.0.9")
    pool_id = aaad.ok("pool", "show", "centro")["id"]
    aaad.bound(pool_id, "100.64.0.7/32", 51)
    with RouterosServer(a_router()) as server:
        reached(aaad, server)
        told = aaad("pool", "import", "--router", "1")
        found = aaad.no("pool", "import", "--router", "1", "--apply")
        renamed = aaad.no("pool", "import", "--router", "1", "--kind", "nas", "--rename", "pppoe=ppp-centro")
    assert told.exit_code == 1
    assert "pool centro has some of these addresses" in told.output
    assert "ana@fibra uses it, and by the ledger it is of padaria" in told.output
    troubles = {row["subject"]: row["trouble"] for row in found["conflicts"]}
    assert troubles == {
        "pppoe 100.64.0.2-100.64.0.254": "overlap",
        "100.64.0.7/32": "of_another",
        "100.64.0.9/32": "excluded",
    }
    assert aaad.sql("SELECT login_id FROM net.lease WHERE address = '100.64.0.7'") == [(51,)]
    assert [pool["name"] for pool in renamed["pools"]] == ["ppp-centro"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--router"),
        (["--router", "1", "--rename", "x"], "--rename"),
        (["--router", "1", "--family", "pd=ipv5"], "delegated"),
        (["--freeradius"], "AAAD_FREERADIUS_DSN"),
    ],
)
def test_what_is_typed_wrong_is_told(aaad: House, words: list[str], said: str) -> None:
    assert said in aaad.told("pool", "import", *words, code=2)


def test_a_router_that_nobody_may_ask_or_that_does_not_answer_is_told(aaad: House) -> None:
    aaad.sql("UPDATE net.nas SET api_user = NULL, api_password = NULL")
    assert "--api-user" in aaad.told("pool", "import", "--router", "1")
    with RouterosServer(a_router()) as server:
        reached(aaad, server)
    assert "127.0.0.1" in aaad.told("pool", "import", "--router", "1")


def test_r7_3_a_freeradius_is_taken_over_by_its_tables(
    aaad: House, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill() -> None:
        connection = await asyncpg.connect(empty_dsn)
        await connection.execute(FREERADIUS)
        await connection.execute(
            "INSERT INTO radippool "
            "(pool_name, framedipaddress, nasipaddress, username, callingstationid, expiry_time) "
            "SELECT 'main', ('100.64.0.' || n)::inet, '192.0.2.1', CASE n WHEN 7 THEN 'ana@fibra' ELSE '' END, '', "
            "CASE n WHEN 7 THEN now() + interval '1 hour' ELSE now() - interval '1 day' END "
            "FROM generate_series(1, 20) AS n"
        )
        await connection.close()

    asyncio.run(fill())
    monkeypatch.setenv("AAAD_FREERADIUS_DSN", empty_dsn)
    done = aaad.ok("pool", "import", "--freeradius", "--apply")
    assert (done["bound"], done["marked"]) == (1, 0)
    assert aaad.sql("SELECT address::text, login_id FROM net.lease") == [("100.64.0.7/32", 50)]
    assert [run["first"] for run in aaad.ok("pool", "show", "main")["ranges"]] == ["100.64.0.1"]
