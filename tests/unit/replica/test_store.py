"""The store on disk: readers see whole transactions, and move to the next generation by themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaad.errors import ReplicaError
from aaad.policy.codes import LoginFlag
from aaad.policy.facts import LoginFacts
from aaad.replica.layout import TABLES_KEY, Pending, ReplicaMeta, Source
from aaad.replica.record import Tables, encode
from aaad.replica.store import Generation, ReplicaReader, ReplicaWriter

MAP_SIZE = 1 << 28


def tables(generation: int) -> Tables:
    return Tables(generation, [], [], [], [], b"k" * 16, 1)


def meta(count: int = 0) -> ReplicaMeta:
    return ReplicaMeta("1:1:", "7/1", "00000001", count, 0, 5.0, 1)


def fill(generation: Generation, names: list[str], tables_generation: int = 1) -> None:
    with generation.write() as write:
        for login_id, name in enumerate(names, 1):
            write.put_record(name.encode(), b"record of " + name.encode())
            write.put_source(login_id, Source(login_id, name.encode()))
        write.put_tables(tables(tables_generation))
        write.put_meta(meta(len(names)))


def make(directory: Path, names: list[str]) -> ReplicaWriter:
    writer = ReplicaWriter(directory, MAP_SIZE)
    writer.open()
    built = writer.build()
    fill(built, names)
    writer.swap(built)
    return writer


READER = """
import os
import sys
from pathlib import Path
from aaad.errors import ReplicaError
from aaad.replica.store import ReplicaReader
reader = ReplicaReader(Path({directory!r}))
for line in sys.stdin:
    changed = reader.begin()
    if "!" in line:
        os._exit(1)
    names = [(reader.login(name.encode()) or b"-").decode() for name in line.split()]
    generation = reader.tables().generation if reader.complete else 0
    reader.end()
    print(reader.complete, changed, generation, *names, sep="|", flush=True)
"""


class OtherProcess:
    """A reader in a process of its own, as in life: LMDB allows one environment per path and process."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER.format(directory=str(directory))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, names: str = "") -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(names, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_without_a_store_there_is_no_replica(tmp_path: Path) -> None:
    reader = ReplicaReader(tmp_path)
    assert not reader.open()
    assert not reader.begin()
    assert not reader.complete
    assert reader.login(b"joe") is None
    assert reader.name_of(1) is None
    with pytest.raises(ReplicaError):
        reader.tables()
    with pytest.raises(ReplicaError):
        reader.meta()
    reader.end()


def test_a_reader_reads_what_was_written(tmp_path: Path) -> None:
    make(tmp_path, ["joe", "ana"]).close()
    reader = ReplicaReader(tmp_path)
    assert reader.open()
    assert reader.begin()  # its tables are new to this reader
    assert reader.login(b"joe") == b"record of joe"
    assert reader.login(b"nobody") is None
    assert reader.login(b"") is None
    assert reader.login(b"x" * 600) is None
    assert reader.name_of(2) == b"ana"
    assert reader.name_of(3) is None
    assert reader.tables().generation == 1
    assert reader.meta().count == 2
    reader.end()
    assert not reader.begin()
    reader.end()
    assert reader.login(b"joe") is None  # outside of a snapshot nothing is promised
    reader.close()


def test_without_tables_that_can_be_read_a_replica_is_not_complete(tmp_path: Path) -> None:
    writer = make(tmp_path, ["joe"])
    assert writer.current is not None
    with writer.current.write() as write:
        write._transaction.put(TABLES_KEY, b"\x91\xa1x", db=write._databases.meta)
    writer.close()
    reader = ReplicaReader(tmp_path)
    assert not reader.open()
    assert not reader.begin()
    assert not reader.complete


def test_r3_4_a_reader_finds_a_login_by_its_device(tmp_path: Path) -> None:
    facts = LoginFacts(7, 1, 1, 1, 1, int(LoginFlag.IS_MAC_LOGIN), 2, 1, 0, 0x001A2B3C4D5E, nt_hash=b"n" * 16)
    record, mac = encode(facts), bytes.fromhex("001a2b3c4d5e")
    writer = make(tmp_path, ["joe"])
    assert writer.current is not None
    with writer.current.write() as write:
        write.put_record(b"tv", record)
    writer.close()
    reader = ReplicaReader(tmp_path)
    assert reader.login_by_mac(mac) is None  # nothing is open yet
    assert reader.open()
    reader.begin()
    assert reader.login_by_mac(mac) == reader.login(b"tv") == record
    assert reader.login_by_mac(bytes(6)) is reader.login_by_mac(b"") is None
    reader.end()
    assert reader.login_by_mac(mac) is None
    reader.close()


def test_r7_2_a_reader_finds_a_logins_leases(tmp_path: Path) -> None:
    writer = make(tmp_path, ["ana"])
    assert writer.current is not None
    with writer.current.write() as write:
        write.put_leases({1: b"one", 2**31 - 1: b"last", 3: b""})
        write.put_leases({1: b"other", 7: b"seven"})
        assert list(write.leases()) == [(1, b"other"), (7, b"seven"), (2**31 - 1, b"last")]
        write.put_leases({7: b""})
    writer.current.flush()
    writer.close()
    reader = ReplicaReader(tmp_path)
    assert reader.leases(1) is None
    reader.begin()
    assert [reader.leases(login_id) for login_id in (1, 3, 7, 2**31 - 1)] == [b"other", None, None, b"last"]
    reader.end()
    reader.close()


def test_a_reader_sees_changes_and_moves_with_the_swap(tmp_path: Path) -> None:
    other = OtherProcess(tmp_path)
    try:
        assert other.ask("joe") == "False|False|0|-"
        writer = make(tmp_path, ["joe"])
        assert other.ask("joe") == "True|True|1|record of joe"
        assert other.ask("joe") == "True|False|1|record of joe"
        assert writer.current is not None
        with writer.current.write() as write:
            write.put_record(b"joe", b"changed")
        assert other.ask("joe") == "True|False|1|changed"
        with writer.current.write() as write:
            write.put_tables(tables(2))
        assert other.ask("joe") == "True|True|2|changed"
        old = writer.current.folder
        built = writer.build()
        fill(built, ["ana"], 3)
        assert other.ask("joe ana") == "True|False|2|changed|-"  # the old one serves until the swap
        writer.swap(built)
        assert other.ask("joe ana") == "True|True|3|-|record of ana"
        assert not old.exists()
        built = writer.build()
        fill(built, ["ana", "joe"], 3)
        writer.swap(built)
        assert other.ask("joe ana") == "True|True|3|record of joe|record of ana"
        assert len(_folders(tmp_path)) == 1
        assert writer.current.reap_readers() == 0
        assert other.ask("!") == ""  # dies within a snapshot
        assert writer.current.reap_readers() == 1
        writer.close()
    finally:
        other.close()


def test_a_transaction_is_seen_whole_or_never(tmp_path: Path) -> None:
    other = OtherProcess(tmp_path)
    try:
        writer = make(tmp_path, ["joe"])
        assert writer.current is not None
        with pytest.raises(RuntimeError), writer.current.write() as write:
            write.put_record(b"joe", b"half")
            assert other.ask("joe") == "True|True|1|record of joe"
            raise RuntimeError
        assert other.ask("joe") == "True|False|1|record of joe"
        writer.close()
    finally:
        other.close()


def test_a_build_that_was_not_finished_is_dropped(tmp_path: Path) -> None:
    writer = make(tmp_path, ["joe"])
    unfinished = writer.build()
    fill(unfinished, ["half"])
    writer.close()
    unfinished.close()
    again = ReplicaWriter(tmp_path, MAP_SIZE)
    assert again.open() == meta(1)
    assert len(_folders(tmp_path)) == 1
    discarded = again.build()
    again.discard(discarded)
    assert len(_folders(tmp_path)) == 1
    again.close()


def test_a_crash_between_the_two_steps_of_a_swap(tmp_path: Path) -> None:
    """`current` names the new generation, the old one was not told: the next start tells its readers."""
    writer = make(tmp_path, ["joe"])
    other = OtherProcess(tmp_path)
    try:
        assert other.ask("joe").startswith("True|True|1|record")
        built = writer.build()
        fill(built, ["ana"], 2)
        built.close(flush=True)
        (tmp_path / "current").write_text(built.folder.name + "\n")
        writer.close()
        assert other.ask("joe ana") == "True|False|1|record of joe|-"
        again = ReplicaWriter(tmp_path, MAP_SIZE)
        assert again.open() == meta(1)
        assert other.ask("joe ana") == "True|True|2|-|record of ana"
        again.close()
    finally:
        other.close()


def test_the_writer_notices_that_its_files_are_gone(tmp_path: Path) -> None:
    writer = make(tmp_path, ["joe"])
    assert writer.is_intact()
    (tmp_path / "current").unlink()
    assert not writer.is_intact()
    writer.close()
    assert not writer.is_intact()


def test_there_is_one_writer(tmp_path: Path) -> None:
    writer = make(tmp_path, ["joe"])
    with pytest.raises(ReplicaError):
        ReplicaWriter(tmp_path, MAP_SIZE).open()
    assert writer.current is not None
    assert writer.current.folder.exists()
    writer.close()
    successor = ReplicaWriter(tmp_path, MAP_SIZE)
    assert successor.open() == meta(1)
    successor.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, os.urandom(8192)])
def test_a_damaged_store_is_none(tmp_path: Path, content: bytes) -> None:
    make(tmp_path, ["joe"]).close()
    (_folders(tmp_path)[0] / "data.mdb").write_bytes(content)
    assert not ReplicaReader(tmp_path).open()
    writer = ReplicaWriter(tmp_path, MAP_SIZE)
    assert writer.open() is None
    assert _folders(tmp_path) == []


def test_a_store_of_another_version_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, ["joe"]).close()
    monkeypatch.setattr("aaad.replica.layout.STORE_VERSION", 99)
    reader = ReplicaReader(tmp_path)
    assert not reader.begin()
    assert not reader.complete
    writer = ReplicaWriter(tmp_path, MAP_SIZE)
    assert writer.open() is None


def test_a_full_map_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    generation = Generation(tmp_path / "small", 1 << 17)
    fill(generation, ["joe"])
    with pytest.raises(ReplicaError), generation.write() as write:
        for number in range(10_000):
            write.put_record(b"%d" % number, b"x" * 100)
    with generation.read() as read:
        assert read.record(b"0") is None
        assert read.record(b"joe")
    generation.close()


_FULL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import ReplicaError, fill, make
directory = Path(sys.argv[1])
writer = make(directory / "replica", ["joe"])
filler = (directory / "filler").open("wb", buffering=0)
for octets in (65536, 4096):
    try:
        while filler.write(bytes(octets)) == octets:
            pass
    except OSError:
        pass
failures = 0
for room in range(0, 30 * 4096, 4096):
    filler.truncate(filler.tell() - room)
    built = None
    try:
        built = writer.build()
        fill(built, ["ana"])
        writer.swap(built)
        break
    except ReplicaError:
        failures += 1
        if built is not None:
            writer.discard(built)
    assert len([path for path in (directory / "replica").iterdir() if path.is_dir()]) == 1
    with writer.current.read() as read:
        assert read.record(b"joe"), "the generation in force still serves"
assert failures > 5, "this disk was not full"
with writer.current.read() as read:
    assert read.record(b"ana") and not read.record(b"joe"), "with room again it comes through"
print("ok")
"""


def test_a_full_disk_is_an_error_and_no_signal(tmp_path: Path) -> None:
    """A real file system of 400 KiB, in a mount namespace of its own: a resync there must fail, not die."""
    command = f'mount -t tmpfs -o size=400k none "{tmp_path}" && exec "$@"'
    here = os.path.dirname(__file__)
    flags = ["-m"] if os.getuid() == 0 else ["-r", "-m"]
    mounted = subprocess.run(["unshare", *flags, "sh", "-c", command, "sh", "true"], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no mount namespace of our own here, a full file system is NOT tested: {mounted.stderr!r}")
    result = subprocess.run(
        ["unshare", *flags, "sh", "-c", command, "sh", sys.executable, "-c", _FULL_DISK, str(tmp_path), here],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr


def _folders(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_dir()]


identifiers = st.integers(1, 2**31 - 1)
octets = st.binary(max_size=300)


@settings(max_examples=50)
@given(
    st.dictionaries(identifiers, st.builds(Source, st.integers(0, 2**64 - 1), octets), max_size=20),
    st.dictionaries(
        identifiers, st.builds(Pending, st.integers(0, 2**64 - 1), st.booleans(), octets, octets), max_size=20
    ),
    st.dictionaries(identifiers, st.floats(0, 2e9), max_size=20),
    identifiers,
)
def test_values_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory,
    sources: dict[int, Source],
    held: dict[int, Pending],
    cut_offs: dict[int, float],
    after: int,
) -> None:
    generation = Generation(tmp_path_factory.mktemp("store"), MAP_SIZE, is_durable=False)
    with generation.write() as write:
        for login_id, source in sources.items():
            write.put_source(login_id, source)
        for login_id, pending in held.items():
            write.put_pending(login_id, pending)
        for login_id, at_s in cut_offs.items():
            write.put_cut_off(login_id, at_s)
    with generation.read() as read:
        assert dict(read.sources()) == sources
        assert [login_id for login_id, _ in read.sources(after)] == sorted(key for key in sources if key > after)
        assert {login_id: read.pending(login_id) for login_id in read.pending_ids()} == held
        assert read.pending_count() == len(held)
        assert read.pending_ids(3) == sorted(held)[:3]
        assert read.cut_offs() == cut_offs
    generation.close()
