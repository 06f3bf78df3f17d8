"""What each radius process tells of the routers it met: one file per slot beside the counters (rule R10).

The radius role writes the file whole every few seconds; here it is read for /metrics, `aaad status` and `aaad why`.
Beside it stands a file of the addresses that ask and belong to no NAS entry.
NAS-Identifiers are what a sender chose: they are made printable, and the rows of a node are bounded.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from aaad.words import printable

ROUTERS_MAX = 1_000  # of a node: those in trouble, then the last heard; more series than this help nobody
_SUFFIX = ".routers.json"
_UNKNOWN_SUFFIX = ".unknown.json"


class RouterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One router as one radius process has met it since that process began."""

    slot: str = ""
    nas_id: int
    nas: str
    source_address: str
    nas_identifier: str
    proven: bool = True  # False: all that came from this address and proved no secret
    armed: bool  # Message-Authenticator is demanded of it
    last_heard_s: float  # Unix seconds
    requests: int = 0
    granted: int = 0
    refused: int = 0
    resent: int = 0
    late: int = 0
    bad_authenticators: int = 0
    unsigned_dropped: int = 0
    accounting_heard: int = 0  # Accounting-Requests that proved the secret
    accounting_bad_authenticators: int = 0
    accepts_without_start: int = 0  # within 30 s
    starts_unmatched: int = 0  # of sessions that no Accept of this slot waited for: another slot's may have
    doubted_accepts: int = 0  # Accepts without a Start to requests that prove no secret, since one was proven
    doubted_resent: int = 0
    unreadable_passwords: int = 0  # in User-Passwords of unsigned requests, since a secret was proven
    bad_authenticators_at_s: float = 0.0  # Unix seconds, as all below
    unsigned_dropped_at_s: float = 0.0
    without_start_at_s: float = 0.0
    doubted_at_s: float = 0.0
    proven_at_s: float = 0.0  # when its secret was last proven

    @property
    def is_in_trouble(self) -> bool:
        """Whether something was wrong with it since the process began."""
        return any(
            (
                self.bad_authenticators,
                self.unsigned_dropped,
                self.accounting_bad_authenticators,
                self.doubted_accepts,
                self.unreadable_passwords,
            )
        )


class UnknownSource(msgspec.Struct, frozen=True, kw_only=True):
    """An address that asks and belongs to no NAS entry."""

    source_address: str
    count: int  # datagrams
    first_at_s: float  # Unix seconds
    last_at_s: float

    def with_more(self, other: "UnknownSource") -> "UnknownSource":
        """Return this and what another slot heard of the same address as one."""
        return UnknownSource(
            source_address=self.source_address,
            count=self.count + other.count,
            first_at_s=min(self.first_at_s, other.first_at_s),
            last_at_s=max(self.last_at_s, other.last_at_s),
        )


ROUTER_COUNTERS = {
    "aaad_router_requests_total": "requests",
    "aaad_router_granted_total": "granted",
    "aaad_router_refused_total": "refused",
    "aaad_router_resent_total": "resent",
    "aaad_router_late_total": "late",
    "aaad_router_bad_authenticators_total": "bad_authenticators",
    "aaad_router_unsigned_dropped_total": "unsigned_dropped",
    "aaad_router_accounting_heard_total": "accounting_heard",
    "aaad_router_accounting_bad_authenticators_total": "accounting_bad_authenticators",
    "aaad_router_accepts_without_start_total": "accepts_without_start",
    "aaad_router_starts_unmatched_total": "starts_unmatched",
}
_SUMMED = (*ROUTER_COUNTERS.values(), "doubted_accepts", "doubted_resent", "unreadable_passwords")
_LATEST = (
    "last_heard_s",
    "bad_authenticators_at_s",
    "unsigned_dropped_at_s",
    "without_start_at_s",
    "doubted_at_s",
    "proven_at_s",
)


def statistics_path(counters: Path, slot: str) -> Path:
    """Return the file that a slot's radius process writes."""
    return counters / f"{slot}{_SUFFIX}"


def unknown_sources_path(counters: Path, slot: str) -> Path:
    """Return the file of unknown addresses that a slot's radius process writes."""
    return counters / f"{slot}{_UNKNOWN_SUFFIX}"


def read_unknown_sources(counters: Path) -> list[UnknownSource]:
    """Return the addresses of all slots that no NAS entry has, the last heard first."""
    merged: dict[str, UnknownSource] = {}
    for path in sorted(counters.glob(f"*{_UNKNOWN_SUFFIX}")):
        try:
            found = msgspec.json.decode(path.read_bytes(), type=list[UnknownSource])
        except (OSError, msgspec.MsgspecError):
            continue  # just being replaced, or of another version
        for source in found:
            before = merged.get(source.source_address)
            merged[source.source_address] = before.with_more(source) if before else source
    return sorted(merged.values(), key=lambda source: -source.last_at_s)


def read_routers(counters: Path) -> list[RouterFacts]:
    """Return what all slots tell, at most ROUTERS_MAX rows, each of its own labels."""
    merged: dict[tuple[object, ...], RouterFacts] = {}
    for router in _read_all(counters):
        # What was made printable may look like its neighbour: then it is counted with it.
        key = (router.slot, router.nas, router.source_address, router.nas_identifier, router.proven)
        merged[key] = together(merged[key], router) if key in merged else router
    found = sorted(merged.values(), key=lambda router: (not router.is_in_trouble, -router.last_heard_s))
    return found[:ROUTERS_MAX]


def _read_all(counters: Path) -> Iterator[RouterFacts]:
    for path in sorted(counters.glob(f"*{_SUFFIX}")):
        try:
            found = msgspec.json.decode(path.read_bytes(), type=list[RouterFacts])
        except (OSError, msgspec.MsgspecError):
            continue  # just being replaced, or of another version
        slot = path.name.removesuffix(_SUFFIX)
        for router in found:
            shown = {"nas": printable(router.nas), "nas_identifier": printable(router.nas_identifier)}
            yield msgspec.structs.replace(router, slot=slot, **shown)


def together(one: RouterFacts, other: RouterFacts) -> RouterFacts:
    """Return two rows of one router as one."""
    return msgspec.structs.replace(
        one,
        armed=one.armed or other.armed,
        **{name: getattr(one, name) + getattr(other, name) for name in _SUMMED},
        **{name: max(getattr(one, name), getattr(other, name)) for name in _LATEST},
    )
