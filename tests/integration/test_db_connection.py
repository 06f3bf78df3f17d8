"""The one door: every wait ends, whatever happens to the server, and the next call finds it again."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from aaad.db import connection as connection_module
from aaad.db.connection import Database, split_hosts
from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate
from aaad.errors import StoreError

LIMIT_S = 0.5
SLACK_S = 0.7  # a busy machine


def door(dsn: str, statement_timeout_s: float = 5) -> Database:
    return Database(
        dsn, connect_timeout_s=LIMIT_S, statement_timeout_s=statement_timeout_s, application_name="aaad test"
    )


@pytest.fixture
async def database(dsn):
    database = door(dsn)
    yield database
    await database.close()


class OwnServer:
    """A server that this module may freeze and kill."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self.dsn = server.dsn()
        self.data = Path()

    def pids(self) -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    if (process / "cwd").readlink() == self.data:
                        found.append(int(process.name))
                except OSError:
                    continue
        return found

    def signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="module")
def _own(tmp_path_factory) -> Iterator[OwnServer]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("frozen")) as server:
        yield OwnServer(server)


@pytest.fixture
async def own(_own: OwnServer):
    _own.server.start()
    connection = await asyncpg.connect(_own.dsn)
    _own.data = Path(await connection.fetchval("SHOW data_directory"))
    await connection.execute("CREATE TABLE IF NOT EXISTS mark (n integer)")
    await connection.close()
    yield _own
    _own.signal(signal.SIGCONT)


async def test_rows_are_read_by_name_and_by_place(database: Database):
    row = await database.fetchrow("SELECT 1 AS one, 'b' AS two")
    assert row is not None
    assert (row["one"], row[1], len(row), list(row.keys())) == (1, "b", 2, ["one", "two"])
    assert await database.fetchrow("SELECT 1 WHERE false") is None
    assert [r["n"] for r in await database.fetch("SELECT n FROM generate_series(1, $1::int) AS n", 3)] == [1, 2, 3]
    assert await database.execute("INSERT INTO erp.branch (name) VALUES ($1)", "Matriz") == "INSERT 0 1"


async def test_one_connection_is_held(database: Database):
    assert not database.is_connected
    first = await database.fetchrow("SELECT pg_backend_pid() AS pid")
    second = await database.fetchrow("SELECT pg_backend_pid() AS pid")
    assert first["pid"] == second["pid"]
    assert database.is_connected
    await database.close()
    assert not database.is_connected


async def test_callers_take_turns(database: Database):
    async def ask(number: int) -> None:
        row = await database.fetchrow("SELECT $1::int AS n, pg_sleep(0.01)", number)
        assert row["n"] == number

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(ask(number))


async def test_a_transaction_commits_at_its_end_and_rolls_back_at_an_exception(database: Database):
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO erp.branch (name) VALUES ('kept')")
        assert (await transaction.fetchrow("SHOW transaction_isolation"))[0] == "repeatable read"
    with pytest.raises(RuntimeError):
        async with database.transaction("read_committed") as transaction:
            await transaction.execute("INSERT INTO erp.branch (name) VALUES ('lost')")
            raise RuntimeError
    assert [row["name"] for row in await database.fetch("SELECT name FROM erp.branch")] == ["kept"]


async def test_a_read_only_transaction_refuses_to_write(database: Database):
    with pytest.raises(StoreError) as caught:
        async with database.transaction(readonly=True) as transaction:
            await transaction.execute("INSERT INTO erp.branch (name) VALUES ('x')")
    assert caught.value.sqlstate == "25006"


async def test_a_failed_statement_that_the_block_swallows_is_not_taken_for_a_commit(database: Database):
    with pytest.raises(StoreError, match="rolled back"):
        async with database.transaction() as transaction:
            with pytest.raises(StoreError):
                await transaction.execute("SELECT 1/0")
    assert (await database.fetchrow("SELECT 1 AS one"))["one"] == 1


async def test_a_refused_statement_names_state_and_constraint_and_keeps_the_connection(database: Database):
    await database.execute("SELECT 1")
    with pytest.raises(StoreError) as caught:
        await database.execute("INSERT INTO erp.branch (name) VALUES (' x')")
    assert (caught.value.sqlstate, caught.value.constraint) == ("23514", "branch_name_no_outer_space")
    assert not caught.value.may_have_committed
    assert database.is_connected


async def test_an_error_never_shows_the_row(database: Database):
    await database.execute("INSERT INTO erp.branch (name) VALUES ('m')")
    await database.execute("INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Ana')")
    await database.execute("INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)")
    with pytest.raises(StoreError) as caught:
        await database.execute("INSERT INTO erp.login (contract_id, name, password) VALUES (1, 'a b', 'hunter22')")
    assert caught.value.constraint == "login_name_form"
    assert "hunter22" not in str(caught.value)


async def test_the_hint_is_part_of_the_message(database: Database):
    with pytest.raises(StoreError, match=r"time zone .* is not known.*America/Sao_Paulo"):
        await database.execute("INSERT INTO erp.branch (name, time_zone) VALUES ('m', 'Mars')")


async def test_a_late_statement_is_given_up_and_has_not_committed(dsn):
    database = door(dsn, LIMIT_S)
    started = time.monotonic()
    with pytest.raises(StoreError) as caught:
        await database.execute("SELECT pg_sleep(10)")
    assert time.monotonic() - started < LIMIT_S + SLACK_S
    assert caught.value.sqlstate == "57014"
    assert not caught.value.may_have_committed
    await database.close()


async def test_waiting_for_another_transaction_is_limited_too(dsn):
    database = door(dsn, LIMIT_S)
    async with database.transaction():
        started = time.monotonic()
        with pytest.raises(StoreError, match="in use"):
            await database.fetch("SELECT 1")
        assert time.monotonic() - started < LIMIT_S + SLACK_S
    await database.close()


async def test_waiting_is_limited_for_who_comes_between_the_end_of_one_and_the_turn_of_the_next(dsn):
    """Nobody has the connection at that instant, but another is to have it: it is not free."""
    database = door(dsn, LIMIT_S)

    async def hold() -> None:
        async with database.transaction():
            await asyncio.sleep(4 * LIMIT_S)

    async with asyncio.TaskGroup() as group:
        async with database.transaction():
            group.create_task(hold())
            await asyncio.sleep(0.05)  # it waits now
        started = time.monotonic()
        with pytest.raises(StoreError, match="in use"):
            await database.fetch("SELECT 1")
        assert LIMIT_S * 0.9 < time.monotonic() - started < LIMIT_S + SLACK_S
    assert (await database.fetchrow("SELECT 1"))[0] == 1, "who gave up has left the queue"
    await database.close()


async def test_a_cancelled_statement_ends_the_connection_and_the_next_call_has_a_new_one(database: Database):
    before = await database.fetchrow("SELECT pg_backend_pid() AS pid")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await database.execute("SELECT pg_sleep(10)")
    assert not database.is_connected
    after = await database.fetchrow("SELECT pg_backend_pid() AS pid")
    assert before["pid"] != after["pid"]


async def test_a_frozen_server_holds_nobody_beyond_the_limit(own: OwnServer):
    database = door(own.dsn, LIMIT_S)
    await database.execute("SELECT 1")
    own.signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(StoreError) as caught:
        await database.execute("INSERT INTO mark VALUES (1)")
    assert caught.value.may_have_committed
    assert time.monotonic() - started < LIMIT_S + SLACK_S
    with pytest.raises(StoreError, match="away"):  # the kernel still takes the connection, nobody answers
        await database.execute("SELECT 1")
    started = time.monotonic()
    with pytest.raises(StoreError, match="away"):  # within the back-off: at once
        await database.execute("SELECT 1")
    assert time.monotonic() - started < 0.05
    await database.close()
    own.signal(signal.SIGCONT)
    await until_it_answers(database)
    await database.close()


async def test_a_server_frozen_within_a_transaction_holds_nobody(own: OwnServer):
    database = door(own.dsn, LIMIT_S)
    started = 0.0
    with pytest.raises(StoreError) as caught:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO mark VALUES (2)")
            own.signal(signal.SIGSTOP)
            started = time.monotonic()
            await transaction.execute("INSERT INTO mark VALUES (3)")
    assert not caught.value.may_have_committed
    with pytest.raises(StoreError):
        await database.execute("SELECT 1")
    assert time.monotonic() - started < 2 * LIMIT_S + SLACK_S
    own.signal(signal.SIGCONT)
    await until_it_answers(database)
    assert (await database.fetchrow("SELECT count(*) AS n FROM mark WHERE n IN (2, 3)"))["n"] == 0
    await database.close()


async def test_a_server_frozen_at_commit_says_that_the_work_may_be_done(own: OwnServer):
    database = door(own.dsn, LIMIT_S)
    with pytest.raises(StoreError) as caught:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO mark VALUES (4)")
            own.signal(signal.SIGSTOP)
    assert caught.value.may_have_committed
    own.signal(signal.SIGCONT)
    await database.close()


async def test_a_killed_server_is_found_again_with_its_listeners(own: OwnServer):
    database = door(own.dsn)
    heard = asyncio.Event()
    await database.listen("aaad_test", heard.set)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(failure_of(database.execute("SELECT pg_sleep(10)")))
        await asyncio.sleep(0.1)
        own.signal(signal.SIGKILL)
    assert waiting.result().may_have_committed
    assert not database.is_connected
    with pytest.raises(StoreError, match="away"):
        await database.execute("SELECT 1")
    own.server.start()
    await until_it_answers(database)
    await database.execute("NOTIFY aaad_test")
    async with asyncio.timeout(2):
        await heard.wait()
    await database.close()


async def test_a_listener_registered_while_the_server_is_away_hears_later(own: OwnServer):
    own.signal(signal.SIGSTOP)
    database = door(own.dsn)
    calls = []
    with pytest.raises(StoreError):
        await database.listen("aaad_test", lambda: calls.append(1))
    own.signal(signal.SIGCONT)
    await until_it_answers(database)
    await database.execute("NOTIFY aaad_test")
    await database.execute("SELECT 1")
    assert calls == [1]
    await database.close()


async def test_the_back_off_grows_and_is_bounded(tmp_path):
    database = door(f"postgresql://postgres@/x?host={tmp_path}")
    attempts = 0
    give_up_at = time.monotonic() + 1.2
    while time.monotonic() < give_up_at:
        with pytest.raises(StoreError, match="away"):
            await database.execute("SELECT 1")
        attempts += 1
        await asyncio.sleep(0.005)
    assert attempts > 20
    assert 0.2 < database._backoff_s <= 1.0


async def test_a_server_that_became_read_only_is_left(database: Database):
    await database.execute("SELECT 1")
    await database.execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreError) as caught:
        await database.execute("INSERT INTO erp.branch (name) VALUES ('x')")
    assert caught.value.sqlstate == "25006"
    assert not caught.value.may_have_committed
    await database.execute("INSERT INTO erp.branch (name) VALUES ('x')")  # on a new connection


async def test_a_read_only_server_is_not_taken(postgres: EmbeddedPostgres, dsn, database: Database):
    name = (await database.fetchrow("SELECT current_database() AS name"))["name"]
    await database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    other = door(dsn)
    with pytest.raises(StoreError, match="away"):
        await other.execute("SELECT 1")
    reader = door(dsn + "&target_session_attrs=any")
    assert (await reader.fetchrow("SELECT 1 AS one"))["one"] == 1
    await reader.close()


async def test_a_terminated_backend_is_replaced_at_the_next_call(postgres: EmbeddedPostgres, database: Database, dsn):
    pid = (await database.fetchrow("SELECT pg_backend_pid() AS pid"))["pid"]
    other = door(dsn)
    await other.execute("SELECT pg_terminate_backend($1)", pid)
    await other.close()
    await asyncio.sleep(0.1)
    assert not database.is_connected
    assert (await database.fetchrow("SELECT pg_backend_pid() AS pid"))["pid"] != pid


async def test_the_locks_of_a_machine_that_lost_its_power_do_not_stay(dsn, monkeypatch):
    """Its server hears of it by nothing but silence."""
    monkeypatch.setattr(connection_module, "IDLE_IN_TRANSACTION_S", 0.3)
    dead, alive = door(dsn), door(dsn, statement_timeout_s=5)
    await alive.execute("CREATE TABLE cursor (position integer)")
    await alive.execute("INSERT INTO cursor VALUES (1)")
    with pytest.raises(StoreError):
        async with dead.transaction("read_committed") as transaction:
            await transaction.execute("UPDATE cursor SET position = 2")
            await alive.execute("UPDATE cursor SET position = 3")
            await transaction.execute("SELECT 1")
    assert (await alive.fetchrow("SELECT position FROM cursor"))[0] == 3
    assert (await dead.fetchrow("SELECT 1"))[0] == 1
    for one in (dead, alive):
        await one.close()


async def test_settings_of_the_session(database: Database):
    row = await database.fetchrow(
        "SELECT current_setting('application_name'), current_setting('timezone'), "
        "current_setting('statement_timeout')"
    )
    assert list(row) == ["aaad test", "UTC", "4500ms"]


async def test_nothing_of_ours_is_compiled_by_postgresql(empty_dsn: str, tmp_path: Path):
    """Neither by the door nor by migrations, on a server that does so if nobody says otherwise."""
    other = await asyncpg.connect(empty_dsn)
    await other.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database()); END $$")
    await other.close()
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE net.told AS SELECT current_setting('jit') AS jit")
    await migrate(empty_dsn, tmp_path)
    database = door(empty_dsn)
    row = await database.fetchrow("SELECT current_setting('jit'), (SELECT jit FROM net.told)")
    assert list(row) == ["off", "off"]
    await database.close()


async def test_a_frozen_first_host_costs_its_own_time_only(own: OwnServer):
    """Two hosts over TCP: the first takes connections and never answers, as a frozen server does."""
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(3600), "127.0.0.1", 0)
    closed = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (silent, closed)]
    closed.close()
    await closed.wait_closed()
    database = door(f"postgresql://postgres@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/postgres")
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"refused|Connect call failed"):  # the second was asked, and its answer told
        await database.execute("SELECT 1")
    assert LIMIT_S * 0.9 < time.monotonic() - started < LIMIT_S + SLACK_S
    silent.close()


@pytest.mark.parametrize("dsn", ["postgresql://u:sesame@x@h:no/db", "postgresql://u:sesame@[::1/db", "sesame", ""])
async def test_a_wrong_dsn_is_refused_without_showing_it(dsn):
    with pytest.raises(StoreError) as caught:
        await door(dsn).execute("SELECT 1")
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(caught.value.__cause__)


def test_hosts_are_split_each_with_the_account_and_the_database():
    assert split_hosts("postgresql://u:p@a:1,[::1]:2/db?sslmode=require") == [
        "postgresql://u:p@a:1/db?sslmode=require",
        "postgresql://u:p@[::1]:2/db?sslmode=require",
    ]
    assert split_hosts("postgresql:///db?host=/run/a,b") == ["postgresql:///db?host=/run/a,b"]


async def failure_of(work) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await work
    return caught.value


async def until_it_answers(database: Database) -> None:
    give_up_at = time.monotonic() + 10
    while True:
        try:
            await database.execute("SELECT 1")
        except StoreError:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.05)
        else:
            return
