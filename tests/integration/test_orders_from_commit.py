"""From the COMMIT that changes something to what the simulated concentrator has then, read back.

Every row of the mechanism (`test_order_mechanism.ROWS`): PPPoE and Hotspot, IPv4 and IPv6, contracts with two logins.
"""

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from order_field import HURRY, Bras
from order_house import HOTSPOT, PPPOE, OrderHouse, order_house
from order_nas import SECRET
from test_order_mechanism import ROWS, SEED, Expected, Row, add_contract, sql

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.orders.counted import ORDER_COUNTERS
from aaad.orders.runner import OrderRunner
from aaad.radius.dynauth_client import DynauthClient
from aaad.simulator.granted import Granted, granted_of
from aaad.simulator.packet import Attribute, vendor_pieces

OVER = {"done", "unverified", "superseded", "gone"}
IPV6_LISTS = "/ipv6/firewall/address-list"


def attributes_of(octets: bytes) -> list[Attribute]:
    found, at = [], 0
    while at < len(octets):
        value = octets[at + 2 : at + octets[at + 1]]
        found += vendor_pieces(value) if octets[at] == 26 else [Attribute(0, octets[at], value)]
        at += octets[at + 1]
    return found


async def put_up(house: OrderHouse, bras: Bras) -> None:
    """Have the concentrator of the house's NAS entry, known to node-a."""
    assert bras.api is not None
    await house.db.execute(
        "UPDATE net.nas SET secret = $1, coa_port = $2, api_port = $3, api_tls = false, api_user = 'aaad', "
        "api_password = 'a secret' WHERE id = 1",
        SECRET.decode(), bras.nas.port, bras.api.port,
    )  # fmt: skip
    await house.db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, accounting_at) VALUES (1, 1, $1, now())", bras.address
    )
    await house.db.execute(
        "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) "
        "SELECT 1, id, '127.0.0.1', now() FROM net.node WHERE name = 'node-a'"
    )


async def dial_all(house: OrderHouse, bras: Bras) -> dict[UUID, Granted]:
    """Let every session be in the concentrator, with what its Accept said."""
    rows = await house.db.fetch(
        "SELECT family, acct_session_id, user_name, host(ipv4) AS ipv4, attributes "
        "FROM net.session LEFT JOIN net.grant_form ON fingerprint = grant_fingerprint"
    )
    for row in rows:
        granted = granted_of(attributes_of(row["attributes"]))
        is_guest = row["acct_session_id"].startswith(HOTSPOT)
        bras.begin(row["acct_session_id"], row["user_name"], row["ipv4"], hotspot=is_guest, **granted._asdict())
    return {row["family"]: bras.granted(row["acct_session_id"]) for row in rows}


@asynccontextmanager
async def carrying(house: OrderHouse, directory: Path):
    counters = CounterFile(directory / "runner.cnt", ORDER_COUNTERS)
    database = Database(house.dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="runner")
    runner = OrderRunner(database, DynauthClient(), node="node-a", counters=counters, settings=HURRY)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run(stopping))
        try:
            yield counters
        finally:
            stopping.set()
    await database.close()


async def settled(house: OrderHouse, limit_s: float = 40.0) -> None:
    """Wait until no order is open."""
    began = monotonic()
    while await house.db.fetchval("SELECT count(*) FROM net.network_order WHERE is_open"):
        if monotonic() - began > limit_s:
            rows = await house.db.fetch(
                "SELECT kind, cause, state, step, wanted, unsaid, answers FROM net.network_order "
                "WHERE is_open LIMIT 5"
            )
            raise AssertionError([dict(row) for row in rows])
        await asyncio.sleep(0.05)


def check(bras: Bras, row: Row, what: str, session: Any, before: Granted, expected: Expected | None) -> list[str]:
    """Compare what the concentrator has with what is expected of one session."""
    name = f"{row.name}, {what}"
    session_id, is_there = session["acct_session_id"], session["acct_session_id"] in bras.sessions
    if expected is None:
        same = is_there and bras.granted(session_id) == before
        return [] if same else [f"{name}: nothing was to change"]
    if expected.kind == "disconnect":
        return [f"{name}: it is still there"] if is_there else []
    if not is_there:  # a list that no CoA takes and no API writes may need a redial; never of a Hotspot
        return [f"{name}: it was cut"] if session_id.startswith(HOTSPOT) or expected.is_certain else []
    granted = bras.granted(session_id)
    entries = list(bras.router.table("/ip/firewall/address-list").rows.values())
    entries += bras.router.table(IPV6_LISTS).rows.values()
    addresses = {str(session["ipv4"]), str(session["ipv6_prefix"]), str(session["delegated_ipv6_prefix"])}
    lists = {entry["list"] for entry in entries if entry["address"] in addresses} | set(granted.address_lists)
    has = f"{granted.rate_limit} {' '.join(sorted(lists))}"
    wrong = [] if expected.says in has else [f"{name}: has {has}, not {expected.says}"]
    if expected.unsays and expected.unsays in lists:
        wrong.append(f"{name}: is still in {expected.unsays}")
    return wrong


async def test_each_row_of_the_mechanism_becomes_true_in_the_concentrator(dsn: str, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, SEED) as house:
        with ExitStack() as stack:
            bras = Bras(9, stack)
            await put_up(house, bras)
            for contract, row in enumerate(ROWS, 1):
                await add_contract(house.db, contract, row)
            await house.applied()
            families = {}
            for contract, row in enumerate(ROWS, 1):
                for login in (contract, contract + 1000):
                    for service in (PPPOE, HOTSPOT):
                        families[login, service] = await house.session(
                            login, service, contract_id=contract, plan_id=row.plan, mac="02:00:00:00:00:01",
                            source_address=bras.address,
                        )  # fmt: skip
            async with house.reconciling():
                await house.known()
                before = await dial_all(house, bras)
                async with carrying(house, tmp_path) as counters:
                    # Two rows begin blocked, with an IPv6 list that no Accept says; nothing else differs.
                    await house.has({"lists start done": 8}, "kind || ' ' || cause || ' ' || state")
                    for contract, row in enumerate(ROWS, 1):
                        await house.db.execute(sql(row.change, contract))
                    await house.idle()
                    await settled(house)
            states = {row["state"] for row in await house.db.fetch("SELECT DISTINCT state FROM net.network_order")}
            assert states <= OVER, states
            assert not counters.cells[counters.index["aaad_bugs_total"]]
            sessions = {row["family"]: row for row in await house.db.fetch(
                "SELECT family, acct_session_id, host(ipv4) AS ipv4, ipv6_prefix::text, delegated_ipv6_prefix::text "
                "FROM net.session"
            )}  # fmt: skip
            wrong = []
            for contract, row in enumerate(ROWS, 1):
                for login in (contract, contract + 1000):
                    for service, expected in ((PPPOE, row.pppoe), (HOTSPOT, row.hotspot)):
                        family = families[login, service]
                        wanted = expected if row.other or login == contract else None
                        what = f"login {login} {service}"
                        wrong += check(bras, row, what, sessions[family], before[family], wanted)
            assert not wrong, "\n".join(wrong)
            await _check_read(house)


async def _check_read(house: OrderHouse) -> None:
    """What is said to be done was read, and not only acknowledged."""
    rows = await house.db.fetch("SELECT kind, answers FROM net.network_order WHERE state = 'done'")
    assert len(rows) > 40
    for row in rows:
        answers = [(answer["step"], answer["said"]) for answer in json.loads(row["answers"])]
        assert answers[-1] in {("read", "as_wanted"), ("read", "gone"), ("api", "done"), ("read", "other")}, answers
