"""Long proofs of accounting under trouble: sixty kills at a time, and ten thousand customers after a power cut."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from accounting_torture import check_torture
from blows import Blows
from nodes import LOGINS, Node
from power_cut import kill_postgres_until_all_are_back, power_cut

pytestmark = pytest.mark.soak


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node of its own with as many logins as the test says."""
    node = Node(tmp_path, getattr(request, "param", LOGINS))
    node.prepare()
    node.start()
    yield node
    node.end()


@pytest.mark.parametrize(("seed", "longest_s"), [(11, 0.5), (12, 3.0)])
def test_r6_sixty_kills_lose_no_record_and_double_none(served: Node, seed: int, longest_s: float) -> None:
    print(check_torture(served, lambda blows: blows.at_random(60), seed=seed, longest_s=longest_s))


def test_r6_sixty_kills_while_postgresql_is_frozen_and_stopped_for_minutes_lose_no_record(served: Node) -> None:
    def strike(blows: Blows) -> None:
        blows.at_random(20)
        blows.freeze_postgres(120)
        blows.at_random(40)
        blows.stop_postgres(120)
        blows.at_random(60)

    print(check_torture(served, strike, seed=13, longest_s=2))


@pytest.mark.parametrize("served", [10_000], indirect=True)
@pytest.mark.parametrize("is_postgres_dead", [False, True])
def test_r5_ten_thousand_are_back_after_a_power_cut(served: Node, is_postgres_dead: bool) -> None:
    meanwhile = partial(kill_postgres_until_all_are_back, served) if is_postgres_dead else lambda _: None
    found = power_cut(served, 10_000, rate=400, within_s=20, interim_s=20, settle_s=20, meanwhile=meanwhile)
    print(found)
    assert found.refused == 0
