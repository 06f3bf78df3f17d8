"""The throw-away node's data in a real database: what is promised is there, once, and in every state."""

from typing import NamedTuple

import asyncpg
import pytest

from aaad.clock import wall_s
from aaad.daemon.demo_data import DATABASE, prepare_database
from aaad.db.connection import Database
from aaad.db.embedded import EmbeddedPostgres
from aaad.policy.codes import Credential, Reason, SpeedPhase
from aaad.policy.decide import decide
from aaad.policy.grant import Decision
from aaad.policy.parameters import compile_policies
from aaad.replica.compile import compile_login, facts_of
from aaad.replica.source import read_tables
from aaad.sessions.caps import look_at_caps


@pytest.fixture
async def demo_dsn(postgres: EmbeddedPostgres):
    yield postgres.dsn(DATABASE)
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def made_dsn(postgres: EmbeddedPostgres, demo_dsn: str, _template: str) -> str:
    """The same, with the schema that `prepare_database` would make."""
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {_template}")
    await connection.close()
    return demo_dsn


async def test_seeds_once_and_goes_on_with_what_is_there(postgres: EmbeddedPostgres, demo_dsn: str):
    first = await prepare_database(postgres.dsn(), demo_dsn, 30, "testing123")
    assert first.startswith("30 numbered logins")
    connection = await asyncpg.connect(demo_dsn)
    try:
        await connection.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1001")
        second = await prepare_database(postgres.dsn(), demo_dsn, 500, "testing123")
        assert second.startswith("going on with the data that is there: 30 numbered logins, not 500; ")
        same = await prepare_database(postgres.dsn(), demo_dsn, 30, "testing123")
        assert same == "going on with the data that is there: 30 numbered logins"
        assert await connection.fetchval("SELECT count(*) FROM erp.login WHERE name LIKE 'user%'") == 30
        assert await connection.fetchval("SELECT access_status FROM erp.contract WHERE id = 1001") == "CM"
        await _holds_what_is_promised(connection)
        await _leaves_room_for_more(connection)
    finally:
        await connection.close()


async def _holds_what_is_promised(connection: asyncpg.Connection) -> None:
    logins = await connection.fetch("SELECT * FROM net.login_source ORDER BY login_id")
    numbered = [login for login in logins if login["name"].startswith("user")]
    assert [login["name"] for login in numbered] == [f"user{number:06d}" for number in range(30)]
    assert [login["password"] for login in numbered] == [f"pass{number:06d}" for number in range(30)]
    assert len({login["ipv4"] for login in numbered}) == 30, "each a fixed address of its own"
    assert {login["plan_id"] for login in numbered} == set(range(1, 11))
    named = [login for login in logins if not login["name"].startswith("user")]
    assert {login["access_status"] for login in named} == {"A", "D", "CM", "CA", "FA", "AA", "CE"}
    assert {login["contract_status"] for login in named} == {"P", "A", "I", "N", "D"}
    for column in (
        "suspended",
        "deleted",
        "password_md5",
        "login_active",
        "client_active",
        "mac_login",
        "cap_reached",
    ):
        assert {login[column] for login in named} == {True, False}, column
    states = await connection.fetch("SELECT DISTINCT colour FROM erp.receivable_state")
    assert len(states) == 6, "a title of each colour"
    nas = await connection.fetchrow("SELECT address::text, secret FROM net.nas")
    assert tuple(nas) == ("127.0.0.0/8", "testing123")
    documents = await connection.fetch("SELECT kind, count(*), count(document) FROM erp.client GROUP BY kind")
    assert {kind: count == documented for kind, count, documented in documents} == {"F": True, "J": True, "E": False}


NOON_S, NIGHT_S = 15 * 3600, 6 * 3600  # of a day by UTC; in São Paulo three hours less


class Nothing(NamedTuple):
    """A request that says nothing beside name and password."""

    nas_id: int = 1
    mac: int = 0
    port_id: str = ""
    circuit_id: str = ""


REASONS = {
    "ana.pereira": Reason.GRANTED,
    "bruno.costa": Reason.BLOCKED_MANUALLY,
    "carla.dias": Reason.BLOCKED_AUTOMATICALLY,
    "daniel.rocha": Reason.GRANTED_WITH_NOTICE,
    "elisa.nunes": Reason.AWAITING_SIGNATURE,
    "fabio.lima": Reason.AWAITING_SIGNATURE,
    "gabriela.melo": Reason.ACCESS_DISABLED,
    "hugo.alves": Reason.CONTRACT_NOT_SIGNED_YET,
    "irene.barros": Reason.CONTRACT_INACTIVE,
    "joao.pinto": Reason.CONTRACT_BLACKLISTED,
    "karina.teixeira": Reason.CONTRACT_WITHDRAWN,
    "leandro.moura": Reason.CONTRACT_SUSPENDED_VOLUNTARILY,
    "marcia.freitas": Reason.LOGIN_INACTIVE,
    "nelson.cardoso": Reason.LOGIN_DELETED,
    "olivia.ramos": Reason.CLIENT_INACTIVE,
    "padaria.central@demo": Reason.DEVICE_NOT_ALLOWED,
    "padaria.caixa@demo": Reason.GRANTED,
    "prefeitura-01": Reason.GRANTED,
    "john_smith": Reason.GRANTED,
    "josé.conceição": Reason.GRANTED,
    "PAULA.VIEIRA": Reason.GRANTED,
    "rita.souza": Reason.GRANTED_BLOCKED,
    "sergio.lopes": Reason.GRANTED_LATE_PLAN,
    "tania.reis": Reason.GRANTED,
    "praca.visita": Reason.GRANTED,
    "vera.castro": Reason.DEVICE_NOT_ALLOWED,
    "wagner.dias": Reason.PORT_NOT_ALLOWED,
    "wagner.loja": Reason.CIRCUIT_NOT_ALLOWED,
    "ximena.prado": Reason.GRANTED,
    "yuri.matos": Reason.GRANTED,
    "zilda.faria": Reason.PREPAID_ENDED,
    "alberto.nunes": Reason.GRANTED,
    "beatriz.gama": Reason.GRANTED_ON_TRUST,
    "caio.brito": Reason.TRUST_UNLOCK_ENDED,
    "dora.lins": Reason.GRANTED,
    "enzo.maia": Reason.GRANTED_CAP_PLAN,
    "flavia.rosa": Reason.GRANTED_LATE_PLAN,
    "gil.torres": Reason.GRANTED,
}


async def test_a_cap_that_is_reached_is_counted_so(postgres: EmbeddedPostgres, made_dsn: str):
    await prepare_database(postgres.dsn(), made_dsn, 0, "testing123")
    database = Database(made_dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    try:
        while (looked := await look_at_caps(database)).is_more:
            assert looked.reached == looked.freed == 0
        rows = await database.fetch("SELECT name FROM erp.login WHERE cap_reached")
    finally:
        await database.close()
    assert [row["name"] for row in rows] == ["enzo.maia"]


async def test_each_customer_gets_what_the_comment_says(postgres: EmbeddedPostgres, made_dsn: str):
    await prepare_database(postgres.dsn(), made_dsn, 0, "testing123")
    database = Database(made_dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    try:
        async with database.transaction("repeatable_read", readonly=True) as queries:
            tables = await read_tables(queries, 1)
            rows = await queries.fetch("SELECT * FROM net.login_source")
    finally:
        await database.close()
    policies = compile_policies(tables.parameters, {1: -10_800, 3: -10_800})
    plans = {plan.plan_id: plan for plan in tables.plans}
    logins = {row["name"]: facts_of(compile_login(row).record) for row in rows}
    today_s = wall_s() // 86_400 * 86_400

    def decided(name: str, now_s: float = NOON_S, **asked: object) -> Decision:
        login = logins[name]
        assert login is not None, name
        policy = policies[login.branch_id]
        return decide(login, plans, policy, Credential.RIGHT, Nothing(**asked), today_s + now_s)

    assert {name: decided(name).reason for name in REASONS} == REASONS
    by_mac = {"ursula.tv": 0x00005E005301, "praca.totem": 0x00005E005302}
    assert set(logins) == set(REASONS) | set(by_mac)
    for name, mac in by_mac.items():
        assert decided(name, mac=mac).reason is Reason.GRANTED
    assert decided("dora.lins", NIGHT_S).reason is Reason.OUTSIDE_HOURS
    assert decided("vera.castro", mac=0x00005E005303).reason is Reason.GRANTED
    assert decided("wagner.dias", port_id="ether2.100").reason is Reason.GRANTED
    assert decided("wagner.loja", circuit_id="olt-1 0/1/2:3").reason is Reason.GRANTED
    night, day = decided("tania.reis", NIGHT_S).grant, decided("tania.reis").grant
    assert (night.phase, night.speed.download) == (SpeedPhase.TURBO, "400M")
    assert (day.phase, day.speed.download) == (SpeedPhase.NORMAL, "100M")
    assert decided("gil.torres").grant.extras.download == "60M"
    assert decided("sergio.lopes").grant.plan.plan_id == 11
    assert logins["yuri.matos"].extras.attributes and plans[15].attributes
    assert [who.group for who in tables.administrators] == ["full", "read"]


async def _leaves_room_for_more(connection: asyncpg.Connection) -> None:
    """A customer added by hand gets numbers that are free."""
    client = await connection.fetchval(
        "INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'New') RETURNING id"
    )
    contract = await connection.fetchval(
        "INSERT INTO erp.contract (client_id, branch_id, plan_id) VALUES ($1, 1, 1) RETURNING id", client
    )
    await connection.execute(
        "INSERT INTO erp.login (contract_id, name, password) VALUES ($1, 'new', 'new-password')", contract
    )


async def test_no_numbered_logins_at_all(postgres: EmbeddedPostgres, made_dsn: str):
    assert (await prepare_database(postgres.dsn(), made_dsn, 0, "testing123")).startswith("0 numbered")


async def test_more_than_a_million_get_longer_names_and_addresses_of_their_own(
    postgres: EmbeddedPostgres, made_dsn: str
):
    """The three statements, told to make the last few of many: names do not collide, addresses stay in 100.64/10."""
    await prepare_database(postgres.dsn(), made_dsn, 0, "testing123")
    connection = await asyncpg.connect(made_dsn)
    try:
        from aaad.daemon import demo_data

        for name in ("add_numbered_clients", "add_numbered_contracts", "add_numbered_logins"):
            statement = demo_data._statements[name]
            assert "generate_series(0, $1::integer - 1)" in statement
            await connection.execute(
                statement.replace("generate_series(0,", f"generate_series({demo_data.LOGINS_MAX} - 3,"),
                demo_data.LOGINS_MAX,
            )
        rows = await connection.fetch("SELECT name, ipv4 <<= '100.64.0.0/10' FROM erp.login WHERE name LIKE 'user%'")
        assert sorted(map(tuple, rows)) == [(f"user{number}", True) for number in range(3_999_997, 4_000_000)]
    finally:
        await connection.close()
