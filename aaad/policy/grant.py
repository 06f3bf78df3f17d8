"""What a decision gives: the grant, in the provider's words and not yet in RADIUS."""

from typing import NamedTuple

from aaad.policy.codes import Reason
from aaad.policy.facts import LoginExtras, PlanFacts, Speed
from aaad.policy.parameters import BranchPolicy


class Leases(NamedTuple):
    """What of a grant comes from pools of ours. A prefix is its number and length."""

    has_ipv4: bool  # the grant's IPv4 address does
    has_more: bool  # any of the three below
    ipv6: tuple[int, int] | None  # of the link
    delegated: tuple[int, int] | None
    ipv4_pool: str  # one of the concentrator's, which is told its name as ours had nothing
    noted: bytes  # which pools they are, for the journal


class Grant(NamedTuple):
    """What one login gets. A grant is complete: it says what is not given, too (rule R4.3)."""

    plan: PlanFacts  # whose attributes hold: the login's own, or that for who is late or used up the cap
    speed: Speed | None  # of the phase that holds; None: no limit. In the blocked state the branch's
    state: int  # GrantState
    phase: int  # SpeedPhase
    ipv4: int  # a number, 0: from a pool, or as the concentrator's own profile says
    ends_at_s: int  # the session must end then (prepaid time), 0: the plan alone limits it
    extras: LoginExtras | None
    policy: BranchPolicy
    leases: Leases | None = None  # None: nothing was taken from pools of ours (yet)


class Decision(NamedTuple):
    """Grant or refusal, why, and until when (Unix seconds) the same facts would decide the same."""

    reason: Reason
    grant: Grant | None  # None exactly when the reason is no grant
    until_s: float  # math.inf when only a change of facts can change it
