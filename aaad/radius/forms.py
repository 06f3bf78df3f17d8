"""What a grant says to a session, whatever the session was told before: what has to be changed, and how it can be.

Pure. A Form is an Accept without what is each session's own, by which two grants are compared, attribute by
attribute. Which attributes a CoA-Request changes is data of the kind (`kinds.LiveChanges`); for any other one the
customer must dial anew, and what no CoA can take back is told, so that it is taken away in another way. RFC 5176, 3;
rules R4.3, R8.
"""

from typing import NamedTuple
from zlib import crc32

from aaad.policy.codes import GrantState, Reason
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Grant
from aaad.radius.addresses import own_pools
from aaad.radius.dictionary import decode
from aaad.radius.kinds import AttributeId, NasKind
from aaad.radius.packet import Attribute, attribute, integer_attribute, vendor_attribute
from aaad.radius.reply import ReplyTemplate, accept_attributes
from aaad.replica.secret_attributes import split, without_secrets

IPV6_LIST = "Address-List-IPv6"  # no attribute says it, only the router's API can
_TIMEOUT, _IDLE = AttributeId(0, 27), AttributeId(0, 28)  # Session-Timeout, Idle-Timeout
_NUMBER_MAX = 0xFFFFFFFF
# Another value of these is not worth a cut: it holds from the next dial on. Service-Type, Framed-Protocol,
# Idle-Timeout and Session-Timeout where a CoA cannot change them, Acct-Interim-Interval, name servers, encryption.
_LATER = frozenset(
    {
        *(AttributeId(0, code) for code in (6, 7, 18, 85, 169)),
        *(_TIMEOUT, _IDLE),
        *(AttributeId(311, code) for code in (7, 8, 28, 29)),
    }
)


class Form(NamedTuple):
    """What a grant says."""

    attributes: bytes  # of an Accept, without Class and without what is secret
    pools: str  # of ours that its addresses come from, which no attribute names
    lists_ipv6: str  # separated by commas
    reason: Reason

    @property
    def said(self) -> list[tuple[str, str]]:
        """Names and values, for people and for who reads back."""
        return [*decode(self.attributes), *((IPV6_LIST, name) for name in self.lists_ipv6.split(",") if name)]


class Wanted(NamedTuple):
    """A grant as one session would get it now."""

    fingerprint: int
    alike: frozenset[int]  # other fingerprints of the same grant
    as_accepted: frozenset[int]  # of its Accept alone, where an IPv6 address list is wanted that no attribute says
    form: Form
    attributes: bytes


class Difference(NamedTuple):
    """What a session was told and what is wanted, compared."""

    needs_dial: bool  # some of it cannot be changed while it lives
    is_sayable: bool  # some of it a CoA changes, or the router's API
    is_certain: bool  # an ACK to a CoA would prove that all of it is so
    unsaid: list[tuple[str, str]]  # what it was told and is not wanted any more


NO_DIFFERENCE = Difference(needs_dial=False, is_sayable=False, is_certain=True, unsaid=[])


def wanted(
    kind: NasKind,
    template: ReplyTemplate,
    grant: Grant,
    reason: Reason,
    login: LoginFacts,
    *,
    is_ppp: bool,
    now_s: float,
    listed_prefixes: int = 0,
) -> Wanted:
    """Return what a session would be told now; ValueError if it cannot be encoded.

    `listed_prefixes`: how many IPv6 prefixes it has that its router's API can put in lists. What an Accept cannot say
    of them is no part of its Class, so the fingerprint with them is another one, and with each prefix that comes.
    """
    attributes, fingerprint, _ = accept_attributes(kind, template, grant, login.login_id, is_ppp, now_s)
    pools = ";".join(own_pools(grant, template.pools))
    lists = ",".join(_lists_ipv6(kind, grant)) if listed_prefixes else ""
    form = Form(without_secrets(attributes), pools, lists, reason)
    accepted = {fingerprint}
    if grant.state == GrantState.BLOCKED and template.pools is not None and template.pools.fallback is not None:
        accepted.add(fingerprint ^ login.ipv4)  # the pool of blocked addresses was full: he has his own (rule R4.3)
    if not lists:
        return Wanted(fingerprint, frozenset(accepted), frozenset(), form, attributes)
    mark = crc32(f"{listed_prefixes}:{lists}".encode())
    alike = frozenset(one ^ mark for one in accepted)
    return Wanted(fingerprint ^ mark, alike, frozenset(accepted), form, attributes)


def _lists_ipv6(kind: NasKind, grant: Grant) -> list[str]:
    """Return the IPv6 address lists that this kind has no attribute for, in the order of their precedence."""
    if kind.address_list_ipv6 is not None:
        return []
    plan, policy, extras = grant.plan, grant.policy, grant.extras
    if grant.state == GrantState.BLOCKED:
        return [policy.blocked_address_list_ipv6] if policy.blocked_address_list_ipv6 else []
    found = [(extras.address_list_ipv6 if extras is not None else "") or plan.address_list_ipv6]
    if grant.state == GrantState.NOTICE:
        found.append(policy.notice_address_list_ipv6)
    return [name for name in found if name]


def compare(kind: NasKind, told: Form, form: Form, *, is_ppp: bool) -> Difference:
    """Return how a session that was told one grant gets to another."""
    old, new = _values(told.attributes), _values(form.attributes)
    certain = kind.live.ppp if is_ppp else kind.live.other
    needs_dial = told.pools != form.pools
    is_sayable = told.lists_ipv6 != form.lists_ipv6
    is_certain = not is_sayable
    gone: list[tuple[AttributeId, bytes]] = []
    for which in {**old, **new}:
        before, after = old.get(which, ()), new.get(which, ())
        if before == after:
            continue
        is_live = which in certain or which in kind.live.unproven
        if not after and which in (_TIMEOUT, _IDLE):
            continue  # it ends as it was told, and dials anew
        if not is_live:
            needs_dial |= which not in _LATER
            continue
        is_sayable = True
        lost = [value for value in before if value not in after]
        if which not in kind.live.unproven and len(before) == 1 and after:
            lost = []  # the new value takes the place of the old one
        is_certain &= which in certain and not lost
        gone += [(which, value) for value in lost]
    unsaid = decode(b"".join(encoded(which, value) for which, value in gone))
    kept = form.lists_ipv6.split(",")
    unsaid += [(IPV6_LIST, name) for name in told.lists_ipv6.split(",") if name and name not in kept]
    return Difference(needs_dial, is_sayable, is_certain, unsaid)


def live_attributes(kind: NasKind, attributes: bytes, *, is_ppp: bool, age_s: float) -> bytes:
    """Return what of an Accept a CoA-Request says to a session that has lived for so long.

    Session-Timeout is counted from the session's beginning: should a NAS count it from now on, the session ends too
    late and not too early, and what must have ended by then is ended by an order of its own.
    """
    certain = kind.live.ppp if is_ppp else kind.live.other
    said = b""
    for vendor, code, value in split(attributes):
        which = AttributeId(vendor, code)
        if which == _TIMEOUT and which in certain and len(value) == 4:
            seconds = min(int.from_bytes(value, "big") + max(0, int(age_s)), _NUMBER_MAX)
            said += integer_attribute(Attribute.SESSION_TIMEOUT, seconds)
        elif which in certain or which in kind.live.unproven:
            said += encoded(which, value)
    return said


def encoded(which: AttributeId, value: bytes) -> bytes:
    """Return one attribute with its header."""
    return vendor_attribute(which.vendor, which.code, value) if which.vendor else attribute(which.code, value)


def _values(attributes: bytes) -> dict[AttributeId, tuple[bytes, ...]]:
    found: dict[AttributeId, tuple[bytes, ...]] = {}
    for vendor, code, value in split(attributes):
        which = AttributeId(vendor, code)
        found[which] = (*found.get(which, ()), value)
    return found
