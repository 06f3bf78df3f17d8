"""The brake (rule R1.3): what cuts customers off, and how much of it may pass in one window.

Pure. "Cut off" is meant as the customer means it: who connects now could not connect any more with the name and
password set in his device. So an UPDATE without WHERE is held whichever column it hits: a status, a deletion,
`password = 'x'`. Who is let into the blocked state is cut off, too. What gives access, and what changes speeds,
addresses, hours or bindings, is never held.

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
from aaad.policy.decide import standing
from aaad.policy.facts import LoginFacts
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
    covers_unseen: bool  # the node had not seen more than that snapshot when it looked last


class Terms(NamedTuple):
    """What decides about access beside a login's own facts, at one moment."""

    plan_ids: Set[int]  # access without a plan is none
    policies: Mapping[int, BranchPolicy]
    now_s: float


NO_TERMS = Terms(frozenset(), {}, 0.0)  # nobody has access


def terms_of(tables: Tables, now_s: float) -> Terms:
    """Return the terms that the small tables make."""
    offsets = {}
    for branch in tables.branches:
        with suppress(ValueError):  # a zone that this system does not know: that of Brasília stands for it
            offsets[branch.branch_id] = zone_offset_s(branch.time_zone, now_s)
    policies = compile_policies(tables.parameters, offsets)
    return Terms(frozenset(plan.plan_id for plan in tables.plans), policies, now_s)


def gives_access(login: LoginFacts | None, terms: Terms) -> bool:
    """Whether a login that proves its password gets in."""
    if login is None or login.plan_id not in terms.plan_ids:
        return False
    return standing(login, policy_of(terms.policies, login.branch_id), terms.now_s).is_grant


def is_other_device(old_name: bytes, old_login: LoginFacts, new_name: bytes, new_login: LoginFacts) -> bool:
    """Whether a device set up for the old row would have to be set up anew for the new one."""
    return old_name != new_name or not _is_same_password(old_login, new_login)


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
    """Return the addresses from which nobody would get an answer any more: gone, disabled, or of another secret."""
    by_address = {nas.address: nas for nas in new}
    return frozenset(
        nas.address for nas in old if nas.enabled and not _serves_on(nas, by_address.get(nas.address), now_s)
    )


def _serves_on(old: NasRow, new: NasRow | None, now_s: float) -> bool:
    if new is None or not new.enabled:
        return False
    lasting = {old.secret, *(secret for secret, until_s in old.secrets if until_s > now_s)}
    return lasting <= _secrets(new, now_s)


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
