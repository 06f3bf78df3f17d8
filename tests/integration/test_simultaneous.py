"""R5.4, `refuse`: only proof that another device is connected keeps one out. PostgreSQL and UDP are real."""

import asyncio
import gc
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from nas_double import MAC, REPLY_MESSAGE, access_request, checked, tlv
from order_nas import OrderNas
from radius_service import LOGINS, Client, login, running, tables
from session_rows import NOW, add_session, drained

from aaad.db.connection import Database
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.policy.codes import AccessStatus, Reason
from aaad.radius import counters as names
from aaad.radius import simultaneous
from aaad.radius.dynauth import Outcome
from aaad.radius.dynauth_client import DynauthClient
from aaad.radius.simultaneous import SimultaneousUse, must_wait
from aaad.replica.record import ParameterRow, RouterRow, encode
from aaad.sessions.open_sessions import OpenSessions

SESSION_ID, NAS_PORT_ID = 44, 87
OTHER_MAC, THIRD_MAC = b"AA:BB:CC:DD:EE:02", b"AA:BB:CC:DD:EE:03"
MINUTE = timedelta(minutes=1)
SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'Fibra 50', '25M', '50M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 1, 'A');
INSERT INTO erp.login (id, contract_id, name, password)
    VALUES (1, 1, 'alice', 'wonderland'), (2, 1, 'bob', 'builder');
INSERT INTO net.node (id, name) VALUES (3, 'node-a');
"""
ROUTER = "127.0.0.1", b"bras-01"


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(SEED)
    yield connection
    await connection.close()


class House:
    """A radius service that asks PostgreSQL and a NAS who is connected."""

    def __init__(self, service, nas: OrderNas, db, use: SimultaneousUse, database: Database) -> None:
        self.service, self.nas, self.db, self.use, self.database = service, nas, db, use, database
        self.client = Client(service.auth)

    async def dial(
        self, mac: bytes = MAC, *, session_id: bytes = b"81a00009", port: bytes = b"ether1", **words
    ) -> int:
        """The code of the answer to a dial: 2 is in, 3 is refused."""
        self.request = access_request(
            calling_station_id=mac, attributes=tlv(SESSION_ID, session_id) + tlv(NAS_PORT_ID, port), **words
        )
        self.reply = checked(await self.client.ask(self.request), self.request)
        return self.reply.code

    async def connected(self, mac: bytes, session_id: str = "81a00001", *, lives: bool = True, **columns):
        """Another session of alice; her NAS knows of it while it lives."""
        if lives:
            self.nas.begin(session_id, "alice")
        started = columns.pop("started", NOW - 10 * MINUTE)
        values = {
            "login_id": 1,
            "user_name": "alice",
            "acct_session_id": session_id,
            "source_address": ROUTER[0],
            "nas_identifier": ROUTER[1],
            "mac": mac.decode(),
            "calling_station_id": mac.decode(),
            "nas_port_id": "ether1",
            "ipv4": "100.64.0.1",
            "interim_s": 300,
        } | columns
        return await add_session(self.db, started=started, heard=NOW - MINUTE, **values)


async def prepare(db, nas: OrderNas, *, local_address: str | None = "127.0.0.1") -> None:
    """What net.nas, net.router and net.nas_server say of the NAS."""
    await db.execute(
        "INSERT INTO net.nas (id, name, address, secret, coa_port) "
        "VALUES (1, 'one', '127.0.0.0/8', 'testing123', $1)",
        nas.port,
    )
    await db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, nas_identifier, accounting_at) "
        "VALUES (1, 1, $1, $2, $3)",
        *ROUTER,
        NOW,
    )
    if local_address is not None:
        await db.execute(
            "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) VALUES (1, 3, $1, now())",
            local_address,
        )
    await drained(db, NOW, "node-a")


@asynccontextmanager
async def opened(
    dsn, db, tmp_path, *, logins=LOGINS, deadline_ms: int = 900, local_address="127.0.0.1", parameters=(), **nas_words
):
    small = tables(deadline_ms=deadline_ms)
    small.routers.append(RouterRow(1, *ROUTER, 0.0, 0.0))
    small.parameters.extend(parameters)
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=2, application_name="radius")
    counters = CounterFile(tmp_path / "use.cnt", names.RADIUS_COUNTERS)
    uses = OpenSessions(database, "node-a")
    use = SimultaneousUse(uses, DynauthClient(), counters, get_logger("test"))
    with OrderNas(**nas_words) as nas:
        await prepare(db, nas, local_address=local_address)
        await uses.keep_connected()
        async with running(tmp_path, logins=logins, small=small, claim=use.settle, must_wait=must_wait) as service:
            house = House(service, nas, db, use, database)
            house.counters = counters
            try:
                yield house
            finally:
                house.client.socket.close()
    use.close()
    await database.close()


@pytest.fixture
async def house(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path) as house:
        yield house


def counted(house, name: str) -> int:
    return house.counters.cells[house.counters.index[name]]


# --- refused --------------------------------------------------------------------------------------------------------


async def test_r5_4_who_is_proven_to_be_connected_elsewhere_is_refused(house):
    await house.connected(OTHER_MAC)
    assert await house.dial() == 3
    assert house.service.count(Reason.IN_USE_ELSEWHERE) == 1
    assert b"another device" in house.reply[REPLY_MESSAGE]
    assert house.nas.counters.acks == 1
    assert house.nas.sources == ["127.0.0.1"]


async def test_r5_4_a_proof_holds_for_a_minute(house, monkeypatch):
    await house.connected(OTHER_MAC)
    assert [await house.dial(identifier=n) for n in (1, 2, 3)] == [3, 3, 3]
    assert len(house.nas.heard) == 1
    monkeypatch.setattr(simultaneous, "FRESH_S", 0.0)
    house.nas.sessions.clear()
    assert await house.dial(identifier=4) == 2
    assert house.nas.counters.causes == [406]


async def test_r5_4_a_copy_while_the_probe_is_under_way_joins_it(house):
    house.nas.delay_s = 0.3
    await house.connected(OTHER_MAC)
    request = access_request(attributes=tlv(SESSION_ID, b"81a00009") + tlv(NAS_PORT_ID, b"ether1"))
    house.client.send(request)
    await asyncio.sleep(0.1)
    house.client.send(request)
    assert checked(await house.client.receive(), request).code == 3
    assert await house.client.is_silent()
    assert (counted(house, names.PROBES), house.service.count(names.PENDING)) == (1, 1)


async def test_a_lost_probe_is_sent_again_octet_for_octet(house):
    house.nas.unheard = 1
    await house.connected(OTHER_MAC)
    assert await house.dial() == 3
    assert len(house.nas.heard) == 2
    assert len(set(house.nas.heard)) == 1


async def test_r5_4_as_many_as_are_allowed(house, db):
    await db.execute("UPDATE erp.contract SET simultaneous_max = 2")
    await house.connected(OTHER_MAC)
    assert await house.dial(identifier=1) == 2
    await house.connected(THIRD_MAC, "81a00002")
    assert await house.dial(identifier=2) == 3
    assert house.nas.counters.acks == 2
    await db.execute("UPDATE erp.login SET simultaneous_max = 3 WHERE id = 1")
    assert await house.dial(identifier=3) == 2
    await db.execute("UPDATE erp.login SET simultaneous_max = 1 WHERE id = 1")
    assert await house.dial(identifier=4) == 3


async def test_many_at_once_make_one_statement_and_one_probe(house):
    house.nas.delay_s = 0.1
    await house.connected(OTHER_MAC)
    requests = [access_request(identifier=n) for n in range(20)]
    house.client.send(*requests)
    replies = [await house.client.receive() for _ in requests]
    assert {reply[0] for reply in replies} == {3}
    assert counted(house, names.PROBES) == 1


# --- let in ---------------------------------------------------------------------------------------------------------


async def test_nobody_else_is_connected(house):
    assert await house.dial() == 2
    assert house.nas.heard == []


async def test_r5_4_a_session_that_the_nas_does_not_know_keeps_nobody_out(house):
    await house.connected(OTHER_MAC, lives=False)
    assert await house.dial(identifier=1) == 2
    assert house.nas.counters.causes == [406]
    assert counted(house, names.probed(Outcome.GONE)) == 1
    assert await house.dial(identifier=2) == 2
    assert len(house.nas.heard) == 1


async def test_r5_4_item_3_a_silent_nas_keeps_nobody_out_and_is_left_alone_for_a_while(house):
    house.nas.is_silent = True
    await house.connected(OTHER_MAC)
    assert await house.dial(identifier=1) == 2
    asked = len(house.nas.heard)
    assert asked > 1
    assert await house.dial(identifier=2) == 2
    assert len(house.nas.heard) == asked
    assert counted(house, names.probed(None)) == 1


async def test_r5_4_a_nas_that_refuses_the_order_proves_nothing(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path) as house:
        # A name that the NAS does not have is what it takes for a question about nobody.
        await house.connected(OTHER_MAC, ipv4=None, user_name="")
        assert await house.dial() == 2


async def test_another_secret_proves_nothing(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path, secret=b"of somebody else") as house:
        await house.connected(OTHER_MAC)
        assert await house.dial() == 2
        assert house.nas.counters.bad_requests > 1


async def test_r2_6_a_router_that_speaks_to_other_nodes_only_is_not_asked(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path, local_address=None) as house:
        await house.connected(OTHER_MAC)
        assert await house.dial() == 2
        assert house.nas.heard == []


async def test_r2_6_it_is_asked_from_the_address_that_it_spoke_to_last(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path) as house:
        await db.execute(
            "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) "
            "VALUES (1, 3, '127.0.0.33', now() - interval '1 day'), (1, 3, '127.0.0.34', now() + interval '1 s')"
        )
        await house.connected(OTHER_MAC)
        assert await house.dial() == 3
        assert set(house.nas.sources) == {"127.0.0.34"}


async def test_an_address_that_is_not_ours_any_more(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path, local_address="192.0.2.77") as house:
        await house.connected(OTHER_MAC)
        assert await house.dial() == 2


async def test_r5_4_the_same_device_that_redials_is_never_refused(house):
    await house.connected(MAC)
    assert await house.dial(identifier=1) == 2
    assert await house.dial(OTHER_MAC, session_id=b"81a00001", identifier=2) == 2, "the same session once more"
    assert house.nas.heard == []
    assert await house.dial(port=b"ether2", identifier=3) == 3, "on another port it is another device"


async def test_r5_4_after_a_power_cut_all_get_in_at_once(house):
    """No Stop came, and ids count from a new boot; her NAS would even say that the old session lives."""
    await house.connected(MAC)
    assert await house.dial(session_id=b"82a00001") == 2
    assert house.nas.heard == []


async def test_r5_3_suspended_and_closed_sessions_do_not_count(house, db):
    silent = await house.connected(OTHER_MAC, interim_s=10)
    await house.connected(OTHER_MAC, "81a00002", ended=True)
    assert await house.dial(identifier=1) == 2
    assert house.nas.heard == []
    await db.execute("UPDATE net.session SET interim_s = 300 WHERE family = $1", silent)
    assert await house.dial(identifier=2) == 3


async def test_r5_4_postgresql_away_keeps_nobody_out_and_costs_no_time(house):
    await house.connected(OTHER_MAC)
    house.database._connection.terminate()
    assert await house.dial(identifier=1) == 2
    assert counted(house, names.SIMULTANEOUS_UNASKED) == 1
    await OpenSessions(house.database, "node-a").keep_connected()
    assert await house.dial(identifier=2) == 3


async def test_r5_4_postgresql_frozen_keeps_nobody_out(house, db, dsn):
    await house.connected(OTHER_MAC)
    async with asyncio.timeout(5):
        other = await asyncpg.connect(dsn)
        async with other.transaction():
            await other.execute("LOCK TABLE net.session IN ACCESS EXCLUSIVE MODE")
            assert await house.dial(identifier=1) == 2
            assert await house.dial(identifier=2) == 2
        await other.close()
    assert counted(house, names.SIMULTANEOUS_UNASKED) == 2


async def test_r4_1_the_blocked_state_is_not_asked_about(dsn, db, tmp_path):
    logins = {b"alice": encode(login(1, access_status=AccessStatus.BLOCKED_MANUALLY))}
    parameters = (ParameterRow("blocked_state", 0, "S"), ParameterRow("blocked_ipv4_pool", 0, "blocked"))
    async with opened(dsn, db, tmp_path, logins=logins, parameters=parameters) as house:
        await house.connected(OTHER_MAC)
        assert await house.dial() == 2
        assert house.service.count(Reason.GRANTED_BLOCKED) == 1
        assert house.service.count(names.PENDING) == 0
    async with running(tmp_path / "n", logins=logins) as service:
        with Client(service.auth) as client:
            request = access_request()
            assert checked(await client.ask(request), request).code == 3
        assert service.count(Reason.BLOCKED_MANUALLY) == 1


async def test_more_than_can_be_proven_is_never_refused(house, db):
    await db.execute("UPDATE erp.login SET simultaneous_max = 17")
    for number in range(20):
        await house.connected(OTHER_MAC, f"81b{number:05}")
    assert await house.dial() == 2
    assert house.nas.heard == []


async def test_accel_ppp_says_gone_in_its_own_way(dsn, db, tmp_path):
    async with opened(dsn, db, tmp_path, kind="accel-ppp") as house:
        await house.connected(OTHER_MAC, lives=False)
        assert await house.dial() == 2
        assert house.nas.counters.causes == [503]


async def test_what_waits_leaves_no_garbage_that_grows(house):
    """The process runs without the cycle collector but for its youngest objects."""
    await house.connected(OTHER_MAC)
    for number in range(20):
        await house.dial(identifier=number)
    gc.collect()
    gc.disable()
    try:
        for number in range(50):
            await house.dial(identifier=20 + number)
        found = gc.collect()
    finally:
        gc.enable()
    assert found < 50, found
