"""Whatever octets arrive: a reply that verifies, silence with its cause, and a journal that can be read."""

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from datagram_fuzz import BEGINS_AT_S, FuzzWorld, fuzz, good_requests

_SOAK_DATAGRAMS = 10_000_000
_SOAK_PARTS = 20


def test_the_undamaged_requests_reach_accepts_of_every_method(tmp_path: Path) -> None:
    world = FuzzWorld(tmp_path)
    for number, data in enumerate(good_requests(random.Random(1))):
        world.meet(data, 3, BEGINS_AT_S + number / 10)
    world.close()
    assert world.outcomes["accept"] >= 150
    assert world.outcomes["reject"] >= 150


def test_twenty_thousand_damaged_datagrams_have_an_allowed_outcome(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 2865, 20_000)
    assert sum(outcomes.values()) == 40_000  # each at both ports
    for outcome in (
        *("accept", "reject", "malformed", "bad_message_authenticator", "unknown_nas"),
        *("accounting recorded", "accounting answered", "accounting malformed", "accounting unknown_nas"),
        "accounting bad_message_authenticator",
    ):
        assert outcomes[outcome] >= 50, outcomes
    assert not outcomes["bug"] + outcomes["accounting bug"]


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_ten_million_damaged_datagrams_have_an_allowed_outcome(tmp_path: Path) -> None:
    directories = [tmp_path / str(part) for part in range(_SOAK_PARTS)]
    total: Counter[str] = Counter()
    with ProcessPoolExecutor(2) as pool:
        share = _SOAK_DATAGRAMS // _SOAK_PARTS
        for outcomes in pool.map(fuzz, directories, range(_SOAK_PARTS), [share] * _SOAK_PARTS):
            total += outcomes
    print(dict(total))
    assert sum(total.values()) == 2 * _SOAK_DATAGRAMS
    assert total["accept"] > _SOAK_DATAGRAMS // 100
