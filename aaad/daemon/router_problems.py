"""What is wrong between us and a router, as one sentence's worth of facts each (rules R2.2, R2.3, R10).

Pure. A problem lasts while what shows it is newer than the last proof that all is well, and some seconds longer where
good and bad come side by side; when it was put right, it is not told any more. Where CHAP without
Message-Authenticator proves no secret, a wrong one is inferred: Accepts after which no session begins, and copies of
requests that we had answered. Behind PAP it is seen at once: what was typed is not readable.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from aaad.daemon.router_facts import RouterFacts, together

PROBLEMS_MAX = 10  # of a kind: those with the highest counts
_SIDE_BY_SIDE_S = 30.0
_FORGOTTEN_S = 3_600.0
_ACCEPTS_MIN = 3  # fewer without a session may be people who gave up
_SESSIONS_MISSING_MIN = 10


class ProblemKind(StrEnum):
    """What is wrong. The text of each is the command line's."""

    WRONG_SECRET = "wrong_secret"  # noqa: S105  what it signs does not fit
    SECRET_SEEMS_WRONG = "secret_seems_wrong"  # noqa: S105  inferred
    UNSIGNED = "message_authenticator_missing"
    SESSIONS_MISSING = "sessions_missing"  # Accepts that begin no session, although accounting is heard
    NO_ACCOUNTING = "no_accounting"  # it may be meant so

    @property
    def costs_logins(self) -> bool:
        """Whether customers stay outside because of it."""
        return self is not ProblemKind.NO_ACCOUNTING


class RouterProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of one router, over all slots of a node."""

    kind: ProblemKind
    nas: str
    source_address: str
    nas_identifier: str
    is_trusted_at_times: bool  # others of its requests were answered
    count: int  # datagrams that do not fit, or were dropped; unreadable passwords; else Accepts without a Start
    resent: int = 0
    unreadable_passwords: int = 0  # by PAP; 0: it was not inferred from passwords
    accounting_bad_authenticators: int = 0
    last_at_s: float

    @property
    def spoils_passwords(self) -> bool:
        """Whether it makes right passwords look wrong: PAP is hidden with the shared secret."""
        return self.unreadable_passwords > 0 or self.kind is ProblemKind.WRONG_SECRET


def find_router_problems(routers: Iterable[RouterFacts], now_s: float) -> list[RouterProblem]:
    """Return what is wrong now: the kinds in their order, of each the highest counts first."""
    merged: dict[tuple[str, str, str, bool], RouterFacts] = {}
    for router in routers:
        key = (router.nas, router.source_address, router.nas_identifier, router.proven)
        merged[key] = together(merged[key], router) if key in merged else router
    found = [problem for router in merged.values() if (problem := _problem(router, now_s)) is not None]
    kinds = list(ProblemKind)
    found.sort(key=lambda problem: (kinds.index(problem.kind), -problem.count))
    seen: dict[ProblemKind, int] = {}
    shown = []
    for problem in found:
        seen[problem.kind] = seen.get(problem.kind, 0) + 1
        if seen[problem.kind] <= PROBLEMS_MAX:
            shown.append(problem)
    return shown


def _problem(router: RouterFacts, now_s: float) -> RouterProblem | None:
    """Return the one problem that explains the others."""
    # A kept router is heard only by what proves its secret; of a mere address it says nothing.
    proven_at_s = max(router.proven_at_s, router.last_heard_s if router.proven else 0.0)

    def is_current(at_s: float) -> bool:
        is_unsolved = at_s > proven_at_s and now_s - at_s < _FORGOTTEN_S
        return at_s > 0 and (is_unsolved or now_s - at_s < _SIDE_BY_SIDE_S)

    def problem(kind: ProblemKind, count: int, at_s: float, resent: int = 0, unreadable: int = 0) -> RouterProblem:
        return RouterProblem(
            kind=kind,
            nas=router.nas,
            source_address=router.source_address,
            nas_identifier=router.nas_identifier,
            is_trusted_at_times=proven_at_s > 0,
            count=count,
            resent=resent,
            unreadable_passwords=unreadable,
            accounting_bad_authenticators=router.accounting_bad_authenticators,
            last_at_s=at_s,
        )

    if router.armed and router.unsigned_dropped and is_current(router.unsigned_dropped_at_s):
        return problem(ProblemKind.UNSIGNED, router.unsigned_dropped, router.unsigned_dropped_at_s)
    if router.bad_authenticators and is_current(router.bad_authenticators_at_s):
        return problem(ProblemKind.WRONG_SECRET, router.bad_authenticators, router.bad_authenticators_at_s)
    is_doubted = router.doubted_at_s > proven_at_s and is_current(router.doubted_at_s)
    if router.unreadable_passwords and is_doubted:
        count = router.unreadable_passwords
        return problem(ProblemKind.SECRET_SEEMS_WRONG, count, router.doubted_at_s, unreadable=count)
    if router.doubted_accepts >= _ACCEPTS_MIN and is_doubted:
        is_unread = router.doubted_resent >= router.doubted_accepts or router.accounting_bad_authenticators > 0
        if is_unread:
            return problem(
                ProblemKind.SECRET_SEEMS_WRONG, router.doubted_accepts, router.doubted_at_s, router.doubted_resent
            )
    if router.accounting_bad_authenticators and is_current(router.bad_authenticators_at_s):
        return problem(ProblemKind.WRONG_SECRET, router.accounting_bad_authenticators, router.bad_authenticators_at_s)
    without_start = router.accepts_without_start - router.starts_unmatched
    if now_s - router.without_start_at_s < _FORGOTTEN_S:
        if not router.accounting_heard and without_start >= _ACCEPTS_MIN:
            return problem(ProblemKind.NO_ACCOUNTING, without_start, router.without_start_at_s)
        if without_start >= _SESSIONS_MISSING_MIN and 2 * without_start >= router.granted:
            return problem(ProblemKind.SESSIONS_MISSING, without_start, router.without_start_at_s)
    return None
