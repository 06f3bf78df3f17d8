"""The addresses that a session had, one after the other, each with when it was reported first and last (rule R9.1).

Pure. Putting two such lists together is commutative, associative and idempotent: least, greatest, and which was
reported last. It is exact for the newest EARLIER_MAX of a kind beside the one that stands last.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

import msgspec

EARLIER_MAX = 16
KINDS = ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix")
_US = 1_000_000


class Held(NamedTuple):
    """An address that a session had, and when it was reported first and last."""

    kind: int  # its place in KINDS
    value: str
    first_at: float  # inf: not known
    last_at: float


def combined(known: Iterable[Held]) -> list[Held]:
    """Return the addresses of one kind, each once, the one that was reported last at the end."""
    by_value: dict[str, Held] = {}
    for held in known:
        other = by_value.get(held.value, held)
        first_at, last_at = min(held.first_at, other.first_at), max(held.last_at, other.last_at)
        by_value[held.value] = Held(held.kind, held.value, first_at, last_at)
    return sorted(by_value.values(), key=_order)[-EARLIER_MAX - 1 :]


def encode_changes(kinds: Iterable[Sequence[Held]]) -> bytes | None:
    """Return the column that tells of kinds with several addresses, in order; None if there are none.

    In JSON: microseconds, null where the beginning is not known, or the end is the session's.
    """
    told = [
        {
            "kind": KINDS[held.kind],
            "value": held.value,
            "since_us": None if held.first_at == inf else round(held.first_at * _US),
            "until_us": None if held is addresses[-1] else round(held.last_at * _US),
        }
        for addresses in kinds
        if len(addresses) > 1
        for held in addresses
    ]
    return msgspec.json.encode(told) if told else None


def _order(held: Held) -> tuple[float, str]:
    return held.last_at, held.value
