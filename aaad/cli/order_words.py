"""What is said of orders in words: what they are for, where they stand, what a router answered.

Codes are those of `aaad.orders`; a test holds that each has its words.
"""

from collections.abc import Mapping
from typing import Any

from aaad.radius.dynauth import ERROR_CAUSES
from aaad.words import Speaker


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


KINDS = {
    "change": _("change"),
    "lists": _("address lists"),
    "disconnect": _("disconnect"),
    "block_line": _("block the line"),
    "unblock_line": _("unblock the line"),
}
STATES = {
    "todo": _("to be done"),
    "doing": _("in work"),
    "waiting": _("done as the router says, not seen yet"),
    "redial": _("waits for the customer to dial anew"),
    "held": _("held back by the brake"),
    "done": _("done"),
    "unverified": _("acknowledged, not verifiable"),
    "superseded": _("superseded"),
    "gone": _("the session had ended"),
    "given_up": _("given up"),
    "cancelled": _("cancelled"),
}
CAUSES = {
    "block": _("contract blocked"),
    "unblock": _("contract unblocked"),
    "notice": _("notice of a late payment"),
    "plan": _("another plan"),
    "speed": _("another speed"),
    "cap": _("data cap"),
    "hours": _("hours of the plan"),
    "late": _("speed of who is late"),
    "trust_end": _("end of a trust unlock"),
    "prepaid_end": _("end of prepaid time"),
    "suspension": _("suspension"),
    "cancel": _("contract cancelled"),
    "mac": _("device bound or freed"),
    "login_changed": _("login changed"),
    "login_deleted": _("login deleted"),
    "client_inactive": _("client inactive"),
    "contest": _("devices that push each other out"),
    "pool": _("pool of addresses"),
    "parameter": _("parameter"),
    "sweep": _("found by the sweep"),
    "start": _("began with an older grant"),
    "operator": _("by an operator"),
}
STEPS = {
    "coa": _("CoA-Request"),
    "disconnect": _("Disconnect-Request"),
    "lists": _("address lists by the API"),
    "api": _("removal by the API"),
    "cookie": _("Hotspot cookie by the API"),
    "read": _("reading back"),
    "line_read": _("reading the line's state"),
    "line_ask": _("asking the line's provider"),
}
SAID = {
    "done": _("done"),
    "gone": _("no such session"),
    "other": _("another session of this customer is there"),
    "refused": _("refused"),
    "silent": _("no answer: down, another secret, not allowed there (/radius incoming), or a firewall that drops"),
    "rejected": _("refused on the way: nobody listens at that port, or a firewall"),
    "unsent": _("could not be sent from here"),
    "as_wanted": _("it is as it must be"),
    "as_before": _("it is still as before"),
    "lists_differ": _("its address lists are still as before"),
    "nothing_to_read": _("nothing of it shows in a list"),
    "unreadable": _("the API did not answer"),
    "not_ours": _("somebody else made it so: left alone"),
}
LINE_SAID = {
    "silent": _("no answer in time"),
    "unsent": _("nobody could be reached: nothing was sent"),
    "unreadable": _("the answer was not understood"),
}
LINE_KINDS = {"sip": _("SIP line"), "mvno": _("mobile line"), "tv": _("TV subscription")}
LINE_STATES = {
    "active": _("active"),
    "partial": _("partially blocked"),
    "blocked": _("blocked"),
    "theft": _("blocked, reported stolen"),
    "loss": _("blocked, reported lost"),
    "misuse": _("blocked for misuse"),
    "inactive": _("inactive"),
    "cancelled": _("cancelled"),
    "awaiting": _("awaits its activation"),
}
LINE_REPORTS = {"none": _("none"), "theft": _("stolen"), "loss": _("lost")}
_ACK, _NAK = {"coa": "CoA-ACK", "disconnect": "Disconnect-ACK"}, {"coa": "CoA-NAK", "disconnect": "Disconnect-NAK"}
REASONS = {
    "no_api": _("nothing to read it back by: the concentrator has no API, or nobody said as whom to ask it"),
    "nothing_to_read": _("what was changed shows in no list of the router"),
    "unreadable": _("the router's API does not answer"),
    "stop_awaited": _("waits for accounting to say that the session ended"),
    "no_such_session": _("the router says that it has no such session; waits for accounting to say so, too"),
    "identity": _("the router does not know the session that it reports: look at how it names sessions"),
    "silent_since": _("the session was heard no more"),
    "was_gone": _("it was not there any more"),
    "other_session": _("another session took its place"),
    "not_applied_everywhere": _("not every node has applied the change yet"),
    "behind_nat": _("its router has no address of its own: `aaad nas edit … --coa-address …` gives one"),
    "one_of_many": _("several routers share its address, and the one that answers does not have the session"),
    "no_server_here": _("no node that the router knows as its server could ask it"),
    "not_nameable": _("the session cannot be told from others in a request"),
    "not_changeable": _("what differs cannot be changed while it lives"),
    "no_effect": _("the router says that it was done, and nothing changed"),
    "silent": _("the router does not answer"),
    "unsent": _("it could not be sent from this node"),
    "refused": _("the router refuses"),
    "too_long": _("it took too long"),
    "session_over": _("its session has ended"),
    "held_back": _("the brake holds back that its session is ended for it"),
    "brake_unasked": _("PostgreSQL did not say whether the brake lets it end the session"),
    "bug": _("an error of this program: see the log"),
    "was_so": _("it was so already"),
    "not_ours": _("the line is as its customer or its provider made it: left alone"),
    "not_seen": _("asked, and not seen to be so yet"),
    "no_readback": _("the provider's word alone: its driver reads nothing back"),
    "no_code": _("the driver has no code for this: `aaad line driver set … --codes …`"),
    "no_driver": _("this kind of line has no driver: `aaad line driver set …`"),
    "line_gone": _("the line was deleted"),
    "other_wish": _("something else is wanted by now"),
    "database_away": _("PostgreSQL was away"),
}


def word(speak: Speaker, words: Mapping[str, str], code: str | None) -> str:
    """Return a code in words; one that this version does not know, as it is."""
    return speak(words.get(code, code)) if code else ""


def answer_text(speak: Speaker, answer: Mapping[str, Any]) -> str:
    """Return in words what came of a step."""
    step, said = str(answer.get("step", "")), str(answer.get("said", ""))
    cause, text = answer.get("error_cause"), answer.get("text")
    if said == "done" and step in _ACK:
        told = _ACK[step]
    elif said in ("refused", "gone") and step in _NAK:
        name = f"{cause} {ERROR_CAUSES.get(int(cause), '')}".strip() if cause else speak(_("no cause told"))
        told = f"{_NAK[step]}: {name}"
    elif step.startswith("line_"):
        told = word(speak, SAID | LINE_SAID, said)
    else:
        told = word(speak, SAID, said)
    return f"{told} ({text})" if text else told
