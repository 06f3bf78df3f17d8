"""What one radius process can give out of each pool right now, and how much it should have set aside.

Pure but for the marks that a Chunk sets. Of a pool that nobody asked for yet little is set aside, of any other its
`reserve_size`, and more while claims follow each other fast, so that a storm does not wait for them; of one that has
become short nothing, so that who needs an address gets it from wherever it lies.
"""

from aaad.pools.reserve import Chunk
from aaad.pools.want import Lack, Want
from aaad.replica.record import PoolRow

FIRST_UNITS = 32
CLAIM_UNITS_MAX = 4_096
STORM_UNITS = 1_024  # set aside at most while what is claimed is soon used up
STORM_S = 1.0  # claims that follow each other sooner are a storm's
SHORT_S = 10.0  # for so long nothing is kept of a pool after PostgreSQL had no more of it, here or elsewhere
FOR_OTHERS_S = 5.0  # for so long who finds nothing is left without an answer, as others may give back what they have
REST_S = 1.0
REFUSE_S = 1.0  # after PostgreSQL said that nothing is free it is not asked again
FAILED_S = 1.0  # after a claim that failed
ASK_AGAIN_S = 0.25  # ... but where others may give something back
_ACTIVE, _IPV4, _ONE_ADDRESS = "active", "ipv4", 32


class Stock:
    """The free units of one pool."""

    __slots__ = (
        "_claimed_s",
        "_storm_units",
        "_taken",
        "chunks",
        "is_asked",
        "is_failing",
        "is_used",
        "last_lack",
        "pool",
        "refused_until_s",
        "rests_until_s",
        "short_since_s",
        "short_until_s",
        "starved",
    )

    def __init__(self, pool: PoolRow) -> None:
        """Have nothing."""
        self.pool = pool
        self.chunks: list[Chunk] = []
        self.starved: list[Want] = []  # wait for a claim
        self.is_asked = False  # a claim is under way
        self.is_failing = False  # the last claim could not be made
        self.rests_until_s = 0.0  # nothing is claimed beforehand
        self.refused_until_s = 0.0  # nothing is claimed for anybody
        self.last_lack = Lack.EXHAUSTED
        self.short_since_s = 0.0
        self.short_until_s = 0.0
        self.is_used = False
        self._claimed_s = 0.0
        self._storm_units = 0
        self._taken = 0  # since the last claim

    @property
    def is_given(self) -> bool:
        """Whether logins get new addresses of it. IPv4 networks are secondary ones: `login secondary` gives them."""
        pool = self.pool
        return pool.state == _ACTIVE and (pool.family != _IPV4 or pool.prefix_length == _ONE_ADDRESS)

    @property
    def free(self) -> int:
        """How many units can be given out."""
        return sum(chunk.free for chunk in self.chunks)

    def take(self) -> tuple[Chunk, int] | None:
        """Take out a unit, marked; None if there is none."""
        if self.pool.state != _ACTIVE:
            return None
        self.is_used = True
        self._taken += 1
        for chunk in self.chunks:
            if chunk.free:
                return chunk, chunk.take()
        return None

    def is_short(self, now_s: float) -> bool:
        """Tell whether PostgreSQL had no more of it a moment ago."""
        return now_s < self.short_until_s

    def become_short(self, now_s: float) -> None:
        """Note that nothing is left, or that somebody else finds nothing."""
        if now_s >= self.short_until_s:
            self.short_since_s = now_s
        self.short_until_s = now_s + SHORT_S

    def lacking(self, now_s: float) -> int:
        """Return how many units to claim now."""
        free, needed = self.free, len(self.starved)
        if not self.is_given or self.is_asked or now_s < (self.refused_until_s if needed else self.rests_until_s):
            return 0
        if self.is_short(now_s):
            return min(max(0, needed - free), CLAIM_UNITS_MAX)
        usual = self.pool.reserve_size
        target = max(usual, self._storm_units) if self.is_used else min(FIRST_UNITS, usual)
        if not needed and 2 * free > target:
            return 0
        return min(max(target + needed - free, 0), CLAIM_UNITS_MAX)

    def claimed(self, got: int, asked: int, now_s: float) -> None:
        """Note what a claim came to."""
        self.is_failing = False
        usual = self.pool.reserve_size
        is_storm = got == asked and 2 * self._taken >= usual and now_s - self._claimed_s < STORM_S
        self._storm_units = min(2 * max(self._storm_units, usual), STORM_UNITS) if is_storm else 0
        self._claimed_s, self._taken = now_s, 0
        if not got:
            self.rests_until_s = now_s + REST_S

    def fail(self, now_s: float) -> None:
        """Note that a claim could not be made: others come first for a moment."""
        self.is_failing = True
        self.rests_until_s = self.refused_until_s = now_s + FAILED_S
        self.last_lack = Lack.IMPOSSIBLE

    def refuse(self, now_s: float, *, may_others_give_back: bool) -> Lack:
        """Return why nobody gets anything now; it holds for a moment."""
        self.become_short(now_s)
        may_come = may_others_give_back and now_s - self.short_since_s < FOR_OTHERS_S
        self.refused_until_s = now_s + (ASK_AGAIN_S if may_come else REFUSE_S)
        self.last_lack = Lack.IMPOSSIBLE if may_come else Lack.EXHAUSTED
        return self.last_lack

    def surplus(self, now_s: float) -> list[Chunk]:
        """Return the chunks whose free units are to be given back."""
        if self.is_given and not (self.is_short(now_s) and not self.starved):
            return []
        return [chunk for chunk in self.chunks if chunk.free]
