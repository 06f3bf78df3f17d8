"""What a throw-away node serves: a provider with ten plans, numbered logins, and a few customers in every state.

Written by plain SQL through every constraint and trigger, as any program would, in one transaction: killed on the
way, the next run begins anew. The documents are made up, their check digits are right. Never for production.
"""

from pathlib import Path

from aaad.clock import monotonic_s
from aaad.db.connection import Database
from aaad.db.migrate import migrate
from aaad.db.statements import load_statements

DATABASE = "aaad"
LOGINS_MAX = 4_000_000  # 100.64.0.0/10 has 4,194,304 addresses

_CONNECT_TIMEOUT_S = 30
_STATEMENT_TIMEOUT_S = 1800  # a million logins are three statements

_statements = load_statements(Path(__file__).with_name("demo_data.sql"))
_PROVIDER = (
    "add_branches", "add_plans", "add_special_plans", "add_plan_phases", "add_plan_attributes", "add_parameters",
    "add_billing_types", "add_operators", "add_operator", "add_router_administrators",
)  # fmt: skip
_CUSTOMERS = (
    "add_named_clients", "add_named_contracts", "add_named_logins", "add_special_logins", "bind_special_logins",
    "add_login_attributes", "add_receivables", "set_contracts",
    "add_used_up_cap",
)  # fmt: skip
_NUMBERED = ("add_numbered_clients", "add_numbered_contracts", "add_numbered_logins")


async def prepare_database(server_dsn: str, dsn: str, logins: int, secret: str) -> str:
    """Make the database, bring its schema up to date, fill it the first time; return what was done, in words."""
    server = _database(server_dsn)
    try:
        if not await server.fetch("SELECT FROM pg_database WHERE datname = $1", DATABASE):
            await server.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await server.close()
    await migrate(dsn)
    database = _database(dsn)
    try:
        row = await database.fetchrow(_statements["is_seeded"])
        if row is not None and row["seeded"]:
            return await _kept(database, logins)
        return await _seed(database, logins, secret)
    finally:
        await database.close()


async def _kept(database: Database, wanted: int) -> str:
    """Say what is there, and that the number asked for makes no difference to it."""
    row = await database.fetchrow(_statements["count_numbered_logins"])
    count = row["count"] if row is not None else 0
    text = f"going on with the data that is there: {count} numbered logins"
    return text if count == wanted else f"{text}, not {wanted}; for those begin in another folder, or remove this one"


def _database(dsn: str) -> Database:
    return Database(
        dsn,
        connect_timeout_s=_CONNECT_TIMEOUT_S,
        statement_timeout_s=_STATEMENT_TIMEOUT_S,
        application_name="aaad demo",
    )


async def _seed(database: Database, logins: int, secret: str) -> str:
    started_at_s = monotonic_s()
    async with database.transaction() as transaction:
        for name in _PROVIDER + _CUSTOMERS:
            await transaction.execute(_statements[name])
        for name in _NUMBERED:
            await transaction.execute(_statements[name], logins)
        await transaction.execute(_statements["add_nas"], secret)
        await transaction.fetch(_statements["set_sequences"])
    await database.execute("ANALYZE")
    return f"{logins} numbered logins and a few like a real provider's, in {monotonic_s() - started_at_s:.1f} s"
