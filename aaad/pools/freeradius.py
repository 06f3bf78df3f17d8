"""What a FreeRADIUS says of addresses in use: its `radippool` and the open sessions of its `radacct` (rule R7.3).

Reads only, a bounded part at a time. An open session of which nothing was heard for long has ended unheard, mostly:
such ones are left out and counted. Nothing is proven unused by this: a session whose Start was lost is in no table.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_interface
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Database, Row
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.pools.address import WIDTHS, Range, parse_unit
from aaad.pools.adopt import Found, FoundPool, Held, Unit, Witness, mac_number

_PART = 20_000
_ROWS_MAX = 5_000_000
_LINK_LENGTH = 64
_NO_TABLE = "42P01"
_NO_ADDRESS = {"0.0.0.0", "255.255.255.254", "255.255.255.255", "::"}  # noqa: S104

_SQL = load_statements(Path(__file__).with_name("freeradius.sql"))


class Reading(NamedTuple):
    """What was read."""

    found: Found
    silent_count: int  # sessions that are open and unheard for too long


async def read_freeradius(database: Database, nas_ids: Mapping[str, int], silent_max_s: float = 86_400.0) -> Reading:
    """Read both tables of a FreeRADIUS's database, whichever are there; StoreError.

    `nas_ids` are NAS entries by their address. Sessions that were not heard for longer than `silent_max_s` are left
    out. Addresses of one pool that follow each other become one range.
    """
    held: list[Held] = []
    members: dict[tuple[str, int, int], set[int]] = {}
    unread_count = silent_count = 0
    async for row in _rows(database, _SQL.read_pool, "id"):
        unit = _unit(row, "framedipaddress", "address")
        if unit is None:
            unread_count += 1
            continue
        members.setdefault((row["pool_name"], unit[0], unit[2]), set()).add(unit[1])
        until_s, now_s = _instant_s(row.get("expiry_time")), row["now_s"]
        name = row.get("username") or row.get("owner") or ""
        if until_s > now_s and (name or row.get("callingstationid")):
            held.append(_held(row, unit, Witness.LEASE, name, until_s, nas_ids))
    async for row in _rows(database, _SQL.read_sessions, "radacctid"):
        heard_s = _instant_s(row.get("acctupdatetime") or row.get("acctstarttime"))
        if heard_s < row["now_s"] - silent_max_s:
            silent_count += 1
            continue
        for column in ("framedipaddress", "framedipv6prefix", "delegatedipv6prefix"):
            unit = _unit(row, column)
            if unit is not None:
                held.append(_held(row, unit, Witness.SESSION, row.get("username") or "", heard_s, nas_ids))
    pools = tuple(
        FoundPool(name, _family_of(family, length), tuple(_ranges(numbers, family, length)))
        for (name, family, length), numbers in sorted(members.items())
    )
    return Reading(Found(pools, tuple(held), unread_count), silent_count)


async def _rows(database: Database, sql: str, key: str) -> AsyncIterator[Row]:
    last, count = -1, 0
    while count < _ROWS_MAX:
        try:
            rows = await database.fetch(sql, last, _PART)
        except StoreError as error:
            if error.sqlstate == _NO_TABLE:
                return
            raise
        for row in rows:
            yield row
        if len(rows) < _PART:
            return
        last, count = rows[-1][key], count + len(rows)
    raise StoreError(f"more than {_ROWS_MAX} rows in one table of the other server")


def _held(row: Row, unit: Unit, witness: Witness, name: str, at_s: float, nas_ids: Mapping[str, int]) -> Held:
    nas_id = nas_ids.get(str(row.get("nasipaddress") or "").partition("/")[0])
    return Held(name, unit, witness, nas_id, mac_number(str(row.get("callingstationid") or "")), at_s)


def _unit(row: Row, *columns: str) -> Unit | None:
    text = next((str(row.get(column)) for column in columns if row.get(column)), "")
    try:
        found = ip_interface(text)
    except ValueError:
        return None
    if str(found.ip) in _NO_ADDRESS:
        return None
    # An IPv4 address may have been written with its network's mask, a prefix with the host's part.
    return parse_unit(str(found.network) if found.version == 6 else f"{found.ip}/{WIDTHS[4]}")


def _instant_s(moment: object) -> float:
    """Return a time of either kind of column; one without a zone is taken for UTC."""
    if not isinstance(moment, datetime):
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _family_of(family: int, length: int) -> str:
    if family == 4:
        return "ipv4"
    return "ipv6" if length in (_LINK_LENGTH, WIDTHS[6]) else "delegated"


def _ranges(numbers: Iterable[int], family: int, length: int) -> Iterable[Range]:
    """Yield ranges of the units that follow each other."""
    size = 1 << (WIDTHS[family] - length)
    first = last = None
    for number in sorted(numbers):
        if last is not None and number == last + size:
            last = number
            continue
        if first is not None and last is not None:
            yield Range(first, last + size - 1, length, family)
        first = last = number
    if first is not None and last is not None:
        yield Range(first, last + size - 1, length, family)
