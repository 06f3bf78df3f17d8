"""What a drain remembers of rows: only what was committed, only while nobody else drains, only so much."""

from aaad.sessions.memory import Memory, Remembered

ONE, TWO, THREE = bytes(16), b"\x01" * 16, b"\x02" * 16


def row(version: int = 1) -> Remembered:
    return Remembered(5, version, b"summary", 7, True)


def remembering(*families: bytes, sessions_max: int = 10) -> Memory:
    memory = Memory(sessions_max)
    memory.begin("traces")
    memory.note({family: row() for family in families})
    memory.keep()
    return memory


def test_what_is_committed_is_known_and_what_is_taken_is_gone() -> None:
    memory = remembering(ONE)
    assert memory.take([ONE, TWO]) == {ONE: row()}
    assert (memory.found, memory.missed) == (1, 1)
    assert memory.take([ONE]) == {}


def test_what_is_not_committed_is_not_known() -> None:
    memory = remembering(ONE)
    memory.begin("traces")
    memory.take([ONE])
    memory.note({ONE: row(2)})
    assert memory.take([ONE]) == {}  # another try, in the same transaction
    memory.begin("traces")
    memory.keep()
    assert memory.take([ONE]) == {}


def test_other_traces_of_others_forget_all() -> None:
    memory = remembering(ONE)
    memory.begin("other traces")
    assert memory.take([ONE]) == {}


def test_what_is_forgotten_does_not_come_back_with_the_commit() -> None:
    memory = remembering(ONE)
    memory.begin("traces")
    memory.note({TWO: row()})
    memory.forget([ONE, TWO])
    memory.keep()
    assert len(memory) == 0


def test_no_more_than_so_many_are_known_and_the_oldest_go_first() -> None:
    memory = remembering(ONE, TWO, sessions_max=2)
    memory.begin("traces")
    memory.note({THREE: row(), **memory.take([ONE])})
    memory.keep()
    assert len(memory) == 2
    assert memory.take([ONE, TWO, THREE]) == {ONE: row(), THREE: row()}
