"""Whose a session is that begins: login, contract, client, plan and branch, and whose days it counts.

A Class of ours tells who was let in, and by which contract and plan, as of the Accept (rule R4.6). Without one the
user name tells, by the same folding as the replica's: as typed, else as a device's address, else by the realm rules
of the NAS's branch (rule R3.4). A session of nobody's is recorded all the same (rule R2.4). Never locks a row.
"""

from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from aaad.clock import monotonic_s
from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.replica.record import fold_name
from aaad.sessions.arrays import array
from aaad.sessions.attribute_text import mac_of
from aaad.sessions.draft import Owner
from aaad.sessions.grant_class import ClassFacts
from aaad.sessions.record import AccountingRecord

DEFAULT_TIME_ZONE = "America/Sao_Paulo"
DEFAULT_ADDRESS_SPACE = 1
_TABLES_KEPT_S = 5.0  # NASes, branches and their realm rules
_UNKNOWN_READ_EVERY_S = 0.5
_ANY_REALM = "*"

_SQL = load_statements(Path(__file__).with_name("sessions.sql"))


class _Nas(NamedTuple):
    address_space: int
    branch_id: int | None
    time_zone: str


_NO_NAS = _Nas(DEFAULT_ADDRESS_SPACE, None, DEFAULT_TIME_ZONE)


class Owners:
    """Finds the owners of a batch's new sessions, with a few statements for all of them."""

    def __init__(self) -> None:
        """Nothing is read before the first session."""
        self._nases: dict[int, _Nas] = {}
        self._realms: dict[int | None, tuple[tuple[str, ...], str]] = {}
        self._zones: dict[int | None, str] = {}  # of branches
        self._read_at_s = 0.0
        self._read_again_at_s = 0.0

    async def know(self, queries: Queries, nas_ids: Set[int]) -> None:
        """Read NASes, branches and realm rules, if that was a while ago or one of these is unknown."""
        now_s = monotonic_s()
        is_unknown = not nas_ids <= self._nases.keys()  # made just now, perhaps
        if now_s >= self._read_again_at_s or (is_unknown and now_s >= self._read_at_s + _UNKNOWN_READ_EVERY_S):
            await self._read_tables(queries)

    def address_space(self, nas_id: int) -> int:
        """Return in which address space this NAS's addresses are unique (rule R7.1); `know` it first."""
        return self._nases.get(nas_id, _NO_NAS).address_space

    async def find(self, queries: Queries, records: Sequence[AccountingRecord]) -> list[Owner]:
        """Return whose the session of each of these records is."""
        await self.know(queries, {record.nas_id for record in records})
        grants = [record.grant for record in records]
        contracts = await self._find_contracts(queries, grants)
        named = await self._find_named(queries, [record for record in records if not record.class_body])
        return [self._owner(record, grant, contracts, named) for record, grant in zip(records, grants, strict=True)]

    def _owner(
        self,
        record: AccountingRecord,
        grant: ClassFacts | None,
        contracts: dict[int, Row],
        named: dict[tuple[str, int | None], Owner],
    ) -> Owner:
        nas = self._nases.get(record.nas_id, _NO_NAS)
        if grant is None:
            owner = named.get((_folded(record), nas.branch_id))
            return owner or Owner(None, None, None, None, None, nas.time_zone)
        contract = contracts.get(grant.contract_id)
        client_id, branch_id = (contract[1], contract[2]) if contract else (None, None)
        return Owner(
            grant.login_id or None,
            grant.contract_id or None,
            client_id,
            grant.plan_id or None,
            branch_id,
            self._zones.get(branch_id) or nas.time_zone,
        )

    async def _read_tables(self, queries: Queries) -> None:
        rows = await queries.fetch(_SQL.find_nases)
        self._nases = {row[0]: _Nas(row[1], row[2], row[3] or DEFAULT_TIME_ZONE) for row in rows}
        rows = await queries.fetch(_SQL.find_realm_rules)
        self._realms = {
            row[0]: (
                tuple(_fold(realm) for realm in (row[1] or "").split(";") if realm),
                _fold(row[2] or ""),
            )
            for row in rows
        }
        await self._read_zones(queries)
        self._read_at_s = monotonic_s()
        self._read_again_at_s = self._read_at_s + _TABLES_KEPT_S

    async def _find_contracts(self, queries: Queries, grants: Iterable[ClassFacts | None]) -> dict[int, Row]:
        wanted = {grant.contract_id for grant in grants if grant is not None}
        if not wanted:
            return {}
        rows = await queries.fetch(_SQL.find_contracts, array(wanted))
        await self._know_branches(queries, {row[2] for row in rows})
        return {row[0]: row for row in rows}

    async def _know_branches(self, queries: Queries, branch_ids: set[int]) -> None:
        """Read of them what a session keeps for good, if one was made just now; the other tables are in use."""
        if not branch_ids <= self._zones.keys():
            await self._read_zones(queries)

    async def _read_zones(self, queries: Queries) -> None:
        self._zones = {row[0]: row[1] for row in await queries.fetch(_SQL.find_branches)}

    async def _find_named(
        self, queries: Queries, records: Iterable[AccountingRecord]
    ) -> dict[tuple[str, int | None], Owner]:
        """Return owners by folded name and the NAS's branch."""
        wanted = {
            (_folded(record), self._nases.get(record.nas_id, _NO_NAS).branch_id)
            for record in records
            if record.user_name
        }
        if not wanted:
            return {}
        found = await self._logins(queries, _SQL.find_logins, {name for name, _ in wanted})
        unknown = {key for key in wanted if key[0] not in found}
        if unknown:
            devices = {key[0]: mac for key in unknown if (mac := _mac(key[0]))}
            by_mac = await self._logins(queries, _SQL.find_mac_logins, set(devices.values()))
            other = {key: name for key in unknown if (name := self._by_realm(*key))}
            by_realm = await self._logins(queries, _SQL.find_logins, set(other.values()))
        owners = {}
        for key in wanted:
            owner = found.get(key[0])
            if owner is None:
                owner = by_mac.get(devices.get(key[0], "")) or by_realm.get(other.get(key, ""))
            if owner is not None:
                owners[key] = owner
        return owners

    async def _logins(self, queries: Queries, sql: str, keys: set[str]) -> dict[str, Owner]:
        if not keys:
            return {}
        rows = await queries.fetch(sql, sorted(keys))
        await self._know_branches(queries, {row[5] for row in rows})
        return {
            row[0] if row[0] in keys else _fold(row[0]): Owner(
                row[1], row[2], row[3], row[4], row[5], self._zones.get(row[5]) or DEFAULT_TIME_ZONE
            )
            for row in rows
        }

    def _by_realm(self, folded: str, branch_id: int | None) -> str:
        """Return the other name that the branch's realm rules make of one; empty if they make none."""
        stripped, default = self._realms.get(branch_id, ((), ""))
        local, sign, realm = folded.rpartition("@")
        if not sign:
            realm, sign, local = folded.partition("\\")
        if sign:
            return local if _ANY_REALM in stripped or realm in stripped else ""
        return f"{folded}@{default}" if default else ""


def _fold(name: str) -> str:
    return fold_name(name.encode()).decode()


def _folded(record: AccountingRecord) -> str:
    return _fold(record.user_name)


def _mac(name: str) -> str:
    octets = mac_of(name.encode())
    return octets.hex(":").upper() if octets else ""
