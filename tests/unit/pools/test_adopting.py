"""R7.3: when a ledger must not be believed, and for how long."""

import pytest

from aaad.pools.adopting import INTERIM_S, TAKEOVER_S, Listening, Seen, awaited, may_have_lost

BEFORE = Seen("1", "00000001", waits=False, at_s=1000.0)


@pytest.mark.parametrize(
    ("before", "now", "is_lost"),
    [
        (None, BEFORE, False),
        (BEFORE, BEFORE._replace(at_s=9e9), False),
        (BEFORE, BEFORE._replace(timeline="00000002"), True),
        (BEFORE._replace(waits=True), BEFORE._replace(timeline="00000002"), False),
        (BEFORE._replace(waits=True), BEFORE._replace(timeline="00000002", at_s=1000 + TAKEOVER_S + 1), True),
        (BEFORE._replace(waits=True), BEFORE._replace(system_identifier="2"), True),
        # What it is afterwards says nothing of what was promised before.
        (BEFORE, BEFORE._replace(timeline="00000002", waits=True), True),
    ],
)
def test_r7_3_what_may_have_lost_commits(before: Seen | None, now: Seen, is_lost: bool) -> None:
    assert may_have_lost(before, now) is is_lost


HEARD = Listening(1, 1000.0, "a", read_at_s=None, routers=1, heard_s=600.0, interim_s=300)


@pytest.mark.parametrize(
    ("listening", "is_over"),
    [
        (HEARD, True),
        (HEARD._replace(heard_s=599.0), False),
        (HEARD._replace(heard_s=None), False),
        (HEARD._replace(routers=0, heard_s=None), False),
        (HEARD._replace(interim_s=600), False),
        (HEARD._replace(interim_s=None, heard_s=2.0 * INTERIM_S - 1), False),
        (HEARD._replace(interim_s=None, heard_s=2.0 * INTERIM_S), True),
        (HEARD._replace(routers=0, heard_s=None, read_at_s=1000.0), True),
        (HEARD._replace(routers=0, heard_s=None, read_at_s=999.0), False),
    ],
)
def test_r7_3_a_nas_is_heard_for_two_interims_or_read(listening: Listening, is_over: bool) -> None:
    assert awaited([listening]) == {1: [] if is_over else ["a"]}


def test_a_pool_waits_for_every_nas_and_where_there_is_none_it_is_never_over() -> None:
    late = HEARD._replace(nas="b", heard_s=0.0)
    alone = HEARD._replace(pool_id=2, nas=None, routers=0, heard_s=None)
    assert awaited([HEARD, late, alone, HEARD._replace(pool_id=3)]) == {1: ["b"], 2: [""], 3: []}
