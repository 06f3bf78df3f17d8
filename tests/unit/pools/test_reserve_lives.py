"""What a process has set aside belongs to the node that claimed it (rule R7.2)."""

from pathlib import Path

from aaad.log import get_logger
from aaad.pools.reserve import Reserve
from aaad.pools.supply import Supply


class Counts:
    def add(self, name: str, amount: int = 1) -> None: ...
    def set(self, name: str, value: int) -> None: ...


def started(directory: Path, node: int) -> Reserve:
    """A process that starts as this node, while PostgreSQL is away."""
    reserve = Reserve(directory, boot="boot")
    reserve.open()
    supply = Supply(reserve, lambda _: None, Counts(), get_logger("test"))  # type: ignore[arg-type,return-value]
    supply.load({}, node)
    return reserve


def test_a_process_that_starts_as_another_node_gives_out_nothing_of_the_removed_one(tmp_path: Path) -> None:
    first = started(tmp_path / "r", 3)
    first.add(first.write(1, 1, 1, 4, [(0x64400000, 32)], 32))
    again = started(tmp_path / "r", 3)
    assert (again.life, list(again.chunks)) == (first.life, [1])
    other = started(tmp_path / "r", 4)
    assert other.life != first.life
    assert other.chunks == {}
    assert started(tmp_path / "r", 4).life == other.life
