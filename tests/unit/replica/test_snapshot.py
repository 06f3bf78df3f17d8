"""Where one stands who has taken over a part of what a later snapshot sees."""

from hypothesis import given
from hypothesis import strategies as st

from aaad.replica.snapshot import Taken, advance

XIDS = range(3, 40)


def text(end: int, still_open: set[int]) -> str:
    xids = sorted(still_open)
    return f"{xids[0] if xids else end}:{end}:{','.join(map(str, xids))}"


def seen(snapshot: str) -> set[int]:
    start, end, xids = snapshot.split(":")
    still_open = {int(xid) for xid in xids.split(",") if xid}
    assert int(start) == min(still_open, default=int(end))
    assert all(xid < int(end) for xid in still_open)
    return {xid for xid in XIDS if xid < int(end)} - still_open


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, str]:
    """Two snapshots of one cluster: what the first sees, the second sees, too."""
    first_end = draw(st.sampled_from(XIDS))
    first_open = draw(st.sets(st.sampled_from(XIDS))) & set(range(first_end))
    second_end = draw(st.integers(first_end, XIDS[-1]))
    ended = draw(st.sets(st.sampled_from(XIDS)))
    second_open = (first_open | set(range(first_end, second_end))) - ended
    return text(first_end, first_open), text(second_end, second_open)


@given(histories(), st.none() | st.sampled_from(XIDS), st.none() | st.sampled_from(XIDS))
def test_what_was_taken_over_is_seen_and_nothing_else(
    history: tuple[str, str], beyond: int | None, still_open: int | None
) -> None:
    old, new = history
    old_end, new_end = (int(snapshot.split(":")[1]) for snapshot in history)
    if beyond is not None and not old_end <= beyond < new_end:
        beyond = None
    fresh = seen(new) - seen(old)
    taken = {xid for xid in fresh if xid >= old_end and (beyond is None or xid <= beyond)}
    taken |= {xid for xid in fresh if xid < old_end and (still_open is None or xid <= still_open)}
    assert seen(advance(old, new, Taken(beyond, still_open))) == seen(old) | taken


def test_with_all_taken_it_is_the_new_one() -> None:
    assert advance("5:9:5,7", "7:12:7,11", Taken(None, None)) == "7:12:7,11"
    assert advance("9:9:", "12:12:", Taken(None, None)) == "12:12:"
