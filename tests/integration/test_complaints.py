"""Whatever the database refuses of what people write leads to a field, or to a text, in both languages."""

import re
from pathlib import Path

import asyncpg
import pytest

import aaad
from aaad.cli.plans import NEEDS_VALUE
from aaad.db.connection import Database
from aaad.erp import complaints, fields, reach, validate
from aaad.errors import StoreError
from aaad.words import Language, text

MIGRATIONS = Path(aaad.__file__).parent / "db" / "migrations"
TABLES = (*fields.TABLES, *reach.TABLES)
WRITTEN = tuple(table.name for table in TABLES)
# Ids and keys that no command lets anybody type, and rules on columns that triggers keep.
NEVER_TYPED = re.compile(
    r"_id_range$|^contract_with_|^plan_phase_(plan_id_fkey|unique|phase_known)$"
    r"|^receivable_(open_amount_range|status_known|received_has_paid_on)$"
)


async def constraints(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT conname AS name FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid "
            "WHERE pg_class.relnamespace = 'erp'::regnamespace AND relname = ANY($1) AND contype = ANY('{c,u,f,x}') "
            "UNION SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE indisunique AND NOT indisprimary AND indrelid IN "
            "(SELECT oid FROM pg_class WHERE relnamespace = 'erp'::regnamespace AND relname = ANY($1))",
            list(WRITTEN),
        )
        return {row["name"] for row in rows}
    finally:
        await connection.close()


async def test_every_rule_of_what_people_write_has_its_words(dsn: str) -> None:
    names = await constraints(dsn)
    raised = set()
    for path in MIGRATIONS.glob("*.sql"):
        raised |= set(re.findall(r"CONSTRAINT = '(\w+)'", path.read_text()))
    raised = {name for name in raised if name.startswith(tuple(f"{table}_" for table in WRITTEN))}
    assert len(names) > 100
    nameless = [
        name for name in sorted(names | raised) if not NEVER_TYPED.search(name) and complaints.explain(name) is None
    ]
    assert not nameless, " ".join(nameless)


def test_every_word_of_fields_and_rules_is_in_both_languages() -> None:
    texts = {found.allowed for table in TABLES for found in table.fields}
    texts |= {found.label for table in TABLES for found in table.fields} | {table.label for table in TABLES}
    same = {one for one in texts if text(one, Language.PORTUGUESE) == one}
    assert same == {"MAC", "upload", "download", "status", "e-mail", "Login", "address list"}


def test_the_seeds_words_to_the_letter() -> None:
    said = {
        "Data saved successfully": "Dados salvos com sucesso",
        complaints.MAC_FORM: validate.MAC_MESSAGE,
        "Plan suspended successfully.": "Plano suspenso com sucesso.",
        "Circuit added": "Circuito Adicionado",
        NEEDS_VALUE: "Só será possível marcar a opção após informar o valor ou porcentagem.",
    }
    assert {text(english, Language.PORTUGUESE) for english in said} == set(said.values())


async def test_the_kinds_of_attributes_are_the_databases_in_its_words(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT DISTINCT ON (kind) kind, net.kind_text(name, kind, 253) AS allowed FROM net.dictionary_attribute"
            " WHERE kind NOT LIKE '%integer'"
        )
    finally:
        await connection.close()
    refused = StoreError("", constraint="attribute_value_form")
    for row in rows:
        known = {"name": "X", "kind": row["kind"], "names": "", "octets_max": 253}
        told = complaints.complaint_of_attribute(refused, "X", known)
        assert told is not None
        assert text(told.allowed, Language.ENGLISH, **told.values) == f"X: {row['allowed']}"


async def test_every_field_is_a_column(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for table in TABLES:
            rows = await connection.fetch(
                "SELECT column_name, is_nullable FROM information_schema.columns "
                "WHERE table_schema = $1 AND table_name = $2",
                table.schema,
                table.name,
            )
            columns = {row["column_name"]: row["is_nullable"] == "YES" for row in rows}
            for field in table.fields:
                assert field.column in columns, (table.name, field.column)
                assert field.is_nullable == columns[field.column], (table.name, field.column)
            assert set(table.derived) <= columns.keys()
    finally:
        await connection.close()


async def test_a_store_error_carries_table_column_and_constraint(dsn: str) -> None:
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=5, application_name="test")
    try:
        with pytest.raises(StoreError) as refused:
            await database.execute("INSERT INTO erp.plan (name, upload) VALUES ('Fibra', '1M')")
        assert (refused.value.table, refused.value.column) == ("plan", "download")
        complaint = complaints.complaint_of(refused.value)
        assert complaint is not None
        assert (complaint.option, complaint.allowed) == ("--download", complaints.MISSING)
        with pytest.raises(StoreError) as refused:
            await database.execute("SELECT 1 / 0")
        assert complaints.complaint_of(refused.value) is None
    finally:
        await database.close()
