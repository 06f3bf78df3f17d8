"""The one door to PostgreSQL: a held connection, every wait limited, reconnecting by itself.

A `Database` holds one connection and lets one statement or transaction through at a time; a room that must not
wait for another's has a Database of its own. A statement that is late, a lost connection or a server that became
read-only ends the connection with terminate(): nothing gentler returns when the server is frozen. The next call
connects again, with a back-off during which calls fail at once. Never retries by itself: whether a lost statement
has committed is known to the caller only, whose writes are idempotent by key.

Never shows the DSN, which holds a password.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol

import asyncpg

from aaad import clock
from aaad.errors import StoreError

BACKOFF_INITIAL_S = 0.05
BACKOFF_MAX_S = 1.0  # changes must flow again soon after PostgreSQL is back
# A machine that loses power within a transaction says no goodbye; its locks would stay for the kernel's two hours.
IDLE_IN_TRANSACTION_S = 60.0
# The server gives up first, so that the answer tells for certain that nothing was committed.
SERVER_SHARE_OF_TIMEOUT = 0.9
# Compiling costs hundreds of milliseconds, and follows from estimates: those of a partition that was never analysed
# are high, and our statements look at few rows. Statements that stand alone see what others commit, whatever somebody
# made the default of the role or the database: some look twice on purpose.
_ALWAYS = {"jit": "off", "default_transaction_isolation": "read committed"}

_READ_ONLY = "25006"  # after a failover: this server is a standby now
_CONNECTION_ENDED = ("57P01", "57P02", "57P03", "57P05", "25P03")  # shut down, crashed, starting, idle too long

_FAILURES = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)

Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Row(Protocol):
    """One row of a result: by column name or by position."""

    def __getitem__(self, key: str | int) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def get(self, key: str, default: Any = None, /) -> Any:
        """Return the column of that name, or the default if there is none."""

    def keys(self) -> Iterator[str]:
        """Return the column names."""

    def values(self) -> Iterator[Any]:
        """Return the values."""

    def items(self) -> Iterator[tuple[str, Any]]:
        """Return pairs of column name and value."""


class Queries(Protocol):
    """What a Database and an open Transaction both can do."""

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """Run a statement and return all its rows."""

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """Run a statement and return its first row, None if there is none."""

    async def execute(self, sql: str, *args: object) -> str:
        """Run a statement and return its command tag, such as `UPDATE 3`."""


class Transaction:
    """The statements of one open transaction. Made by `Database.transaction`."""

    def __init__(self, database: "Database", connection: Any) -> None:
        self._database = database
        self._connection = connection

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """Run a statement and return all its rows."""
        rows: list[Row] = await self._run(self._connection.fetch, sql, *args)
        return rows

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """Run a statement and return its first row, None if there is none."""
        row: Row | None = await self._run(self._connection.fetchrow, sql, *args)
        return row

    async def execute(self, sql: str, *args: object) -> str:
        """Run a statement and return its command tag, such as `UPDATE 3`."""
        return str(await self._run(self._connection.execute, sql, *args))

    async def copy(
        self, table: str, columns: Sequence[str], rows: Iterable[bytes], *, schema: str | None = None
    ) -> int:
        """Add rows in COPY's binary format to a table; returns how many.

        PostgreSQL is at work on one piece of them while the next is made. What making one raises is raised here, once
        PostgreSQL has taken those before it; the transaction is to be rolled back then.
        """
        source = _Pieces(rows)
        tag = await self._run(self._copy, table, columns, source, schema)
        if source.error is not None:
            raise source.error
        return affected(str(tag))

    async def _copy(self, table: str, columns: Sequence[str], source: "_Pieces", schema: str | None) -> Any:
        return await self._connection.copy_to_table(
            table, source=source, columns=columns, schema_name=schema, format="binary"
        )

    async def _run(self, call: Callable[..., Any], *args: object) -> Any:
        return await self._database._limited(self._connection, False, call, *args)


class Database:
    """One held connection to PostgreSQL's primary.

    `dsn` may name several hosts, separated by commas; each is tried for `connect_timeout_s`. Unless the DSN says
    otherwise only a server that accepts writes is taken. Each statement, and each wait for the statement or
    transaction before it, is limited by `statement_timeout_s`. `plans_anew`: a plan for each execution, where a table
    grows from nothing to ten thousands of rows within seconds, and the plan for nothing would be kept meanwhile.
    """

    def __init__(
        self,
        dsn: str,
        *,
        connect_timeout_s: float,
        statement_timeout_s: float,
        application_name: str,
        plans_anew: bool = False,
    ) -> None:
        self._hosts = split_hosts(dsn)
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._application_name = application_name
        self._plans_anew = plans_anew
        self._connection: Any = None
        self._turn = asyncio.Lock()
        self._queued = 0  # who waits for his turn
        self._listeners: list[tuple[str, Callable[[], None]]] = []
        self._backoff_s = BACKOFF_INITIAL_S
        self._retry_at_s = 0.0
        self._last_failure = ""

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open as far as is known without asking the server."""
        return self._connection is not None and not self._connection.is_closed()

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """Run a statement in a transaction of its own and return all its rows."""
        rows: list[Row] = await self._alone("fetch", sql, *args)
        return rows

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """Run a statement in a transaction of its own and return its first row, None if there is none."""
        row: Row | None = await self._alone("fetchrow", sql, *args)
        return row

    async def execute(self, sql: str, *args: object) -> str:
        """Run a statement in a transaction of its own and return its command tag, such as `UPDATE 3`."""
        return str(await self._alone("execute", sql, *args))

    @asynccontextmanager
    async def transaction(
        self, isolation: Isolation = "repeatable_read", readonly: bool = False
    ) -> AsyncIterator[Transaction]:
        """Open a transaction; commit at the end of the block, roll back if an exception leaves it."""
        begin = f"BEGIN ISOLATION LEVEL {isolation.replace('_', ' ').upper()}{' READ ONLY' if readonly else ''}"
        async with self._held() as connection:
            await self._limited(connection, False, connection.execute, begin)
            try:
                yield Transaction(self, connection)
            except BaseException:
                await self._roll_back(connection)
                raise
            tag = await self._limited(connection, not readonly, connection.execute, "COMMIT")
            if tag == "ROLLBACK":  # a statement failed and the block went on as if it had not
                raise StoreError("the transaction was rolled back, since one of its statements had failed")

    async def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call back at each notification on a channel, on this connection and all that follow it.

        Notifications are hints: those sent while there is no connection are lost, and nothing reconnects before
        the next call. StoreError: not listening yet, but the next connection will.
        """
        known = self._connection
        self._listeners.append((channel, callback))
        async with self._held() as connection:
            if connection is known:  # a new one listens to all channels from its start
                await self._limited(connection, False, connection.add_listener, channel, _hint(callback))

    async def close(self) -> None:
        """End the connection. A later call would open it again."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            async with asyncio.timeout(self._statement_timeout_s):
                await connection.close()
        except (TimeoutError, asyncpg.PostgresError, *_FAILURES):
            pass
        finally:
            connection.terminate()

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Any]:
        await self._take_turn()
        try:
            yield await self._connected()
        finally:
            self._turn.release()

    async def _alone(self, method: str, *args: object) -> Any:
        """Run one statement in a transaction of its own: as `_held`, whose context costs as much as its limit."""
        await self._take_turn()
        try:
            connection = await self._connected()
            return await self._limited(connection, True, getattr(connection, method), *args)
        finally:
            self._turn.release()

    async def _connected(self) -> Any:
        if not self.is_connected:
            await self._connect()
        return self._connection

    async def _take_turn(self) -> None:
        if not self._turn.locked() and not self._queued:  # it is free, and a limit would cost more than taking it
            await self._turn.acquire()
            return
        self._queued += 1
        try:
            async with asyncio.timeout(self._statement_timeout_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise StoreError("the connection is in use by another statement for too long") from error
        finally:
            self._queued -= 1

    async def _limited(self, connection: Any, alone: bool, call: Callable[..., Any], *args: object) -> Any:
        """Await one call of asyncpg within the limit. `alone`: it commits by itself."""
        try:
            async with asyncio.timeout(self._statement_timeout_s):
                return await call(*args)
        except TimeoutError as error:
            connection.terminate()
            raise StoreError(
                f"PostgreSQL did not answer within {self._statement_timeout_s:g} s", may_have_committed=alone
            ) from error
        except asyncpg.PostgresError as error:
            raise self._refused(connection, error, alone) from error
        except _FAILURES as error:
            connection.terminate()
            raise StoreError(f"the connection to PostgreSQL was lost: {error}", may_have_committed=alone) from error
        except BaseException:  # cancelled: what the server does with the statement is not known
            connection.terminate()
            raise

    def _refused(self, connection: Any, error: Any, alone: bool) -> StoreError:
        sqlstate = str(error.sqlstate or "")
        # Class 08 is asyncpg's name for a connection that vanished under the statement.
        lost = sqlstate in _CONNECTION_ENDED or sqlstate.startswith("08")
        if lost or sqlstate == _READ_ONLY:
            connection.terminate()
        return StoreError(
            message_of(error),
            may_have_committed=alone and lost,
            sqlstate=sqlstate,
            constraint=error.constraint_name,
            table=error.table_name,
            column=error.column_name,
            within=error.context or "",
        )

    async def _roll_back(self, connection: Any) -> None:
        if connection.is_closed():
            return
        try:
            await self._limited(connection, False, connection.execute, "ROLLBACK")
        except StoreError:
            connection.terminate()  # the server rolls back what it was not asked to commit

    async def _connect(self) -> None:
        now_s = clock.monotonic_s()
        if now_s < self._retry_at_s:
            raise StoreError(f"PostgreSQL is away: {self._last_failure}")
        for _ in self._hosts:
            try:
                self._connection = await self._connect_to(self._hosts[0])
            except StoreError as error:
                self._last_failure = str(error)
                self._hosts.append(self._hosts.pop(0))
            else:
                self._backoff_s = BACKOFF_INITIAL_S
                return
        self._retry_at_s = clock.monotonic_s() + self._backoff_s
        self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)
        raise StoreError(f"PostgreSQL is away: {self._last_failure}")

    async def _connect_to(self, dsn: str) -> Any:
        connection = await open_connection(dsn, self._connect_timeout_s, self._server_settings())
        try:
            for channel, callback in self._listeners:
                await self._limited(connection, False, connection.add_listener, channel, _hint(callback))
        except StoreError:
            connection.terminate()
            raise
        return connection

    def _server_settings(self) -> dict[str, str]:
        return {
            "application_name": self._application_name,
            "statement_timeout": str(int(self._statement_timeout_s * 1000 * SERVER_SHARE_OF_TIMEOUT)),
            "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_S * 1000)),
            "timezone": "UTC",
        } | ({"plan_cache_mode": "force_custom_plan"} if self._plans_anew else {})


async def open_connection(dsn: str, timeout_s: float, server_settings: dict[str, str]) -> Any:
    """Connect to one host within the limit; StoreError without any part of the DSN if that fails."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncpg.connect(
                dsn,
                timeout=None,  # ours is the limit
                target_session_attrs=None if "target_session_attrs" in dsn else "read-write",
                server_settings=_ALWAYS | server_settings,
            )
    except TimeoutError as error:
        raise StoreError(f"no connection within {timeout_s:g} s") from error
    except ValueError:  # its text quotes what it could not read: a password with an @, for one
        raise StoreError("the DSN is not valid: postgresql://user:password@host:port/database") from None
    except (asyncpg.PostgresError, *_FAILURES) as error:
        raise StoreError(message_of(error)) from error


def split_hosts(dsn: str) -> list[str]:
    """Return one DSN for each host of a DSN, so that a frozen host costs its own time only."""
    # By hand: urllib takes a list of hosts with an IPv6 address among them for a mistake, or not, by its age.
    if not (matched := re.fullmatch(r"([^:/]+://)([^/?#]*)(.*)", dsn, re.DOTALL)):
        return [dsn]  # connecting will say so
    scheme, place, rest = matched.groups()
    account, at, hosts = place.rpartition("@")
    return [f"{scheme}{account}{at}{host}{rest}" for host in hosts.split(",")]


def _hint(callback: Callable[[], None]) -> Callable[..., None]:
    def on_notification(*_: object) -> None:
        callback()

    return on_notification


def message_of(error: BaseException) -> str:
    """Return an error's text without PostgreSQL's DETAIL, which shows the row with its passwords."""
    if not isinstance(error, asyncpg.PostgresError):
        return str(error)
    message, hint = error.args[0] if error.args else "", error.hint
    return f"{message}. {hint}" if hint else str(message)


class _Pieces:
    """What COPY is to send. An error in making it ends the rows and not the connection, which asyncpg would end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self._pieces:
                yield piece
                await asyncio.sleep(0)  # the loop writes between turns: it is on its way before the next is made
        except Exception as error:  # noqa: BLE001  raised again by who copies
            self.error = error


def affected(tag: str) -> int:
    """Return how many rows a command tag speaks of: `INSERT 0 3`, `UPDATE 1`."""
    return int(tag.rpartition(" ")[2])
