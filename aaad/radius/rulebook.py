"""The small tables, made ready for the request path: plans, parameters, administrators, and replies in templates.

Pure: the offset of a zone is asked of a function that it is given. What did not change since the last load stays as
it is compiled. A plan that cannot be encoded is told of and left out: it refuses only who has it (rule R3.1).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aaad.policy.codes import GrantState, Reason, SpeedPhase
from aaad.policy.decide import standing
from aaad.policy.facts import LoginFacts, PlanFacts, Speed
from aaad.policy.grant import Grant
from aaad.policy.parameters import GENERAL, BranchPolicy, compile_policies, parameter_problems
from aaad.radius.kinds import NasKind, kind_of
from aaad.radius.pool_book import (
    NO_BOOK,
    PLAIN_NAS,
    NasPools,
    PoolBook,
    PoolNames,
    of_blocked,
    of_branch,
    of_nas,
    of_plan,
    terms_of,
)
from aaad.radius.reply import ReplyTemplate, blocked_state_problem, compile_reply
from aaad.replica.record import AdministratorRow, BranchRow, ParameterRow, PoolRow, Tables

TEMPLATES_MAX = 8_192
_HOUR_S = 3_600


class _Sources(NamedTuple):
    """What templates and policies are made from."""

    plans: list[PlanFacts]
    parameters: list[ParameterRow]
    branches: list[BranchRow]
    kinds: frozenset[str]
    pools: list[PoolRow]
    nas_pools: frozenset[NasPools]


class Rulebook:
    """What is granted by which rules, and how it is said. One thread only."""

    def __init__(self, utc_offset_s: Callable[[str, float], int]) -> None:
        """Know nothing yet. `utc_offset_s` tells a zone's offset at an instant; ValueError for no zone."""
        self._utc_offset_s = utc_offset_s
        self._sources = _Sources([], [], [], frozenset(), [], frozenset())
        self._problems: list[str] = []
        self._hour = 0
        self._administrators: dict[bytes, list[AdministratorRow]] = {}
        self._templates: dict[tuple[object, ...], ReplyTemplate] = {}
        self.book = NO_BOOK
        self.plans: dict[int, PlanFacts] = {}
        self.general = BranchPolicy(GENERAL)
        self.policies: dict[int, BranchPolicy] = {}  # of each branch; for any other `general`

    def load(self, tables: Tables, now_s: float) -> list[str]:
        """Take over new tables. Returns what could not be taken over, in words."""
        administrators: dict[bytes, list[AdministratorRow]] = {}
        for row in tables.administrators:
            administrators.setdefault(row.name, []).append(row)
        self._administrators = administrators
        kinds = frozenset(row.kind for row in tables.nases)
        nas_pools = frozenset(of_nas(row) or PLAIN_NAS for row in tables.nases)
        sources = _Sources(tables.plans, tables.parameters, tables.branches, kinds, tables.pools, nas_pools)
        if sources != self._sources:
            self._sources = sources
            self._problems = []
            self.book = PoolBook(tables.pools)
            self.plans = dict(self._usable(tables.plans, kinds))
            self._compile_policies(now_s)
            self._problems += parameter_problems(tables.parameters)
            self._problems += self._blocked_state_problems(kinds)
            self._problems += self._pool_problems(nas_pools)
        return list(self._problems)

    def keep_time(self, now_s: float) -> None:
        """Now and then: the zones' offsets change with the hour, if they do."""
        if int(now_s // _HOUR_S) != self._hour:
            self._compile_policies(now_s)

    def policy(self, branch_id: int) -> BranchPolicy:
        """Return a branch's policy, the general one for a branch that nobody knows."""
        return self.policies.get(branch_id, self.general)

    def administrator(self, name: bytes, nas_id: int) -> AdministratorRow | None:
        """Return the router administrator of this folded name at a NAS; who is one of it alone goes first."""
        rows = self._administrators.get(name, [])
        fitting = [row for row in rows if row.nas_id in (nas_id, 0)]
        return max(fitting, key=lambda row: row.nas_id, default=None)

    def template(self, kind: NasKind, grant: Grant, at: NasPools | None = None, terms: str = "") -> ReplyTemplate:
        """Return what a grant's reply is made from; ValueError or OverflowError if it cannot be encoded.

        Args:
            kind: of concentrator.
            grant: what is granted.
            at: what the NAS says of its customers' addresses; None: nothing, and it is in the first address space.
            terms: of kind and pools together (`terms_of`), from who has it at hand.
        """
        plan, _, state, phase, _, _, extras, policy, _ = grant
        key = (plan.plan_id, state, phase, policy.branch_id, extras is None, terms or terms_of(kind, at))
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= TEMPLATES_MAX:
                self._templates.clear()
            found = self._templates[key] = compile_reply(kind, grant, self.book, at or PLAIN_NAS)
        return found

    def is_current(self, grant: Grant) -> bool:
        """Tell whether a grant was made by the rules that hold now."""
        plan, policy = grant.plan, grant.policy
        return self.plans.get(plan.plan_id) is plan and self.policy(policy.branch_id) is policy

    def _usable(self, plans: Iterable[PlanFacts], kinds: Iterable[str]) -> Iterable[tuple[int, PlanFacts]]:
        """Go through the plans whose every speed can be said to the kinds of concentrators that there are."""
        used = [kind_of(name) for name in sorted(kinds)]
        for plan in plans:
            try:
                for speed in _speeds(plan):
                    for kind in used:
                        compile_reply(kind, _plain_grant(plan, speed))
            except (ValueError, OverflowError) as error:
                self._problems.append(f"plan {plan.plan_id}: {error}")
            else:
                yield plan.plan_id, plan

    def _blocked_state_problems(self, kinds: Iterable[str]) -> list[str]:
        """Tell where the blocked state is not whole (rule R4.3): once for each kind, with the branches."""
        branches: dict[tuple[str, str], list[str]] = {}
        for kind in [kind_of(name) for name in sorted(kinds)]:
            for branch_id, policy in self.policies.items():
                problem = blocked_state_problem(kind, policy)
                if problem and (branch_id != GENERAL or len(self.policies) == 1):
                    branches.setdefault((kind.name, problem), []).append(str(branch_id))
        return [
            f"blocked state at {kind} of branches {', '.join(numbers)}: {problem}"
            for (kind, problem), numbers in branches.items()
        ]

    def _pool_problems(self, nas_pools: Iterable[NasPools]) -> list[str]:
        """Tell which names cannot stand for the pool of ours that they mean, once for each problem."""
        if self.book.is_empty:
            return []
        plans = {of_plan(plan) for plan in self.plans.values()}
        branches = {names(policy) for policy in self.policies.values() for names in (of_branch, of_blocked)}
        named: set[tuple[int, PoolNames]] = set()
        for at in nas_pools:
            named.update((at.address_space, names) for names in {at.names} | plans | branches)
        return sorted({problem for space, names in named for problem in self.book.problems(space, names)})

    def _compile_policies(self, now_s: float) -> None:
        self._hour = int(now_s // _HOUR_S)
        offsets = {}
        for branch in self._sources.branches:
            try:
                offsets[branch.branch_id] = self._utc_offset_s(branch.time_zone, now_s)
            except ValueError as error:
                self._tell(f"branch {branch.branch_id}: {error}")
        self.policies = compile_policies(self._sources.parameters, offsets)
        self.general = self.policies[GENERAL]
        self._templates.clear()

    def _tell(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)


def reason_unsaid(login: LoginFacts, grant: Grant, now_s: float) -> Reason:
    """Return why a grant that cannot be said is a refusal: of who is blocked, what he is blocked for.

    Of anybody else it is a damaged row of this login alone, since what is written is checked (rule R3.1).
    """
    reason = standing(login, grant.policy, now_s) if grant.state == GrantState.BLOCKED else Reason.RECORD_DAMAGED
    return Reason.RECORD_DAMAGED if reason.is_grant else reason


def _speeds(plan: PlanFacts) -> list[Speed | None]:
    """Return every speed that a plan names."""
    phases = (phase.speed for phase in (plan.reduced, plan.turbo) if phase is not None)
    return [plan.speed, *(speed for speed in phases if speed is not None)]


def _plain_grant(plan: PlanFacts, speed: Speed | None) -> Grant:
    return Grant(plan, speed, GrantState.FULL, SpeedPhase.NORMAL, 0, 0, None, BranchPolicy(GENERAL))
