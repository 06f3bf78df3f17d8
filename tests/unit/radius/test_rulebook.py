"""The rulebook: what is compiled from the small tables, when it is compiled anew, what is told and left out."""

import pytest
from access_world import NOW_S, login, nas_row

from aaad.policy.codes import AccessStatus, GrantState, Reason, SpeedPhase
from aaad.policy.facts import PhaseFacts, PlanFacts, Speed
from aaad.policy.grant import Grant
from aaad.radius import rulebook
from aaad.radius.kinds import KINDS
from aaad.radius.rulebook import Rulebook, reason_unsaid
from aaad.replica.record import AdministratorRow, BranchRow, ParameterRow, PoolRow, Tables

GOOD = PlanFacts(5, "good", Speed("25M", "50M"), 0, 0, 0)
MIKROTIK = KINDS["mikrotik"]


def tables(**changes: object) -> Tables:
    """Small tables with changes."""
    values: dict[str, object] = {
        "generation": 1,
        "nases": [nas_row()],
        "routers": [],
        "plans": [GOOD],
        "parameters": [],
        "class_key": b"k" * 16,
        "node_number": 3,
        "branches": [BranchRow(1, "America/Sao_Paulo"), BranchRow(2, "America/Manaus")],
        "administrators": [],
    }
    return Tables(**values | changes)


class Zones:
    """Offsets of two zones, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.offsets = {"America/Sao_Paulo": -10_800, "America/Manaus": -14_400}

    def __call__(self, time_zone: str, at_s: float) -> int:
        self.asked += 1
        if time_zone not in self.offsets:
            raise ValueError(f"there is no time zone {time_zone!r}")
        return self.offsets[time_zone]


def loaded(**changes: object) -> Rulebook:
    rules = Rulebook(Zones())
    assert rules.load(tables(**changes), NOW_S) == []
    return rules


def granted(rules: Rulebook, branch_id: int = 1, **changes: object) -> Grant:
    plan = rules.plans[5]
    policy = rules.policy(branch_id)
    return Grant(plan, plan.speed, GrantState.FULL, SpeedPhase.NORMAL, 0, 0, None, policy)._replace(**changes)


BAD_SPEED = Speed("25G", "50M")
BAD = {
    "a number": GOOD._replace(plan_id=6, session_timeout_s=2**32),
    "its speed": GOOD._replace(plan_id=6, speed=BAD_SPEED),
    "its reduced speed": GOOD._replace(plan_id=6, reduced=PhaseFacts(1, BAD_SPEED, 0)),
    "its turbo speed": GOOD._replace(plan_id=6, turbo=PhaseFacts(1, BAD_SPEED, 0)),
    "a name": GOOD._replace(plan_id=6, ipv4_pool="x" * 254),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_r3_1_a_plan_that_cannot_be_said_is_told_and_left_out(bad: PlanFacts) -> None:
    rules = Rulebook(Zones())
    (problem,) = rules.load(tables(plans=[bad, GOOD]), NOW_S)
    assert problem.startswith("plan 6: ")
    assert rules.plans == {5: GOOD}
    assert rules.load(tables(plans=[bad, GOOD]), NOW_S) == [problem]
    assert rules.load(tables(), NOW_S) == []


def test_a_branchs_policy_has_its_zone_and_an_unknown_branch_the_general_one() -> None:
    rules = loaded(parameters=[ParameterRow("ipv4_pool", 0, "all"), ParameterRow("ipv4_pool", 2, "north")])
    assert (rules.policy(1).utc_offset_s, rules.policy(1).ipv4_pool) == (-10_800, "all")
    assert (rules.policy(2).utc_offset_s, rules.policy(2).ipv4_pool) == (-14_400, "north")
    assert rules.policy(77) is rules.general


def test_a_branch_in_no_zone_is_told_once_and_keeps_a_policy() -> None:
    rules = Rulebook(Zones())
    (problem,) = rules.load(tables(branches=[BranchRow(1, "Atlantis")]), NOW_S)
    assert "Atlantis" in problem
    rules.keep_time(NOW_S + 3600)
    assert rules.load(tables(branches=[BranchRow(1, "Atlantis")]), NOW_S) == [problem]
    assert rules.policy(1).branch_id in (0, 1)


def test_offsets_are_asked_for_again_when_the_hour_has_passed() -> None:
    zones = Zones()
    rules = Rulebook(zones)
    rules.load(tables(), NOW_S)
    rules.keep_time(NOW_S + 1)
    assert zones.asked == 2
    zones.offsets["America/Sao_Paulo"] = -7_200
    rules.keep_time(NOW_S + 3600)
    assert rules.policy(1).utc_offset_s == -7_200


def test_templates_are_compiled_once_and_anew_after_a_change_only() -> None:
    rules = loaded()
    first = rules.template(MIKROTIK, granted(rules))
    assert rules.template(MIKROTIK, granted(rules)) is first
    rules.load(tables(generation=2), NOW_S)
    assert rules.template(MIKROTIK, granted(rules)) is first
    rules.load(tables(plans=[GOOD._replace(speed=Speed("1M", "2M"))]), NOW_S)
    assert b"1M/2M" in rules.template(MIKROTIK, granted(rules)).other


def test_what_a_template_depends_on_has_a_template_of_its_own() -> None:
    rules = loaded(parameters=[ParameterRow("notice_address_list", 2, "north")])
    plain = granted(rules)
    variants = {
        rules.template(kind, grant)
        for kind, grant in (
            (MIKROTIK, plain),
            (KINDS["accel_ppp"], plain),
            (MIKROTIK, plain._replace(phase=SpeedPhase.TURBO, speed=Speed("9M", "9M"))),
            (MIKROTIK, granted(rules, 2, state=GrantState.NOTICE)),
        )
    }
    assert len(variants) == 4


def test_templates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "TEMPLATES_MAX", 3)
    plans = [GOOD._replace(plan_id=number) for number in range(1, 20)]
    rules = loaded(plans=plans)
    for plan in plans:
        grant = Grant(plan, plan.speed, GrantState.FULL, SpeedPhase.NORMAL, 0, 0, None, rules.general)
        rules.template(MIKROTIK, grant)
        assert len(rules._templates) <= 3


def test_a_grant_is_current_until_its_plan_or_policy_changes() -> None:
    rules = loaded()
    grant = granted(rules)
    assert rules.is_current(grant)
    rules.load(tables(generation=2), NOW_S)
    assert rules.is_current(grant)
    rules.load(tables(parameters=[ParameterRow("ipv4_pool", 0, "all")]), NOW_S)
    assert not rules.is_current(grant)


def test_administrators_of_one_nas_go_before_those_of_all() -> None:
    everywhere = AdministratorRow(1, b"root", b"a", b"h" * 16, "full", 0)
    here = AdministratorRow(2, b"root", b"b", b"h" * 16, "read", 1)
    rules = loaded(administrators=[everywhere, here])
    assert rules.administrator(b"root", 1) is here
    assert rules.administrator(b"root", 2) is everywhere
    assert rules.administrator(b"alice", 1) is None
    assert rules.load(tables(administrators=[here]), NOW_S) == []
    assert rules.administrator(b"root", 2) is None


@pytest.mark.parametrize(
    ("access", "state", "reason"),
    [
        (AccessStatus.BLOCKED_MANUALLY, GrantState.BLOCKED, Reason.BLOCKED_MANUALLY),
        (AccessStatus.ACTIVE, GrantState.BLOCKED, Reason.RECORD_DAMAGED),  # let in again meanwhile
        (AccessStatus.BLOCKED_MANUALLY, GrantState.FULL, Reason.RECORD_DAMAGED),
    ],
)
def test_r3_1_a_grant_that_cannot_be_said_is_never_told_as_one(
    access: AccessStatus, state: GrantState, reason: Reason
) -> None:
    grant = granted(loaded(), state=state)
    assert reason_unsaid(login(access_status=access), grant, NOW_S) is reason


BLOCKED_STATES = {
    "a rate alone": (
        "mikrotik",
        {},
        "who is blocked is refused, as blocked_ipv4_pool or blocked_address_list is not",
    ),
    "a list that this kind does not know": (
        "cisco",
        {"blocked_address_list": "b"},
        "as blocked_ipv4_pool is not set",
    ),
    "nothing for IPv6": ("mikrotik", {"blocked_address_list": "b"}, "set blocked_group, or blocked_ipv6_pool and"),
    "a profile that this kind does not know": (
        "accel_ppp",
        {"blocked_ipv4_pool": "b", "blocked_group": "g"},
        "nothing holds the IPv6 of who is blocked: set blocked_ipv6_pool and blocked_delegated_ipv6_pool",
    ),
    "whole by profile": ("mikrotik", {"blocked_address_list": "b", "blocked_group": "g"}, ""),
    "whole by pools": ("juniper", {"blocked_ipv4_pool": "b", "blocked_ipv6_pool": "six"}, ""),
}


@pytest.mark.parametrize(("kind", "values", "words"), BLOCKED_STATES.values(), ids=BLOCKED_STATES.keys())
def test_r4_3_a_blocked_state_that_is_not_whole_is_told_with_what_to_set(
    kind: str, values: dict[str, str], words: str
) -> None:
    parameters = [ParameterRow(name, 2, value) for name, value in {"blocked_state": "S", **values}.items()]
    problems = Rulebook(Zones()).load(tables(nases=[nas_row(kind=kind)], parameters=parameters), NOW_S)
    assert len(problems) == bool(words)
    for problem in problems:
        assert problem.startswith(f"blocked state at {kind} of branches 2: ")
        assert words in problem


def test_r4_3_a_blocked_pool_that_cannot_be_named_is_no_block_without_a_list() -> None:
    retired = PoolRow(9, 1, "debtors", "radius", "ipv4", 32, "retired", False, 3600, 64, 0, 0, 0)
    for lists, is_said in (({}, False), ({"blocked_address_list": "b"}, True)):
        parameters = {"blocked_state": "S", "blocked_ipv4_pool": "debtors", "blocked_group": "g", **lists}
        rules = Rulebook(Zones())
        rows = [ParameterRow(name, 0, value) for name, value in parameters.items()]
        assert rules.load(tables(parameters=rows, pools=[retired]), NOW_S) == [
            "pool debtors is retired and still named"
        ]
        blocked = granted(rules, state=GrantState.BLOCKED)
        if is_said:
            assert rules.template(MIKROTIK, blocked).pools is None
        else:
            with pytest.raises(ValueError, match="cannot be named"):
                rules.template(MIKROTIK, blocked)
