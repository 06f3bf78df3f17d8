"""The brake of orders (rule R8.4): how many customers orders may cut in one window, whatever they come from.

Pure. It is the brake of rule R1.3 for what goes on already: a share of the sessions that live, but always a minimum.
What gives service back is never held, nor what passed a brake of its own: a run of the agenda, a hold that an
operator accepted. Of a batch that is too much all that cuts is held: nobody is cut for standing first in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from aaad.orders.wish import Wish
from aaad.replica.brake import BrakeLimits, is_over


class Judged(NamedTuple):
    """A wish, and whether its cause passed a brake of its own."""

    wish: Wish
    is_exempt: bool
    held_run: int | None = (
        None  # what was wished of that session is held in it, and nobody changed the customer since
    )


class Load(NamedTuple):
    """What the brake counts."""

    live_count: int  # sessions that go on
    recent_count: int  # orders of the window that cut


def is_held(judged: Judged) -> bool:
    """Whether the brake holds this one, if it holds anything."""
    return judged.wish.is_cutting and not judged.is_exempt


def is_counted(judged: Judged) -> bool:
    """Whether it adds to what is cut: another cut in the place of a held one stays held, and adds nothing."""
    return is_held(judged) and judged.held_run is None


def must_hold(batch: Sequence[Judged], load: Load, limits: BrakeLimits) -> bool:
    """Whether what cuts in this batch, with what did in the window, is more than may pass."""
    cutting_count = sum(map(is_counted, batch))
    return is_over(
        recent_count=load.recent_count,
        cut_off_count=cutting_count,
        logins_count=load.live_count,
        limits=limits,
        leaves_nobody=False,
    )


def brake(batch: Sequence[Judged], run_id: int | None) -> list[Wish]:
    """Return the wishes of a batch, those that cut held back in a run; None: only in place of held ones."""
    wishes = []
    for judged in batch:
        held_run = judged.held_run if judged.held_run is not None else run_id
        is_back = is_held(judged) and held_run is not None
        wishes.append(judged.wish._replace(is_held=True, run_id=held_run) if is_back else judged.wish)
    return wishes
