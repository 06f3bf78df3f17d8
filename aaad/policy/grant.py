"""What a decision gives: the grant, in the provider's words and not yet in RADIUS."""

from typing import NamedTuple

from aaad.policy.codes import Reason
from aaad.policy.facts import PlanFacts


class Grant(NamedTuple):
    """What one login gets. `ipv4` is a number, 0 when the concentrator's own profile gives the address."""

    plan: PlanFacts
    ipv4: int


class Decision(NamedTuple):
    """Grant or refusal, why, and until when (Unix seconds) the same facts would decide the same."""

    reason: Reason
    grant: Grant | None  # None exactly when reason is not GRANTED
    until_s: float  # math.inf when only a change of facts can change it
