"""What the mirror of a lost disk has is drained by the peer: every acknowledged record exactly once (rule R6.4).

A record stands for a login of its own, so a row's count is how often it was applied.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from drain_house import House
from mirror_house import OWNER, PEER, Owner, Peer, assert_same_octets, refused, until
from typing_person import type_line

from aaad.cli.options import Options
from aaad.metrics import CounterFile
from aaad.sessions.handoff import HandoffServer
from aaad.sessions.mirrors import MirrorKeeping
from aaad.spool import writer
from aaad.spool.directory import has_writer, is_adopted, read_tail, segment_numbers
from aaad.spool.mirror_disk import kept_copies
from aaad.spool.mirror_server import MIRROR_SERVER_COUNTERS
from aaad.spool.segment import HEADER_OCTETS
from aaad.spool.status import read_status

_ACK = struct.Struct("<i")


class Pair:
    """An owner in a process of its own, the peer's mirror, and drains of both over one PostgreSQL."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder, self.dsn = folder, dsn
        self.peer = Peer(folder / "peer")
        self.owner = Owner(folder / "owner", self.peer)
        self.own_house = House(dsn, self.owner.directory.parent)
        self.peer_house = House(dsn, folder / "peer" / "spool")
        self.peer_house.root.mkdir()
        self.acknowledged: set[int] = set()
        self.config = folder / "aaad.toml"
        self.config.write_text(
            f'[node]\nname = "{PEER}"\nstate_dir = "{folder}/peer"\nrun_dir = "{folder}/run"\n'
            f'[database]\ndsn = "{dsn}"\n'
        )

    def begin(self, first: int, *, until_put: int = 1 << 30) -> None:
        """Let the owner's process write and tell what was acknowledged, up to a number or until it is killed."""
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                with self.owner.living():
                    for number in range(first, until_put):
                        self.owner.spool.append(
                            refused(number), lambda is_stored, n=number: os.write(writing, _ACK.pack(n))
                        )
                        time.sleep(0.0005)
                    time.sleep(3600)
            finally:
                os._exit(3)
        os.close(writing)
        self._acks = reading

    def acknowledge(self, enough: int) -> None:
        """Wait until so many are acknowledged."""
        while len(self.acknowledged) < enough:
            self.acknowledged.add(_ACK.unpack(os.read(self._acks, _ACK.size))[0])

    def written(self) -> int:
        """Return how many records are on the owner's disk."""
        tail = read_tail(self.owner.directory)
        return 0 if tail is None else tail.next_sequence

    def kill(self) -> None:
        """Kill the owner's process; what it said before counts."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        while data := os.read(self._acks, _ACK.size):
            self.acknowledged.add(_ACK.unpack(data)[0])
        os.close(self._acks)

    def lose_disk(self) -> None:
        shutil.rmtree(self.folder / "owner")

    async def adopt(self, *words: str) -> dict:
        ran = await self.type(Options(self.config, "en", True), "--yes", *words)
        return {"exit_code": ran.exit_code, **json.loads(ran.stdout or "{}")}

    async def type(self, options: Options, *words: str) -> Result:
        return await asyncio.to_thread(type_line, options, ("spool", "adopt", OWNER, *words))

    async def assert_each_once(self) -> None:
        counts = await self.peer_house.refusals()
        assert self.acknowledged <= set(counts), "acknowledged and lost"
        assert set(counts.values()) == {1}, "counted twice"


@pytest.fixture
async def pair(tmp_path: Path, dsn: str):
    made = Pair(tmp_path, dsn)
    with made.peer.serving():
        yield made
    for house in (made.own_house, made.peer_house):
        await house.database.close()


async def test_r6_4_what_a_lost_disk_had_acknowledged_is_drained_from_the_mirror_each_record_once(pair: Pair) -> None:
    pair.begin(1)
    pair.acknowledge(700)
    pair.kill()
    pair.lose_disk()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    told = await pair.adopt()
    assert told["exit_code"] == 0, told
    (one,) = told["adopted"]
    assert one["records"] >= 700
    assert kept_copies(pair.peer.root) == []
    assert is_adopted(pair.peer_house.root / one["slot"])
    await pair.peer_house.drain_all()
    await pair.assert_each_once()


async def test_r6_4_what_its_owner_had_drained_before_does_not_count_again(pair: Pair) -> None:
    pair.begin(1)
    async with pair.own_house.draining():
        await asyncio.to_thread(pair.acknowledge, 600)
        await pair.own_house.until("SELECT count(*) >= 300 FROM net.refusal", True)
    drained = pair.written()
    until(lambda: pair.written() > drained + 200, "more is written and not drained")
    pair.kill()
    pair.lose_disk()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    assert (await pair.adopt())["adopted"][0]["records"] > 0
    await pair.peer_house.drain_all()
    await pair.assert_each_once()


async def test_a_mirror_that_fell_behind_what_is_drained_is_not_drained_anew(pair: Pair) -> None:
    """Its end lies before the cursor, in segments that are drained: nothing may begin from the first one again."""
    with pair.owner.living() as owner:
        owner.put(*range(1, 100))
        owner.mirror.close()  # away for good
        owner.put(*range(100, 3000))
        pair.acknowledged.update(owner.answered)
    assert len(segment_numbers(owner.directory)) > 1
    await pair.own_house.drain_all()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    told = await pair.adopt()
    assert told["adopted"] == [
        {"slot_of_owner": "radius-0", "spool_id": _id(owner), "slot": None, "records": 0, "superseded": []}
    ]
    # Nor if the owner drained further after it was adopted.
    copy = pair.peer.copy()
    (copy / "adopted").touch()
    copy.rename(pair.peer_house.root / "adopted-meanwhile")
    async with pair.peer_house.draining():
        await asyncio.sleep(0.4)
    await pair.assert_each_once()


def _id(owner: Owner) -> str:
    return (owner.directory / "spool_id").read_text().strip()


async def test_an_owner_that_comes_back_goes_on_behind_what_was_drained_for_it(pair: Pair) -> None:
    pair.begin(1)
    pair.acknowledge(300)
    pair.kill()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    await pair.adopt()
    await pair.peer_house.drain_all()
    with pair.owner.living() as owner:
        numbers = range(100_000, 100_050)
        owner.put(*numbers)
        pair.acknowledged.update(numbers)
    async with pair.own_house.draining():
        await pair.own_house.until("SELECT count(*) FROM net.refusal WHERE login_id >= 100000", 50)
    await pair.assert_each_once()


@asynccontextmanager
async def taking_over(house: House, path: Path):
    """What `sync` does for a writer whose disk fails."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(8)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        server = HandoffServer(house.connect(), listener, node=OWNER, counters=house.counters)
        group.create_task(server.run(stopping))
        yield
        stopping.set()
    listener.close()


async def test_r6_3_a_batch_that_was_handed_over_does_not_count_again_from_the_mirror(
    pair: Pair, tmp_path: Path
) -> None:
    """Our disk failed when the batch was on its way to the mirror, and PostgreSQL took it: the copy of it is void."""
    broken = threading.Event()

    def sync(descriptor: int) -> None:
        if broken.is_set():
            raise OSError(5, "Input/output error")

    async with taking_over(pair.own_house, tmp_path / "sync.sock"):
        with pair.owner.living(sync=sync, handoff=tmp_path / "sync.sock") as owner:
            await asyncio.to_thread(owner.put, *range(1, 50))
            broken.set()
            await asyncio.to_thread(owner.put, *range(50, 60))
            pair.acknowledged.update(owner.answered)
            assert await pair.own_house.value("SELECT count(*) FROM net.refusal") == 10
    pair.lose_disk()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    told = (await pair.adopt())["adopted"][0]
    assert told["records"] == 49, "those that are void do not count"
    slot = pair.peer_house.root / told["slot"]
    assert read_status(slot, now_s=1e10).undrained_records > 49, "without PostgreSQL nobody knows that"
    async with pair.peer_house.draining():
        await pair.peer_house.until("SELECT count(*) FROM net.refusal", 59)
        until_s = time.monotonic() + 10
        while read_status(slot, now_s=1e10).undrained_records:
            assert time.monotonic() < until_s, "it shows records as undrained for ever"
            await asyncio.sleep(0.05)
    assert read_status(slot, now_s=1e10).oldest_age_s == 0
    await pair.assert_each_once()


async def test_r6_4_segments_that_a_failing_disk_made_void_and_numbered_again_do_not_stand_in_the_copy(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes headers and fails syncs; the next life numbers as if nothing had been, and its disk is lost."""
    monkeypatch.setattr(writer, "IDLE_S", 0.1)
    is_failing = threading.Event()

    def sync(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}")
        if is_failing.is_set() and file.is_file() and file.read_bytes()[HEADER_OCTETS] != 0:
            raise OSError(5, "Input/output error")

    refused_numbers = range(1_000, 1_004)
    with pair.owner.living(sync=sync) as owner:
        owner.put(*range(1, 50))
        is_failing.set()
        for number in refused_numbers:
            time.sleep(0.5)  # its writer takes the disk for whole again, and begins another segment
            owner.put_refused(number)
    void = segment_numbers(pair.peer.copy())[-1]
    assert void > segment_numbers(owner.directory)[-1] + 2, "the copy has segments that its owner gave up"
    with pair.owner.living() as owner:
        before = owner.count("aaad_spool_unmirrored_records_total")
        owner.put(*range(50, 800), padding=1000)
        assert owner.count("aaad_spool_unmirrored_records_total") == before
        assert segment_numbers(owner.directory)[-1] > void, "all these numbers are used once more"
        assert_same_octets(owner.directory, pair.peer.copy())
    pair.acknowledged.update(owner.answered)
    pair.lose_disk()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    told = (await pair.adopt())["adopted"][0]
    assert told["records"] == 799
    given_up, first = told["superseded"]
    assert given_up["records"] <= 1, "of the last batch nobody knows here"
    assert first == {"slot": f"{told['slot']}/superseded.2", "records": 1}, "what made its segment void"
    await pair.peer_house.drain_all()
    await pair.assert_each_once()
    assert set(await pair.peer_house.refusals()) == pair.acknowledged, "nothing is invented"


async def test_r6_4_what_an_owner_put_back_from_a_backup_lost_stays_in_the_copy_and_can_be_read(pair: Pair) -> None:
    with pair.owner.living() as owner:
        owner.put(*range(1, 101), padding=1000)
    shutil.copytree(owner.directory, pair.folder / "backup")
    with pair.owner.living() as owner:
        owner.put(*range(101, 201), padding=1000)
    shutil.rmtree(owner.directory)
    shutil.copytree(pair.folder / "backup", owner.directory)
    with pair.owner.living() as owner:
        owner.put(*range(201, 301), padding=1000)
        assert_same_octets(owner.directory, pair.peer.copy())
    assert pair.peer.count("aaad_mirror_segments_superseded_total") == 2
    pair.acknowledged.update({*range(1, 101), *range(201, 301)})
    pair.lose_disk()
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    told = (await pair.adopt())["adopted"][0]
    (lot,) = told["superseded"]
    assert (told["records"], lot["records"]) == (200, 100)
    await pair.peer_house.drain_all()
    await pair.assert_each_once()
    assert set(await pair.peer_house.refusals()) == pair.acknowledged
    target = pair.folder / "read.jsonl"
    words = ("spool", "export", str(target), "--slot", lot["slot"])
    ran = await asyncio.to_thread(type_line, Options(pair.config, "en", True), words)
    assert ran.exit_code == 0, ran.stdout
    read = [json.loads(line)["fields"]["login_id"] for line in target.read_text().splitlines()]
    assert read == list(range(101, 201))


# --- the command ----------------------------------------------------------------------------------------------------


async def test_a_node_that_is_heard_is_adopted_by_force_only_and_one_that_is_connected_not_at_all(pair: Pair) -> None:
    await pair.peer_house.database.execute(
        "INSERT INTO net.node (name, started_at, heartbeat_at) VALUES ($1, now(), now())", OWNER
    )
    with pair.owner.living() as owner:
        owner.put(1, 2, 3)
        told = await pair.adopt()
        assert (told["exit_code"], told["saved"]) == (1, False)
        assert "was heard lately" in told["problem"]
        told = await pair.adopt("--force")
        assert (told["exit_code"], "is connected" in told["problem"]) == (1, True)
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    assert (await pair.adopt("--force"))["exit_code"] == 0
    told = await pair.adopt("--force")
    assert (told["exit_code"], "mirrors no spool" in told["problem"]) == (1, True)


async def test_who_adopts_is_asked_and_told_in_his_language(pair: Pair) -> None:
    with pair.owner.living() as owner:
        owner.put(1, 2, 3)
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    ran = await pair.type(Options(pair.config, "pt", False))
    assert ran.exit_code == 2, "nobody can be asked"
    ran = await pair.type(Options(pair.config, "pt", False), "--yes")
    assert (ran.exit_code, "3 registros" in ran.stdout) == (0, True), ran.stdout


# --- what PostgreSQL has --------------------------------------------------------------------------------------------


async def test_copies_go_once_postgresql_has_them_and_stay_while_it_has_not(pair: Pair) -> None:
    counters = CounterFile(pair.folder / "keeping.cnt", MIRROR_SERVER_COUNTERS)
    keeping = MirrorKeeping(
        pair.peer_house.connect(), pair.peer.root, node=PEER, keep_s=0, every_s=0, counters=counters
    )
    with pair.owner.living() as owner:
        owner.put(*range(1, 300), padding=1000)
        before = segment_numbers(pair.peer.copy())
        await keeping.look()
        assert segment_numbers(pair.peer.copy()) == before
        await pair.own_house.drain_all()
        await keeping.look()
        assert segment_numbers(pair.peer.copy()) == before[-1:], "the one that is being written stays"
        owner.put(300)
    until(lambda: not has_writer(pair.peer.copy()), "the mirror lets go of it")
    await keeping.look()
    assert segment_numbers(pair.peer.copy()) == before[-1:], "its last record is not drained"
    await pair.own_house.drain_all()
    bad = pair.peer.root / "a" / pair.peer.copy().name  # comes first, and cannot be read
    bad.parent.mkdir()
    bad.write_text("no folder")
    await keeping.look()
    assert [kept.directory for kept in kept_copies(pair.peer.root)] == [bad]


async def test_copies_that_end_in_what_postgresql_took_otherwise_or_have_nothing_go_too(
    pair: Pair, tmp_path: Path
) -> None:
    keeping = MirrorKeeping(
        pair.peer_house.connect(),
        pair.peer.root,
        node=PEER,
        keep_s=0,
        every_s=0,
        counters=CounterFile(pair.folder / "keeping.cnt", MIRROR_SERVER_COUNTERS),
    )
    broken = threading.Event()

    def sync(descriptor: int) -> None:
        if broken.is_set():
            raise OSError(5, "Input/output error")

    empty = pair.peer.root / OWNER / f"radius-9.{uuid4()}"
    empty.mkdir(parents=True)
    left = pair.peer.root / OWNER / f"radius-8.{uuid4()}.removed"
    left.mkdir()
    async with taking_over(pair.own_house, tmp_path / "sync.sock"):
        with pair.owner.living(sync=sync, handoff=tmp_path / "sync.sock") as owner:
            await asyncio.to_thread(owner.put, *range(1, 50))
            broken.set()
            await asyncio.to_thread(owner.put, *range(50, 60))
    (copy,) = [kept for kept in kept_copies(pair.peer.root) if kept.slot == "radius-0"]
    until(lambda: not has_writer(copy.directory), "the mirror lets go of it")
    await keeping.look()
    assert kept_copies(pair.peer.root) == [copy], "49 of its records are not drained"
    assert not left.exists()
    async with pair.own_house.draining():
        await pair.own_house.until("SELECT count(*) FROM net.refusal", 59)
    lot = copy.directory / "superseded.1"
    lot.mkdir()
    await keeping.look()
    assert kept_copies(pair.peer.root) == [copy], "what is aside in it is kept a week"
    os.utime(lot, (1.0, 1.0))
    await keeping.look()
    assert kept_copies(pair.peer.root) == []
