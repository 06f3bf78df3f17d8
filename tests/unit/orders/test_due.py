"""When logins have to be looked at again."""

from hypothesis import given
from hypothesis import strategies as st

from aaad.orders import due as due_module
from aaad.orders.due import DueLogins


def test_the_earliest_instant_counts_and_each_login_comes_once() -> None:
    due = DueLogins(100.0)
    due.note(1, 50.0, 0.0)
    due.note(1, 30.0, 0.0)
    due.note(1, 40.0, 0.0)
    due.note(2, 35.0, 0.0)
    assert (len(due), due.next_s) == (2, 30.0)
    assert due.take(29.0, 10) == []
    assert due.take(60.0, 10) == [1, 2]
    assert (len(due), due.take(60.0, 10)) == (0, [])


def test_what_a_later_sweep_finds_again_is_not_kept(monkeypatch) -> None:
    due = DueLogins(100.0)
    due.note(1, 101.0, 0.0)
    due.note(2, float("inf"), 0.0)
    assert len(due) == 0
    monkeypatch.setattr(due_module, "ENTRIES_MAX", 3)
    for login_id in range(10):
        due.note(login_id, 5.0, 0.0)
    assert len(due) == 3
    due.clear()
    assert due.take(1e9, 10) == []


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 90))))
def test_whoever_is_noted_comes_when_it_is_due(notes: list[tuple[int, float]]) -> None:
    due, first = DueLogins(100.0), {}
    for login_id, at_s in notes:
        due.note(login_id, at_s, 0.0)
        first[login_id] = min(at_s, first.get(login_id, at_s))
    assert due.take(90.0, 100) == sorted(first, key=lambda login_id: (first[login_id], login_id))
