"""Back-off, and what a role's counters say about the requests that died with it."""

import pytest

from aaad.daemon.keeper import Backoff, sum_of


def waits(*lived_s: float) -> list[float]:
    backoff = Backoff(initial_s=0.1, max_s=3.0, healthy_s=60.0)
    return [round(backoff.after(lived), 3) for lived in lived_s]


@pytest.mark.parametrize(
    ("lived_s", "expected_s"),
    [
        ([0.0], [0.0]),
        ([0.0] * 8, [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0]),
        ([59.9] * 3, [0.0, 0.1, 0.2]),
        ([0.0, 0.0, 0.0, 60.0, 0.0], [0.0, 0.1, 0.2, 0.0, 0.1]),
        ([3600.0] * 3, [0.0, 0.0, 0.0]),
    ],
    ids=str,
)
def test_the_first_restart_is_at_once_and_later_ones_wait_longer(lived_s, expected_s):
    assert waits(*lived_s) == expected_s


def test_a_thousand_failures_do_not_overflow():
    assert waits(*[0.0] * 2000)[-1] == 3.0


def test_a_counter_is_summed_over_its_labels_and_no_other():
    counters = {
        "aaad_radius_discarded_total|cause=late": 2,
        "aaad_radius_discarded_total|cause=overload": 3,
        "aaad_radius_discarded_total_x": 100,
        "aaad_radius_answered_total": 5,
        "aaad_radius_received_total": 100,
    }
    assert sum_of(counters, ("aaad_radius_answered_total", "aaad_radius_discarded_total")) == 10
