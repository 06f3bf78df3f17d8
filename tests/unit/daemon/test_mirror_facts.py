"""What a node tells of the mirror of its spool, and of the role that keeps copies of others'."""

from pathlib import Path

import pytest

from aaad.cli.options import Options
from aaad.cli.status import find_problems, mirror_text
from aaad.cli.terminal import Terminal
from aaad.config import parse_config
from aaad.daemon.node_facts import ROLE_HEARTBEAT, MirrorFacts, NodeFiles, mirrors, role_ages_s
from aaad.daemon.sockets import Purpose, planned, service_socket
from aaad.metrics import CounterFile
from aaad.spool.directory import read_mirrored, write_drained, write_mirrored
from aaad.spool.mirror import MIRROR_COUNTERS
from aaad.spool.mirror_course import Stage
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import START, Tail
from aaad.spool.status import read_status
from aaad.spool.writer import SpoolWriter


def counters(state: Path, slot: str, *, wanted: int = 1, stage: Stage = Stage.AWAY, away_at_s: float = 0.0) -> None:
    file = CounterFile(state / "counters" / f"{slot}.cnt", [ROLE_HEARTBEAT, *MIRROR_COUNTERS])
    file.set_seconds(ROLE_HEARTBEAT, 99.0)
    file.set("aaad_spool_mirror_wanted", wanted)
    file.set("aaad_spool_mirror_stage", stage)
    file.set("aaad_spool_mirror_behind_bytes", 3 << 20)
    file.set_seconds("aaad_spool_mirror_away_since_seconds", away_at_s)


def files(state: Path, **changes) -> NodeFiles:
    return NodeFiles(state, node="n", version="v", ports=(), radius_processes=2, **changes)


def test_only_mirrors_that_are_wanted_of_processes_in_use_are_told(tmp_path: Path) -> None:
    counters(tmp_path, "radius-0", stage=Stage.IN_STEP)
    counters(tmp_path, "radius-1", away_at_s=40.0)
    counters(tmp_path, "radius-2", away_at_s=40.0)  # of a process that is configured no more
    counters(tmp_path, "sync-0", wanted=0)
    assert mirrors(files(tmp_path).facts(100.0)) == [
        MirrorFacts("radius-0", Stage.IN_STEP, 3 << 20, 0.0),
        MirrorFacts("radius-1", Stage.AWAY, 3 << 20, 60.0),
    ]


@pytest.mark.parametrize(
    ("stage", "language", "line"),
    [
        (Stage.IN_STEP, "en", "mirror of radius-0: in step"),
        (Stage.CATCHING_UP, "en", "mirror of radius-0: catching up, 3.0 MiB behind; last in step: 60.0 s"),
        (Stage.AWAY, "en", "mirror of radius-0: away, 3.0 MiB behind; last in step: 60.0 s"),
        (Stage.AWAY, "pt", "espelho de radius-0: fora, 3.0 MiB atrás; em dia pela última vez: 60.0 s"),
    ],
)
def test_status_tells_how_a_mirror_stands_and_wants_attention_when_it_is_away(
    tmp_path: Path, stage: Stage, language: str, line: str
) -> None:
    counters(tmp_path, "radius-0", stage=stage, away_at_s=0.0 if stage is Stage.IN_STEP else 40.0)
    terminal, facts = Terminal(Options(language=language), {}), files(tmp_path).facts(100.0)
    (mirror,) = mirrors(facts)
    assert mirror_text(terminal, mirror) == line
    problems = [one for one in find_problems(terminal, facts, None, None) if "radius-0" in one]
    assert len(problems) == (stage is Stage.AWAY)


def test_a_role_that_keeps_no_copies_any_more_is_not_missed(tmp_path: Path) -> None:
    counters(tmp_path, "mirror-0", wanted=0)
    assert set(role_ages_s(files(tmp_path).facts(100.0))) == {"mirror-0"}
    assert set(role_ages_s(files(tmp_path, keeps_copies=False).facts(100.0))) == set()


def test_a_socket_for_copies_is_planned_only_where_it_is_wanted() -> None:
    base = "[database]\ndsn = 'postgresql://x'\n"
    assert not [plan for plan in planned(parse_config(base, {})) if plan.purpose is Purpose.MIRROR]
    config = parse_config(base + "[spool]\nmirror_listen = '[::1]:1814'", {})
    (plan,) = [plan for plan in planned(config) if plan.purpose is Purpose.MIRROR]
    assert (plan.name, plan.address, plan.port) == ("mirror-1814@--1#0", "::1", 1814)
    assert service_socket("mirrored-1814@--1#0", -1) is None


def test_r6_4_at_risk_is_what_is_neither_drained_nor_mirrored(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path / "radius-0", segment_bytes=1 << 16, bytes_max=1 << 20)
    spool.start()
    for _ in range(10):
        assert spool.append(b"record")
    assert spool.stop(10)
    folder = tmp_path / "radius-0"
    reader = SpoolReader(folder)

    def at(records: int) -> Tail:
        return Tail(reader.read(START, records_max=records).next if records else START, records)

    def told() -> tuple[int, int]:
        status = read_status(folder, now_s=1.0)
        return status.undrained_records, status.records_at_risk

    assert told() == (10, 10)
    write_mirrored(folder, at(7))
    assert told() == (10, 3)
    write_drained(folder, at(5))
    assert told() == (5, 3)
    write_drained(folder, at(9))
    assert told() == (1, 1)
    write_mirrored(folder, at(10))
    assert told() == (1, 0)
    reader.close()
    spool = SpoolWriter(folder, segment_bytes=1 << 16, bytes_max=1 << 20)  # without a mirror: it may be gone by now
    spool.start()
    assert spool.stop(10)
    assert read_mirrored(folder) is None
    assert told() == (1, 1)
