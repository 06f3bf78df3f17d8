"""The brake (rule R1.3): what cuts customers off, and how much of it may pass in one window.

Pure. "Cut off" is meant as the customer means it: who connects now could not connect any more with the name and
password set in his device. So an UPDATE without WHERE is held whichever column it hits: a status, a deletion,
`password = 'x'`, an hour of the day in which he may connect, a binding to another device, NAS, port or circuit. Who
is let into the blocked state is cut off, too. What gives access, and what changes speeds or addresses, is never held.
A binding that the drain has learned fits its device: such writes bear the mark of a run (net.run).

Plans, parameters and branches decide about many logins at once: what they would cut off is counted over all that are
served. A realm that is served no more counts as too many, since nobody can tell who types it.

A total loss is always held, however few there are: no login that gave access would be left, and two or more are gone
in this window. NAS entries have the same window: more than half of them must not fall silent in it.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from hashlib import md5
from typing import NamedTuple

from aaad.policy.calendar import zone_offset_s
from aaad.policy.codes import LoginFlag
from aaad.policy.decide import enforced_bindings, open_hours
from aaad.policy.facts import LoginFacts, PhaseFacts, PlanFacts
from aaad.policy.parameters import BranchPolicy, compile_policies, policy_of
from aaad.replica.record import NasRow, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeLimits:
    """How many logins may lose access in one window: a share of all, but always `minimum_count`."""

    share: float = 0.05
    minimum_count: int = 50
    window_s: float = 300.0

    def allowance(self, logins_count: int) -> int:
        """Return how many of so many logins may be cut off in one window."""
        return max(self.minimum_count, int(self.share * logins_count))

    def is_recent(self, at_s: float, now_s: float) -> bool:
        """Whether what happened then counts in the window that ends now: also what a clock set back calls future."""
        return at_s > now_s - self.window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The last accepted hold, as it bears on a node: what has not changed since its snapshot is let through."""

    changed_logins: Set[int]  # since that snapshot: an operator never saw these as they are now
    has_nas_changes: bool  # likewise
    has_term_changes: bool  # likewise: plans, parameters, branches
    covers_unseen: bool  # the node had not seen more than that snapshot when it looked last


_IS_MAC_LOGIN = int(LoginFlag.IS_MAC_LOGIN)


class Terms(NamedTuple):
    """What decides about access beside a login's own facts, at one moment."""

    plans: Mapping[int, PlanFacts]  # what of them decides about access; without a plan there is none
    policies: Mapping[int, BranchPolicy]
    now_s: float


NO_TERMS = Terms({}, {}, 0.0)  # nobody has access


def terms_of(tables: Tables, now_s: float) -> Terms:
    """Return the terms that the small tables make."""
    offsets = {}
    for branch in tables.branches:
        with suppress(ValueError):  # a zone that this system does not know: that of Brasília stands for it
            offsets[branch.branch_id] = zone_offset_s(branch.time_zone, now_s)
    policies = compile_policies(tables.parameters, offsets)
    return Terms({plan.plan_id: _bare(plan) for plan in tables.plans}, policies, now_s)


def _bare(plan: PlanFacts) -> PlanFacts:
    """Return what of a plan decides about access, so that other speeds make no other terms."""
    return PlanFacts(
        plan_id=plan.plan_id,
        name="",
        speed=None,
        session_timeout_s=0,
        idle_timeout_s=0,
        interim_interval_s=0,
        normal_hours=plan.normal_hours,
        reduced=plan.reduced and PhaseFacts(plan.reduced.hours, None, 0),
        turbo=plan.turbo and PhaseFacts(plan.turbo.hours, None, 0),
        late_after_days=plan.late_after_days,
        late_plan_id=plan.late_plan_id,
        cap_plan_id=plan.cap_plan_id,
    )


def access_hours(login: LoginFacts | None, terms: Terms) -> int:
    """Return the hours of the day in which a login that proves its password gets in, as 24 bits."""
    if login is None or login.plan_id not in terms.plans:
        return 0
    return open_hours(login, terms.plans, policy_of(terms.policies, login.branch_id), terms.now_s)


def gives_access(login: LoginFacts | None, terms: Terms) -> bool:
    """Whether a login that proves its password gets in at some hour."""
    return access_hours(login, terms) != 0


def loses_access(old: LoginFacts | None, served: Terms, new: LoginFacts | None, fresh: Terms) -> bool:
    """Whether who gets in now, from where he is, would not get in any more, at least at some hour."""
    hours = access_hours(old, served)
    if old is None or not hours:
        return False
    if new is None or hours & ~access_hours(new, fresh):
        return True
    before = enforced_bindings(old, policy_of(served.policies, old.branch_id))
    after = enforced_bindings(new, policy_of(fresh.policies, new.branch_id))
    return any(bound and bound != was for was, bound in zip(before, after, strict=True))


def is_other_device(old_name: bytes, old_login: LoginFacts, new_name: bytes, new_login: LoginFacts) -> bool:
    """Whether a device set up for the old row would have to be set up anew for the new one."""
    if old_login.flags & _IS_MAC_LOGIN and (not new_login.flags & _IS_MAC_LOGIN or new_login.mac != old_login.mac):
        return True
    return old_name != new_name or not _is_same_password(old_login, new_login)


def lost_realms(served: Terms, fresh: Terms) -> int:
    """Return how many realms, each of one branch or in general, are served and would not be any more."""
    lost_count = 0
    for branch_id, old in served.policies.items():
        new = policy_of(fresh.policies, branch_id)
        if "*" not in new.strip_realms:
            lost_count += len(set(old.strip_realms) - set(new.strip_realms))
        lost_count += bool(old.default_realm) and old.default_realm != new.default_realm
    return lost_count


def _is_same_password(old: LoginFacts, new: LoginFacts) -> bool:
    if (old.flags ^ new.flags) & LoginFlag.PASSWORD_IS_MD5 == 0:
        return old.password == new.password
    if old.flags & LoginFlag.PASSWORD_IS_MD5:
        return old.password == md5(new.password, usedforsecurity=False).digest()
    # CHAP and MS-CHAP end with it, but PAP, the way of those who store MD5, goes on.
    return new.password == md5(old.password, usedforsecurity=False).digest()


def is_over(
    *, recent_count: int, cut_off_count: int, logins_count: int, limits: BrakeLimits, leaves_nobody: bool = False
) -> bool:
    """Whether these cut-offs, with those already applied in the window, are more than may pass."""
    if cut_off_count == 0:
        return False
    lost_count = recent_count + cut_off_count
    return lost_count > limits.allowance(logins_count) or (leaves_nobody and lost_count > 1)


def lost_nases(old: Iterable[NasRow], new: Iterable[NasRow], now_s: float) -> frozenset[str]:
    """Return the addresses from which a router would get no answer any more: gone, disabled, or without its secret.

    Which of an entry's secrets its routers use nobody knows, so each that is believed now has to stay.
    """
    by_address = {nas.address: nas for nas in new}
    return frozenset(
        nas.address for nas in old if nas.enabled and not _serves_on(nas, by_address.get(nas.address), now_s)
    )


def repaired_nases(
    lost: Iterable[NasRow], served: Iterable[NasRow], new: Iterable[NasRow], now_s: float
) -> frozenset[str]:
    """Return the addresses that get back a secret which they had when they were lost."""
    served_by_address = {nas.address: nas for nas in served}
    by_address = {nas.address: nas for nas in new if nas.enabled}
    found = set()
    for old in lost:
        now, then = served_by_address.get(old.address), by_address.get(old.address)
        if now is None or then is None:
            continue
        ever = {old.secret, old.secret_previous, *(secret for secret, _ in old.secrets)}
        if ever & _secrets(then, now_s) - _secrets(now, now_s):
            found.add(old.address)
    return frozenset(found)


def _serves_on(old: NasRow, new: NasRow | None, now_s: float) -> bool:
    if new is None or not new.enabled:
        return False
    return _secrets(old, now_s) <= _secrets(new, now_s)


def _secrets(nas: NasRow, now_s: float) -> set[bytes]:
    """Return what the entry believes now."""
    ending = ((nas.secret_previous, nas.secret_previous_until_s), *nas.secrets)
    return {nas.secret, *(secret for secret, until_s in ending if until_s > now_s)}


def are_nases_over(
    old: Sequence[NasRow], new: Sequence[NasRow], lost: frozenset[str], recent: frozenset[str] = frozenset()
) -> bool:
    """Whether too many entries would be lost in one window: more than half of those that served in it.

    A change of one entry that stays is an operator's daily work and passes, even if it is the only one.

    Args:
        old: what is served now.
        new: what PostgreSQL says.
        lost: addresses that would be lost now.
        recent: addresses that applied changes took in this window, and that do not serve again.
    """
    if not lost:
        return False
    all_lost = lost | recent
    if 2 * len(all_lost) <= len({nas.address for nas in old if nas.enabled} | recent):
        return False
    lost_ids = {nas.nas_id for nas in old if nas.address in lost}
    return len(all_lost) > 1 or not lost_ids <= {nas.nas_id for nas in new}
