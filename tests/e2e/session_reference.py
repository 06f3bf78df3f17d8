"""What sessions must look like, from a log of what was reported and acknowledged: a fold of the tests' own.

It knows nothing of the server's: records come as the simulator logged them, whole counters and true instants. Of a
record that was acknowledged the server must know; of one that was not it may know, as an answer can be lost. So a row
is right if there is a set of records with all acknowledged ones of its session, and nothing that was not sent, of
which it is the fold: to the octet, with the number of distinct records.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

Told = Mapping[str, Any]  # a line of the simulator's log
UNSURE_MAX = 14  # records of one session that were not acknowledged: 16,384 sets of them
CLOCK_TRUSTED_S = 300  # rule R5.1
SLACK_S = 1.5  # delays are told in whole seconds, and what is late on the wire arrives so much later
DRIFT_S = 0.1  # wall time is made straight while monotonic time goes on


class Interval(NamedTuple):
    """The instants that are right: how long a datagram was on its way, nobody logged."""

    least: float
    most: float

    def __contains__(self, at: float) -> bool:  # type: ignore[override]
        return self.least - DRIFT_S <= at <= self.most + DRIFT_S


class Expected(NamedTuple):
    """A session as a set of its records makes it."""

    records: int
    session_time_s: int
    octets_in: int
    octets_out: int
    start_seen: bool
    started: Interval
    heard: Interval
    ended: Interval | None  # by its Stop
    cause: int | None
    address: str | None


class Row(NamedTuple):
    """A session as the server shows it; instants are Unix seconds."""

    user_name: str
    acct_session_id: str
    nas_identifier: str
    records: int
    session_time_s: int
    octets_in: int
    octets_out: int
    start_seen: bool
    started_at: float
    heard_at: float
    ended_at: float | None
    end_evidence: str | None
    terminate_cause: int | None
    address: str | None


def event(told: Told) -> Interval:
    """When it happened, as a server may tell it: by the concentrator's clock if that is right (rule R5.1)."""
    at_s, stamp = told["at_s"], told["event_timestamp"]
    if abs(stamp - at_s) < CLOCK_TRUSTED_S - 60:
        return Interval(stamp, stamp)
    return Interval(at_s, max(at_s, told["last_sent_at_s"]) + SLACK_S)


def fold(records: Sequence[Told]) -> Expected:
    """Return what a session is made of by these of its records, in whatever order and however often they came."""
    distinct = {(told["status"], told["session_time_s"]): told for told in records}.values()
    events = [(event(told), told) for told in distinct]
    starts = [at for at, told in events if told["status"] == "start"]
    stops = [(at, told["cause"]) for at, told in events if told["status"] == "stop"]
    began = starts or [
        Interval(at.least - told["session_time_s"] - 1, at.most - told["session_time_s"]) for at, told in events
    ]
    return Expected(
        records=len(distinct),
        session_time_s=max(told["session_time_s"] for told in distinct),
        octets_in=max(told["octets_in"] or 0 for told in distinct),
        octets_out=max(told["octets_out"] or 0 for told in distinct),
        start_seen=bool(starts),
        started=Interval(min(at.least for at in began), min(at.most for at in began)),
        heard=Interval(max(at.least for at, _ in events), max(at.most for at, _ in events)),
        ended=stops[0][0] if stops else None,
        cause=stops[0][1] if stops else None,
        address=next((told["address"] for told in distinct), None),
    )


def difference(row: Row, expected: Expected) -> list[str]:
    """Return in what a row is not as expected."""
    found = [
        f"{name} is {getattr(row, name)}, not {getattr(expected, name)}"
        for name in ("records", "session_time_s", "octets_in", "octets_out", "start_seen", "address")
        if getattr(row, name) != getattr(expected, name)
    ]
    for name, at, interval in (
        ("started_at", row.started_at, expected.started),
        ("heard_at", row.heard_at, expected.heard),
    ):
        if at not in interval:
            found.append(f"{name} is {at}, not in {interval}")
    if (row.end_evidence == "stop") != (expected.ended is not None):
        found.append(f"ended by {row.end_evidence}, Stop: {expected.ended}")
    elif expected.ended is not None and (row.ended_at not in expected.ended or row.terminate_cause != expected.cause):
        found.append(f"ended at {row.ended_at} for {row.terminate_cause}, not {expected.ended} for {expected.cause}")
    return found


def sets(records: Sequence[Told]) -> Iterator[tuple[Told, ...]]:
    """Return each set of records that the server may know of, the largest first."""
    sure = tuple(told for told in records if told["acknowledged"])
    unsure = [told for told in records if not told["acknowledged"]]
    assert len(unsure) <= UNSURE_MAX, f"{len(unsure)} records of one session were not acknowledged: too many to try"
    subsets = chain.from_iterable(combinations(unsure, size) for size in range(len(unsure), -1, -1))
    return (sure + chosen for chosen in subsets if sure or chosen)


def is_explained(row: Row, records: Sequence[Told]) -> bool:
    """Tell whether a row is the fold of a set of records that the server may know of."""
    return any(len(chosen) >= row.records and not difference(row, fold(chosen)) for chosen in sets(records))


def errors(rows: Iterable[Row], log: Sequence[Told]) -> list[str]:
    """Return what is wrong with the rows, given everything that was reported: lost, doubled, invented."""
    sessions: dict[tuple[str, int], list[Told]] = defaultdict(list)
    for told in log:
        if "session" in told:
            sessions[told["nas"], told["session"]].append(told)
    families: dict[tuple[str, str, str], list[list[Told]]] = defaultdict(list)
    for records in sessions.values():
        families[records[0]["nas"], records[0]["user_name"], records[0]["acct_session_id"]].append(records)
    found = []
    explained: set[int] = set()
    for row in rows:
        family = families.get((row.nas_identifier, row.user_name, row.acct_session_id), [])
        fitting = [records for records in family if is_explained(row, records)]
        if len(fitting) != 1:
            found.append(_unexplained(row, family) if not fitting else f"{row} fits several sessions")
            continue
        if id(fitting[0]) in explained:
            found.append(f"{row} is there twice")
        explained.add(id(fitting[0]))
    for records in sessions.values():
        if id(records) not in explained and any(told["acknowledged"] for told in records):
            first = records[0]
            found.append(f"no row for {first['user_name']} {first['acct_session_id']} of {first['nas']}")
    return found


def _unexplained(row: Row, family: Sequence[Sequence[Told]]) -> str:
    if not family:
        return f"nobody reported {row}"
    nearest = min((difference(row, fold(chosen)) for records in family for chosen in sets(records)), key=len)
    return f"{row.user_name} {row.acct_session_id} of {row.nas_identifier}: " + "; ".join(nearest)


def restart_errors(rows: Iterable[Row], log: Sequence[Told]) -> list[str]:
    """Return which sessions are open although their router said that it started after their last record."""
    restarts: dict[str, list[float]] = defaultdict(list)
    for told in log:
        if told["status"] in ("on", "off") and told["acknowledged"]:
            restarts[told["nas"]].append(event(told).least)
    return [
        f"{row.user_name} {row.acct_session_id} of {row.nas_identifier} is open after a restart"
        for row in rows
        if row.ended_at is None and any(at > row.heard_at + SLACK_S for at in restarts[row.nas_identifier])
    ]
