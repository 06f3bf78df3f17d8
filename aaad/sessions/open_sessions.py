"""Asks PostgreSQL which sessions of some logins are open, and where their NASes take orders, for a radius process.

Simultaneous use (rule R5.4) is asked for on a connection of the process's own, many logins at a time. Suspended
sessions are not open (rule R5.3).
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Database, Row
from aaad.db.statements import load_statements
from aaad.sessions.devices import OpenSession

SESSIONS_MAX = 16  # of one login: more than that nobody proves to be alive in time

_SQL = load_statements(Path(__file__).with_name("simultaneous.sql"))


class LoginUse(NamedTuple):
    """How a login is in use. Who has no open session has no LoginUse."""

    allowed: int  # sessions at once
    sessions: list[OpenSession]  # the latest SESSIONS_MAX


class OpenSessions:
    """The question, asked by one node."""

    def __init__(self, database: Database, node: str) -> None:
        """`node` is our name in net.node: a NAS takes orders from the addresses that it knows us by."""
        self._database = database
        self._node = node

    @property
    def is_connected(self) -> bool:
        """Whether PostgreSQL can be asked without connecting first."""
        return self._database.is_connected

    async def keep_connected(self) -> None:
        """Connect, or look whether the connection lives; StoreError if there is none now."""
        await self.find(())

    async def close(self) -> None:
        """End the connection."""
        await self._database.close()

    async def find(self, login_ids: Collection[int]) -> dict[int, LoginUse]:
        """Return what is open of these logins; StoreError if PostgreSQL does not tell."""
        rows = await self._database.fetch(_SQL.find_open_sessions, sorted(login_ids), self._node, SESSIONS_MAX)
        found: dict[int, LoginUse] = {}
        for row in rows:
            found.setdefault(row["login_id"], LoginUse(row["allowed"], [])).sessions.append(_session(row))
        return found


def _session(row: Row) -> OpenSession:
    return OpenSession(
        key=(row["family"].bytes, row["life"]),
        router=(row["nas_id"], row["source_address"], row["nas_identifier"]),
        session_id=row["acct_session_id"],
        user_name=row["user_name"],
        mac=mac_number(row["mac"]),
        calling_station_id=row["calling_station_id"] or "",
        port_id=row["nas_port_id"] or "",
        ipv4=row["ipv4"] or "",
        coa_address=row["coa_address"],
        coa_port=row["coa_port"],
        local_address=row["local_address"] or "",
    )


def mac_number(text: str | None) -> int:
    """Return what PostgreSQL writes of a macaddr as a number, 0 for null."""
    return int(text.replace(":", ""), 16) if text else 0
