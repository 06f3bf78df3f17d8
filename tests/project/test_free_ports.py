"""The ports that tests give to others: below the kernel's own, free, one run's alone and never given twice."""

import socket
import subprocess
import sys
from pathlib import Path

import free_ports
import pytest

_TESTS = Path(free_ports.__file__).parent
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_none_is_given_twice_and_none_is_one_of_the_kernels() -> None:
    given = [free_ports.free_port() for _ in range(250)]
    assert len(set(given)) == 250
    assert free_ports.FIRST < min(given) <= max(given) <= free_ports.LAST
    if int(_RANGE.read_text().split()[0]) > free_ports.LAST:  # as it is if nobody has changed it
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            assert chosen.getsockname()[1] > free_ports.LAST


@pytest.mark.parametrize("count", [2, 3, 40])
def test_several_are_one_behind_the_other_even_where_a_block_ends(count: int) -> None:
    for _ in range(2 * free_ports.BLOCK // count):
        first, *others = free_ports.free_ports(count)
        assert others == list(range(first + 1, first + count))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.7.1", ""])
def test_what_another_has_is_left_out(monkeypatch: pytest.MonkeyPatch, kind: int, address: str) -> None:
    taken, after = free_ports.free_ports(2)
    monkeypatch.setattr(free_ports, "_numbers", iter([taken, after]))
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((address, taken))
        assert free_ports.free_port() == after


def test_no_two_runs_look_at_the_same_ones() -> None:
    code = "import free_ports; print(free_ports.free_ports(5)); input()"
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.Popen(command, cwd=_TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.stdout.readline() for run in runs]
    for run in runs:
        run.communicate("\n", timeout=20)
    blocks = [int(text.strip("[]\n").split(",")[0]) // free_ports.BLOCK for text in said]
    own = {held.getsockname()[1] // free_ports.BLOCK for held in free_ports._held}
    assert len({*blocks, *own}) == len(blocks) + len(own)


def test_a_block_that_is_held_is_passed_by_and_none_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = free_ports.free_port() // free_ports.BLOCK * free_ports.BLOCK
    monkeypatch.setattr(free_ports, "FIRST", begun)
    monkeypatch.setattr(free_ports, "LAST", begun + free_ports.BLOCK - 1)
    with pytest.raises(AssertionError, match=f"no port from {begun} to {begun + 99} is left"):
        next(free_ports._deal())
