"""Asks PostgreSQL who had an address at a time (rules R7.1, R9.1, R9.2), and keeps the maps of carrier NAT.

One indexed statement asks the live sessions and all months of history at once, in one snapshot, so that a session
that is moved between them is neither missed nor seen twice. What was asked is recorded before it is told.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.errors import MistypedError, SpoolError, StoreError
from aaad.sessions.answer import Carrier, Document, NodeBehind, Records, answer, candidate, carriers_of
from aaad.sessions.cgnat import Block, Map
from aaad.sessions.question import Question
from aaad.spool.records import Accounting, Granted, decode

SQL = load_statements(Path(__file__).with_name("whois.sql"))
CANDIDATES_MAX = 10_000
DOCUMENTS_PERMISSION = "Ver CPF e CNPJ nos Registros de Conexão"
_IN_STEP = timedelta(minutes=1)  # nodes that are less behind are not named
_EVER = datetime.fromtimestamp(0, UTC)
_ROWS_AT_ONCE = 1_000  # of an imported map: a statement has its time limit
_MAP_FIELDS = Map._fields


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Standing(NamedTuple):
    """What holds for all questions of one command."""

    now: datetime
    records: Records
    has_changes: bool  # of addresses within a session, anywhere
    database_role: str
    sees_documents: bool


async def standing(queries: Queries, operator: str) -> Standing:
    """Return what holds for this operator's questions."""
    row = await queries.fetchrow(SQL.standing, operator, DOCUMENTS_PERMISSION, _IN_STEP)
    if row is None:
        raise StoreError("PostgreSQL does not say what time it is")
    records = Records(
        begin_at=row["begin_at"],
        deleted_before=row["deleted_before"],
        complete_until=min([row["complete_until"], *map(_received_at, row["deferred"])]),
        nodes_behind=[
            NodeBehind(*node) for node in zip(row["nodes"], row["nodes_until"], row["nodes_heard"], strict=True)
        ],
    )
    return Standing(row["now"], records, row["has_changes"], row["database_role"], row["sees_documents"])


def _received_at(octets: bytes) -> datetime:
    """Return when what a deferred record speaks of was received; of one that nobody can read: ever."""
    try:
        record = decode(octets)
    except SpoolError:
        return _EVER
    if isinstance(record, Accounting):
        return datetime.fromtimestamp(record.received_at_s, UTC)
    return datetime.fromtimestamp(record.at_s, UTC) if isinstance(record, Granted) else _EVER


async def ask(queries: Queries, question: Question, here: Standing) -> Document:
    """Return the answer to one question; MistypedError if too many sessions answer it."""
    address, searched = question.target.address, question.searched
    maps: list[Map] = []
    if isinstance(address, IPv4Address):
        rows = await queries.fetch(SQL.maps_of_public, address, searched.first, searched.last, question.space)
        maps = [map_of(row) for row in rows]
        carriers = carriers_of(question, maps)
        found = await queries.fetch(SQL.sessions_with_ipv4, *_columns(carriers), CANDIDATES_MAX + 1)
    else:
        carriers = [Carrier(address, question.space, searched)]
        found = await queries.fetch(
            SQL.sessions_with_ipv6, address, question.space, searched.first, searched.last, CANDIDATES_MAX + 1
        )
    if here.has_changes:
        found = [
            *found,
            *await queries.fetch(SQL.sessions_with_earlier_address, *_columns(carriers), CANDIDATES_MAX + 1),
        ]
    if len(found) > CANDIDATES_MAX:
        raise MistypedError(
            _("{address}: more than {count} sessions; ask for a shorter time"),
            address=question.target,
            count=CANDIDATES_MAX,
        )
    candidates = [
        made
        for row in found
        if (
            made := candidate(
                dict(row.items()),
                question,
                carriers[row["place"]],
                sees_documents=here.sees_documents,
            )
        )
    ]
    return answer(question, maps, candidates, here.records)


def _columns(carriers: Sequence[Carrier]) -> tuple[list[Any], ...]:
    return (
        [carrier.address for carrier in carriers],
        [carrier.space for carrier in carriers],
        [carrier.span.first for carrier in carriers],
        [carrier.span.last for carrier in carriers],
    )


# --- maps -----------------------------------------------------------------------------------------------------------


def map_of(row: Row) -> Map:
    """Return a map of its row."""
    return Map(*(row[field] for field in _MAP_FIELDS))


async def find_map(queries: Queries, map_id: int) -> Map | None:
    """Return one map, None if there is none of that number."""
    row = await queries.fetchrow(SQL.map_by_id, map_id)
    return map_of(row) if row else None


async def list_maps(queries: Queries, name: str, *, has_ended: bool, limit: int) -> list[Document]:
    """Return the maps of a name, or all of them, as they are stored."""
    return [dict(row.items()) for row in await queries.fetch(SQL.list_maps, name, has_ended, limit)]


async def add_map(queries: Queries, new: Map, operator: str) -> int:
    """Write a new map and return its number."""
    ids = await _add(queries, new, operator, [(new, 0)])
    return ids[0]


async def add_blocks(queries: Queries, like: Map, blocks: Sequence[Block], operator: str) -> int:
    """Write the blocks that a generator made as maps of one private address each; return how many."""
    count_of: dict[IPv4Address, int] = {}
    rows: list[tuple[Map, int]] = []
    for block in blocks:
        nth = count_of.get(block.private, 0)
        count_of[block.private] = nth + 1
        rows.append((map_of_block(like, block), nth))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await _add(queries, like, operator, rows[start : start + _ROWS_AT_ONCE])
    return len(rows)


def map_of_block(like: Map, block: Block) -> Map:
    """Return one block as a map of one private address, with the name and time of another."""
    return like._replace(
        private_first=block.private,
        private_last=block.private,
        public_first=block.public,
        public_last=block.public,
        port_first=block.port_first,
        port_last=block.port_last,
        ports_each=block.port_last - block.port_first + 1,
    )


async def end_maps(queries: Queries, map_id: int | None, name: str, at: datetime | None, operator: str) -> list[int]:
    """End a map by number or all of a name, at an instant or (None) at their beginning; return their numbers."""
    ended: list[int] = []
    while True:
        rows = await queries.fetch(SQL.end_maps, map_id, name, at, operator, _ROWS_AT_ONCE)
        ended += (row["id"] for row in rows)
        if len(rows) < _ROWS_AT_ONCE:
            return ended


async def _add(queries: Queries, like: Map, operator: str, rows: Sequence[tuple[Map, int]]) -> list[int]:
    names = (
        "private_first",
        "private_last",
        "public_first",
        "public_last",
        "port_first",
        "port_last",
        "ports_each",
    )
    columns = [[getattr(one, name) for one, _ in rows] for name in names]
    written = await queries.fetch(
        SQL.add_maps,
        like.name,
        like.address_space,
        like.layout,
        like.valid_from,
        operator,
        *columns,
        [nth for _, nth in rows],
    )
    return [row["id"] for row in written]


# --- who asked ------------------------------------------------------------------------------------------------------


class Asker(NamedTuple):
    """Who asks, by what account, and on what grounds."""

    operator: str
    account: str
    order_number: str = ""
    reason: str = ""


async def record_inquiries(
    queries: Queries,
    asker: Asker,
    here: Standing,
    answers: Sequence[tuple[Document, bytes]],
    evidence_id: int | None = None,
) -> None:
    """Record what was asked and whose sessions are shown; each answer comes with its SHA-256."""
    await queries.execute(
        SQL.record_inquiries,
        asker.operator,
        asker.account,
        asker.order_number,
        asker.reason,
        here.sees_documents,
        evidence_id,
        [msgspec.json.encode(found["question"]).decode() for found, _ in answers],
        [len(found["candidates"]) for found, _ in answers],
        [_logins(found) for found, _ in answers],
        [digest for _, digest in answers],
    )


def _logins(found: Document) -> str:
    ids = {one["login"]["id"] for one in found["candidates"]} - {None}
    return ",".join(str(login_id) for login_id in sorted(ids))
