"""What a session was granted, and what a CoA-Request makes of it.

Pure. RouterOS changes what its manual lists (Group, limits, Rate-Limit, Mark-Id, Filter-Id, timeouts, Port-Limit) and
says yes to the rest without a change: an address, a pool, and, as far as is known, Mikrotik-Address-List. accel-ppp
changes the shaper by Filter-Id, and then Class or else Session-Timeout, not both (`dm_coa.c`).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aaad.simulator.packet import Attribute

_MIKROTIK = 14988
_RECV_LIMIT, _XMIT_LIMIT, _GROUP, _RATE_LIMIT, _MARK_ID, _ADDRESS_LIST, _DELEGATED_POOL = 1, 2, 3, 8, 11, 19, 22
_FILTER_ID, _CLASS, _SESSION_TIMEOUT, _IDLE_TIMEOUT, _PORT_LIMIT, _POOL = 11, 25, 27, 28, 62, 88
_DELEGATED_PREFIX, _DELEGATED_PREFIX_POOL = 123, 171


class Granted(NamedTuple):
    """What a session has, its address apart. Empty and 0: nothing of the kind."""

    rate_limit: str = ""  # as Mikrotik-Rate-Limit says it
    filter_id: str = ""
    group: str = ""
    mark_id: str = ""
    address_lists: tuple[str, ...] = ()
    session_timeout_s: int = 0
    idle_timeout_s: int = 0
    port_limit: int = 0
    recv_limit: int = 0
    xmit_limit: int = 0
    pool: str = ""
    delegated_pool: str = ""
    delegated_prefix: bytes = b""  # as the attribute has it: a zero, the length, the octets
    state: bytes = b""  # Class


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _count(value: bytes) -> int:
    return int.from_bytes(value[:4], "big")


_Fields = dict[tuple[int, int], tuple[str, Callable[[bytes], Any]]]
_CHANGEABLE: _Fields = {
    (_MIKROTIK, _RATE_LIMIT): ("rate_limit", _text),
    (_MIKROTIK, _GROUP): ("group", _text),
    (_MIKROTIK, _MARK_ID): ("mark_id", _text),
    (_MIKROTIK, _RECV_LIMIT): ("recv_limit", _count),
    (_MIKROTIK, _XMIT_LIMIT): ("xmit_limit", _count),
    (0, _FILTER_ID): ("filter_id", _text),
    (0, _SESSION_TIMEOUT): ("session_timeout_s", _count),
    (0, _IDLE_TIMEOUT): ("idle_timeout_s", _count),
    (0, _PORT_LIMIT): ("port_limit", _count),
}
_FIELDS: _Fields = _CHANGEABLE | {
    (0, _CLASS): ("state", bytes),
    (0, _POOL): ("pool", _text),
    (0, _DELEGATED_PREFIX_POOL): ("delegated_pool", _text),
    (_MIKROTIK, _DELEGATED_POOL): ("delegated_pool", _text),
    (0, _DELEGATED_PREFIX): ("delegated_prefix", bytes),
}


def granted_of(attributes: Iterable[Attribute]) -> Granted:
    """Return what an Access-Accept grants; of what may stand only once, the first counts."""
    values, lists = _values(attributes, _FIELDS)
    return Granted(**values, address_lists=tuple(lists))


def changed_by_routeros(granted: Granted, attributes: Iterable[Attribute], *, takes_lists: bool) -> Granted:
    """Return what a session has after RouterOS carried out a CoA-Request."""
    values, lists = _values(attributes, _CHANGEABLE)
    if takes_lists and lists:
        values["address_lists"] = tuple(lists)
    return granted._replace(**values)


def changed_by_accel_ppp(granted: Granted, attributes: Iterable[Attribute]) -> Granted | None:
    """Return what a session has after accel-ppp carried out a CoA-Request; None: its shaper cannot read the rate."""
    values, _ = _values(attributes, _FIELDS)
    taken = {name: values[name] for name in ("filter_id",) if name in values}
    if "filter_id" in taken and not _is_shape(taken["filter_id"]):
        return None
    for name in ("state", "session_timeout_s"):
        if name in values:
            taken[name] = values[name]
            break
    return granted._replace(**taken)


def _is_shape(text: str) -> bool:
    """Tell whether accel-ppp can read a speed: `1024`, `2048/512`, in kbit/s."""
    return all(side.isascii() and side.isdigit() for side in text.split("/", 1))


def _values(attributes: Iterable[Attribute], fields: _Fields) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    lists = []
    for vendor, kind, value in attributes:
        if (vendor, kind) == (_MIKROTIK, _ADDRESS_LIST):
            lists.append(_text(value))
        elif (found := fields.get((vendor, kind))) is not None:
            name, read = found
            values.setdefault(name, read(value))
    return values, lists
