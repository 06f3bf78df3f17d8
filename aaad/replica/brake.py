"""The brake (rule R1.3): what cuts customers off, and how much of it may pass in one window.

Pure. "Cut off" is meant as the customer means it: who connects now could not connect any more with the name and
password set in his device. So an UPDATE without WHERE is held whichever column it hits: a status, a deletion,
`password = 'x'`. What gives access, and what changes speeds or addresses, is never held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import md5

from aaad.policy.codes import LoginFlag, Reason
from aaad.policy.decide import standing
from aaad.policy.facts import LoginFacts
from aaad.replica.record import NasRow


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
        """Whether what happened then counts in the window that ends now."""
        return now_s - self.window_s < at_s <= now_s


def gives_access(login: LoginFacts | None) -> bool:
    """Whether a login that proves its password gets in."""
    return login is not None and login.plan_id != 0 and standing(login) is Reason.GRANTED


def cuts_off(old_name: bytes, old_login: LoginFacts | None, new_name: bytes, new_login: LoginFacts | None) -> bool:
    """Whether who gets in with the old row would not get in with the new one."""
    if old_login is None or not gives_access(old_login):
        return False
    if new_login is None or not gives_access(new_login):
        return True
    return old_name != new_name or not _is_same_password(old_login, new_login)


def _is_same_password(old: LoginFacts, new: LoginFacts) -> bool:
    if (old.flags ^ new.flags) & LoginFlag.PASSWORD_IS_MD5 == 0:
        return old.password == new.password
    if old.flags & LoginFlag.PASSWORD_IS_MD5:
        return old.password == md5(new.password, usedforsecurity=False).digest()
    # CHAP and MS-CHAP end with it, but PAP, the way of those who store MD5, goes on.
    return new.password == md5(old.password, usedforsecurity=False).digest()


def is_over(*, recent_count: int, cut_off_count: int, logins_count: int, limits: BrakeLimits) -> bool:
    """Whether these cut-offs, with those already applied in the window, are more than may pass."""
    return cut_off_count > 0 and recent_count + cut_off_count > limits.allowance(logins_count)


def lost_nases(old: Iterable[NasRow], new: Iterable[NasRow]) -> frozenset[str]:
    """Return the addresses from which nobody would get an answer any more: gone, disabled, or of another secret."""
    by_address = {nas.address: nas for nas in new}
    return frozenset(nas.address for nas in old if nas.enabled and not _serves_on(nas, by_address.get(nas.address)))


def _serves_on(old: NasRow, new: NasRow | None) -> bool:
    return new is not None and new.enabled and old.secret in (new.secret, new.secret_previous)


def are_nases_over(old: Sequence[NasRow], new: Sequence[NasRow], lost: frozenset[str]) -> bool:
    """Whether too many entries would be lost at once: more than half of those that are enabled.

    A change of one entry that stays is an operator's daily work and passes, even if it is the only one.
    """
    enabled_count = sum(nas.enabled for nas in old)
    if 2 * len(lost) <= enabled_count:
        return False
    lost_ids = {nas.nas_id for nas in old if nas.address in lost}
    return len(lost) > 1 or not lost_ids <= {nas.nas_id for nas in new}
