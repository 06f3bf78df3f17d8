"""What a set of accounting records comes to, computed the plain way: all at once, without summaries or order.

It shares no code with `aaad.sessions`: it reads the octets itself and looks at every pair of records. `rows` gives
what `aaad.sessions.fold` must end in after any permutation, repetition and batching of them.
"""

import json
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import IPv6Address, ip_network
from typing import Any
from zoneinfo import ZoneInfo

from aaad.spool.records import Accounting

LINK_S = 120
Row = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One record, read."""

    record: Accounting
    values: dict[int, bytes]

    def number(self, kind: int) -> int | None:
        value = self.values.get(kind)
        return struct.unpack("!I", value)[0] if value is not None and len(value) == 4 else None

    @property
    def status(self) -> int:
        return self.number(40) or 0

    @property
    def family(self) -> tuple[bytes, bytes]:
        return self.values.get(1, b"").lower(), self.values.get(44, b"")

    @property
    def router(self) -> tuple[int, bytes]:
        return self.record.nas_id, self.record.nas_identifier or self.record.source_address.encode()

    @property
    def grant(self) -> tuple[int, ...] | None:
        if not self.record.has_own_class:
            return None
        return struct.unpack("!BBIQIIIIB", self.values[25][:31])

    @property
    def time_s(self) -> int | None:
        time_s = self.number(46)
        return time_s if time_s is not None and time_s <= 315_360_000 else None

    @property
    def sent_at(self) -> float:
        delay_s = self.number(41) or 0
        return self.record.received_at_s - (delay_s if delay_s <= 2_592_000 else 0)

    @property
    def at(self) -> float:
        stamp = self.number(55)
        return float(stamp) if stamp and abs(stamp - self.sent_at) <= 300 else self.sent_at

    @property
    def start(self) -> float | None:
        if self.status == 1:
            return self.sent_at
        return self.sent_at - self.time_s if self.time_s else None

    @property
    def implied_at(self) -> float:
        return self.at - (self.time_s or 0) if self.status != 1 else self.at

    @property
    def identity(self) -> tuple[object, ...]:
        if self.status == 1:
            return (1,)
        if self.time_s is not None:
            return (self.status, self.time_s)
        stamp = self.number(55)
        return (self.status, "timeless", stamp) if stamp else (self.status, "timeless", *self.octets, *self.packets)

    @property
    def wide(self) -> bool:
        return 52 in self.values or 53 in self.values

    @property
    def octets(self) -> tuple[int, int]:
        both = [(self.number(low) or 0) + ((self.number(high) or 0) << 32) for low, high in ((42, 52), (43, 53))]
        return (both[1], both[0]) if self.record.octets_swapped else (both[0], both[1])

    @property
    def packets(self) -> tuple[int, int]:
        both = (self.number(47) or 0, self.number(48) or 0)
        return both[::-1] if self.record.octets_swapped else both

    def text(self, kind: int) -> str:
        return self.values.get(kind, b"").decode()

    @property
    def ipv4(self) -> str:
        value = self.values.get(8, bytes(4))
        return ".".join(map(str, value)) if any(value) else ""

    def prefix(self, kind: int) -> str:
        value = self.values.get(kind)
        return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}" if value else ""

    @property
    def ipv6_prefix(self) -> str:
        address = self.values.get(168)
        return self.prefix(97) or (f"{IPv6Address(address)}/128" if address else "")


def say(record: Accounting) -> Said:
    values, rest = {}, record.attributes
    while rest:
        values[rest[0]] = rest[2 : rest[1]]
        rest = rest[rest[1] :]
    return Said(record, values)


def rows(records: Iterable[Accounting], zone: str) -> list[Row]:
    """Return the rows that these records end in, in no order."""
    families = defaultdict(list)
    for record in records:
        said = say(record)
        families[said.family].append(said)
    return [row(life, zone) for family in families.values() for life in lives(family)]


def lives(family: list[Said]) -> list[list[Said]]:
    """Tell the sessions of one user name and Acct-Session-Id apart."""
    granted = defaultdict(list)
    for said in family:
        if said.grant:
            granted[said.grant[1:4]].append(said)
    grants = [granted[key] for key in sorted(granted, key=lambda key: struct.pack("!BIQ", *key))]
    clusters = clustered([said for said in family if not said.grant and said.start is not None])
    anchors = grants + clusters
    # To which life the records of each anchor belong, and each record without a time.
    home = dict(enumerate(range(len(anchors))))
    for place, cluster in enumerate(clusters, len(grants)):
        near = [
            (distance(cluster, grant), number)
            for number, grant in enumerate(grants)
            if of_router(grant) == cluster[0].router and distance(cluster, grant) <= LINK_S
        ]
        home[place] = min(near)[1] if near else place
    found: dict[object, list[Said]] = defaultdict(list)
    for place, anchor in enumerate(anchors):
        found[home[place]] += anchor
    for said in family:
        if said.grant or said.start is not None:
            continue
        # It is of a start without Class within LINK_S after that; of what began last before it; of what begins next.
        near = []
        for place, anchor in enumerate(anchors):
            low, high = span(anchor)
            if of_router(anchor) != said.router or low > said.sent_at + LINK_S:
                continue
            if anchor[0].grant is None and low <= said.sent_at <= high + LINK_S:
                near.append((3, low, -place))
            elif low <= said.sent_at:
                near.append((2, low, -place))
            else:
                near.append((1, -low, -place))
        found[home[-max(near)[2]] if near else said.router].append(said)
    return list(found.values())


def of_router(life: list[Said]) -> tuple[int, bytes]:
    latest = max(
        life, key=lambda said: (said.at, said.record.nas_id, said.record.source_address, said.record.nas_identifier)
    )
    return latest.router


def span(life: list[Said]) -> tuple[float, float]:
    starts = [said.start for said in life if said.start is not None]
    if starts:
        return min(starts), max(starts)
    sent = min(said.sent_at for said in life)
    return sent, sent


def distance(one: list[Said], other: list[Said]) -> float:
    (low, high), (other_low, other_high) = span(one), span(other)
    return max(other_low - high, low - other_high, 0.0)


def clustered(timed: list[Said]) -> list[list[Said]]:
    clusters: list[list[Said]] = []
    for said in sorted(timed, key=lambda said: said.start or 0):
        for cluster in clusters:
            if cluster[0].router == said.router and any(abs(said.start - other.start) <= LINK_S for other in cluster):
                cluster.append(said)
                break
        else:
            clusters.append([said])
    return clusters


def latest(life: list[Said], values: Iterable[str]) -> str | None:
    return max(((said.at, value) for said, value in zip(life, values, strict=True) if value), default=(0, None))[1]


def row(life: list[Said], zone: str) -> Row:
    """Return the columns of one session's row."""
    starts = sorted((said.at, said.number(55) or 0) for said in life if said.status == 1)
    heard_at, nas_heard_at = max((said.at, said.number(55) or 0) for said in life)
    where = max(
        (said.at, said.record.nas_id, said.record.source_address, said.record.nas_identifier) for said in life
    )
    stops = [
        (-1 if said.time_s is None else said.time_s, -said.at, -1 if said.number(49) is None else said.number(49))
        for said in life
        if said.status == 2
    ]
    ended_at = -max(stops)[1] if stops else None
    cause = max(stops)[2] if stops else -1
    started_at = starts[0][0] if starts else min(said.implied_at for said in life)
    grants = [said.grant for said in life if said.grant]
    total_in, total_out, days = octets(life, zone)
    return {
        "acct_session_id": max(said.text(44) for said in life),
        "user_name": max(said.text(1) for said in life),
        "grant": grants[0][1:8] if grants else None,
        "nas_id": where[1],
        "source_address": where[2],
        "nas_identifier": where[3],
        "called_station_id": max(said.text(30) for said in life) or None,
        "ipv4": latest(life, [said.ipv4 for said in life]),
        "ipv6_prefix": latest(life, [said.ipv6_prefix for said in life]),
        "delegated_ipv6_prefix": latest(life, [said.prefix(123) for said in life]),
        "started_at": min(x for x in (started_at, heard_at, ended_at) if x is not None),
        "start_seen": bool(starts),
        "heard_at": heard_at,
        "ended_at": ended_at,
        "terminate_cause": cause if cause is not None and cause >= 0 else None,
        "nas_started_at": (starts[0][1] or None) if starts else None,
        "nas_heard_at": nas_heard_at or None,
        "session_time_s": max(said.time_s or 0 for said in life),
        "octets_in": total_in,
        "octets_out": total_out,
        "packets_in": max(said.packets[0] for said in life),
        "packets_out": max(said.packets[1] for said in life),
        "days": days,
        "records": len({said.identity for said in life}),
        "address_changes": changes(life),
    }


def changes(life: list[Said]) -> list[tuple[object, ...]]:
    """Of kinds of address of which there were several: each with when it was reported first and last."""
    kinds = {
        "ipv4": [said.ipv4 for said in life],
        "ipv6_prefix": [said.ipv6_prefix for said in life],
        "delegated_ipv6_prefix": [said.prefix(123) for said in life],
    }
    found: list[tuple[object, ...]] = []
    for kind, values in kinds.items():
        times = {value: [said.at for said, its in zip(life, values, strict=True) if its == value] for value in values}
        times.pop("", None)
        if len(times) > 1:
            *earlier, now = sorted(times, key=lambda value: (max(times[value]), value))
            found += [(kind, value, min(times[value]), max(times[value])) for value in earlier]
            found.append((kind, now, min(times[now]), None))
    return found


def octets(life: list[Said], zone: str) -> tuple[int, int, dict[date, tuple[int, int]]]:
    """Return the whole counters, and for each day on which some were reported the highest until its end."""
    reported = [(day(said, zone), *said.octets) for said in life if any(said.octets)]
    if not any(said.wide for said in life):
        reported += whole(
            sorted(
                {
                    (said.time_s, *said.octets, day(said, zone))
                    for said in life
                    if said.time_s is not None and any(said.octets)
                }
            )
        )
    days = {}
    for until in sorted({said_day for said_day, _, _ in reported}):
        so_far = [(one, other) for said_day, one, other in reported if said_day <= until]
        days[until] = max(one for one, _ in so_far), max(other for _, other in so_far)
    return max((one for _, one, _ in reported), default=0), max((other for _, _, other in reported), default=0), days


def whole(samples: list[tuple[int, int, int, date]]) -> Iterator[tuple[date, int, int]]:
    """Turn counters of 32 bits into whole ones: what falls from one moment to a later one began again at zero."""
    totals, seen = [0, 0], [0, 0]
    for place, (time_s, *counters, on) in enumerate(samples):
        for way, counter in enumerate(counters):
            same_moment = place > 0 and samples[place - 1][0] == time_s
            if not counter or (same_moment and counter < seen[way]):
                continue
            totals[way] += counter - seen[way] + (2**32 if counter < seen[way] else 0)
            seen[way] = counter
        yield on, totals[0], totals[1]


def day(said: Said, zone: str) -> date:
    return datetime.fromtimestamp(said.at, UTC).astimezone(ZoneInfo(zone)).date()


def of_facts(facts: Any) -> Row:
    """Put the fold's own facts in the reference's form."""
    keys = ("grant_slot", "grant_node", "grant_serial", "login_id", "contract_id", "plan_id", "grant_fingerprint")
    values = tuple(getattr(facts, key) for key in keys)
    octets_by_day = zip(facts.day_octets_in, facts.day_octets_out, strict=True)
    days = (date.fromordinal(date(1970, 1, 1).toordinal() + number) for number in facts.days)
    plain = (
        *("acct_session_id", "user_name", "nas_id", "source_address", "nas_identifier", "called_station_id", "ipv4"),
        *("started_at", "start_seen", "heard_at", "ended_at", "terminate_cause", "nas_started_at", "nas_heard_at"),
        *("session_time_s", "octets_in", "octets_out", "packets_in", "packets_out", "records"),
    )
    return {
        **{key: getattr(facts, key) for key in plain},
        "grant": None if facts.grant_serial is None else values,
        "ipv6_prefix": facts.ipv6_prefix and str(ip_network(facts.ipv6_prefix)),
        "delegated_ipv6_prefix": facts.delegated_ipv6_prefix and str(ip_network(facts.delegated_ipv6_prefix)),
        "days": dict(zip(days, octets_by_day, strict=True)),
        "address_changes": [
            (
                each["kind"],
                str(ip_network(each["value"])) if ":" in each["value"] else each["value"],
                each["since_us"] / 1e6,
                None if each["until_us"] is None else each["until_us"] / 1e6,
            )
            for each in json.loads(facts.address_changes or b"[]")
        ],
    }


def in_order(found: Iterable[Row]) -> list[Row]:
    """Return rows in an order of their own, to be compared."""
    return sorted(found, key=lambda each: repr(sorted(each.items())))
