"""After a power cut all customers get in at once: nobody is refused for his session of before, no record is lost."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from nodes import Node
from power_cut import kill_postgres_until_all_are_back, power_cut


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node with as many logins as the test says."""
    node = Node(tmp_path, request.param)
    node.prepare()
    node.start()
    yield node
    node.end()


@pytest.mark.parametrize("served", [400], indirect=True)
def test_r5_after_a_power_cut_all_get_in_at_once(served: Node) -> None:
    """Field, 1: a stale session blocks a legitimate login; 4: sessions that never receive a Stop rot for ever."""
    found = power_cut(served, 400, rate=300, within_s=1, interim_s=2)
    assert found.refused == 0
    ends = {
        row["end_evidence"]: row["count"]
        for row in served.sql("SELECT end_evidence, count(*) FROM net.every_session GROUP BY end_evidence")
    }
    assert set(ends) <= {"stop", "nas_restart", "replaced"}
    assert ends["stop"] == 400


@pytest.mark.soak
@pytest.mark.parametrize("served", [10_000], indirect=True)
@pytest.mark.parametrize("is_postgres_dead", [False, True])
def test_r5_ten_thousand_are_back_after_a_power_cut(served: Node, is_postgres_dead: bool) -> None:
    meanwhile = partial(kill_postgres_until_all_are_back, served) if is_postgres_dead else lambda _: None
    found = power_cut(served, 10_000, rate=400, within_s=20, interim_s=20, meanwhile=meanwhile)
    print(found)
    assert found.refused == 0
