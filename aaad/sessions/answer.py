"""What is answered to the legal question: candidates, how sure each one is, and what must be said beside (rule R9.1).

Pure. An answer is plain values, as JSON has them: what people see, what is exported and what is signed are the same.
A session is certain from its start to the last moment that it was heard, and possible until it is known to have
ended; an answer that rests on the possible part, or on the margin alone, says so. Which client and contract a session
belongs to stands in the session, as of its beginning; names and documents are looked up now, and say so.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any, NamedTuple

from aaad.erp.validate import hidden_document
from aaad.sessions.cgnat import Block, Map
from aaad.sessions.instants import TICK, Span, in_utc, in_zone
from aaad.sessions.question import Question

Document = dict[str, Any]
_DOCUMENT_LENGTHS = (11, 14)
_KEPT_AT_LEAST = timedelta(days=365)  # Lei 12.965/2014, art. 13


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
    INCOMPLETE = "incomplete"
    OLD = "old"


class Carrier(NamedTuple):
    """An IPv4 address to look for among sessions: the one asked for, or a private one that a map leads to."""

    address: IPv4Address
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


def weigh(session: Mapping[str, Any], question: Question, carrier: Carrier | None) -> Weight:
    """Return how well a session answers that meets the searched time."""
    certain_until = session["heard_at"] if session["ended_at"] is None else session["ended_at"]
    for within, span in ((Within.ASKED, question.asked), (Within.MARGIN, question.searched)):
        part = span.within(carrier.span.first, carrier.span.last) if carrier else span
        if part is None:
            continue
        if part.meets(session["started_at"], certain_until):
            return Weight(within, Certainty.CERTAIN)
        if part.meets(session["started_at"], session["ended_latest"]):
            return Weight(within, Certainty.POSSIBLE)
    raise AssertionError("a session that was found does not meet the time")


def candidate(
    session: Mapping[str, Any], question: Question, carrier: Carrier | None, *, sees_documents: bool
) -> Document:
    """Return one session as an answer has it."""
    weight = weigh(session, question, carrier)
    zone, matched = session["time_zone"], session["matched"]
    certain_until = session["heard_at"] if session["ended_at"] is None else session["ended_at"]
    return {
        "certainty": weight.certainty.value,
        "within": weight.within.value,
        "address_space": session["address_space"],
        "address": {
            "matched": matched,
            "value": _address_text(session[matched]),
            "evidence": session[f"{matched}_evidence"],
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
            "name_now": session["client_name"],
            "document_now": shown_document(session["client_document"], sees_documents=sees_documents),
        },
        "contract": {"id": session["contract_id"]},
        "branch": {"id": session["branch_id"], "name_now": session["branch_name"]},
        "session": {
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
        },
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


def answer(
    question: Question,
    maps: Sequence[Map],
    candidates: Iterable[Document],
    *,
    complete_until: datetime,
    now: datetime,
) -> Document:
    """Return the whole answer to one question, best candidates first."""
    is_old = question.searched.first < now - _KEPT_AT_LEAST
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
        "complete_until": in_utc(complete_until),
        "candidates": ordered,
        "notes": [note.value for note in _notes(question, maps, ordered, complete_until, is_old=is_old)],
    }


def shown_document(document: str | None, *, sees_documents: bool) -> str | None:
    """Return a CPF or CNPJ, hidden but for the middle unless it may be seen."""
    if document is None or sees_documents or len(document) not in _DOCUMENT_LENGTHS:
        return document
    return hidden_document(document)


def _privates(one: Map, public: IPv4Address, port: int | None) -> list[IPv4Address]:
    if port is None:
        return one.privates_of(public)
    private = one.private_of(public, port)
    return [] if private is None else [private]


def _notes(
    question: Question,
    maps: Sequence[Map],
    candidates: Sequence[Document],
    complete_until: datetime,
    *,
    is_old: bool,
) -> Iterable[Note]:
    asked = [found for found in candidates if found["within"] == Within.ASKED]
    if not candidates:
        yield Note.NOBODY
    elif not asked:
        yield Note.ONLY_MARGIN
    elif all(found["certainty"] == Certainty.POSSIBLE for found in asked):
        yield Note.ONLY_POSSIBLE
    port = question.target.port
    if maps:
        assert isinstance(question.target.address, IPv4Address)
        if port is None:
            yield Note.NO_PORT
        elif not any(_privates(one, question.target.address, port) for one in maps):
            yield Note.PORT_UNMAPPED
        if len({one.valid_from for one in maps if one.valid_from > question.searched.first}) or any(
            one.valid_until is not None and one.valid_until <= question.searched.last for one in maps
        ):
            yield Note.MAP_CHANGED
    elif port is not None and candidates:
        yield Note.PORT_NOT_NEEDED
    if len({found["address_space"] for found in candidates}) > 1:
        yield Note.SEVERAL_SPACES
    if _overlap(candidates):
        yield Note.OVERLAPPING
    if complete_until < question.searched.last:
        yield Note.INCOMPLETE
    if is_old and not asked:
        yield Note.OLD


def _overlap(candidates: Sequence[Document]) -> bool:
    """Return whether two sessions certainly had the same address of the same space at the same time."""
    until: dict[tuple[int, str, str], str] = {}
    for found in sorted(candidates, key=lambda found: str(found["session"]["started_at"]["utc"])):
        key = (found["address_space"], found["address"]["matched"], found["address"]["value"])
        session = found["session"]
        # Both in UTC, but with and without a fraction: told apart as instants.
        started, ended = (datetime.fromisoformat(session[name]["utc"]) for name in ("started_at", "certain_until"))
        if key in until and started < datetime.fromisoformat(until[key]):
            return True
        if key not in until or ended > datetime.fromisoformat(until[key]):
            until[key] = session["certain_until"]["utc"]
    return False


def _rank(found: Document) -> tuple[bool, bool, datetime, str]:
    return (
        found["within"] != Within.ASKED,
        found["certainty"] != Certainty.CERTAIN,
        datetime.fromisoformat(found["session"]["started_at"]["utc"]),
        found["session"]["acct_session_id"],
    )


def _cgnat(carrier: Carrier | None) -> Document | None:
    if carrier is None or carrier.map is None or carrier.block is None:
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


def _utc(instant: datetime | None) -> str | None:
    return None if instant is None else in_utc(instant)


def _address_text(address: object) -> str:
    if isinstance(address, IPv6Network) and address.prefixlen == address.max_prefixlen:
        return str(IPv6Address(address.network_address))
    return str(address)
