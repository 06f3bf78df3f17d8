"""Leases of a login as the replica keeps them, and how a device is told from another (rule R7.2).

Pure. A login's bound leases are entries of one size, one after the other, so that the request path finds its own
without decoding the others. What is looked for is found only for the lease's own device and only until 60 s before
its end: a clock that is a little behind gives nobody an address that another one may have by now.
"""

import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from aaad.errors import ReplicaError

GUARD_S = 60  # a node answers from its copy until so long before the end, and others wait as long after it

_HEAD = struct.Struct("<IqIBB")  # pool, device, valid until, 4 or 6, prefix length
_ENTRY = struct.Struct("<IqIBB16s")
_ENTRY_OCTETS = _ENTRY.size
_ADDRESS_OCTETS = 16
_pack, _unpack, _from_bytes = _ENTRY.pack, _ENTRY.unpack, int.from_bytes
_VALID_UNTIL_MAX_S = 2**32 - 1
_NOT_A_MAC = 1 << 62


class Lease(NamedTuple):
    """One address or prefix that a login has until `valid_until_s`, in Unix seconds."""

    pool_id: int
    device: int  # see `device_of`; 0: unknown
    valid_until_s: int
    family: int  # 4 or 6
    number: int  # of the first address
    prefix_length: int


def encode_leases(leases: Iterable[Lease]) -> bytes:
    """Return the octets of a login's leases."""
    return b"".join(
        _ENTRY.pack(
            lease.pool_id,
            lease.device,
            min(lease.valid_until_s, _VALID_UNTIL_MAX_S),
            lease.family,
            lease.prefix_length,
            lease.number.to_bytes(16, "big"),
        )
        for lease in leases
    )


def encode_lease(
    pool_id: int, device: int, valid_until_s: int, family: int, prefix_length: int, packed: bytes
) -> bytes:
    """Return the octets of one lease, of an address in network order: made for the feed, which reads many."""
    return _pack(pool_id, device, valid_until_s, family, prefix_length, packed.rjust(_ADDRESS_OCTETS, b"\0"))


def decode_leases(data: bytes) -> list[Lease]:
    """Return all leases in these octets; ReplicaError if they are none."""
    if len(data) % _ENTRY_OCTETS:
        raise ReplicaError("leases that end within an entry")
    return [
        Lease(pool_id, device, valid_until_s, family, int.from_bytes(number, "big"), length)
        for pool_id, device, valid_until_s, family, length, number in _ENTRY.iter_unpack(data)
    ]


def find_lease(data: bytes, pool_id: int, device: int, now_s: float) -> Lease | None:
    """Return the lease of this pool that this device may be answered from now; None: the ledger must be asked.

    A device that is not known (0) is no other's. Of several the one that holds longest.
    """
    found_at, found_until_s = -1, now_s + GUARD_S
    if device:
        for at in range(0, len(data), _ENTRY_OCTETS):
            pool, of, until_s, _, _ = _HEAD.unpack_from(data, at)
            if pool == pool_id and of == device and until_s > found_until_s:
                found_at, found_until_s = at, until_s
    if found_at < 0:
        return None
    pool, of, until_s, family, length, number = _ENTRY.unpack_from(data, found_at)
    return Lease(pool, of, until_s, family, int.from_bytes(number, "big"), length)


def find_unit(data: bytes, pool_id: int, device: int, now_s: float) -> tuple[int, int] | None:
    """Return number and prefix length of what `find_lease` finds: made for the request path, which asks each time."""
    if len(data) != _ENTRY_OCTETS:  # of several the one that holds longest
        lease = find_lease(data, pool_id, device, now_s)
        return None if lease is None else (lease.number, lease.prefix_length)
    pool, of, until_s, _, length, number = _unpack(data)
    if of != device or pool != pool_id or not device or until_s - GUARD_S <= now_s:
        return None
    return _from_bytes(number, "big"), length


def device_of(mac: int, calling: str, nas_id: int, port: str) -> int:
    """Return what tells a device from another: its MAC, else a hash of how it calls itself, else of its port.

    `calling` is the Calling-Station-Id that is no MAC, `port` the NAS-Port-Id. 0: nothing tells it. Always fits a
    signed 64-bit number, and is the same on every node.
    """
    if mac:
        return mac
    if calling:
        return _hashed(b"calling", calling)
    return _hashed(b"port %d" % nas_id, port) if port else 0


def _hashed(kind: bytes, text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, person=kind[:16]).digest()
    return int.from_bytes(digest, "big") & (_NOT_A_MAC - 1) | _NOT_A_MAC
