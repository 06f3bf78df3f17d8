"""Numbers of ports for what binds them later: a daemon, a simulated router, a program that is not ours.

Not such as the kernel gives for port 0: those it gives to every other socket as well, so between the look and the use
a connection of a run beside this one may get the number. It gives none of these, which lie below its own. And no two
runs look at the same ones: they are dealt in blocks, and a block is the process's that holds its first number.
"""

import random
import socket
from collections.abc import Iterator

FIRST, LAST = 10_000, 29_999
BLOCK = 100
_ADDRESS = "127.0.0.1"
_held: list[socket.socket] = []


def free_port() -> int:
    """Return a number that nobody has, for UDP and for TCP, at any address; it is not given again."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return so many of them, each the next after the one before it."""
    found: list[int] = []
    while len(found) < count:
        number = next(_numbers)
        if _is_free(number):
            found = [*found, number] if found and number == found[-1] + 1 else [number]
    return found


def _deal() -> Iterator[int]:
    # In another order each time: what the run before this one has left may still be ending.
    for first in random.SystemRandom().sample(range(FIRST, LAST, BLOCK), (LAST + 1 - FIRST) // BLOCK):
        try:
            _held.append(_bound(socket.SOCK_DGRAM, _ADDRESS, first))
        except OSError:  # another run's block
            continue
        yield from range(first + 1, first + BLOCK)
    raise AssertionError(f"no port from {FIRST} to {LAST} is left")


def _is_free(number: int) -> bool:
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            _bound(kind, "", number).close()
    except OSError:
        return False
    return True


def _bound(kind: socket.SocketKind, address: str, number: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, kind)
    try:
        opened.bind((address, number))
    except OSError:
        opened.close()
        raise
    return opened


_numbers = _deal()
