"""Reads and writes the ERP's rows for the operators' commands, inside one transaction of the caller.

Column lists are put together from the tables of `fields`, never from what somebody typed; values travel as one JSON
document, so that PostgreSQL itself makes dates, addresses and arrays of them. Refusals of the database come through
as StoreError: `complaints` says what they mean.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aaad.db.connection import Queries
from aaad.db.statements import load_statements
from aaad.erp.fields import Table
from aaad.erp.network import statements as network
from aaad.erp.values import Value

SQL = load_statements(Path(__file__).parent / "queries.sql")
_STATEMENTS = {name: room[name] for room in (SQL, network.SQL) for name in room}
_ID_DIGITS_MAX = 10
_ID_MAX = 2**31 - 1

_FIND = {
    "branch": SQL.find_branch,
    "client": SQL.find_client,
    "plan": SQL.find_plan,
    "contract": SQL.find_contract,
    "login": SQL.find_login,
    "nas": SQL.find_nas,
    "billing_type": SQL.find_billing_type,
    "receivable": SQL.find_receivable,
    "operator": SQL.find_operator,
    "contact": SQL.find_contact,
    "address": SQL.find_address,
    "lent_equipment": SQL.find_lent_equipment,
    "line": SQL.find_line,
    "operator_group": SQL.find_operator_group,
    "permission": SQL.find_permission,
} | network.FIND
_SHOW = {
    "client": SQL.show_client,
    "plan": SQL.show_plan,
    "contract": SQL.show_contract,
    "login": SQL.show_login,
    "billing_type": SQL.show_billing_type,
    "receivable": SQL.show_receivable,
    "operator": SQL.show_operator,
    "contact": SQL.show_contact,
    "address": SQL.show_address,
    "lent_equipment": SQL.show_lent_equipment,
    "line": SQL.show_line,
} | network.SHOW
_LINKS = {
    "client": SQL.links_of_client,
    "contract": SQL.links_of_contract,
    "plan": SQL.links_of_plan,
    "billing_type": SQL.links_of_billing_type,
} | network.LINKS
_DELETE = {
    "client": SQL.delete_client,
    "contract": SQL.delete_contract,
    "plan": SQL.delete_plan,
    "login": SQL.delete_login,
    "contact": SQL.delete_contact,
    "address": SQL.delete_address,
    "line": SQL.delete_line,
    "billing_type": SQL.delete_billing_type,
} | network.DELETE

# The other statements, by name: those that answer with rows, an action with its code, and those that change something
# or do nothing.
QUESTIONS = (
    frozenset(
        {
            "activate_contract",
            "await_signature",
            "block_contract",
            "cancel_contract",
            "change_owner",
            "change_plan",
            "circuit_parts",
            "clear_mac",
            "generate_password",
            "held_by_all",
            "headers_of_line_driver",
            "history_of_client",
            "history_of_contract",
            "history_of_login",
            "lent_of_contract",
            "list_addresses",
            "list_billing_types",
            "list_clients",
            "list_contacts",
            "list_contracts",
            "list_lent_equipment",
            "list_lines",
            "list_logins",
            "list_operators",
            "list_parameters",
            "list_permissions",
            "list_plans",
            "list_receivables",
            "note_on_client",
            "note_on_contract",
            "note_on_login",
            "notify_contract",
            "only_branch",
            "plan_phase",
            "release_contract",
            "release_from_reduction",
            "report_line",
            "resume_contract",
            "same_address",
            "set_password",
            "show_line_driver",
            "sign_contract",
            "standing_of_operator",
            "suspend_contract",
            "trust_unlock",
            "twins_of_address",
            "unblock_contract",
        }
    )
    | network.QUESTIONS
)
CHANGES = (
    frozenset(
        {
            "add_login_attribute",
            "add_plan_attribute",
            "cancel_receivable",
            "delete_login_attribute",
            "delete_plan_attribute",
            "delete_plan_phase",
            "edit_note",
            "give_all",
            "grant_permission",
            "make_line_driver",
            "make_operator_group",
            "pay_receivable",
            "return_equipment",
            "set_circuit",
            "set_line_driver",
            "set_parameter",
            "set_passphrase",
            "take_permission",
            "unset_parameter",
        }
    )
    | network.CHANGES
)


class Found(NamedTuple):
    """A row that a word may mean."""

    id: int
    name: str


class Store:
    """The ERP's rows as one transaction sees them."""

    def __init__(self, queries: Queries) -> None:
        """Work in this transaction."""
        self._queries = queries

    @property
    def queries(self) -> Queries:
        """The transaction, for statements of another room in it."""
        return self._queries

    async def sign(self, operator: str) -> None:
        """Say who writes: it goes into the history."""
        await self._queries.fetchrow(SQL.sign, operator)

    async def find(self, thing: str, word: str) -> list[Found]:
        """Return what a word means; several rows if it means several."""
        number = int(word) if word.isdecimal() and word.isascii() and len(word) <= _ID_DIGITS_MAX else 0
        rows = await self._queries.fetch(_FIND[thing], word, number if 0 < number <= _ID_MAX else None)
        return [Found(row["id"], row["name"]) for row in rows if row["rank"] == rows[0]["rank"]]

    async def record(self, thing: str, row_id: int) -> dict[str, Any] | None:
        """Return everything about a row that may be shown, None if it is gone."""
        row = await self._queries.fetchrow(_SHOW[thing], row_id)
        record: dict[str, Any] | None = msgspec.json.decode(row["record"]) if row else None
        return record

    async def insert(self, table: Table, row: Mapping[str, Value]) -> int:
        """Write a new row and return its id; columns that are not named get their defaults."""
        columns, place = _columns(table, row), f"{table.schema}.{table.name}"
        sql = (
            f"INSERT INTO {place} ({columns}) "  # noqa: S608  names of our own tables
            f"SELECT {columns} FROM jsonb_populate_record(NULL::{place}, $1::text::jsonb) RETURNING id"
        )
        written = await self._queries.fetchrow(sql, msgspec.json.encode(row).decode())
        assert written is not None
        return int(written["id"])

    async def update(self, table: Table, row_id: int, row: Mapping[str, Value]) -> bool:
        """Change the named columns of a row; False if it is gone."""
        columns, place = _columns(table, row), f"{table.schema}.{table.name}"
        sql = (
            f"UPDATE {place} AS mine SET ({columns}) = "  # noqa: S608  names of our own tables
            f"(SELECT {columns} FROM jsonb_populate_record(mine, $2::text::jsonb)) WHERE id = $1 RETURNING id"
        )
        return await self._queries.fetchrow(sql, row_id, msgspec.json.encode(row).decode()) is not None

    async def links(self, thing: str, row_id: int) -> list[dict[str, Any]]:
        """Return what keeps a row from being deleted."""
        if thing not in _LINKS:
            return []
        return [dict(row.items()) for row in await self._queries.fetch(_LINKS[thing], row_id)]

    async def delete(self, thing: str, row_id: int) -> bool:
        """Delete a row, a login as a tombstone; False if there is nothing to delete."""
        return await self._queries.fetchrow(_DELETE[thing], row_id) is not None

    async def act(self, change: str, *arguments: object) -> bool:
        """Run one of CHANGES; False if its conditions did not hold."""
        assert change in CHANGES, change
        return await self._queries.fetchrow(_STATEMENTS[change], *arguments) is not None

    async def rows(self, question: str, *arguments: object) -> list[dict[str, Any]]:
        """Return the rows of one of QUESTIONS."""
        assert question in QUESTIONS, question
        return [dict(row.items()) for row in await self._queries.fetch(_STATEMENTS[question], *arguments)]

    async def row(self, question: str, *arguments: object) -> dict[str, Any] | None:
        """Return the first row of one of QUESTIONS."""
        rows = await self.rows(question, *arguments)
        return rows[0] if rows else None

    async def parameter(self, name: str, branch_id: int | None) -> str | None:
        """Return what a parameter says for a branch, None if it says nothing."""
        row = await self._queries.fetchrow(SQL.parameter_value, name, branch_id)
        return row["value"] if row else None


def _columns(table: Table, row: Mapping[str, Value]) -> str:
    known = {field.column for field in table.fields} | set(table.derived)
    assert row.keys() <= known, row.keys() - known
    return ", ".join(sorted(row))
