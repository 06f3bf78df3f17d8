"""What follows from a report, case by case (rules R7.1, R7.3)."""

import pytest

from aaad.pools.reported import Action, Finding, Report, Verdict, judge

BIND, MARK, NOTHING = Action.BIND, Action.MARK, Action.NOTHING
SETTLED = {"login_id": 1, "is_settled": True, "in_pool": True}


@pytest.mark.parametrize(
    ("facts", "action", "finding"),
    [
        # Nothing in the ledger.
        ({}, MARK, Finding.NOT_GIVEN),
        ({"login_id": None}, MARK, Finding.NOT_GIVEN),
        ({"is_settled": False}, NOTHING, None),
        ({"is_adopting": True}, BIND, None),
        ({"is_adopting": True, "is_settled": False}, BIND, None),
        ({"is_adopting": True, "login_id": None}, MARK, Finding.NOT_GIVEN),
        ({"is_of_its_reserve": True}, BIND, None),
        ({"in_pool": False}, NOTHING, Finding.OTHER_ADDRESS),
        ({"in_pool": False, "is_settled": False}, NOTHING, None),
        # Its own, by the ledger.
        ({"state": "bound", "holder_id": 1}, NOTHING, None),
        ({"state": "fixed", "holder_id": 1}, NOTHING, None),
        ({"state": "released", "holder_id": 1}, BIND, None),
        ({"state": "released", "holder_id": 1, "is_settled": False}, BIND, None),
        ({"state": "foreign", "holder_id": 1}, NOTHING, Finding.NOT_GIVEN),
        ({"state": "foreign", "holder_id": 1, "is_adopting": True}, BIND, None),
        # Another's.
        ({"state": "fixed", "holder_id": 2}, NOTHING, Finding.OF_ANOTHER),
        ({"state": "fixed", "holder_id": 2, "is_adopting": True}, NOTHING, Finding.OF_ANOTHER),
        ({"state": "bound", "holder_id": 2, "holder_lives": True}, NOTHING, Finding.OF_ANOTHER),
        ({"state": "bound", "holder_id": 2, "holder_lives": True, "is_adopting": True}, NOTHING, Finding.OF_ANOTHER),
        ({"state": "bound", "holder_id": 2}, MARK, Finding.NOT_GIVEN),
        ({"state": "bound", "holder_id": 2, "is_adopting": True}, BIND, None),
        ({"state": "bound", "holder_id": 2, "is_settled": False}, NOTHING, None),
        ({"state": "released", "holder_id": 2}, MARK, Finding.NOT_GIVEN),
        ({"state": "released", "holder_id": None}, MARK, Finding.NOT_GIVEN),
        ({"state": "released", "holder_id": 2, "is_adopting": True}, BIND, None),
        ({"state": "released", "holder_id": None, "login_id": None}, MARK, Finding.NOT_GIVEN),
        ({"state": "foreign", "holder_id": 2}, MARK, Finding.NOT_GIVEN),
        ({"state": "foreign", "holder_id": 2, "holder_lives": True}, NOTHING, Finding.TWICE),
        ({"state": "foreign", "holder_id": None, "login_id": None}, NOTHING, Finding.NOT_GIVEN),
    ],
)
def test_what_is_done_and_what_is_found(facts: dict, action: Action, finding: Finding | None) -> None:
    assert judge(Report(**(SETTLED | facts))) == Verdict(action, finding)


def test_r7_3_a_session_older_than_the_pool_begins_its_adoption() -> None:
    assert judge(Report(**SETTLED, lived_before=True)) == Verdict(BIND, adopts=True)
    assert judge(Report(**SETTLED, lived_before=True, is_adopting=True)) == Verdict(BIND)
    unknown = Report(**(SETTLED | {"login_id": None}), lived_before=True)
    assert judge(unknown) == Verdict(MARK, Finding.NOT_GIVEN, adopts=True)
