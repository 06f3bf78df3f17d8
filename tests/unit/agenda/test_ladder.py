"""The ladder as tables: contract, titles, notices, switches and calendar, and what is due then."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from aaad.agenda.ladder import (
    ANATEL,
    Action,
    Contract,
    Day,
    Since,
    Step,
    Title,
    Verdict,
    Why,
    judge,
    still_blocks,
    titles_of,
    warnings,
)
from aaad.agenda.terms import BrakeTerms, BranchTerms, Values
from aaad.agenda.workdays import Workdays, day_number

ZONE_S = -10_800
TODAY = day_number(date(2026, 11, 24))  # a Tuesday
TEN_O_CLOCK_S = TODAY * 86_400 - ZONE_S + 36_000.0
FREE = frozenset({"friday", "saturday", "sunday", "holiday", "holiday_eve"})
BY_NOTICE_DEFAULT = BranchTerms()
NO_NOTICE = BranchTerms(require_notice=False)


def days_ago_s(days: int) -> float:
    return TEN_O_CLOCK_S - days * 86_400


def day(terms: BranchTerms = BY_NOTICE_DEFAULT, now_s: float = TEN_O_CLOCK_S, free: frozenset[str] = FREE) -> Day:
    return Day(now_s, terms, Workdays(ZONE_S, free))


def contract(*late: int, notices: tuple[int, ...] = (), **more: Any) -> Contract:
    """Contract 1, its titles late for so many days, noticed so many days ago."""
    titles = tuple(Title(TODAY - days, 1) for days in late)
    known: dict[str, Any] = {"titles": titles, "notices_s": tuple(days_ago_s(days) for days in notices)}
    return Contract(1, **{**known, **more})


def only(action: Action, found: list[Verdict]) -> Verdict | None:
    chosen = [verdict for verdict in found if verdict.action is action]
    assert len(chosen) <= 1
    return chosen[0] if chosen else None


def why(action: Action, one: Contract, at: Day, steps: tuple[Step, ...] = ANATEL) -> Why | None:
    found = only(action, judge(one, steps, at))
    return found.why if found else None


# --- notice ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (contract(), None),  # nothing open
        (contract(0), None),  # due today is not late
        (contract(-3), None),
        (contract(4), Why.NOT_YET),
        (contract(5), Why.DUE),
        (contract(5, notice_days=10), Why.NOT_YET),
        (contract(2, notice_days=2), Why.DUE),
        (contract(9, notices=(2,)), None),  # told
        (contract(9, notices=(20,)), Why.DUE),  # told of an older debt
        (contract(9, access_status="FA"), Why.DUE),  # FA by somebody who left no notice
        (contract(9, access_status="CM"), None),
        (contract(9, access_status="CA"), None),
        (contract(9, notice_automatically=False), Why.SWITCHED_OFF),
        (contract(9, do_not_notice_until_day=TODAY), Why.PUT_OFF),
        (contract(9, do_not_notice_until_day=TODAY - 1), Why.DUE),
        (contract(9, is_on_trust=True), Why.ON_TRUST),
        (contract(9, is_forced=True), Why.FORCED),
        (contract(9, is_suspended=True), Why.SUSPENDED),
    ],
)
def test_when_notice_is_given(one: Contract, expected: Why | None) -> None:
    assert why(Action.NOTIFY, one, day()) is expected


def test_several_notices_each_on_its_day() -> None:
    steps = (Step(Action.NOTIFY, days=3), Step(Action.NOTIFY, days=10))
    at_once = judge(contract(12), steps, day())
    assert [verdict.why for verdict in at_once] == [Why.DUE, Why.DUE]
    after_first = judge(contract(12, notices=(9,)), steps, day())
    assert [(verdict.days, verdict.why) for verdict in after_first] == [(10, Why.DUE)]
    assert judge(contract(12, notices=(9, 2)), steps, day()) == []


# --- block ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (contract(0), None),
        (contract(40), Why.NOTICE_MISSING),  # the clock runs from the notice
        (contract(40, notices=(14,)), Why.NOTICE_YOUNG),
        (contract(40, notices=(15,)), Why.DUE),
        (contract(40, notices=(30, 1)), Why.DUE),  # the first one counts
        (contract(40, notices=(41,)), Why.NOTICE_MISSING),  # of another debt
        (contract(20, notices=(15,)), Why.DUE),
        (contract(20, notices=(15,), block_days=30), Why.NOT_YET),  # the later of both
        (contract(20, notices=(15,), access_status="FA"), Why.DUE),
        (contract(40, notices=(30,), access_status="CA"), None),
        (contract(40, notices=(30,), access_status="CM"), None),
        (contract(40, notices=(30,), access_status="AA"), None),
        (contract(40, notices=(30,), block_automatically=False), Why.SWITCHED_OFF),
        (contract(40, notices=(30,), do_not_block_until_day=TODAY), Why.PUT_OFF),
        (contract(40, notices=(30,), do_not_block_until_day=TODAY - 1), Why.DUE),
        (contract(40, notices=(30,), is_forced=True), Why.FORCED),
        (contract(40, notices=(30,), is_suspended=True), Why.SUSPENDED),
        (contract(40, notices=(30,), unblocked_at_s=TEN_O_CLOCK_S - 60), Why.UNBLOCKED_TODAY),
        (contract(40, notices=(30,), unblocked_at_s=days_ago_s(1)), Why.DUE),
    ],
)
def test_when_it_blocks(one: Contract, expected: Why | None) -> None:
    assert why(Action.BLOCK, one, day()) is expected


def test_r4_2_a_trust_unlock_stops_the_ladder() -> None:
    assert why(Action.BLOCK, contract(40, notices=(30,), is_on_trust=True), day()) is Why.ON_TRUST


@pytest.mark.parametrize(
    ("late", "block_days", "expected"),
    [(14, 15, Why.NOT_YET), (15, 15, Why.DUE), (1, 0, Why.DUE), (1, 1, Why.DUE), (400, 365, Why.DUE)],
)
def test_without_notice_the_billing_types_days_alone_count(late: int, block_days: int, expected: Why) -> None:
    assert why(Action.BLOCK, contract(late, block_days=block_days), day(NO_NOTICE)) is expected


@pytest.mark.parametrize(
    ("late", "of_renegotiation", "expected"), [(4, True, Why.DUE), (2, True, Why.NOT_YET), (4, False, Why.NOT_YET)]
)
def test_titles_of_a_renegotiation_have_days_of_their_own(late: int, of_renegotiation: bool, expected: Why) -> None:
    one = contract(titles=(Title(TODAY - late, 1, of_renegotiation=of_renegotiation),), block_renegotiated_days=3)
    assert why(Action.BLOCK, one, day(NO_NOTICE)) is expected


def test_the_title_that_blocks_first_decides() -> None:
    titles = (Title(TODAY - 10, 1), Title(TODAY - 4, 1, of_renegotiation=True))
    found = only(Action.BLOCK, judge(contract(titles=titles, block_renegotiated_days=3), ANATEL, day(NO_NOTICE)))
    assert found is not None
    assert (found.why, found.due_day, found.days) == (Why.DUE, TODAY - 4, 3)


@dataclass
class Moment:
    text: str
    now_s: float
    expected: Why
    free: frozenset[str] = field(default=FREE)


@pytest.mark.parametrize(
    "moment",
    [
        Moment("Tuesday 10:00", TEN_O_CLOCK_S, Why.DUE),
        Moment("Tuesday 07:00", TEN_O_CLOCK_S - 3 * 3600, Why.CLOSED_HOURS),
        Moment("Tuesday 18:00", TEN_O_CLOCK_S + 8 * 3600, Why.CLOSED_HOURS),
        Moment("Friday 10:00", TEN_O_CLOCK_S + 3 * 86_400, Why.CLOSED_DAY),
        Moment("Friday 10:00, where Fridays are days as any", TEN_O_CLOCK_S + 3 * 86_400, Why.DUE, frozenset()),
        Moment("25 December", TEN_O_CLOCK_S + 31 * 86_400, Why.HOLIDAY, frozenset({"holiday"})),
        Moment("24 December", TEN_O_CLOCK_S + 30 * 86_400, Why.HOLIDAY_EVE, frozenset({"holiday_eve"})),
    ],
    ids=lambda moment: moment.text,
)
def test_r8_6_blocks_wait_for_the_hours_and_days(moment: Moment) -> None:
    at = day(now_s=moment.now_s, free=moment.free)
    found = only(Action.BLOCK, judge(contract(40, notices=(30,)), ANATEL, at))
    assert found is not None
    assert found.why is moment.expected
    if found.why is not Why.DUE:
        assert found.at_s is not None
        assert found.at_s > moment.now_s
        assert at.workdays.closed(found.at_s) is None


def test_r8_6_notices_do_not_wait_for_the_hours() -> None:
    assert why(Action.NOTIFY, contract(6), day(now_s=TEN_O_CLOCK_S - 5 * 3600)) is Why.DUE


def test_what_waits_says_until_when() -> None:
    found = only(Action.BLOCK, judge(contract(40, notices=(14,)), ANATEL, day()))
    assert found is not None
    assert (found.why, found.at_s) == (Why.NOTICE_YOUNG, TEN_O_CLOCK_S + 86_400)


@pytest.mark.parametrize(
    ("told_hour", "now_hour", "expected", "at_hour"),
    [(23, 10, Why.NOTICE_YOUNG, 24 + 8), (15, 10, Why.NOTICE_YOUNG, 15), (15, 16, Why.DUE, 15), (8, 10, Why.DUE, 8)],
)
def test_days_from_the_notice_are_whole_ones(told_hour: int, now_hour: int, expected: Why, at_hour: int) -> None:
    midnight_s = TEN_O_CLOCK_S - 36_000
    told_s = midnight_s - 15 * 86_400 + told_hour * 3600
    at = day(now_s=midnight_s + now_hour * 3600)
    found = only(Action.BLOCK, judge(contract(40, notices_s=(told_s,)), ANATEL, at))
    assert found is not None
    assert (found.why, found.at_s) == (expected, midnight_s + at_hour * 3600)


# --- other steps, other ladders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (contract(100, access_status="CA", blocked_at_s=days_ago_s(59)), Why.NOT_YET),
        (contract(100, access_status="CA", blocked_at_s=days_ago_s(60)), Why.DUE),
        (contract(100, access_status="CA"), None),  # since when is not known
        (contract(100, access_status="CM", blocked_at_s=days_ago_s(60)), None),
        (contract(access_status="CA", blocked_at_s=days_ago_s(60)), None),  # it owes nothing
    ],
)
def test_termination_is_proposed_after_60_days_of_block(one: Contract, expected: Why | None) -> None:
    assert why(Action.PROPOSE_TERMINATION, one, day()) is expected


OLD_RULE = (
    Step(Action.NOTIFY, days=5),
    Step(Action.REDUCE, Since.NOTICE, 15),
    Step(Action.BLOCK, Since.NOTICE, 45),
)


@pytest.mark.parametrize(
    ("one", "reduce", "block"),
    [
        (contract(60), Why.NOTICE_MISSING, Why.NOTICE_MISSING),
        (contract(60, notices=(14,)), Why.NOT_YET, Why.NOTICE_YOUNG),
        (contract(60, notices=(15,)), Why.DUE, Why.NOTICE_YOUNG),
        (contract(60, notices=(45,)), Why.DUE, Why.DUE),
        (contract(60, notices=(45,), is_reduced=True), None, Why.DUE),
        (contract(60, notices=(45,), late_speed=False), Why.SWITCHED_OFF, Why.DUE),
        (contract(60, notices=(45,), not_reduced_until_day=TODAY), Why.PUT_OFF, Why.DUE),
    ],
)
def test_a_ladder_of_another_rule(one: Contract, reduce: Why | None, block: Why) -> None:
    young = {Why.NOTICE_YOUNG: Why.NOT_YET}  # both say the same here: the notice is too young
    found = judge(one, OLD_RULE, day())
    reduced, blocked = only(Action.REDUCE, found), only(Action.BLOCK, found)
    told = reduced.why if reduced else None
    assert (young.get(told, told) if told else None, blocked.why if blocked else None) == (reduce, block)


@pytest.mark.parametrize(
    ("terms", "is_warned"),
    [
        (BranchTerms(), False),
        (BranchTerms(days_after_notice=14), True),
        (BranchTerms(days_after_notice=0), True),
        (BranchTerms(days_after_notice=30), False),
        (BranchTerms(require_notice=False), True),
    ],
)
def test_fewer_days_than_anatels_are_warned_of(terms: BranchTerms, is_warned: bool) -> None:
    assert bool(warnings(ANATEL, terms)) is is_warned
    assert warnings((Step(Action.NOTIFY),), terms) == [], "it does not block"


# --- titles of the client, blocks of the contract -------------------------------------------------------------------

OWN, OWN_SINGLE = Title(TODAY - 40, 1), Title(TODAY - 40, 1, is_single=True)
OF_ANOTHER, OF_CLIENT = Title(TODAY - 40, 2), Title(TODAY - 40, None, is_single=True)


@pytest.mark.parametrize(
    ("title", "counts", "counts_with_singles"),
    [(OWN, True, True), (OWN_SINGLE, False, True), (OF_ANOTHER, False, False), (OF_CLIENT, False, True)],
)
def test_domain_7_3_the_contract_of_the_title_is_blocked(
    title: Title, counts: bool, counts_with_singles: bool
) -> None:
    one = contract(titles=(title,))
    for singles_count, expected in ((False, counts), (True, counts_with_singles)):
        terms = BranchTerms(require_notice=False, singles_count=singles_count)
        assert bool(titles_of(one, one.titles, terms)) is expected
        assert (why(Action.BLOCK, one, day(terms)) is Why.DUE) is expected
        assert still_blocks(one, ANATEL, day(terms)) is expected


@pytest.mark.parametrize(
    ("late", "stays"),
    [((), False), ((0,), False), ((14,), False), ((15,), True), ((40, 3), True)],
)
def test_who_paid_what_he_was_blocked_for_is_not_blocked_for_less(late: tuple[int, ...], stays: bool) -> None:
    assert still_blocks(contract(*late, access_status="CA"), ANATEL, day()) is stays


# --- parameters -----------------------------------------------------------------------------------------------------


class Row:
    def __init__(self, name: str, value: str, branch_id: int = 0) -> None:
        self.name, self.value, self.branch_id = name, value, branch_id


def test_terms_inherit_and_skip_what_is_not_valid() -> None:
    values = Values.of(
        [
            Row("days_after_notice", "10"),
            Row("days_after_notice", "20", 7),
            Row("require_notice", "N"),
            Row("require_notice", "P", 7),
            Row("no_block_days", "", 7),
            Row("block_from_hour", "99"),
            Row("block_brake_percent", "3"),
        ]
    )
    assert values.branch(7) == BranchTerms(False, 20, frozenset(), 8, 18, False)
    assert values.branch(8) == BranchTerms(False, 10, FREE, 8, 18, False)
    assert Values.of([]).branch(1) == BranchTerms()
    assert values.brake() == BrakeTerms(3, 50)


@pytest.mark.parametrize(("active", "allowance"), [(0, 50), (400, 50), (500, 50), (1000, 100), (99_999, 9_999)])
def test_r8_4_the_brakes_allowance(active: int, allowance: int) -> None:
    assert BrakeTerms().allowance(active) == allowance
