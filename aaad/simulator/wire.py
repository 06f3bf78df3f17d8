"""A network between concentrators and servers that loses, repeats and reorders datagrams, both ways.

Pure: what is to be carried comes in with the time, what has arrived is asked for, and chance is passed in.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from aaad.simulator.nas import Line

Dice = Callable[[], float]  # a number from 0 to 1 each time
Parcel = tuple[Line, bytes]


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: the share of the datagrams that are lost, sent twice, or late and so overtaken."""

    lost: float = 0.0
    repeated: float = 0.0
    reordered: float = 0.0
    late_s: float = 0.5  # at most


class Wire:
    """One direction. What it holds is bounded by what is in work: nothing stays longer than `late_s`."""

    def __init__(self, weather: Weather, dice: Dice) -> None:
        """Begin with nothing under way."""
        self._weather = weather
        self._dice = dice
        self._prompt: deque[Parcel] = deque()
        self._late: list[tuple[float, int, Parcel]] = []
        self._order = count()

    @property
    def next_at_s(self) -> float | None:
        """When the next late one arrives, None if there is none."""
        return self._late[0][0] if self._late else None

    def put(self, line: Line, datagram: bytes, now_s: float) -> None:
        """Carry a datagram, or lose it."""
        weather, dice = self._weather, self._dice
        if weather.lost and dice() < weather.lost:
            return
        for _ in range(1 + (weather.repeated > 0 and dice() < weather.repeated)):
            if weather.reordered and dice() < weather.reordered:
                heapq.heappush(self._late, (now_s + dice() * weather.late_s, next(self._order), (line, datagram)))
            else:
                self._prompt.append((line, datagram))

    def arrived(self, now_s: float) -> Iterator[Parcel]:
        """Take out what has arrived."""
        while self._prompt:
            yield self._prompt.popleft()
        while self._late and self._late[0][0] <= now_s:
            yield heapq.heappop(self._late)[2]
