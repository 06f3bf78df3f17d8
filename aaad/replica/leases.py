"""Leases on their way into the replica (rules R1, R7.2): which logins' changed, and what each of those has now.

No NOTIFY tells of a lease, and nothing logs its change but that of whose it is: net.lease.changed names the
transaction. A poll takes so many, in the order of transactions, and says where that leaves it, as a snapshot: so none
is missed, in whatever order they commit and however many there are. A login's bound leases are read whole and replace
what the replica had of it. A row that cannot be read costs itself only: its login asks the ledger.
"""

import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from aaad.db.connection import Queries, Row
from aaad.policy.lease import Lease, decode_leases, encode_lease, encode_leases
from aaad.replica.snapshot import Taken, advance
from aaad.replica.source import STATEMENTS

LEASES_PER_POLL = 5_000  # some 50 ms of work; more follow at once
LEASES_AT_ONCE_MAX = 200_000  # changed by one transaction; more is read faster as a whole
LOGINS_PER_READ = 2_000
LEASES_PER_READ = 2_000
LEASES_OF_LOGIN_MAX = 64  # kept, of those that many devices share: the others ask the ledger
_FAMILIES = {2: 4, 3: 6}  # PostgreSQL's form of an address on the wire
_HEAD_OCTETS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseChanges:
    """What changed since a snapshot, as far as one poll takes it."""

    values: dict[int, bytes] = field(default_factory=dict)  # login id -> its bound leases, empty: it has none
    snapshot: str  # what the replica has seen of the ledger with it
    is_complete: bool = True
    is_too_many: bool = False  # then there are no values
    unusable_ids: tuple[int, ...] = ()  # logins of leases that cannot be read


async def read_lease_changes(queries: Queries, since: str, now: str, also: Iterable[int]) -> LeaseChanges:
    """Return the next leases that `since` did not see and this transaction, whose snapshot is `now`, sees.

    Those of the logins in `also` are read again in any case. The last thing that its transaction reads, since it sets
    how PostgreSQL plans.
    """
    await queries.execute(STATEMENTS["go_by_index"])
    row = await queries.fetchrow(STATEMENTS["find_changed_leases"], since, LEASES_PER_POLL, LEASES_AT_ONCE_MAX)
    assert row is not None  # an aggregate without groups
    if row["found_max"] >= LEASES_AT_ONCE_MAX:
        return LeaseChanges(snapshot=since, is_complete=False, is_too_many=True)
    taken = Taken(row["beyond"], row["open"])
    values, unusable = await _read_leases(queries, list({*row["login_ids"], *also}))
    return LeaseChanges(
        values=values,
        snapshot=advance(since, now, taken),
        is_complete=taken == (None, None),
        unusable_ids=tuple(unusable),
    )


async def _read_leases(queries: Queries, login_ids: list[int]) -> tuple[dict[int, bytes], set[int]]:
    values, unusable = dict.fromkeys(login_ids, b""), set[int]()
    for start in range(0, len(login_ids), LOGINS_PER_READ):
        chunk = login_ids[start : start + LOGINS_PER_READ]
        values.update(compile_leases(await queries.fetch(STATEMENTS["find_leases"], chunk), unusable))
    return values, unusable


async def iterate_leases(queries: Queries, unusable: set[int]) -> AsyncIterator[dict[int, bytes]]:
    """Read every bound lease in order of login ids, so many at a time: memory does not grow with their number.

    The last thing that its transaction reads, since it sets how PostgreSQL plans.
    """
    await queries.execute(STATEMENTS["go_by_index"])
    after = 0
    while rows := await queries.fetch(STATEMENTS["find_leases_after"], after, LEASES_PER_READ):
        after = rows[-1]["login_id"]
        yield compile_leases(rows, unusable)


def compile_leases(rows: Iterable[Row], unusable: set[int]) -> dict[int, bytes]:
    """Return the leases of each login in these rows; note whose cannot be read."""
    found: dict[int, bytes] = {}
    several: dict[int, list[bytes]] = {}
    for row in rows:
        login_id, pool_id, device, valid_until_s, address = row
        try:
            lease = encode_lease(
                pool_id,
                device,
                int(valid_until_s) if valid_until_s > 0 else 0,  # -infinity is no time either
                _FAMILIES[address[0]],
                address[1],
                address[_HEAD_OCTETS:],
            )
        except (ArithmeticError, LookupError, TypeError, ValueError, struct.error):
            unusable.add(login_id)
            continue
        if login_id in found:
            several.setdefault(login_id, [found[login_id]]).append(lease)
        else:
            found[login_id] = lease
    for login_id, leases in several.items():
        found[login_id] = encode_leases(_newest(decode_leases(b"".join(leases))))
    return found


def _newest(leases: list[Lease]) -> list[Lease]:
    return sorted(leases, key=lambda lease: (-lease.valid_until_s, lease.family, lease.number))[:LEASES_OF_LOGIN_MAX]
