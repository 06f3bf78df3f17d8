"""Rule R1.3 against a real PostgreSQL: a forgotten WHERE cuts nobody off, and a blocking day stops no unblock."""

import asyncio
from pathlib import Path

import pytest
from replica_node import Node, erp, expected_contents, running, seed, until

from aaad.db.connection import Database
from aaad.replica import holds
from aaad.replica.brake import BrakeLimits
from aaad.replica.holds import accept_hold, hold_status
from aaad.sessions.entries import read_entry
from aaad.sessions.store import DrainStore
from aaad.spool.records import BindingLearned, encode

N = 400  # the brake's least, 50 logins, is more than 5 % of them


def door(dsn: str) -> Database:
    return Database(dsn, connect_timeout_s=2, statement_timeout_s=2, application_name="test")


async def accept(dsn: str) -> int:
    database = door(dsn)
    held = await hold_status(database)
    assert held is not None
    hold = await accept_hold(database, "maria", hold_id=held.hold_id, count=held.cut_off_count)
    await database.close()
    assert hold is not None
    return hold.cut_off_count


FORGOTTEN_WHERE = [
    "UPDATE erp.contract SET access_status = 'CM'",
    "UPDATE erp.contract SET status = 'I'",
    "UPDATE erp.contract SET suspended = true",
    "UPDATE erp.contract SET plan_id = NULL",
    "UPDATE erp.client SET active = false",
    "UPDATE erp.login SET active = false",
    "UPDATE erp.login SET deleted_at = now()",
    "UPDATE erp.login SET password = 'changed'",
    "UPDATE erp.login SET name = 'new.' || name",
    "UPDATE erp.login SET access_hours = '{3}'",
    "UPDATE erp.login SET mac = '02:00:00:00:00:01', bind_mac = 'S'",
    "UPDATE erp.login SET nas_id = 1, port_id = 'ether1', circuit_id = 'olt 1/1'",
    "DELETE FROM erp.login",
    "TRUNCATE erp.login CASCADE",
    "TRUNCATE erp.client CASCADE",
    "BEGIN; DELETE FROM erp.login; DELETE FROM erp.contract; DELETE FROM erp.plan; COMMIT",
    "DELETE FROM erp.login; DELETE FROM erp.contract; DELETE FROM erp.plan",
    "TRUNCATE erp.plan CASCADE",
]


@pytest.mark.parametrize("statement", FORGOTTEN_WHERE)
async def test_a_forgotten_where_is_held_and_accepted(statement: str, dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        before = node.contents()
        for part in [statement] if statement.startswith("BEGIN") else statement.split(";"):
            await sql.execute(part)
        await until(lambda: node.count("held_logins") == N)
        if "erp.plan" in statement:
            # The last statement is known, too, and the plan that nobody is served with is gone.
            await until(lambda: [plan.plan_id for plan in node.tables().plans] == [1])
        assert node.contents() == before
        await until(lambda: node.meta.hold_id)
        database = door(dsn)
        hold = await hold_status(database)
        await database.close()
        assert (hold.state, hold.cut_off_count, hold.logins_count) in {("open", N, N), ("open", N, 0)}
        assert hold.sample[0] == "login 1"
        assert await accept(dsn) == N
        assert await until(lambda: node.count("held_logins") == 0, 2.0) < 1.0
        assert node.contents() == await expected_contents(dsn)
        await until(lambda: node.meta.hold_id == 0)
        plans = [row["id"] for row in await sql.fetch("SELECT id FROM erp.plan ORDER BY id")]
        assert [plan.plan_id for plan in node.tables().plans] == plans


LET_IN = "INSERT INTO erp.parameter (name, value) VALUES ('let_in_awaiting_signature', 'S')"
AWAITING = "UPDATE erp.contract SET access_status = 'AA'"
REALM = "INSERT INTO erp.parameter (name, value) VALUES ('strip_realms', 'isp.example')"


@pytest.mark.parametrize(
    ("before", "mistake", "undo", "held"),
    [
        ((), "UPDATE erp.plan SET normal_hours = '{3}'", "UPDATE erp.plan SET normal_hours = NULL", N),
        ((LET_IN, AWAITING), "DELETE FROM erp.parameter", LET_IN, N),
        ((REALM,), "TRUNCATE erp.parameter", REALM, 2),  # in general, and of the one branch
    ],
)
async def test_plans_and_parameters_that_cut_off_too_many_are_held(
    before: tuple[str, ...], mistake: str, undo: str, held: int, dsn: str, tmp_path: Path
) -> None:
    await seed(dsn, N)
    async with erp(dsn) as sql:
        for statement in before:
            await sql.execute(statement)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        served = node.tables()
        await sql.execute(mistake)
        await until(lambda: node.count("held_logins") == held and node.meta.hold_id)
        # All others go on.
        await sql.execute("INSERT INTO erp.plan (id, name, upload, download) VALUES (9, 'nine', '1M', '1M')")
        await sql.execute("UPDATE erp.contract SET plan_id = 9, access_status = 'CM' WHERE id = 1")
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY")
        assert [plan.plan_id for plan in node.tables().plans] == [1, 2, 9]
        assert node.tables().plans[:2] == served.plans
        assert node.tables().parameters == served.parameters
        await sql.execute(undo)
        await until(lambda: node.count("held_logins") == 0 and not node.meta.hold_id)
        await sql.execute(mistake)
        await until(lambda: node.count("held_logins") >= min(held, N - 1) and node.meta.hold_id)
        await accept(dsn)
        await until(lambda: node.count("held_logins") == 0)
        assert (node.tables().plans[0].normal_hours, node.tables().parameters) in [(8, []), (0, [])]


async def test_bindings_that_the_drain_learns_pass_and_those_of_others_do_not(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    database = door(dsn)
    store = DrainStore(database, node="node-a")
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await sql.execute("INSERT INTO erp.parameter (name, value) VALUES ('mac_learn', 'S')")
        await until(lambda: node.meta)
        learned = [
            encode(BindingLearned(login_id, "mac", f"02:00:00:00:{login_id // 256:02X}:{login_id % 256:02X}", 1.0))
            for login_id in range(1, N + 1)
        ]
        await sql.execute(
            "INSERT INTO net.spool_deferred (node, record) SELECT 'node-a', unnest($1::bytea[])", learned
        )
        waiting = await store.load_deferred(0, N)
        await store.settle([item.id for item in waiting], [read_entry(item.record) for item in waiting])
        await until(lambda: (facts := node.login(f"user{N:06}")) and facts.mac)
        assert node.held_ids() == []
        await sql.execute("UPDATE erp.login SET mac = '02:00:00:00:00:01'")
        await until(lambda: len(node.held_ids()) == N - 1)
    await database.close()


async def test_all_others_go_on_and_access_is_never_held(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 400")
        await until(lambda: node.standing("user000400") == "BLOCKED_MANUALLY")
        await sql.execute("UPDATE erp.contract SET access_status = CASE id WHEN 400 THEN 'A' ELSE 'CM' END")
        await until(lambda: node.count("held_logins") == N - 1)
        assert node.standing("user000400") == "GRANTED"  # unblocked by the very statement that is held
        # While it is open: a new login, a single block, a speed, an unblock.
        await sql.execute("INSERT INTO erp.login (id, contract_id, name, password) VALUES (900, 400, 'fresh', 'x')")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 400")
        await sql.execute("UPDATE erp.plan SET download = '99M' WHERE id = 1")
        await sql.execute("UPDATE erp.contract SET access_status = 'A' WHERE id = 7")
        await until(lambda: node.standing("user000400") == "BLOCKED_MANUALLY", 1.0)
        assert node.standing("fresh") == "BLOCKED_MANUALLY"
        await until(
            lambda: node.count("held_logins") == N - 2 and node.tables().plans[0].speed.download == "99M", 1.0
        )
        assert 7 not in node.held_ids()
        # A held row that changes stays held, and what is let through is how it is then.
        await sql.execute("UPDATE erp.contract SET access_status = 'D' WHERE id = 8")
        await until(lambda: node.meta and _pending_status(node, 8) == "D")
        assert node.standing("user000008") == "GRANTED"
        await sql.execute("DELETE FROM erp.login WHERE id = 9")
        await asyncio.sleep(0.3)
        assert node.standing("user000009") == "GRANTED"
        await accept(dsn)
        await until(lambda: node.count("held_logins") == 0)
        assert node.standing("user000008") == "ACCESS_DISABLED"
        assert node.contents() == await expected_contents(dsn)


def _pending_status(node: Node, login_id: int) -> str:
    from aaad.policy.codes import AccessStatus
    from aaad.replica.compile import facts_of

    with node.feed._generation().read() as read:
        pending = read.pending(login_id)
    facts = facts_of(pending.record) if pending else None
    return "D" if facts and facts.access_status == AccessStatus.DISABLED else ""


async def test_undoing_the_mistake_closes_the_hold(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        before = node.contents()
        await sql.execute("UPDATE erp.contract SET status = 'I'")
        await until(lambda: node.meta.hold_id)
        await sql.execute("UPDATE erp.contract SET status = 'A'")
        await until(lambda: node.count("held_logins") == 0 and node.meta.hold_id == 0)
        assert await sql.fetchval("SELECT state FROM net.hold") == "superseded"
        assert {name: record[9:] for name, record in before.items()}.keys() == node.contents().keys()
        assert node.standing("user000001") == "GRANTED"


async def test_fifty_pass_and_the_next_are_held_until_the_window_moves(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    limits = BrakeLimits(minimum_count=50, window_s=1.5)
    async with running(Node(dsn, tmp_path, brake=limits)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id <= 50")
        await until(lambda: node.standing("user000050") == "BLOCKED_MANUALLY")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 51")
        await until(lambda: node.held_ids() == [51])
        await asyncio.sleep(1.6)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 52")
        await until(lambda: node.standing("user000052") == "BLOCKED_MANUALLY")
        assert node.held_ids() == [51]


async def test_a_run_that_passed_its_own_brake_is_not_held(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        for passed in (False, True):
            run_id = await sql.fetchval(
                "INSERT INTO net.run (kind, brake_passed) VALUES ('block', $1) RETURNING id", passed
            )
            first, last = (201, 400) if passed else (1, 200)
            async with sql.transaction():
                await sql.execute(f"SET LOCAL aaad.run = {run_id}")
                await sql.execute(
                    "UPDATE erp.contract SET access_status = 'CA' WHERE id BETWEEN $1 AND $2", first, last
                )
        await until(lambda: node.standing("user000400") == "BLOCKED_AUTOMATICALLY")
        assert len(node.held_ids()) == 200
        # The exempt do not count in the window of the others.
        await sql.execute("UPDATE erp.contract SET access_status = 'A' WHERE id > 390")
        await until(lambda: node.standing("user000400") == "GRANTED")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id > 390")
        await until(lambda: node.standing("user000400") == "BLOCKED_MANUALLY")


async def test_a_run_too_large_for_a_poll_is_not_held_either(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aaad.replica.feed.CHANGES_MAX", 100)
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        run_id = await sql.fetchval("INSERT INTO net.run (kind, brake_passed) VALUES ('block', true) RETURNING id")
        async with sql.transaction():
            await sql.execute(f"SET LOCAL aaad.run = {run_id}")
            await sql.execute("UPDATE erp.contract SET access_status = 'CA'")
        await until(lambda: node.count("resyncs_total") == 2)
        assert node.held_ids() == []
        assert node.contents() == await expected_contents(dsn)


async def test_the_hold_survives_restarts_and_is_accepted_while_the_feed_is_down(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        before = node.contents()
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
        await until(lambda: node.meta.hold_id)
        hold_id = node.meta.hold_id
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.count("polls_total") > 1 and node.meta)
        await sql.execute("UPDATE erp.plan SET download = '98M'")
        await until(lambda: node.tables().plans[0].speed.download == "98M")
        assert node.contents() == before
        assert node.meta.hold_id == hold_id
    await accept(dsn)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY")
        assert node.contents() == await expected_contents(dsn)


async def test_a_resync_keeps_what_is_held(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id <= 100")
        await until(lambda: node.meta.hold_id)
        hold_id = node.meta.hold_id
        await sql.execute("TRUNCATE erp.parameter")
        await until(lambda: node.count("resyncs_total") == 2)
        await until(lambda: node.held_ids() == list(range(1, 101)))
        assert node.standing("user000100") == "GRANTED"
        assert node.meta.hold_id == hold_id
        await accept(dsn)
        await until(lambda: node.standing("user000100") == "BLOCKED_MANUALLY", 1.0)
        assert node.contents() == await expected_contents(dsn)


async def test_two_nodes_share_one_hold(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with (
        running(Node(dsn, tmp_path)) as one,
        running(Node(dsn, tmp_path, name="node-b")) as two,
        erp(dsn) as sql,
    ):
        await until(lambda: one.meta and two.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
        await until(lambda: one.meta.hold_id and two.meta.hold_id)
        assert one.meta.hold_id == two.meta.hold_id
        assert await sql.fetchval("SELECT count(*) FROM net.hold") == 1
        await accept(dsn)
        await until(lambda: one.standing("user000001") == two.standing("user000001") == "BLOCKED_MANUALLY", 1.0)
        assert await sql.fetchval("SELECT count(*) FROM net.node") == 2


async def test_of_two_nodes_figures_the_larger_ones_stand_and_an_owner_may_lower_his(dsn: str) -> None:
    told = []
    async with erp(dsn) as sql:
        await sql.execute("INSERT INTO net.node (name) VALUES ('a'), ('b')")
        for node, count in ((1, 5000), (2, 60), (1, 4000), (2, 4500), (2, 10)):
            figures = (node, "changes", count, 9000, [f"of {node}"], "10:10:", 0)
            assert await sql.fetchval(holds.STATEMENTS["open_hold"], *figures) == 1
            told.append(tuple(await sql.fetchrow("SELECT node_id, cut_off_count, sample[1] FROM net.hold")))
    assert told == [(1, 5000, "of 1"), (1, 5000, "of 1"), (1, 4000, "of 1"), (2, 4500, "of 2"), (2, 10, "of 2")]


async def test_a_fresh_node_holds_nothing(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with erp(dsn) as sql:
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        assert node.held_ids() == []
        assert node.contents() == await expected_contents(dsn)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM net.nas",
        "UPDATE net.nas SET enabled = false",
        "UPDATE net.nas SET secret = 'x'",
        "TRUNCATE net.nas CASCADE",
    ],
)
async def test_losing_most_concentrators_is_held(statement: str, dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with erp(dsn) as sql:
        await sql.execute(
            "INSERT INTO net.nas (id, name, address, secret) "
            "SELECT n, 'nas' || n, ('10.0.0.' || n)::cidr, 's' FROM generate_series(2, 4) n"
        )
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            await sql.execute("UPDATE net.nas SET enabled = false WHERE id = 4")
            await until(lambda: not node.tables().nases[3].enabled)
            before = [(nas.nas_id, nas.secret) for nas in node.tables().nases if nas.enabled]
            await sql.execute(statement)
            await until(lambda: len(node.meta.held_nases) == 3)
            await sql.execute(
                "INSERT INTO net.nas (id, name, address, secret) VALUES (9, 'nine', '10.9.0.0/16', 's')"
            )
            await until(lambda: any(nas.nas_id == 9 for nas in node.tables().nases))
            assert [(nas.nas_id, nas.secret) for nas in node.tables().nases if nas.enabled][:3] == before
            await until(lambda: node.meta.hold_id)
            assert "NAS 127.0.0.0/8" in await sql.fetchval("SELECT sample FROM net.hold")
            await accept(dsn)
            await until(lambda: not node.meta.held_nases, 1.0)
            rows = await sql.fetch("SELECT id, secret, enabled FROM net.nas ORDER BY id")
            assert [(nas.nas_id, nas.secret.decode(), nas.enabled) for nas in node.tables().nases] == [
                tuple(row) for row in rows
            ]


async def test_the_only_concentrator_may_be_disabled_but_not_vanish(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE net.nas SET enabled = false")
        await until(lambda: not node.tables().nases[0].enabled)
        await sql.execute("UPDATE net.nas SET enabled = true")
        await until(lambda: node.tables().nases[0].enabled)
        await sql.execute("DELETE FROM net.nas")
        await until(lambda: node.meta.held_nases)
        assert node.tables().nases
        await sql.execute(
            "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'one', '127.0.0.0/8', 'testing123')"
        )
        await until(lambda: not node.meta.held_nases and not node.meta.hold_id)


async def test_six_concentrators_deleted_one_by_one_do_not_all_go(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with erp(dsn) as sql:
        await sql.execute(
            "INSERT INTO net.nas (id, name, address, secret) "
            "SELECT n, 'nas' || n, ('10.0.0.' || n)::cidr, 's' FROM generate_series(2, 6) n"
        )
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            for nas_id in range(1, 7):
                await sql.execute("DELETE FROM net.nas WHERE id = $1", nas_id)
                await until(lambda gone=nas_id: _is_known(node, gone))
            assert [nas.nas_id for nas in node.tables().nases] == [4, 5, 6]
            await until(lambda: node.meta.hold_id)
            assert await accept(dsn) == 3
            await until(lambda: not node.tables().nases)


def _is_known(node: Node, nas_id: int) -> bool:
    nas_ids = {nas.nas_id for nas in node.tables().nases}
    return nas_id not in nas_ids or f"10.0.0.{nas_id}/32" in node.meta.held_nases


async def test_a_node_that_was_down_at_the_acceptance_answers_like_the_others(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    two = Node(dsn, tmp_path, name="node-b")
    three = Node(dsn, tmp_path, name="node-c")
    async with running(Node(dsn, tmp_path)) as one, erp(dsn) as sql:
        async with running(two), running(three):
            await until(lambda: one.meta and two.meta and three.meta)
        # Two is down before the hold and the NASes' loss, three with the hold on its disk.
        async with running(three := Node(dsn, tmp_path, name="node-c")):
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id <= 100")
            await sql.execute("DELETE FROM net.nas")
            await until(lambda: len(three.held_ids()) == 100 and three.meta.hold_id)
        await until(lambda: one.count("held_logins") == 101)
        await _told(dsn, 101)
        await accept(dsn)
        await until(lambda: one.standing("user000100") == "BLOCKED_MANUALLY")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id BETWEEN 101 AND 200")
        await until(lambda: len(one.held_ids()) == 100 and one.meta.hold_id)
        async with (
            running(Node(dsn, tmp_path, name="node-b")) as two,
            running(Node(dsn, tmp_path, name="node-c")) as three,
        ):
            for node in (two, three):
                await until(lambda node=node: node.meta and node.standing("user000100") == "BLOCKED_MANUALLY")
                await until(lambda node=node: node.meta.hold_id == one.meta.hold_id)
                assert node.held_ids() == one.held_ids() == list(range(101, 201))
                assert node.tables().nases == one.tables().nases == []
            assert await sql.fetchval("SELECT count(*) FROM net.hold") == 2


async def _told(dsn: str, count: int) -> None:
    """Wait until PostgreSQL has these figures of the hold."""
    database = door(dsn)
    for _ in range(200):
        hold = await hold_status(database)
        if hold is not None and hold.cut_off_count == count:
            break
        await asyncio.sleep(0.01)
    else:
        raise AssertionError(f"nobody told {count}")
    await database.close()


@pytest.mark.parametrize("statement", ["TRUNCATE erp.login CASCADE", "UPDATE erp.contract SET access_status = 'CM'"])
async def test_a_resync_carries_out_what_was_accepted_while_the_node_was_down(
    statement: str, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hold on this node's disk, and of one that it never saw."""
    monkeypatch.setattr("aaad.replica.feed.CHANGES_MAX", 100)
    await seed(dsn, N)
    two = Node(dsn, tmp_path, name="node-b")
    async with running(Node(dsn, tmp_path)) as one, running(two), erp(dsn) as sql:
        await until(lambda: one.meta and two.meta)
        two.stopping.set()
        await asyncio.sleep(0.1)
        await sql.execute(statement)
        await until(lambda: one.count("held_logins") == N and one.meta.hold_id)
        one.stopping.set()
        await asyncio.sleep(0.1)
        await accept(dsn)
        await sql.execute("UPDATE erp.client SET active = NOT active WHERE id > 300")
        await sql.execute("INSERT INTO erp.branch (id, name) SELECT 100 + n, 'b' || n FROM generate_series(1, 120) n")
    for name in ("node-a", "node-b"):
        async with running(Node(dsn, tmp_path, name=name)) as node:
            resyncs = node.count("resyncs_total")
            await until(lambda node=node, resyncs=resyncs: node.count("resyncs_total") > resyncs)
            expected = 0 if "TRUNCATE" in statement else 100
            assert len(node.held_ids()) == expected  # those changed since are judged anew
            if not expected:
                assert node.contents() == await expected_contents(dsn)
            assert node.standing("user000001") != "GRANTED"


async def test_another_databases_acceptance_releases_nothing_of_ours(
    dsn: str, empty_dsn: str, tmp_path: Path
) -> None:
    from aaad.db.migrate import migrate

    await migrate(empty_dsn)
    await seed(empty_dsn, N)
    async with erp(empty_dsn) as sql:
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
        await sql.execute(
            "INSERT INTO net.hold (kind, cut_off_count, logins_count, state) VALUES ('changes', 400, 400, 'accepted')"
        )
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
        await until(lambda: node.meta.hold_id == 1)
    async with running(Node(empty_dsn, tmp_path)) as node:
        await until(lambda: node.count("resyncs_total") == 2)
        await until(lambda: node.meta.hold_id == 2)
        assert len(node.held_ids()) == N
        assert node.standing("user000001") == "GRANTED"


async def test_nobody_accepts_what_he_has_not_seen(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id <= 100")
        await _told(dsn, 100)
        database = door(dsn)
        seen = await hold_status(database)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id <= 300")
        await _told(dsn, 300)
        assert await accept_hold(database, "maria", hold_id=seen.hold_id, count=seen.cut_off_count) is None
        assert await accept_hold(database, "maria", hold_id=seen.hold_id + 1, count=N) is None
        assert len(node.held_ids()) == 300
        # Accepted before a node told that it has grown again: only what the figures counted passes.
        figures = await sql.fetchrow("SELECT id, snapshot::text AS snapshot FROM net.hold")
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
        await _told(dsn, N)
        await sql.execute(
            "UPDATE net.hold SET snapshot = $2::text::pg_snapshot, state = 'accepted' WHERE id = $1", *figures
        )
        await until(lambda: node.standing("user000300") == "BLOCKED_MANUALLY")
        await _told(dsn, 100)
        assert node.held_ids() == list(range(301, 401))
        await database.close()


async def test_a_node_built_from_nothing_during_a_hold_says_so(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, N)
    async with running(Node(dsn, tmp_path)) as one, erp(dsn) as sql:
        await until(lambda: one.meta)
        await sql.execute("UPDATE erp.contract SET access_status = 'CM'")
        await until(lambda: one.meta.hold_id)
        async with running(Node(dsn, tmp_path, name="node-b")) as two:
            await until(lambda: two.count("resyncs_total"))
            assert two.held_ids() == []
            assert await sql.fetchval("SELECT built_meanwhile FROM net.hold") == ["node-b"]
        assert len(one.held_ids()) == N
