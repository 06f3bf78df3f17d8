"""Rule R1 against a real PostgreSQL: the feed misses nothing, waits for nobody, and survives what happens to it."""

import asyncio
from pathlib import Path
from time import monotonic

from replica_node import Node, erp, expected_contents, running, seed, until

from aaad.replica.store import ReplicaWriter


async def test_a_fresh_node_loads_everything(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 300)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        assert node.contents() == await expected_contents(dsn)
        assert node.standing("user000007") == "GRANTED"
        tables = node.tables()
        assert [nas.address for nas in tables.nases] == ["127.0.0.0/8"]
        assert [plan.download for plan in tables.plans] == ["50M", "100M"]
        assert len(tables.class_key) == 16
        assert tables.node_number == node.meta.node_number > 0


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
            ("UPDATE erp.plan SET download = '77M' WHERE id = 1", lambda: node.tables().plans[0].download == "77M"),
            ("INSERT INTO erp.parameter (name, value) VALUES ('hello', 'S')", lambda: node.tables().parameters),
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
                "INSERT INTO net.nas (id, name, address, secret) VALUES (2, 'two', '10.0.0.1', 's')",
                lambda: len(node.tables().nases) == 2,
            ),
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
            assert await until(lambda name=name: node.standing(name) == "BLOCKED_MANUALLY", 1.0) < 0.7


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
        await sql.execute("TRUNCATE erp.login")
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.contents() == {}  # 40 logins are fewer than the brake's least


async def test_truncate_of_many_is_held_and_heals(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 200)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        before = node.contents()
        await sql.execute("CREATE TABLE kept AS SELECT * FROM erp.login")
        await sql.execute("TRUNCATE erp.login")
        await until(lambda: node.count("held_logins") == 200)
        assert node.contents() == before
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
        assert len(node.tables().plans) == 2
        async with erp(empty_dsn) as sql:
            assert await sql.fetchval("SELECT cut_off_count FROM net.hold WHERE state = 'open'") == 201
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.count("held_logins") == 0)
        assert node.contents() == before == await expected_contents(dsn)
        assert node.meta.held_nases == node.meta.held_plans == ()


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
            assert node.count("unusable_logins") == 0


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
