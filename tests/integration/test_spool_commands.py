"""`aaad spool show`, `verify` and `export`: from files, beside a living writer, with PostgreSQL away or not."""

import asyncio
import csv
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import Result
from typing_person import type_line

from aaad.cli.options import Options
from aaad.metrics import CounterFile
from aaad.spool.directory import segment_path, write_drained
from aaad.spool.reader import SpoolReader
from aaad.spool.records import Accounting, BindingLearned, LoginRefused, Record, RouterSeen, encode
from aaad.spool.segment import FRAME_OCTETS, HEADER_OCTETS, START, Position, Tail
from aaad.spool.writer import SPOOL_COUNTERS, SpoolWriter


def attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, 2 + len(value))) + value


STOP = Accounting(
    nas_id=1,
    source_address="192.0.2.1",
    nas_identifier=b"bng\x1b[31m",
    received_at_s=1_700_000_000.5,
    attributes=attribute(1, b"ana@fibra") + attribute(2, b"0123456789abcdef") + attribute(40, b"\0\0\0\2")
    + attribute(44, b"81a00001") + attribute(42, (123_456).to_bytes(4, "big")) + attribute(49, b"\0\0\0\2"),
)  # fmt: skip
SEEN = RouterSeen(1, "192.0.2.1", b"bng", "192.0.2.9", 1.0, b"fingerprint-octets")


class Node:
    """A node's state directory and configuration."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.state = folder / "state"
        self.config = folder / "aaad.toml"
        self.config.write_text(
            f'[node]\nname = "n1"\nstate_dir = "{self.state}"\nrun_dir = "{folder}/run"\n'
            f'[database]\ndsn = "{dsn}"\nconnect_timeout_s = 1\n'
        )
        self.writers: list[SpoolWriter] = []

    def spool(self, slot: str = "radius-0") -> Path:
        return self.state / "spool" / slot

    def writer(self, slot: str = "radius-0") -> SpoolWriter:
        counters = CounterFile(self.state / "counters" / f"{slot}.cnt", SPOOL_COUNTERS)
        made = SpoolWriter(self.spool(slot), segment_bytes=1 << 16, bytes_max=1 << 26, counters=counters)
        made.start()
        self.writers.append(made)
        return made

    def put(self, writer: SpoolWriter, *records: Record) -> None:
        left = threading.Semaphore(0)
        for record in records:
            assert writer.append(encode(record), lambda stored: left.release())
        for _record in records:
            assert left.acquire(timeout=10)

    def __call__(self, *words: str, as_json: bool = False, language: str = "en") -> Result:
        return type_line(Options(self.config, language, as_json), words)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path, "postgresql://nobody@127.0.0.1:9/none")
    made.spool().parent.mkdir(parents=True)
    yield made
    for writer in made.writers:
        writer.stop(5)


def refusals(how_many: int) -> list[LoginRefused]:
    return [LoginRefused(login_id, "wrong_password", 29_000_000, 1) for login_id in range(1, how_many + 1)]


# --- show -----------------------------------------------------------------------------------------------------------


def test_r6_4_depth_age_and_records_at_risk_are_shown_with_postgresql_away(node: Node) -> None:
    node.put(node.writer(), *refusals(10))
    ran = node("spool", "show", as_json=True)
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    (spool,) = told["spools"]
    assert (spool["slot"], spool["records_at_risk"], spool["is_written"], spool["segments"]) == (
        "radius-0",
        10,
        True,
        1,
    )
    assert spool["octets_undrained"] > 10 * FRAME_OCTETS
    assert (spool["condemned"], spool["set_aside"]) == (0, 0)
    assert spool["oldest_age_s"] >= 0
    assert told["deferred"] is None
    assert told["database_problem"]
    shown = node("spool", "show", language="pt").stdout
    assert "10 registros estão só neste disco." in shown
    assert "radius-0" in shown
    (row,) = csv.DictReader(io.StringIO(node("spool", "show", "--csv").stdout))
    assert (row["slot"], row["records_at_risk"], row["is_written"]) == ("radius-0", "10", "true")


def test_what_is_drained_is_at_no_risk_and_what_is_set_aside_is_counted(node: Node) -> None:
    node.put(node.writer(), *refusals(4))
    reader = SpoolReader(node.spool())
    batch = reader.read(START, records_max=3)
    reader.close()
    write_drained(node.spool(), Tail(batch.next, 3))
    (node.spool() / "set_aside.jsonl").write_text('{"cause": "unfit"}\n{"cause": "unfit"}\n')
    (spool,) = json.loads(node("spool", "show", as_json=True).stdout)["spools"]
    assert (spool["records_at_risk"], spool["set_aside"]) == (1, 2)


def test_records_that_wait_in_postgresql_are_counted(tmp_path: Path, dsn: str) -> None:
    node = Node(tmp_path, dsn)
    node.spool().parent.mkdir(parents=True)

    async def defer() -> None:
        db = await asyncpg.connect(dsn)
        await db.execute("INSERT INTO net.spool_deferred (node, record) VALUES ('n1', 'x'), ('n1', 'y'), ('n2', 'z')")
        await db.close()

    asyncio.run(defer())
    told = json.loads(node("spool", "show", as_json=True).stdout)
    assert (told["spools"], told["deferred"], told["database_problem"]) == ([], 2, None)
    assert "2 records wait in PostgreSQL" in node("spool", "show").stdout


def test_without_a_spool_folder_it_says_so(tmp_path: Path) -> None:
    ran = Node(tmp_path, "postgresql://nobody@127.0.0.1:9/none")("spool", "show")
    assert ran.exit_code == 1
    assert "No such file or directory" in ran.stderr


# --- verify ---------------------------------------------------------------------------------------------------------


def test_a_whole_spool_is_whole_while_it_is_written(node: Node) -> None:
    writer = node.writer()
    node.put(writer, *refusals(500))
    stopping = threading.Event()

    def write_on() -> None:
        while not stopping.is_set():
            node.put(writer, *refusals(50))

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        for _round in range(5):
            ran = node("spool", "verify", as_json=True)
            assert ran.exit_code == 0, ran.stdout
            assert time.monotonic() < deadline
    finally:
        stopping.set()
        thread.join(10)
    told = json.loads(node("spool", "verify", as_json=True).stdout)
    assert told["is_whole"]
    assert sum(segment["records"] for segment in told["segments"]) >= 500
    assert "todos íntegros" in node("spool", "verify", language="pt").stdout


def test_damage_is_found_and_placed_with_exit_code_1(node: Node) -> None:
    node.put(node.writer(), *refusals(5))
    node.put(node.writer("radius-1"), *refusals(5))
    descriptor = os.open(segment_path(node.spool(), 1), os.O_WRONLY)
    os.pwrite(descriptor, b"\xff", HEADER_OCTETS + FRAME_OCTETS + 1)
    os.close(descriptor)
    ran = node("spool", "verify", as_json=True)
    assert ran.exit_code == 1
    damaged, whole = json.loads(ran.stdout)["segments"]
    assert (damaged["slot"], damaged["damaged_places"], damaged["records"]) == ("radius-0", 1, 4)
    assert damaged["damages"][0][0] == HEADER_OCTETS
    assert (whole["slot"], whole["is_whole"]) == ("radius-1", True)
    assert node("spool", "verify", "--slot", "radius-1").exit_code == 0
    assert f"octets are no records, at {HEADER_OCTETS}-" in node("spool", "verify").stdout
    rows = list(csv.DictReader(io.StringIO(node("spool", "verify", "--csv").stdout)))
    assert [row["is_whole"] for row in rows] == ["false", "true"]


def test_a_slot_that_is_not_there_is_said_with_those_that_are(node: Node) -> None:
    node.put(node.writer(), *refusals(1))
    ran = node("spool", "verify", "--slot", "radius-7")
    assert ran.exit_code == 1
    assert "radius-7" in ran.stderr
    assert "radius-0" in ran.stderr


# --- export ---------------------------------------------------------------------------------------------------------


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_records_are_exported_by_name_without_what_is_or_proves_a_secret(node: Node) -> None:
    node.put(node.writer(), STOP, SEEN, BindingLearned(50, "mac", "02:00:00:00:00:05", 2.0))
    ran = node("spool", "export", "-")
    assert ran.exit_code == 0, ran.stderr
    stop, seen, learned = lines(ran.stdout)
    assert (stop["record"], stop["slot"], stop["segment"], stop["sequence"], stop["is_drained"]) == (
        "Accounting", "radius-0", 1, 0, False,
    )  # fmt: skip
    assert stop["fields"]["attributes"] == [
        ["User-Name", "ana@fibra"],
        ["User-Password", "***"],
        ["Acct-Status-Type", "Stop"],
        ["Acct-Session-Id", "81a00001"],
        ["Acct-Input-Octets", "123456"],
        ["Acct-Terminate-Cause", "Lost-Carrier"],
    ]
    assert stop["fields"]["received_at_s"] == 1_700_000_000.5
    assert "\x1b" not in ran.stdout
    assert (seen["record"], seen["fields"]["nas_identifier"]) == ("RouterSeen", "bng")
    assert "fingerprint" not in ran.stdout
    assert (learned["record"], learned["fields"]["value"]) == ("BindingLearned", "02:00:00:00:00:05")


def test_a_file_is_new_and_its_owners_only(node: Node, tmp_path: Path) -> None:
    node.put(node.writer(), *refusals(3))
    target = tmp_path / "records.jsonl"
    ran = node("spool", "export", str(target), as_json=True)
    assert json.loads(ran.stdout) == {"records": 3, "file": str(target)}
    assert target.stat().st_mode & 0o777 == 0o600
    assert [line["fields"]["login_id"] for line in lines(target.read_text())] == [1, 2, 3]
    again = node("spool", "export", str(target), language="pt")
    assert again.exit_code == 1
    assert "já existe" in again.stderr


def test_only_undrained_of_a_slot_and_of_a_time(node: Node) -> None:
    node.put(node.writer(), *refusals(4))
    node.put(node.writer("radius-1"), *refusals(2))
    reader = SpoolReader(node.spool())
    frames = reader.read(START, records_max=9).frames
    reader.close()
    write_drained(node.spool(), Tail(Position(1, frames[2].end), 3))

    def exported(*words: str) -> int:
        ran = node("spool", "export", "-", *words)
        assert ran.exit_code == 0, ran.stderr
        return len(ran.stdout.splitlines())

    assert exported() == 6
    assert exported("--undrained") == 3
    assert exported("--undrained", "--slot", "radius-0") == 1
    assert exported("--from", "1h") == 6
    assert exported("--to", "1h") == 0
    assert exported("--from", "2001-01-01", "--to", "2001-12-31 23:59 UTC") == 0
    wrong = node("spool", "export", "-", "--from", "soon")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("aaad: --from: 'soon'")


def test_what_cannot_be_read_is_said_without_its_octets(node: Node) -> None:
    writer = node.writer()
    done = threading.Event()
    assert writer.append(b"\x92\xcc\xfe\xa6secret", lambda stored: done.set())
    assert done.wait(10)
    (line,) = lines(node("spool", "export", "-").stdout)
    assert (line["record"], line["octets"]) == (None, 10)
    assert "secret" not in json.dumps(line)
