"""The brake of orders (rule R8.4)."""

from uuid import UUID

import pytest

from aaad.orders.brake import Judged, Load, brake, is_held, must_hold
from aaad.orders.wish import Wish
from aaad.replica.brake import BrakeLimits

LIMITS = BrakeLimits(share=0.05, minimum_count=50)


def judged(number: int, *, cuts: bool = True, is_exempt: bool = False) -> Judged:
    return Judged(Wish((UUID(int=number), 0), True, "disconnect", "block", cuts), is_exempt)


@pytest.mark.parametrize(
    ("cutting", "others", "exempt", "load", "held"),
    [
        (50, 0, 0, Load(100, 0), False),  # the minimum always passes
        (51, 0, 0, Load(100, 0), True),
        (100, 0, 0, Load(2_000, 0), False),  # 5 %
        (101, 0, 0, Load(2_000, 0), True),
        (1, 0, 0, Load(2_000, 100), True),  # with what the window saw already
        (0, 500, 0, Load(100, 1_000), False),  # what gives back is never held
        (0, 0, 500, Load(100, 1_000), False),
        (1, 0, 500, Load(2_000, 0), False),  # what passed a brake of its own does not count
    ],
)
def test_r8_4_a_share_with_a_minimum_in_a_window(
    cutting: int, others: int, exempt: int, load: Load, held: bool
) -> None:
    batch = [
        *(judged(number) for number in range(cutting)),
        *(judged(number, cuts=False) for number in range(others)),
        *(judged(number, is_exempt=True) for number in range(exempt)),
    ]
    assert must_hold(batch, load, LIMITS) is held


def test_r8_4_of_a_batch_that_is_held_only_what_cuts_waits() -> None:
    batch = [judged(1), judged(2, cuts=False), judged(3, is_exempt=True)]
    assert [is_held(one) for one in batch] == [True, False, False]
    wishes = brake(batch, 7)
    assert [(wish.is_held, wish.run_id) for wish in wishes] == [(True, 7), (False, None), (False, None)]
