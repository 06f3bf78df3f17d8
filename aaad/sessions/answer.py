"""What is answered to the legal question: candidates, how sure each one is, and what must be said beside (rule R9.1).

Pure. An answer is plain values, as JSON has them: what people see, what is exported and what is signed are the same.
A session is certain from its start to the last moment that it was heard, and possible until it is known to have
ended; an answer that rests on the possible part, or on the margin alone, says so. Where a session's address changed,
each one is certain while it was reported, and possible between. Which client and contract a session
belongs to stands in the session, as of its beginning; names and documents are looked up now, and say so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Any, NamedTuple

import msgspec

from aaad.erp.validate import cpf, hidden_document
from aaad.errors import InvalidValue
from aaad.sessions.cgnat import Block, Map
from aaad.sessions.instants import TICK, Span, in_utc, in_zone
from aaad.sessions.question import Question

Document = dict[str, Any]
_DOCUMENT_LENGTHS = (11, 14)
_MAYBE_CPF = re.compile(r"(?<!\d)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?!\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Certainty(StrEnum):
    """Which part of a session answers."""

    CERTAIN = "certain"
    POSSIBLE = "possible"


class Within(StrEnum):
    """Which time it answers for."""

    ASKED = "asked"
    MARGIN = "margin"


class Note(StrEnum):
    """What must be said beside the candidates."""

    NOBODY = "nobody"
    ONLY_POSSIBLE = "only_possible"
    ONLY_MARGIN = "only_margin"
    NO_PORT = "no_port"
    PORT_UNMAPPED = "port_unmapped"
    PORT_NOT_NEEDED = "port_not_needed"
    OVERLAPPING = "overlapping"
    SEVERAL_SPACES = "several_spaces"
    MAP_CHANGED = "map_changed"
    ADDRESS_CHANGED = "address_changed"
    OWNER_CHANGED = "owner_changed"
    INCOMPLETE = "incomplete"
    OLD = "old"
    BEFORE_RECORDS = "before_records"


class NodeBehind(NamedTuple):
    """A node that has not delivered all its records."""

    name: str
    complete_until: datetime | None  # None: it never said
    heard_at: datetime | None


class Records(NamedTuple):
    """Of which time there are records at all."""

    begin_at: datetime  # nothing was recorded here before
    deleted_before: datetime | None  # sessions that ended before were deleted, but for held ones; None: none were
    complete_until: datetime  # all that was received up to here is in PostgreSQL
    nodes_behind: Sequence[NodeBehind] = ()


class Tenure(NamedTuple):
    """When a session had an address: for certain, and perhaps."""

    possible_from: datetime
    certain_from: datetime
    certain_until: datetime
    possible_until: datetime | None  # None: until further notice


class Carrier(NamedTuple):
    """An address to look for among sessions: the one asked for, or a private one that a map leads to."""

    address: IPv4Address | IPv6Network
    space: int | None  # None: any
    span: Span
    map: Map | None = None
    block: Block | None = None


class Weight(NamedTuple):
    """How well a session answers."""

    within: Within
    certainty: Certainty


def carriers_of(question: Question, maps: Sequence[Map]) -> list[Carrier]:
    """Return the addresses to look for, given the maps that the public address belonged to."""
    address = question.target.address
    assert isinstance(address, IPv4Address)
    found = [Carrier(address, question.space, question.searched)]
    for one in maps:
        span = question.searched.within(one.valid_from, one.valid_until and one.valid_until - TICK)
        if span is None:
            continue
        for private in _privates(one, address, question.target.port):
            found.append(Carrier(private, one.address_space, span, one, one.block_of(private)))
    return found


def tenure_of(session: Mapping[str, Any]) -> Tenure:
    """Return when a session had the address that matched: all the time, unless its address changed."""
    started_at, possible_until = session["started_at"], session["ended_latest"]
    certain_until = session["heard_at"] if session["ended_at"] is None else session["ended_at"]
    changes = _changes_of(session)
    mine = [change for change in changes if change.value == _address_text(session["matched_value"])]
    if not mine:
        return Tenure(started_at, started_at, certain_until, possible_until)
    since = started_at if mine[0].since == min(change.since for change in changes) else mine[0].since
    until = certain_until if mine[0].until is None else min(mine[0].until, certain_until)
    before = [change.until for change in changes if change.until is not None and change.until <= since]
    after = [change.since for change in changes if change.since >= until and change is not mine[0]]
    return Tenure(max(before, default=started_at), since, until, min(after, default=possible_until))


class _Change(NamedTuple):
    value: str
    since: datetime
    until: datetime | None  # None: it is the one that was reported last


def _changes_of(session: Mapping[str, Any]) -> list[_Change]:
    """Return the addresses of the matched kind, if there were several."""
    if session["address_changes"] is None:
        return []
    return [
        _Change(
            _address_text(ip_network(change["value"]) if ":" in change["value"] else change["value"]),
            session["started_at"] if change["since_us"] is None else _instant(change["since_us"]),
            None if change["until_us"] is None else _instant(change["until_us"]),
        )
        for change in msgspec.json.decode(session["address_changes"])
        if change["kind"] == session["matched"]
    ]


def weigh(tenure: Tenure, question: Question, carrier: Carrier) -> Weight | None:
    """Return how well a session answers; None if it had the address at another time only."""
    for within, span in ((Within.ASKED, question.asked), (Within.MARGIN, question.searched)):
        part = span.within(carrier.span.first, carrier.span.last)
        if part is None:
            continue
        if tenure.certain_from <= tenure.certain_until and part.meets(tenure.certain_from, tenure.certain_until):
            return Weight(within, Certainty.CERTAIN)
        if part.meets(tenure.possible_from, tenure.possible_until):
            return Weight(within, Certainty.POSSIBLE)
    return None


def candidate(
    session: Mapping[str, Any], question: Question, carrier: Carrier, *, sees_documents: bool
) -> Document | None:
    """Return one session as an answer has it; None if it did not have the address at that time."""
    tenure = tenure_of(session)
    weight = weigh(tenure, question, carrier)
    if weight is None:
        return None
    matched = session["matched"]
    value = _address_text(session["matched_value"])
    is_current = value == _address_text(session[matched])
    held = {name: _both(instant, session["time_zone"]) for name, instant in tenure._asdict().items()}
    return {
        "certainty": weight.certainty.value,
        "within": weight.within.value,
        "address_space": session["address_space"],
        "address": {
            "matched": matched,
            "value": value,
            "evidence": session[f"{matched}_evidence"] if is_current else "reported",
            "held": held if _changes_of(session) else None,
        },
        "cgnat": _cgnat(carrier),
        "user_name": session["user_name"],
        "login": {
            "id": session["login_id"],
            "name_now": session["login_name"],
            "deleted_at": _utc(session["login_deleted_at"]),
        },
        "client": {
            "id": session["client_id"],
            "name_now": shown_name(session["client_name"], sees_documents=sees_documents),
            "document_now": shown_document(session["client_document"], sees_documents=sees_documents),
        },
        "contract": {"id": session["contract_id"], "client_id_now": session["contract_client_id"]},
        "branch": {"id": session["branch_id"], "name_now": session["branch_name"]},
        "session": _session(session),
        "nas": {
            "id": session["nas_id"],
            "name_now": session["nas_name"],
            "source_address": _address_text(session["source_address"]),
            "nas_identifier": session["nas_identifier"].decode("utf-8", "replace"),
        },
        "port": session["nas_port_id"],
        "mac": str(session["mac"]).upper() if session["mac"] is not None else None,
        "calling_station_id": session["calling_station_id"],
        "circuit_id": session["circuit_id"],
        "addresses": {
            name: {"value": _address_text(session[name]), "evidence": session[f"{name}_evidence"]}
            for name in ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix")
            if session[name] is not None
        },
    }


def _session(session: Mapping[str, Any]) -> Document:
    """Return a session's own time: certain, possible, and how its end is known."""
    zone = session["time_zone"]
    certain_until = session["heard_at"] if session["ended_at"] is None else session["ended_at"]
    return {
        "acct_session_id": session["acct_session_id"],
        "state": session["state"],
        "time_zone": zone,
        "started_at": _both(session["started_at"], zone),
        "start_seen": session["start_seen"],
        "certain_until": _both(certain_until, zone),
        "possible_until": _both(session["ended_latest"], zone),
        "certain_duration_s": int((certain_until - session["started_at"]).total_seconds()),
        "end_evidence": session["end_evidence"],
        "terminate_cause": session["terminate_cause"],
    }


def answer(question: Question, maps: Sequence[Map], candidates: Iterable[Document], records: Records) -> Document:
    """Return the whole answer to one question, best candidates first."""
    ordered = sorted(candidates, key=_rank)
    return {
        "question": {
            "address": str(question.target.address) if question.target.port else str(question.target),
            "port": question.target.port,
            "address_space": question.space,
            "asked": question.said,
            "from": in_utc(question.asked.first),
            "to": in_utc(question.asked.last),
            "margin_s": int(question.margin.total_seconds()),
            "reference": question.reference,
        },
        "begin_at": in_utc(records.begin_at),
        "deleted_before": _utc(records.deleted_before),
        "complete_until": in_utc(records.complete_until),
        "nodes_behind": [
            {"node": node.name, "complete_until": _utc(node.complete_until), "heard_at": _utc(node.heard_at)}
            for node in records.nodes_behind
            if node.complete_until is None or node.complete_until < question.searched.last
        ],
        "candidates": ordered,
        "notes": [note.value for note in _notes(question, maps, ordered, records)],
    }


def shown_document(document: str | None, *, sees_documents: bool) -> str | None:
    """Return a CPF or CNPJ, hidden but for the middle unless it may be seen."""
    if document is None or sees_documents or len(document) not in _DOCUMENT_LENGTHS:
        return document
    return hidden_document(document)


def shown_name(name: str | None, *, sees_documents: bool) -> str | None:
    """Return a client's name; that of a one-person company (MEI) ends in its owner's CPF, which is hidden."""
    if name is None or sees_documents:
        return name
    return _MAYBE_CPF.sub(_hidden_cpf, name)


def _hidden_cpf(found: re.Match[str]) -> str:
    try:
        return hidden_document(cpf(found[0]))
    except InvalidValue:
        return found[0]


def _privates(one: Map, public: IPv4Address, port: int | None) -> list[IPv4Address]:
    if port is None:
        return one.privates_of(public)
    private = one.private_of(public, port)
    return [] if private is None else [private]


def _notes(
    question: Question, maps: Sequence[Map], candidates: Sequence[Document], records: Records
) -> Iterable[Note]:
    asked = [found for found in candidates if found["within"] == Within.ASKED]
    if not candidates:
        yield Note.NOBODY
    elif not asked:
        yield Note.ONLY_MARGIN
    elif all(found["certainty"] == Certainty.POSSIBLE for found in asked):
        yield Note.ONLY_POSSIBLE
    yield from _notes_of_maps(question, maps, has_candidates=bool(candidates))
    if len({found["address_space"] for found in candidates}) > 1:
        yield Note.SEVERAL_SPACES
    if _overlap(question, candidates):
        yield Note.OVERLAPPING
    if any(found["address"]["held"] for found in candidates):
        yield Note.ADDRESS_CHANGED
    if any(found["contract"]["client_id_now"] not in (None, found["client"]["id"]) for found in candidates):
        yield Note.OWNER_CHANGED
    yield from _notes_of_records(question, records, is_answered=bool(asked))


def _notes_of_maps(question: Question, maps: Sequence[Map], *, has_candidates: bool) -> Iterable[Note]:
    port = question.target.port
    if not maps:
        if port is not None and has_candidates:
            yield Note.PORT_NOT_NEEDED
        return
    assert isinstance(question.target.address, IPv4Address)
    if port is None:
        yield Note.NO_PORT
    elif not any(_privates(one, question.target.address, port) for one in maps):
        yield Note.PORT_UNMAPPED
    if any(
        one.valid_from > question.searched.first
        or (one.valid_until is not None and one.valid_until <= question.searched.last)
        for one in maps
    ):
        yield Note.MAP_CHANGED


def _notes_of_records(question: Question, records: Records, *, is_answered: bool) -> Iterable[Note]:
    if records.complete_until < question.searched.last:
        yield Note.INCOMPLETE
    # Also beside candidates: held sessions stay where the others of their time were deleted.
    if records.deleted_before is not None and question.searched.first < records.deleted_before:
        yield Note.OLD
    if question.searched.first < records.begin_at and not is_answered:
        yield Note.BEFORE_RECORDS


def _overlap(question: Question, candidates: Sequence[Document]) -> bool:
    """Return whether two sessions certainly had the same address of the same space at the same time."""
    address = question.target.address
    # Of one address of IPv6 it does not matter by which prefix they had it: one may lie in the other.
    is_one = isinstance(address, IPv6Network) and address.prefixlen == address.max_prefixlen
    held: dict[tuple[object, ...], dict[tuple[object, ...], datetime]] = {}
    for found in sorted(candidates, key=_certain):
        session = found["session"]
        key = (found["address_space"], None if is_one else (found["address"]["matched"], found["address"]["value"]))
        # One session may be there twice: by two maps, or by both of its prefixes.
        one = (found["user_name"], found["nas"]["id"], session["acct_session_id"], session["started_at"]["utc"])
        first, last = _certain(found)
        until = held.setdefault(key, {})
        if any(first < end for other, end in until.items() if other != one):
            return True
        until[one] = max(last, until.get(one, last))
    return False


def _certain(found: Document) -> tuple[datetime, datetime]:
    """Return from when until when a candidate certainly had the address; told apart as instants, not as texts."""
    held, session = found["address"]["held"], found["session"]
    both = (
        (held["certain_from"], held["certain_until"]) if held else (session["started_at"], session["certain_until"])
    )
    first, last = (datetime.fromisoformat(instant["utc"]) for instant in both)
    return first, last


def _rank(found: Document) -> tuple[bool, bool, datetime, str]:
    return (
        found["within"] != Within.ASKED,
        found["certainty"] != Certainty.CERTAIN,
        datetime.fromisoformat(found["session"]["started_at"]["utc"]),
        found["session"]["acct_session_id"],
    )


def _cgnat(carrier: Carrier) -> Document | None:
    if carrier.map is None or carrier.block is None:
        return None
    return {
        "map": carrier.map.id,
        "name": carrier.map.name,
        "private": str(carrier.block.private),
        "public": str(carrier.block.public),
        "port_first": carrier.block.port_first,
        "port_last": carrier.block.port_last,
        "valid_from": in_utc(carrier.map.valid_from),
        "valid_until": _utc(carrier.map.valid_until),
    }


def _both(instant: datetime | None, zone: str) -> Document | None:
    return None if instant is None else {"utc": in_utc(instant), "local": in_zone(instant, zone)}


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _utc(instant: datetime | None) -> str | None:
    return None if instant is None else in_utc(instant)


def _address_text(address: object) -> str:
    if isinstance(address, IPv4Network | IPv6Network) and address.prefixlen == address.max_prefixlen:
        return str(address.network_address)
    return str(address)
