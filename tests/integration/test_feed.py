"""Rule R1 against a real PostgreSQL: the feed misses nothing, waits for nobody, and survives what happens to it."""

import asyncio
from pathlib import Path
from time import monotonic, sleep

import pytest
from msgspec.structs import replace
from replica_node import Node, erp, expected_contents, running, seed, until

from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.policy.facts import LoginExtras, PhaseFacts, Speed
from aaad.replica import source
from aaad.replica.batch import write_batch
from aaad.replica.rebuild import Rebuild
from aaad.replica.record import BranchRow
from aaad.replica.store import ReplicaWriter

TURBO = """
INSERT INTO erp.plan_phase (plan_id, phase, hours, upload, download) VALUES (1, 'turbo', '{0,23}', '1M', '2M')
"""


async def test_a_fresh_node_loads_everything(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 300)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        assert node.contents() == await expected_contents(dsn)
        assert node.standing("user000007") == "GRANTED"
        tables = node.tables()
        assert [nas.address for nas in tables.nases] == ["127.0.0.0/8"]
        assert [plan.speed.download for plan in tables.plans] == ["50M", "100M"]
        assert len(tables.class_key) == 16
        assert tables.node_number == node.meta.node_number > 0


async def test_r10_how_long_after_its_transaction_began_a_change_is_here_is_told(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 3)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        async with sql.transaction():
            await sql.execute("UPDATE erp.login SET password = 'new' WHERE id = 3")
            await asyncio.sleep(0.5)
        await until(lambda: node.login("user000003").password == b"new")
        await until(lambda: node.count("lag_seconds") >= 500_000)
        assert node.count("lag_seconds") < 30_000_000, "microseconds of a wait of half a second"


async def test_each_kind_of_change_arrives_soon(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 20)
    async with running(Node(dsn, tmp_path, poll_interval_s=1.0)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await asyncio.sleep(0.3)  # it listens
        steps = [
            (
                "UPDATE erp.contract SET access_status = 'CM' WHERE id = 1",
                lambda: node.standing("user000001") == "BLOCKED_MANUALLY",
            ),
            (
                "UPDATE erp.contract SET access_status = 'A' WHERE id = 1",
                lambda: node.standing("user000001") == "GRANTED",
            ),
            (
                "UPDATE erp.client SET active = false WHERE id = 2",
                lambda: node.standing("user000002") == "CLIENT_INACTIVE",
            ),
            (
                "UPDATE erp.login SET password = 'new' WHERE id = 3",
                lambda: node.login("user000003").password == b"new",
            ),
            (
                "UPDATE erp.login SET name = 'Renamed' WHERE id = 4",
                lambda: node.login("renamed") and not node.login("user000004"),
            ),
            (
                "UPDATE erp.login SET deleted_at = now() WHERE id = 5",
                lambda: node.standing("user000005") == "LOGIN_DELETED",
            ),
            ("DELETE FROM erp.login WHERE id = 6", lambda: node.login("user000006") is None),
            (
                "INSERT INTO erp.login (id, contract_id, name, password) VALUES (100, 6, 'fresh', 'x')",
                lambda: node.login("fresh"),
            ),
            ("UPDATE erp.contract SET plan_id = 2 WHERE id = 7", lambda: node.login("user000007").plan_id == 2),
            (
                "UPDATE erp.plan SET download = '77M' WHERE id = 1",
                lambda: node.tables().plans[0].speed.download == "77M",
            ),
            (
                "INSERT INTO erp.parameter (name, value) VALUES ('blocked_state', 'S')",
                lambda: node.tables().parameters,
            ),
            (
                TURBO,
                lambda: node.tables().plans[0].turbo == PhaseFacts(1 | 1 << 23, Speed("1M", "2M"), 0),
            ),
            ("UPDATE erp.plan_phase SET active = false", lambda: node.tables().plans[0].turbo is None),
            (
                "INSERT INTO erp.plan_attribute (plan_id, name, value) VALUES (2, 'Filter-Id', 'x')",
                lambda: node.tables().plans[1].attributes == b"\x0b\x03x",
            ),
            (
                "INSERT INTO erp.login_attribute (login_id, name, value) VALUES (8, 'Filter-Id', 'x')",
                lambda: node.login("user000008").extras == LoginExtras(attributes=b"\x0b\x03x"),
            ),
            ("DELETE FROM erp.login_attribute", lambda: node.login("user000008").extras is None),
            (
                "UPDATE erp.login SET authentication = 'D', mac = '001a.2b3c.4d5e' WHERE id = 9",
                lambda: node.aliases() == {bytes.fromhex("001a2b3c4d5e"): b"user000009"},
            ),
            ("UPDATE erp.login SET deleted_at = now() WHERE id = 9", lambda: node.aliases() == {}),
            (
                "INSERT INTO net.router_administrator (name, password, router_group) VALUES ('Root', 'x', 'full')",
                lambda: (
                    [(who.name, who.group, who.nas_id) for who in node.tables().administrators]
                    == [(b"root", "full", 0)]
                ),
            ),
            ("UPDATE net.router_administrator SET active = false", lambda: node.tables().administrators == []),
            (
                "INSERT INTO erp.branch (id, name, time_zone) VALUES (2, 'Norte', 'America/Manaus')",
                lambda: node.tables().branches[-1] == BranchRow(2, "America/Manaus"),
            ),
            (
                "INSERT INTO net.router (id, nas_id, source_address) VALUES (9, 1, '127.0.0.1')",
                lambda: node.tables().routers,
            ),
            (
                "UPDATE net.router SET armed_at = now() - interval '1 day' WHERE id = 9",
                lambda: node.tables().routers[0].armed_at_s,
            ),
            ("UPDATE net.router SET reset_at = now() WHERE id = 9", lambda: node.tables().routers[0].reset_at_s),
            (
                "UPDATE net.router SET secret_fingerprint = '12345678', secret_proven_at = to_timestamp(5)",
                lambda: (
                    (node.tables().routers[0].secret_fingerprint, node.tables().routers[0].secret_proven_at_s)
                    == (b"12345678", 5.0)
                ),
            ),
            (
                "INSERT INTO net.nas (id, name, address, secret) VALUES (2, 'two', '10.0.0.1', 's')",
                lambda: len(node.tables().nases) == 2,
            ),
            ("UPDATE net.nas SET octets_swapped = true WHERE id = 2", lambda: node.tables().nases[1].octets_swapped),
        ]
        delays = []
        for statement, arrived in steps:
            await sql.execute(statement)
            delays.append(await until(arrived, 1.0))
        assert sorted(delays)[len(delays) // 2] < 0.1
        assert node.contents() == await expected_contents(dsn)


async def test_an_open_writer_delays_only_its_own_rows(dsn: str, tmp_path: Path) -> None:
    """R1.1: with one writer open, a thousand other changes still arrive within 1 s; its own follow its commit."""
    await seed(dsn, 1100)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as stranger, erp(dsn) as sql:
        await until(lambda: node.meta)
        opened = stranger.transaction()
        await opened.start()
        await stranger.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1001")
        await sql.execute("UPDATE erp.login SET password = 'x' || id WHERE id = 1002")  # a later transaction
        for contract_id in range(1, 1001):
            access_status = "FA" if contract_id % 2 else "A"
            await sql.execute(
                "UPDATE erp.contract SET access_status = $1, suspended = false, plan_id = 2 WHERE id = $2",
                access_status,
                contract_id,
            )
        await until(lambda: node.login("user001000").plan_id == 2, 1.0)
        assert all(node.login(f"user{number:06d}").plan_id == 2 for number in range(1, 1001))
        assert node.standing("user001001") == "GRANTED"
        await opened.commit()
        await until(lambda: node.standing("user001001") == "BLOCKED_MANUALLY", 1.0)
        assert node.contents() == await expected_contents(dsn)


async def test_a_rolled_back_change_never_arrives(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        undone = sql.transaction()
        await undone.start()
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        async with sql.transaction():
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 2")
        await undone.rollback()
        async with sql.transaction(), sql.transaction():  # a subtransaction that commits with its parent
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 3")
        await until(lambda: node.standing("user000003") == "BLOCKED_MANUALLY", 1.0)
        assert node.standing("user000001") == node.standing("user000002") == "GRANTED"


async def test_a_poll_follows_without_any_notification(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    node = Node(dsn, tmp_path, poll_interval_s=0.5)
    node.feed._listening.listen = node.feed._listening.fetchrow = _deaf  # type: ignore[method-assign]
    async with running(node), erp(dsn) as sql:
        await until(lambda: node.meta)
        for number in (1, 2, 3):
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = $1", number)
            name = f"user00000{number}"
            assert await until(lambda name=name: node.standing(name) == "BLOCKED_MANUALLY", 5.0) < 5.0


async def _deaf(*_: object) -> None:
    return None


async def test_a_restart_goes_on_from_the_stored_snapshot(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 100)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
    async with erp(dsn) as sql:
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await sql.execute("DELETE FROM erp.login WHERE id = 2")
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY")
        assert node.login("user000002") is None
        assert node.count("resyncs_total") == 1  # the first node's: the counters are the same file
        assert node.contents() == await expected_contents(dsn)


async def test_truncate_forces_a_resync(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 40)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("INSERT INTO erp.login (id, contract_id, name, password) VALUES (900, 1, 'kept', 'x')")
        await until(lambda: node.login("kept"))
        async with sql.transaction():
            await sql.execute("CREATE TEMPORARY TABLE kept AS SELECT id, contract_id, name, password FROM erp.login")
            await sql.execute("TRUNCATE erp.login CASCADE")
            await sql.execute(
                "INSERT INTO erp.login (id, contract_id, name, password) SELECT * FROM kept WHERE id = 900"
            )
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.contents().keys() == {b"kept"}  # 40 logins are fewer than the brake's least


async def test_truncate_of_many_is_held_and_heals(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 200)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        before = node.contents()
        await sql.execute("CREATE TABLE kept AS SELECT * FROM erp.login")
        await sql.execute("TRUNCATE erp.login CASCADE")
        await until(lambda: node.count("held_logins") == 200)
        assert node.contents() == before
        await until(lambda: node.meta.hold_id)
        await sql.execute(
            "INSERT INTO erp.login (id, contract_id, name, password) SELECT id, contract_id, name, password FROM kept"
        )
        await until(lambda: node.count("held_logins") == 0)
        await until(lambda: node.meta.hold_id == 0)
        assert node.contents() == before
        assert await sql.fetchval("SELECT state FROM net.hold") == "superseded"


async def test_another_timeline_forces_a_resync(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        directory = node.directory
    _rewrite_meta(directory, timeline="0000002A")
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.contents() == await expected_contents(dsn)


async def test_a_snapshot_from_the_future_forces_a_resync(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
    _rewrite_meta(node.directory, snapshot="99999999:99999999:")
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.contents() == await expected_contents(dsn)


def _rewrite_meta(directory: Path, **changed: object) -> None:
    from msgspec.structs import replace

    writer = ReplicaWriter(directory, 1 << 30)
    assert writer.open() is not None and writer.current is not None
    with writer.current.write() as write:
        write.put_meta(replace(write.meta(), **changed))
    writer.close()


async def test_a_pruned_log_forces_a_resync(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
    async with erp(dsn) as sql:
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await sql.execute("SELECT pg_sleep(0.01)")
        assert await sql.fetchval("SELECT net.prune_changes(interval '0')") > 0
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.standing("user000001") == "BLOCKED_MANUALLY"


async def test_pruning_below_an_open_writer_is_no_gap(dsn: str, tmp_path: Path) -> None:
    """The horizon passes a transaction that is still open: its rows are not in the log yet, so none is missing."""
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as stranger, erp(dsn) as sql:
        await until(lambda: node.meta)
        opened = stranger.transaction()
        await opened.start()
        await stranger.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 2")
        await until(lambda: node.standing("user000002") == "BLOCKED_MANUALLY", 1.0)
        await sql.execute("SELECT net.prune_changes(interval '0')")
        await asyncio.sleep(0.5)
        assert node.count("resyncs_total") == 1
        await opened.commit()
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY", 2.0)


async def test_a_pruned_commit_of_an_open_writer_is_a_gap(dsn: str, tmp_path: Path) -> None:
    """The stored snapshot lies beyond the horizon, but a transaction that was open in it has ended and was pruned."""
    await seed(dsn, 10)
    async with erp(dsn) as stranger, erp(dsn) as sql:
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            opened = stranger.transaction()
            await opened.start()
            await stranger.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 2")
            await until(lambda: node.standing("user000002") == "BLOCKED_MANUALLY", 1.0)
        await opened.commit()
        await sql.execute("SELECT net.prune_changes(interval '0')")
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.count("resyncs_total") == 2)
            assert node.standing("user000001") == "BLOCKED_MANUALLY"


async def test_a_standby_is_refused(dsn: str) -> None:
    """Its snapshots know nothing of the primary's open transactions."""
    database = Database(dsn, connect_timeout_s=2, statement_timeout_s=2, application_name="test")
    async with database.transaction() as queries:
        assert (await source.read_head(queries, None, 0)).timeline == "00000001"
        await queries.execute("CREATE SCHEMA standby")
        await queries.execute(
            "CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        )
        await queries.execute("SET LOCAL search_path = standby, pg_catalog")
        with pytest.raises(StoreError, match="standby"):
            await source.read_head(queries, None, 0)
    await database.close()


RESTORED_ELSEWHERE = """
UPDATE net.change_horizon SET identity = 'another cluster', pruned_below = '9000000000';
INSERT INTO net.change (xid, kind, key) VALUES
    ('8000000000', 'truncate', 0), ('8000000001', 'login', 1), ('8000000002', 'contract', 2)
"""


async def test_a_dump_restored_into_another_cluster_is_read_once(dsn: str, tmp_path: Path) -> None:
    """Its change log and horizon speak of transactions that this cluster has not reached for years."""
    await seed(dsn, 10)
    async with erp(dsn) as sql:
        await sql.execute(RESTORED_ELSEWHERE)
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.count("polls_total") >= 3)
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
            await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY", 1.0)
            assert node.count("resyncs_total") == 1
            await sql.execute(RESTORED_ELSEWHERE)  # only the log's rows, under a running node
            await until(lambda: node.count("resyncs_total") == 2)
            applied, polls = node.count("changes_applied_total"), node.count("polls_total")
            await until(lambda: node.count("polls_total") >= polls + 3)
            assert node.count("resyncs_total") == 2
            assert node.count("changes_applied_total") == applied  # nothing comes again at each poll


async def test_changes_of_the_future_are_left_alone(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("INSERT INTO net.change (xid, kind, key) VALUES ('8000000000', 'truncate', 0)")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY", 1.0)
        assert node.count("resyncs_total") == 1


async def test_resyncs_that_come_to_nothing_are_rare(dsn: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(source.Head, "reason_to_resync", lambda head, meta: "whatever it is")
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        await asyncio.sleep(1.5)
        assert node.count("resyncs_total") == 2  # at 0 s and 1 s; the next at 3 s


async def test_a_log_made_anew_is_another_database(dsn: str, tmp_path: Path) -> None:
    """What `pg_dump --clean` restored in place left no trace: the same cluster, the same database, new tables."""
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        async with sql.transaction():
            await sql.execute("SET LOCAL session_replication_role = replica")
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
            await sql.execute("ALTER TABLE net.change RENAME TO change_before")
            await sql.execute("CREATE TABLE net.change (LIKE net.change_before INCLUDING ALL)")
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 2")
        await until(lambda: node.standing("user000002") == "BLOCKED_MANUALLY", 2.0)
        assert node.count("resyncs_total") == 2


async def test_small_tables_changed_without_a_trace(dsn: str, tmp_path: Path) -> None:
    """They are read again at each checksum, and what the brake would hold, it holds here, too."""
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path, checksum_interval_s=0.3)) as node, erp(dsn) as sql:
        await until(lambda: node.feed._checksum.finished_count >= 1)
        async with sql.transaction():
            await sql.execute("SET LOCAL session_replication_role = replica")
            await sql.execute("UPDATE erp.plan SET download = '77M' WHERE id = 1")
            await sql.execute(
                "UPDATE net.nas SET secret_previous = secret, secret_previous_until = now() + interval '1 day',"
                " secret = 'new'"
            )
        await until(lambda: node.tables().plans[0].speed.download == "77M")
        assert node.tables().nases[0].secret == b"new"
        async with sql.transaction():
            await sql.execute("SET LOCAL session_replication_role = replica")
            await sql.execute("DELETE FROM net.nas")
        await until(lambda: node.meta.held_nases)
        assert len(node.tables().nases) == 1
        assert node.count("resyncs_total") == 1


async def test_an_impossible_id_stops_nothing(dsn: str, tmp_path: Path) -> None:
    """The schema refuses it; if it comes to that all the same, it is told and left out."""
    await seed(dsn, 10)
    async with erp(dsn) as sql:
        await sql.execute("ALTER TABLE erp.login DROP CONSTRAINT login_id_range")
        async with running(Node(dsn, tmp_path, checksum_interval_s=0.3)) as node:
            await until(lambda: node.meta)
            for impossible in (0, -1, -(2**31)):
                await sql.execute(
                    "INSERT INTO erp.login (id, contract_id, name, password) VALUES ($1, 1, 'x' || $1::int, 'x')",
                    impossible,
                )
            await sql.execute(
                "INSERT INTO net.change (kind, key) VALUES ('contract', -5), ('client', 0), ('nas', -7)"
            )
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
            await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY", 1.0)
            finished = node.feed._checksum.finished_count
            await until(lambda: node.feed._checksum.finished_count >= finished + 2)
            assert (node.count("poll_failures_total"), node.count("resyncs_total")) == (0, 1)
            await sql.execute("DELETE FROM erp.login WHERE id <= 0")
            await sql.execute("UPDATE erp.contract SET access_status = 'A' WHERE id = 1")
            await until(lambda: node.standing("user000001") == "GRANTED", 1.0)


async def test_a_bug_at_one_change_does_not_stop_the_feed(dsn: str, tmp_path: Path, monkeypatch) -> None:
    """Two polls that fail in the same way are followed by a resync, which needs no change one by one."""

    def fail_at_7(generation, meta, batch, *rest):  # type: ignore[no-untyped-def]
        if any(change.login_id == 7 for change in batch.changes):
            raise OverflowError("a bug of ours")
        return write_batch(generation, meta, batch, *rest)

    monkeypatch.setattr("aaad.replica.feed.write_batch", fail_at_7)
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.count("polls_total"))
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id IN (7, 8)")
        await until(lambda: node.standing("user000007") == "BLOCKED_MANUALLY", 2.0)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 9")
        await until(lambda: node.standing("user000009") == "BLOCKED_MANUALLY", 1.0)
        assert (node.count("poll_failures_total"), node.count("resyncs_total")) == (2, 2)


async def test_a_lock_on_what_is_reported_delays_no_change(dsn: str, tmp_path: Path) -> None:
    """Somebody left `SELECT … FROM net.node FOR UPDATE` open."""
    await seed(dsn, 100)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as stranger, erp(dsn) as sql:
        await until(lambda: node.meta)
        async with stranger.transaction():
            await stranger.execute("SELECT FROM net.node FOR UPDATE")
            for number in range(1, 21):
                await sql.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = $1", number)
                name = f"user{number:06d}"
                await until(lambda name=name: node.login(name).plan_id == 2, 1.0)
            await sql.execute("DELETE FROM erp.login WHERE id > 20")  # its hold needs the same row
            await until(lambda: node.count("held_logins") == 80, 1.0)
            assert node.count("poll_failures_total") == 0
        await until(lambda: node.meta.hold_id, 4.0)


@pytest.mark.parametrize("reason", ["checksum", "truncate", "pruned"])
async def test_changes_are_live_during_a_resync(dsn: str, tmp_path: Path, monkeypatch, reason: str) -> None:
    monkeypatch.setattr("aaad.replica.source.ROWS_PER_READ", 10)
    await seed(dsn, 300)
    async with running(Node(dsn, tmp_path, poll_interval_s=0.1)) as node, erp(dsn) as sql:
        await until(lambda: node.count("polls_total"))
        monkeypatch.setattr(Rebuild, "add", _slowly(Rebuild.add))
        if reason == "checksum":
            node.feed._checksum.has_difference = True
        elif reason == "truncate":
            await sql.execute("TRUNCATE erp.parameter")
        else:
            node.feed._meta = replace(node.meta, snapshot="3:3:")
            await sql.execute("SELECT net.prune_changes(interval '0')")
        before = node.directory.joinpath("current").read_text()
        await until(lambda: len([path for path in node.directory.iterdir() if path.is_dir()]) == 2)
        await asyncio.sleep(0.2)
        for number in range(1, 300, 60):
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = $1", number)
            name = f"user{number:06d}"
            await until(lambda name=name: node.standing(name) == "BLOCKED_MANUALLY", 1.0)
        await sql.execute("UPDATE erp.login SET name = 'renamed' WHERE id = 250")
        await until(lambda: node.login("renamed"), 1.0)
        assert node.directory.joinpath("current").read_text() == before  # all that in the old generation
        await until(lambda: node.count("resyncs_total") == 2)
        expected = await expected_contents(dsn)
        await until(lambda: node.contents() == expected, 1.0)


def _slowly(function):  # type: ignore[no-untyped-def]
    def slow(*args):  # type: ignore[no-untyped-def]
        sleep(0.1)
        return function(*args)

    return slow


async def test_a_checksum_difference_forces_a_resync(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 100)
    async with running(Node(dsn, tmp_path, checksum_interval_s=0.3)) as node, erp(dsn) as sql:
        await until(lambda: node.feed._checksum.finished_count >= 2)
        assert node.count("resyncs_total") == 1
        async with sql.transaction():  # a change that leaves no trace in the log
            await sql.execute("SET LOCAL session_replication_role = replica")
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY")
        await until(lambda: node.count("resyncs_total") == 2)
        finished = node.feed._checksum.finished_count
        await until(lambda: node.feed._checksum.finished_count > finished)
        assert node.count("resyncs_total") == 2


async def test_held_rows_are_no_checksum_difference(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 100)
    async with running(Node(dsn, tmp_path, checksum_interval_s=0.2)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("DELETE FROM erp.login WHERE id <= 60")
        await until(lambda: node.count("held_logins") == 60)
        finished = node.feed._checksum.finished_count
        await until(lambda: node.feed._checksum.finished_count >= finished + 3)
        assert node.count("resyncs_total") == 1


async def test_more_changes_than_a_poll_takes_become_a_resync(dsn: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("aaad.replica.feed.CHANGES_MAX", 100)
    await seed(dsn, 300)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.contract SET plan_id = 2")
        await until(lambda: node.login("user000300").plan_id == 2)
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.contents() == await expected_contents(dsn)


async def test_a_wrong_database_cuts_nobody_off(dsn: str, empty_dsn: str, tmp_path: Path) -> None:
    """R1.3: neither an empty database, nor one with our schema and nothing in it, nor the way back."""
    await seed(dsn, 200)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        before = node.contents()
    async with running(Node(empty_dsn, tmp_path)) as node:  # no schema at all
        await until(lambda: node.count("poll_failures_total") >= 2)
        assert node.contents() == before
    from aaad.db.migrate import migrate

    await migrate(empty_dsn)
    async with running(Node(empty_dsn, tmp_path)) as node:
        await until(lambda: node.count("held_logins") >= 200 and node.meta.hold_id)
        assert node.contents() == before
        assert [nas.name for nas in node.tables().nases] == ["one"]
        assert [plan.plan_id for plan in node.tables().plans] == [1]  # who is served names this one only
        async with erp(empty_dsn) as sql:
            assert await sql.fetchval("SELECT cut_off_count FROM net.hold WHERE state = 'open'") == 201
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.count("held_logins") == 0)
        assert node.contents() == before == await expected_contents(dsn)
        assert node.meta.held_nases == ()


async def test_a_deleted_directory_is_rebuilt(dsn: str, tmp_path: Path) -> None:
    import shutil

    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        shutil.rmtree(node.directory)
        await until(lambda: node.count("resyncs_total") == 2)
        assert (node.directory / "current").exists()
        assert node.contents() == await expected_contents(dsn)


async def test_a_row_that_cannot_be_compiled_stops_nothing(dsn: str, tmp_path: Path) -> None:
    """R3.1: the row is marked, its login is refused with a reason of its own; all others go on."""
    await seed(dsn, 10)
    async with erp(dsn) as sql:
        await sql.execute("ALTER TABLE erp.login DROP CONSTRAINT login_password_form")
        await sql.execute("ALTER TABLE erp.login DROP CONSTRAINT login_name_form")
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            await sql.execute("UPDATE erp.login SET password = 'no hash', password_md5 = true WHERE id = 1")
            await sql.execute("UPDATE erp.login SET name = repeat('x', 300) WHERE id = 2")
            await sql.execute("UPDATE erp.login SET password = 'fine' WHERE id = 3")
            await until(lambda: node.login("user000003").password == b"fine")
            assert node.count("unusable_logins") == 2
            contents = node.contents()
            assert contents[b"user000001"][0] == 0
            assert b"user000002" not in contents
            await sql.execute("UPDATE erp.login SET password = 'mended', password_md5 = false WHERE id = 1")
            await sql.execute("UPDATE erp.login SET name = 'user000002' WHERE id = 2")
            await until(lambda: node.login("user000002") and node.login("user000001"))
            await until(lambda: node.count("unusable_logins") == 0)


async def test_two_names_that_fold_to_one(dsn: str, tmp_path: Path) -> None:
    """The second is left out and told; it takes the name when the first lets it go."""
    await seed(dsn, 3)
    async with erp(dsn) as sql:
        await sql.execute("DROP INDEX erp.login_name_unique")
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            await sql.execute("UPDATE erp.login SET name = 'USER000001' WHERE id = 2")
            await until(lambda: node.count("unusable_logins") == 1)
            assert node.login("user000001").login_id == 1
            await sql.execute("UPDATE erp.login SET name = 'other' WHERE id = 1")
            await until(lambda: node.login("user000001") and node.login("user000001").login_id == 2)
            assert node.count("unusable_logins") == 0
            async with sql.transaction():  # names change hands within one batch
                await sql.execute("UPDATE erp.login SET name = 'other' WHERE id = 2")
                await sql.execute("UPDATE erp.login SET name = 'user000001' WHERE id = 1")
            await until(lambda: node.login("other").login_id == 2 and node.login("user000001").login_id == 1)


async def test_the_cluster_is_told_what_is_applied(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        async with sql.transaction():
            xid = await sql.fetchval("SELECT pg_current_xact_id()::text")
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        began = monotonic()
        while not await sql.fetchval(
            "SELECT pg_visible_in_snapshot($1::text::xid8, snapshot) FROM net.node WHERE name = 'node-a'", xid
        ):
            assert monotonic() - began < 2
            await asyncio.sleep(0.02)
        assert node.standing("user000001") == "BLOCKED_MANUALLY"
        await sql.execute("DELETE FROM net.node")  # an operator removed the node by mistake: it comes back
        await sql.execute("UPDATE erp.contract SET access_status = 'A' WHERE id = 1")
        while not await sql.fetchval("SELECT snapshot IS NOT NULL FROM net.node WHERE name = 'node-a'"):
            assert monotonic() - began < 4
            await asyncio.sleep(0.02)
