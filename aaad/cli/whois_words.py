"""An answer to the legal question in people's words: the same lines on a terminal, in a PDF, of a verified file."""

from collections.abc import Iterator
from typing import Any

from aaad.cli.session_words import cause_text, evidence_text, state_text
from aaad.sessions.evidence import Verdict
from aaad.words import Speaker, printable


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


NOTES = {
    "nobody": _("No session had it at that time, by the records that are kept."),
    "only_possible": _(
        "Nobody certainly had it: who is shown was last heard before that time, and may have been connected still."
    ),
    "only_margin": _("Nobody had it at the time itself: what is shown lies in the margin only."),
    "no_port": _(
        "The address was shared by carrier NAT and no port was given: everybody who shared it and was connected is "
        "shown. The port of the source tells which one it was."
    ),
    "port_unmapped": _("The address was shared by carrier NAT, but this port belonged to nobody by the map."),
    "port_not_needed": _("The address was shared by no map of carrier NAT: the port makes no difference."),
    "overlapping": _("Two sessions certainly had the same address at the same time: look at both."),
    "several_spaces": _("The address is used in several address spaces: tell them apart by the concentrator."),
    "map_changed": _("The map of carrier NAT changed in that time: each session is shown by the map of its moment."),
    "address_changed": _(
        "The address changed within a session: beside it stands when the session had it, certainly and perhaps."
    ),
    "owner_changed": _(
        "A contract belongs to another client now. Named is the one of the session's beginning: look when it changed."
    ),
    "old": _(
        "Sessions of that time were deleted when their time was over, but for those under a legal hold: there may "
        "have been others."
    ),
    "before_records": _("That is before the first records here."),
    "incomplete": _("Not all records of that time are in yet: ask again when the nodes have delivered them."),
}
_CERTAINTIES = {
    ("certain", "asked"): _("certain"),
    ("possible", "asked"): _("possible: later than it was last heard"),
    ("certain", "margin"): _("in the margin only"),
    ("possible", "margin"): _("in the margin only, later than it was last heard"),
}
_BETWEEN = _("possible: the session had it before or after that time, and its address changed")
_SHORT = {"certain": _("certain"), "possible": _("possible"), "margin": _("margin only")}
_EVIDENCE = {
    "granted": _("granted by this server, not repeated by the concentrator"),
    "reported": _("reported by the concentrator's accounting"),
    "polled": _("read from the concentrator"),
}
VERDICTS = {
    Verdict.GENUINE: _("Genuine: it is what was signed, and its issue is recorded here."),
    Verdict.CHANGED: _("NOT genuine: the content is not what was signed."),
    Verdict.FORGED: _("NOT genuine: the signature does not fit."),
    Verdict.UNRECORDED: _("NOT genuine: consistent in itself, but not issued here, or not with this key."),
}
MADE_OF_NOW = _(
    "Names and documents are as registered now; login, client and contract as of the session's beginning."
)

Document = dict[str, Any]


def certainty_text(found: Document, speak: Speaker) -> str:
    """Return how sure a candidate is."""
    if found["address"]["held"] and (found["certainty"], found["within"]) == ("possible", "asked"):
        return speak(_BETWEEN)
    return speak(_CERTAINTIES[found["certainty"], found["within"]])


def certainty_word(found: Document, speak: Speaker) -> str:
    """Return how sure a candidate is, in a word."""
    return speak(_SHORT["margin" if found["within"] == "margin" else found["certainty"]])


def answer_lines(answer: Document, speak: Speaker) -> Iterator[str]:
    """Return everything an answer says."""
    yield from head_lines(answer, speak)
    for number, found in enumerate(answer["candidates"], 1):
        yield ""
        yield from candidate_lines(number, found, speak)


def head_lines(answer: Document, speak: Speaker) -> Iterator[str]:
    """Return the question, and what must be said beside the candidates."""
    _ = speak
    asked = answer["question"]
    address = asked["address"]
    if asked["port"]:
        address = f"[{address}]:{asked['port']}" if ":" in address else f"{address}:{asked['port']}"
    if asked["reference"]:
        yield _("Item {reference}", reference=printable(asked["reference"]))
    yield _("Who had {address} at {asked}", address=address, asked=printable(asked["asked"]))
    yield "  " + _("in UTC: {first} to {last}", first=asked["from"], last=asked["to"])
    if asked["margin_s"]:
        yield "  " + _("with a margin of {margin} s on both sides", margin=asked["margin_s"])
    if asked["address_space"]:
        yield "  " + _("in address space {space} only", space=asked["address_space"])
    yield "  " + _("all records are in up to {until}", until=answer["complete_until"])
    for node in answer["nodes_behind"]:
        yield "  ! " + _(
            "node {node} has delivered its records up to {until} only; it was last heard {heard}",
            node=printable(node["node"]),
            until=node["complete_until"] or "-",
            heard=node["heard_at"] or "-",
        )
    if answer["deleted_before"]:
        yield "  " + _("sessions that ended before {instant} were deleted", instant=answer["deleted_before"])
    yield "  " + _("candidates: {count}", count=len(answer["candidates"]))
    for note in answer["notes"]:
        yield "  ! " + _(NOTES[note])


def candidate_lines(number: int, found: Document, speak: Speaker) -> Iterator[str]:
    """Return everything about one session."""
    _ = speak
    session, nas, login = found["session"], found["nas"], found["login"]
    yield _("Candidate {number}: {certainty}", number=number, certainty=certainty_text(found, _))
    yield "  " + _("user name: {name}", name=printable(found["user_name"]))
    yield from ("  " + line for line in _customer(found, _))
    yield "  " + _("start: {instant}", instant=_instant(session["started_at"]))
    if not session["start_seen"]:
        yield "    " + _("no Start came: computed from the session's other records")
    yield "  " + _(
        "certain until: {instant} ({seconds} s)",
        instant=_instant(session["certain_until"]),
        seconds=session["certain_duration_s"],
    )
    yield "  " + _(
        "possible until: {instant}", instant=_instant(session["possible_until"]) or _("it is not known to have ended")
    )
    yield from ("  " + line for line in _held(found, _))
    state = state_text(_, session["state"])
    if session["end_evidence"]:
        how = evidence_text(_, session["end_evidence"])
        yield "  " + _("state: {state}; how its end is known: {how}", state=state, how=how)
    else:
        yield "  " + _("state: {state}", state=state)
    if session["terminate_cause"] is not None:
        yield "  " + _("Acct-Terminate-Cause: {cause}", cause=_cause(_, session["terminate_cause"]))
    yield from ("  " + line for line in _network(found, _))
    yield "  " + _(
        "concentrator: {name} (number {number}, {address} {identifier})",
        name=printable(nas["name_now"] or "-"),
        number=nas["id"],
        address=nas["source_address"],
        identifier=printable(nas["nas_identifier"]),
    ).replace(" )", ")")
    yield "  " + _("Acct-Session-Id: {id}", id=printable(session["acct_session_id"]))
    if login["deleted_at"]:
        yield "  " + _("the login was deleted at {instant}", instant=login["deleted_at"])


def _held(found: Document, speak: Speaker) -> Iterator[str]:
    """When the session had the address, if that changed."""
    _ = speak
    if not (held := found["address"]["held"]):
        return
    address = found["address"]["value"]
    yield _(
        "had {address} certainly from {first} to {last}",
        address=address,
        first=_instant(held["certain_from"]),
        last=_instant(held["certain_until"]),
    )
    yield _(
        "had {address} perhaps from {first} to {last}",
        address=address,
        first=_instant(held["possible_from"]),
        last=_instant(held["possible_until"]) or _("until further notice"),
    )


def _customer(found: Document, speak: Speaker) -> Iterator[str]:
    _ = speak
    login, client = found["login"], found["client"]
    if login["id"] is None:
        yield _("login: none of that name was known")
    else:
        yield _("login: {number} {name}", number=login["id"], name=printable(login["name_now"] or "-"))
    if client["id"] is not None:
        yield _(
            "client: {number} {name}; CPF/CNPJ {document}",
            number=client["id"],
            name=printable(client["name_now"] or "-"),
            document=client["document_now"] or "-",
        )
    if found["contract"]["id"] is not None:
        yield _("contract: {number}", number=found["contract"]["id"])
        if found["contract"]["client_id_now"] not in (None, client["id"]):
            yield "  " + _("it belongs to client {number} now", number=found["contract"]["client_id_now"])
    if found["branch"]["id"] is not None:
        yield _(
            "branch: {number} {name}",
            number=found["branch"]["id"],
            name=printable(found["branch"]["name_now"] or "-"),
        )


def _network(found: Document, speak: Speaker) -> Iterator[str]:
    _ = speak
    labels = {
        "ipv4": _("IPv4 address: {value} ({evidence})"),
        "ipv6_prefix": _("IPv6 prefix: {value} ({evidence})"),
        "delegated_ipv6_prefix": _("delegated IPv6 prefix: {value} ({evidence})"),
    }
    for name, address in found["addresses"].items():
        known = _EVIDENCE.get(address["evidence"])
        yield labels[name].format(value=address["value"], evidence=_(known) if known else "-")
    if nat := found["cgnat"]:
        yield _(
            "carrier NAT: map {number} ({name}): {private} had ports {first} to {last} of {public}",
            number=nat["map"],
            name=printable(nat["name"]),
            private=nat["private"],
            first=nat["port_first"],
            last=nat["port_last"],
            public=nat["public"],
        )
        until = nat["valid_until"] or _("until further notice")
        yield "  " + _("the map holds from {first} to {last}", first=nat["valid_from"], last=until)
    yield _("address space: {space}", space=found["address_space"])
    for label, value in (
        (_("device (MAC): {value}"), found["mac"]),
        (_("Calling-Station-Id: {value}"), found["calling_station_id"]),
        (_("port (NAS-Port-Id): {value}"), found["port"]),
        (_("circuit: {value}"), found["circuit_id"]),
    ):
        if value:
            yield label.format(value=printable(value))


def evidence_lines(document: Document, speak: Speaker) -> Iterator[str]:
    """Return everything that an evidence file says."""
    _ = speak
    issued = document["issued_by"]
    yield _("Evidence number {number}", number=document["number"])
    yield _("Order: {order}", order=printable(document["order_number"]))
    yield _("Reason: {reason}", reason=printable(document["reason"]))
    yield _(
        "Issued at {at} by {operator} (account {account}, database role {role})",
        at=document["issued_at"],
        operator=printable(issued["operator"]),
        account=printable(issued["account"]),
        role=printable(issued["database_role"]),
    )
    yield _(MADE_OF_NOW)
    if not document["documents_shown"]:
        yield _("CPF and CNPJ are masked: the operator has not the permission to see them.")
    for answer in document["answers"]:
        yield ""
        yield "-" * 80
        yield from answer_lines(answer, _)


def _instant(both: Document | None) -> str:
    return f"{both['local']} = {both['utc']}" if both else ""


def _cause(speak: Speaker, cause: int) -> str:
    return f"{cause}, {cause_text(speak, cause)}"
