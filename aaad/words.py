"""What people read about a decision: each reason with what to do about it, each silence, what a customer is told.

The English text is the source and the key of the Portuguese of Brazil in `locale/pt_BR/LC_MESSAGES/aaad.po`, read by
gettext; a text without a translation shows in English. Texts elsewhere in the program are marked by going through a
function named `_` (see `Speaker`); a test holds that every one of them has its translation. Codes come in by their
`label`, so this room knows no policy.

What a customer is told (`customer_text`, the Reply-Message) is the same for every refusal that can happen before a
password was proven: it never tells an unknown login from a wrong password (rule R3.5).
"""

import gettext
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

LOCALE_DIRECTORY = Path(__file__).parent / "locale"
DOMAIN = "aaad"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Language(StrEnum):
    """A language that people can choose."""

    PORTUGUESE = "pt"
    ENGLISH = "en"


class Labelled(Protocol):
    """A code of a closed set: a Reason or a Discard."""

    @property
    def label(self) -> str:
        """The name in metrics, SQL and words."""


def choose_language(option: str | None, configured: str, environ: Mapping[str, str]) -> Language:
    """Return the language by command-line option, else by configuration, else by the environment's locale.

    `auto` and None mean: ask the next one.
    """
    for wish in (option, configured):
        if wish in tuple(Language):
            return Language(wish)
    # POSIX 8.2: LC_ALL goes before the category's variable, which goes before LANG; an empty one counts as not set.
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(variable):
            return Language.PORTUGUESE if environ[variable].lower().startswith("pt") else Language.ENGLISH
    return Language.ENGLISH


@cache
def _translations(language: Language) -> gettext.NullTranslations:
    if language is Language.PORTUGUESE:
        return gettext.translation(DOMAIN, LOCALE_DIRECTORY, languages=["pt_BR"], fallback=True)
    return gettext.NullTranslations()


def text(english: str, language: Language, **values: object) -> str:
    """Return a text in a language with `{name}` fields filled in."""
    translated = _translations(language).gettext(english)
    return translated.format(**values) if values else translated


class Speaker:
    """Speaks one language. Name the instance `_`, so that its texts are found and translated."""

    def __init__(self, language: Language) -> None:
        """Speak this language from now on."""
        self.language = language

    def __call__(self, english: str, **values: object) -> str:
        """Return the text in this language with `{name}` fields filled in."""
        return text(english, self.language, **values)


def printable(text: str) -> str:
    """Return a text from outside with what could steer a terminal or hide in a label replaced."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _REPLACEMENT for c in text)


class Wording(NamedTuple):
    """What a code means to an operator, and what to do."""

    text: str
    hint: str


def _(english: str) -> str:
    """Mark a text of the tables below for translation."""
    return english


REASONS: dict[str, Wording] = {
    "granted": Wording(
        _("Connected: everything is in order."),
        _("Nothing to do. If the customer is still without internet, look at the router and at the cabling."),
    ),
    "granted_with_notice": Wording(
        _("Connected in full, with the notice that a payment is late (FA)."),
        _(
            "Nothing to do on the network. The list of the notice is the parameter notice_address_list; the "
            "notice ends when the payment is in."
        ),
    ),
    "granted_blocked": Wording(
        _("Connected in the blocked state: the customer has no internet until he is unblocked."),
        _(
            "See why with `aaad contract show`: blocked (access_status CM or CA), prepaid time over "
            "(paid_until) or trust unlock over. Unblock it with `aaad contract unblock`."
        ),
    ),
    "granted_late_plan": Wording(
        _("Connected with reduced speed: the plan for who is late with a payment holds."),
        _(
            "It ends when the payment is in. To let the full speed through before, set the contract's "
            "not_reduced_until, or late_speed to N."
        ),
    ),
    "granted_cap_plan": Wording(
        _("Connected with reduced speed: the plan's data allowance is used up."),
        _(
            "The full speed is back in the next period of the allowance. See the plan's cap_gigabytes and "
            "cap_plan_id, or sell a larger plan."
        ),
    ),
    "granted_on_trust": Wording(
        _("Connected on a trust unlock: the payment is still open."),
        _(
            "Nothing to do. The contract's trust_unlock_until says when it ends; then the customer is blocked "
            "again unless the payment is in."
        ),
    ),
    "granted_router_administrator": Wording(
        _("A router administrator logged in to a router."),
        _("Nothing to do. Who may log in to routers stands in net.router_administrator."),
    ),
    "unknown_login": Wording(
        _("There is no login of this name."),
        _(
            "Compare the name in the customer's router with the one registered, letter by letter; `aaad login "
            "list` finds logins by a part of the name."
        ),
    ),
    "wrong_password": Wording(
        _("The password is wrong."),
        _(
            "Type the login's password into the customer's router again, or give it a new one with `aaad login "
            "password` and set it in the router, too."
        ),
    ),
    "login_inactive": Wording(
        _("The login is switched off."),
        _("If the customer should connect, set the login's field active with `aaad login edit`."),
    ),
    "login_deleted": Wording(
        _("The login was deleted."),
        _("Set up in the customer's router the login that replaced it, or register a new one with `aaad login add`."),
    ),
    "client_inactive": Wording(
        _("The client is inactive."),
        _("If the client's contracts should work, set the client's field active with `aaad client edit`."),
    ),
    "name_invalid": Wording(
        _("The name that the router sent cannot be the name of a login."),
        _("Look at the user name in the customer's router: it is empty or has characters that are not allowed."),
    ),
    "password_missing": Wording(
        _("The request carried no password."),
        _("Look at the password in the customer's router and at the methods allowed in the concentrator."),
    ),
    "method_unsupported": Wording(
        _("The request proves the password by a method that is not served here."),
        _("Allow PAP, CHAP, MS-CHAPv1 or MS-CHAPv2 in the concentrator; EAP is not served."),
    ),
    "password_stored_as_md5": Wording(
        _("The password is stored as MD5, and CHAP and MS-CHAP cannot be checked against it."),
        _("Give the login a password in clear with `aaad login password`, or allow only PAP in the concentrator."),
    ),
    "not_for_router_administration": Wording(
        _("A customer's login was used to log in to the router itself."),
        _(
            "Customers never log in to routers. Whoever takes care of routers needs an entry of his own in "
            "net.router_administrator; else somebody is trying passwords."
        ),
    ),
    "contract_not_signed_yet": Wording(
        _("The contract is still a pre-contract."),
        _("When it is signed, activate it with `aaad contract activate`."),
    ),
    "contract_inactive": Wording(
        _("The contract is inactive."),
        _("If the customer came back, activate it with `aaad contract activate`, or make a new contract."),
    ),
    "contract_blacklisted": Wording(
        _("The contract is blacklisted for debt."),
        _("Settle the debt with the customer; then activate it with `aaad contract activate`."),
    ),
    "contract_withdrawn": Wording(
        _("The customer withdrew from the contract, or it was cancelled."),
        _("Nothing to do on the network; a new sale needs a new contract (`aaad contract add`)."),
    ),
    "contract_suspended_voluntarily": Wording(
        _("The contract is suspended at the customer's own wish."),
        _("If the customer wants to use the service again, end the suspension with `aaad contract resume`."),
    ),
    "access_disabled": Wording(
        _("The access of this contract is disabled."),
        _("If it should connect, set its access_status to A with `aaad contract edit`."),
    ),
    "blocked_manually": Wording(
        _("The contract was blocked by an operator."),
        _(
            "See who blocked it and why with `aaad history contract`; unblock it with `aaad contract unblock`. "
            "A payment does not lift this block."
        ),
    ),
    "blocked_automatically": Wording(
        _("The contract is blocked for late payment."),
        _(
            "When the payment is in, unblock it with `aaad contract unblock`; on a promise, use `aaad contract "
            "trust-unlock`."
        ),
    ),
    "awaiting_signature": Wording(
        _("The contract waits for its signature."),
        _(
            "Have the customer sign, then `aaad contract activate`; to let such contracts in before, set the "
            "parameter let_in_awaiting_signature to S."
        ),
    ),
    "prepaid_ended": Wording(
        _("The prepaid time is over."),
        _(
            "When the next payment is in, write the contract's paid_until; its billing type says how many days "
            "of grace there are."
        ),
    ),
    "trust_unlock_ended": Wording(
        _("The trust unlock is over and the payment is still open."),
        _(
            "Wait for the payment. There is no second trust unlock for the same receivable; `aaad contract "
            "unblock` ends the block in any case."
        ),
    ),
    "outside_hours": Wording(
        _("The login may not connect at this hour."),
        _("See the hours of the login (access_hours) and of its plan (normal_hours), and the branch's time zone."),
    ),
    "device_not_allowed": Wording(
        _("The login is bound to another device: the MAC is a different one."),
        _(
            "If the customer changed the router, clear the MAC with `aaad login clear-mac`; the field bind_mac "
            "set to N lets any device in."
        ),
    ),
    "nas_not_allowed": Wording(
        _("The login is bound to another concentrator."),
        _(
            "If the customer moved, correct the login's nas_id, or free it with `aaad login clear-bindings`; "
            "the field bind_nas set to N allows any."
        ),
    ),
    "port_not_allowed": Wording(
        _("The login is bound to another port or VLAN of the concentrator."),
        _(
            "If the port was changed on purpose, correct the login's port_id, or free it with `aaad login "
            "clear-bindings`."
        ),
    ),
    "circuit_not_allowed": Wording(
        _("The login is bound to another circuit (Agent-Circuit-Id)."),
        _(
            "If the customer's line was moved, correct the login's circuit_id, or free it with `aaad login "
            "clear-bindings`."
        ),
    ),
    "mac_login_from_other_device": Wording(
        _("A MAC was typed as the user name, but the request comes from another device."),
        _(
            "Only the device itself connects by its MAC. If the customer changed it, write the new one into "
            "the login's field mac."
        ),
    ),
    "in_use_elsewhere": Wording(
        _("The login is connected from another device, which answers, or two devices were pushing each other out."),
        _(
            "See `aaad sessions`: if both devices are the customer's, raise simultaneous_max; if not, change the "
            "password. When devices push each other out, only the first one gets in for ten minutes."
        ),
    ),
    "plan_missing": Wording(
        _("The login has no plan that exists."),
        _("Give the contract a plan with `aaad contract edit` (plan_id)."),
    ),
    "record_damaged": Wording(
        _("This login's data cannot be used by the server."),
        _(
            "Save the login again with `aaad login edit`; if it stays so, look for replica errors in the log "
            "of the role sync."
        ),
    ),
    "reply_too_long": Wording(
        _("The answer for this login would be longer than RADIUS allows."),
        _("Shorten what the plan and the login send to the concentrator: routes, filters and extra attributes."),
    ),
    "pool_exhausted": Wording(
        _("The pool of addresses has none left for this login."),
        _("See aaad pool list; add a range to the pool, or name another one in the plan, the NAS or the branch."),
    ),
}

DISCARDS: dict[str, Wording] = {
    "malformed": Wording(
        _("The datagram is no valid RADIUS packet."),
        _("Look at who sends it; a scanner needs a firewall rule, a concentrator needs an update."),
    ),
    "unknown_nas": Wording(
        _("The sender is no registered concentrator."),
        _("Register the concentrator's source address with `aaad nas add`, or block the sender in the firewall."),
    ),
    "nas_disabled": Wording(
        _("The concentrator is disabled."),
        _("If it should work, set its field enabled with `aaad nas edit`."),
    ),
    "code_not_served": Wording(
        _("This kind of packet is not served on this port."),
        _("Look at the ports configured in the concentrator: authentication and accounting may be exchanged."),
    ),
    "bad_message_authenticator": Wording(
        _("The packet's signature (Message-Authenticator) does not fit the secret."),
        _("Set the same secret in the concentrator and, with `aaad nas rotate-secret`, here."),
    ),
    "message_authenticator_missing": Wording(
        _("The router stopped sending Message-Authenticator: was it replaced or downgraded?"),
        _("If it really was changed, run `aaad nas message-auth NAME reset`; if not, somebody may forge packets."),
    ),
    "duplicate_in_work": Wording(
        _("A copy of a request that is being answered."),
        _("Nothing to do; many of them mean a slow server or a short timeout in the concentrator."),
    ),
    "late": Wording(
        _("The request was too old when its turn came: the concentrator no longer waits for the answer."),
        _("Look at the load of the machine; raise the timeout of /radius in the concentrator."),
    ),
    "no_replica": Wording(
        _("This node has no complete copy of the logins yet."),
        _("Wait for the first load; if it does not end, see whether the node reaches PostgreSQL."),
    ),
    "overload": Wording(
        _("More requests arrived than could be answered in time."),
        _("Look at the load of the machine; more radius processes or another node share the work."),
    ),
    "claim_impossible": Wording(
        _("No address could be claimed at this moment; another server may have one."),
        _("See whether the node reaches PostgreSQL, and how many addresses are free in the pool."),
    ),
    "bug": Wording(
        _("An error of this program."),
        _("Report it with the traceback in the log of the role radius."),
    ),
    "not_recorded": Wording(
        _("Accounting could not be stored: neither the disk nor PostgreSQL takes it."),
        _("Look at the disk of the state directory and whether the node reaches PostgreSQL."),
    ),
}

_NOT_PROVEN = _("User name or password is wrong.")
_BLOCKED = _("Access blocked. Please contact your provider.")
_PREPAID_OVER = _("Your prepaid time is over. Please make the next payment.")
_UNSIGNED = _("Your contract is not signed yet. Please contact your provider.")
_SUSPENDED = _("Your contract is suspended at your wish. Please contact your provider.")
_OUTSIDE_HOURS = _("Your plan does not connect at this hour.")
_ELSEWHERE = _("This login belongs to another device or place. Please contact your provider.")
_IN_USE = _("This login is in use on another device. Disconnect it there, or contact your provider.")
_NOT_IN_ORDER = _("Access not available. Please contact your provider.")

# Refusals that are decided before or by the check of the password: one text for all of them (rule R3.5).
BEFORE_PROOF = frozenset(
    {
        "unknown_login",
        "wrong_password",
        "login_deleted",
        "name_invalid",
        "password_missing",
        "method_unsupported",
        "password_stored_as_md5",
        "mac_login_from_other_device",
        "not_for_router_administration",
        "record_damaged",
    }
)
# What other refusals tell a customer, who has proven by then that he is one; the rest say _NOT_IN_ORDER.
_TOLD = {
    "blocked_automatically": _BLOCKED,
    "blocked_manually": _BLOCKED,
    "contract_blacklisted": _BLOCKED,
    "trust_unlock_ended": _BLOCKED,
    "prepaid_ended": _PREPAID_OVER,
    "contract_not_signed_yet": _UNSIGNED,
    "awaiting_signature": _UNSIGNED,
    "contract_suspended_voluntarily": _SUSPENDED,
    "outside_hours": _OUTSIDE_HOURS,
    "device_not_allowed": _ELSEWHERE,
    "nas_not_allowed": _ELSEWHERE,
    "port_not_allowed": _ELSEWHERE,
    "circuit_not_allowed": _ELSEWHERE,
    "in_use_elsewhere": _IN_USE,
}


def reason_text(reason: Labelled, language: Language) -> str:
    """Return what a decision's reason means, for an operator."""
    return text(REASONS[reason.label].text, language)


def reason_hint(reason: Labelled, language: Language) -> str:
    """Return what an operator can do about a reason."""
    return text(REASONS[reason.label].hint, language)


def discard_text(discard: Labelled, language: Language) -> str:
    """Return why a datagram got no answer, for an operator."""
    return text(DISCARDS[discard.label].text, language)


def discard_hint(discard: Labelled, language: Language) -> str:
    """Return what an operator can do about a silence."""
    return text(DISCARDS[discard.label].hint, language)


def customer_text(reason: Labelled, language: Language) -> str:
    """Return what a refused customer is told; empty for a grant."""
    if reason.label.startswith("granted"):
        return ""
    if reason.label in BEFORE_PROOF:
        return text(_NOT_PROVEN, language)
    return text(_TOLD.get(reason.label, _NOT_IN_ORDER), language)
