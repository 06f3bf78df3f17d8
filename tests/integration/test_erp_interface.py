"""docs/erp-interface.md is true: its SQL runs with the rights it grants, and it names every column and rule."""

import re
from pathlib import Path

import asyncpg
import pytest

from aaad.policy.parameters import PARAMETERS

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "erp-interface.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```sql(?: refused=(\w+))?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
GRANTS, *STEPS = EXAMPLES


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.execute("RESET ROLE; DROP OWNED BY erp_writer; DROP ROLE erp_writer")
    await connection.close()


async def test_every_example_does_what_it_says(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    await connection.execute("SET ROLE erp_writer")
    for refused, sql in STEPS:
        if not refused:
            await connection.execute(sql)
            continue
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.execute(sql)
        assert caught.value.constraint_name == refused, sql
    rows = await connection.fetch("SELECT contract_id, kind, text, operator FROM erp.history ORDER BY id")
    told = [tuple(row) for row in rows]
    assert (40, "contract_changed", "access_status: A → CA", "maria") in told
    assert (40, "note", "Promised to pay on Monday", "maria") in told
    assert (41, "contract_changed", "status: A → D", "maria") in told


async def test_a_followed_table_cannot_be_written_in_two_phases(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="NOTIFY"):
        await connection.execute("BEGIN; INSERT INTO erp.branch (name) VALUES ('Norte'); PREPARE TRANSACTION 'x'")


async def test_a_marked_transaction_marks_its_changes(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    for refused, sql in STEPS:
        if not refused:
            await connection.execute(sql)
    marked = await connection.fetch(
        "SELECT change.kind, change.key FROM net.change JOIN net.run ON run.id = change.run_id AND run.brake_passed"
    )
    assert [tuple(row) for row in marked] == [("contract", 40)]


ATTACKS = {  # what a program with the rights above could try, to do more than they allow
    "net.log_change": """
        CREATE FUNCTION pg_temp.evil() RETURNS integer LANGUAGE sql AS 'INSERT INTO evil_ran VALUES (1) RETURNING 1';
        CREATE TRIGGER evil AFTER UPDATE ON bait REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION net.log_change('x', 'pg_temp.evil()', '2');
    """,
    "erp.tell_client": """
        CREATE TRIGGER evil AFTER UPDATE ON bait REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION erp.tell_client();
    """,
    "erp.tell_contract": """
        CREATE TRIGGER evil AFTER UPDATE ON bait REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION erp.tell_contract();
    """,
    "erp.tell_login": """
        CREATE TRIGGER evil AFTER UPDATE ON bait REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION erp.tell_login();
    """,
    "erp.tell_login_delete": """
        CREATE TRIGGER evil AFTER DELETE ON bait REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION erp.tell_login_delete();
    """,
    "erp.check_login_accents": """
        CREATE TRIGGER evil BEFORE UPDATE ON bait FOR EACH ROW EXECUTE FUNCTION erp.check_login_accents();
    """,
    **{
        function: f"CREATE TRIGGER evil BEFORE UPDATE ON bait FOR EACH ROW EXECUTE FUNCTION {function}();"
        for function in (
            "erp.check_document_required", "erp.keep_contract_dates", "erp.end_trust_unlock", "erp.keep_access_end",
            "erp.tell_reach", "erp.tell_setting", "erp.check_client_inactive", "erp.check_contract_active",
            "erp.check_contract_suspension", "erp.inactivate_client", "erp.check_logins_max",
            "erp.check_plan_attribute", "erp.check_login_attribute", "net.bound_nas_secrets",
            "erp.check_lent_equipment", "erp.tell_lent_equipment", "erp.check_equipment_returned",
            "erp.order_line", "erp.tell_line",
            "erp.keep_notice", "erp.follow_payment", "erp.see_payment",
            "net.free_cancelled_logins", "net.tell_legal_hold", "net.keep_fixed", "net.tell_pool",
            "net.tell_pool_part",
        )
    },
    **{
        function: f"""
        CREATE TRIGGER evil AFTER UPDATE ON bait REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION {function}();
        """
        for function in (
            "erp.follow_billing_type", "erp.follow_time_zone", "erp.follow_receivables", "erp.follow_contract",
            "erp.follow_single_receivables", "erp.lines_follow_contracts", "net.log_login_attribute",
            "net.log_login_contest",
        )
    },
}  # fmt: skip
BAIT = """
CREATE TEMP TABLE evil_ran (one integer);
CREATE TEMP TABLE bait (id integer, name text, active boolean);
INSERT INTO bait VALUES (1, 'x', true);
"""


async def test_no_function_that_has_our_rights_serves_a_strangers_table(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    definers = await connection.fetch(
        "SELECT oid::regproc::text AS name FROM pg_proc WHERE prosecdef AND prorettype = 'trigger'::regtype "
        "AND pronamespace IN ('erp'::regnamespace, 'net'::regnamespace)"
    )
    assert {row["name"] for row in definers} == set(ATTACKS), "each has its attack here"
    for function, attack in ATTACKS.items():
        assert await attacked(connection, attack) == f"permission denied for function {function}"
        # Also one that somebody was given by mistake checks for itself where it stands.
        refused = await attacked(connection, attack, f"GRANT EXECUTE ON FUNCTION {function} TO erp_writer")
        assert re.fullmatch(rf"{function} serves .+, not bait", refused), refused


async def attacked(connection: asyncpg.Connection, attack: str, mistake: str = "SELECT 1") -> str:
    """Return why it was refused."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(mistake)
        await connection.execute("SET LOCAL ROLE erp_writer")
        await connection.execute(BAIT)
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
            await connection.execute(attack + "UPDATE bait SET active = false, id = 2, name = 'y'; DELETE FROM bait")
        return str(caught.value)
    finally:
        await transaction.rollback()


async def test_a_function_with_our_rights_finds_what_it_names_in_our_schemas_only(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer")
    rows = await connection.fetch(
        "SELECT oid::regproc::text AS name, "
        "array_to_string(array_remove(proconfig, 'plan_cache_mode=force_custom_plan'), ' ') AS settings FROM pg_proc "
        "WHERE prosecdef AND pronamespace IN ('erp'::regnamespace, 'net'::regnamespace)"
    )
    assert {row["settings"] for row in rows} == {"search_path=pg_catalog, pg_temp"}


async def test_no_trigger_function_may_be_attached_by_others(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer")
    rows = await connection.fetch(
        "SELECT oid::regproc::text AS name FROM pg_proc WHERE (prosecdef OR prorettype = 'trigger'::regtype) "
        "AND pronamespace IN ('erp'::regnamespace, 'net'::regnamespace) "
        "AND has_function_privilege('erp_writer', oid, 'EXECUTE')"
    )
    assert [row["name"] for row in rows] == []


async def test_a_program_that_writes_concentrators_needs_rights_on_concentrators_only(connection: asyncpg.Connection):
    await connection.execute(
        "CREATE ROLE erp_writer; GRANT USAGE ON SCHEMA net TO erp_writer;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON net.nas_secret TO erp_writer;"
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'one', '192.0.2.1', 's');"
        "INSERT INTO erp.parameter (name, value) VALUES ('delete_nas_with_cancelled_contracts', 'S')"
    )
    await connection.execute("SET ROLE erp_writer")
    await connection.execute("INSERT INTO net.nas_secret (nas_id, secret) VALUES (1, 'a'), (1, 'b'), (1, 'c')")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("INSERT INTO net.nas_secret (nas_id, secret) VALUES (1, 'd')")
    await connection.execute(
        "DELETE FROM net.nas_secret WHERE secret = 'c'; RESET ROLE; REVOKE ALL ON net.nas_secret FROM erp_writer;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON net.nas TO erp_writer; SET ROLE erp_writer"
    )
    await connection.execute(
        "UPDATE net.nas SET secret_previous = secret, secret = 'z', secret_previous_until = now() + interval '1 day'"
    )
    await connection.execute("DELETE FROM net.nas WHERE id = 1; RESET ROLE")


async def test_a_program_that_writes_logins_needs_rights_on_logins_only(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer; GRANT USAGE ON SCHEMA erp TO erp_writer")
    await connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON erp.login TO erp_writer")
    await connection.execute(STEPS[1][1])  # branches to logins, as the owner
    await connection.execute("SET ROLE erp_writer")
    await connection.execute("INSERT INTO erp.login (contract_id, name, password) VALUES (40, 'joão', 'any')")
    await connection.execute("UPDATE erp.login SET password = 'other', mac = '001a2b3c4d5e' WHERE name = 'joão'")
    await connection.execute("DELETE FROM erp.login WHERE name = 'joão'")
    await connection.execute(
        "RESET ROLE; INSERT INTO erp.parameter (name, value) VALUES ('block_accents_in_logins', 'S')"
    )
    await connection.execute("SET ROLE erp_writer")
    with pytest.raises(asyncpg.PostgresError) as caught:
        await connection.execute("INSERT INTO erp.login (contract_id, name, password) VALUES (40, 'joão', 'any')")
    assert caught.value.constraint_name == "login_name_without_accents"
    await connection.execute("RESET ROLE; GRANT SELECT, INSERT ON erp.client TO erp_writer")
    await connection.execute("INSERT INTO erp.parameter (name, value) VALUES ('document_required', 'S')")
    await connection.execute("SET ROLE erp_writer")
    with pytest.raises(asyncpg.PostgresError) as caught:
        await connection.execute("INSERT INTO erp.client (branch_id, kind, name) VALUES (10, 'F', 'Bia')")
    assert caught.value.constraint_name == "client_document_required"


async def test_history_cannot_be_forged(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    await connection.execute("SET ROLE erp_writer; SET aaad.operator = 'joana'")
    insert = "INSERT INTO erp.history (kind, text, operator, at, source) VALUES ('note', 'x', 'maria', '2020-01-01', "
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
        await connection.execute(insert + "'system')")
    assert caught.value.constraint_name == "history_system_by_triggers"
    # Nor from within a trigger of one's own.
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
        await connection.execute(
            "CREATE TEMP TABLE bait (id integer);"
            "CREATE FUNCTION pg_temp.forge() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {insert}'system'); RETURN NEW; END $$;"
            "CREATE TRIGGER forge BEFORE INSERT ON bait FOR EACH ROW EXECUTE FUNCTION pg_temp.forge();"
            "INSERT INTO bait VALUES (1)"
        )
    assert caught.value.constraint_name == "history_system_by_triggers"
    rows = [
        await connection.fetchrow(insert + f"'{source}') RETURNING operator, now() - at < '1 minute' AS is_now")
        for source in ("user", "api")
    ]
    assert [tuple(row) for row in rows] == [("joana", True), ("joana", True)]
    await connection.execute("RESET aaad.operator")
    assert await connection.fetchval(insert + "'api') RETURNING operator = session_user")


NETWORK_TABLES = [  # those that programs write
    *("net.nas", "net.nas_secret", "net.router_administrator"),
    *("net.pool", "net.pool_range", "net.pool_exclusion"),
]


def section(table: str) -> str:
    return re.split(rf"^### {re.escape(table)}\b.*$", DOCUMENT, maxsplit=1, flags=re.MULTILINE)[1].split("\n### ", 1)[
        0
    ]


async def test_every_column_and_every_rule_is_explained(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer")
    columns = await connection.fetch(
        "SELECT table_schema || '.' || table_name AS of_table, column_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name) "
        "WHERE table_type = 'BASE TABLE' AND (table_schema = 'erp' OR table_schema || '.' || table_name = ANY($1))",
        NETWORK_TABLES,
    )
    assert len(columns) > 60
    missing = [tuple(row) for row in columns if f"`{row['column_name']}`" not in section(row["of_table"])]
    assert missing == []
    rules = await connection.fetch(
        "SELECT conrelid::regclass::text AS of_table, conname FROM pg_constraint "
        "WHERE contype = 'c' AND (connamespace = 'erp'::regnamespace OR conrelid = ANY($1::text[]::regclass[]))",
        NETWORK_TABLES,
    )
    assert [tuple(row) for row in rows_without(rules)] == []


def rows_without(rules: list[asyncpg.Record]) -> list[asyncpg.Record]:
    return [row for row in rules if f"`{row['conname']}`" not in section(row["of_table"])]


async def test_every_rule_that_the_document_names_exists(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer")
    tables = "branch|client|plan|contract|login|parameter|history|nas|pool|billing_type|receivable|contact|address"
    tables += "|operator"
    named = set(re.findall(rf"`((?:{tables})_\w+)`", DOCUMENT))
    named -= PARAMETERS.keys() | {"operator_group", "operator_group_permission"}  # tables
    known = {row[0] for row in await connection.fetch("SELECT conname FROM pg_constraint")}
    known |= {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes")}
    known |= {row[0] for row in await connection.fetch("SELECT column_name FROM information_schema.columns")}
    source = " ".join(
        row[0]
        for row in await connection.fetch(
            "SELECT prosrc FROM pg_proc WHERE pronamespace::regnamespace::text IN ('erp', 'net')"
        )
    )
    assert {
        name
        for name in named - known
        if name not in source and not name.endswith(("_changed", "_deleted", "_attributes_fit"))
    } == set()


def test_every_parameter_is_explained_as_the_program_knows_it():
    for parameter in PARAMETERS.values():
        default = f"`{parameter.default}`" if parameter.default else ""
        row = f"| `{parameter.name}` | {parameter.allowed} | {default} | {parameter.description} |"
        assert row in DOCUMENT, row
