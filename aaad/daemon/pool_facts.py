"""What each radius process has set aside of the pools: one file per slot beside the counters (rule R10).

The radius role writes the file whole every few seconds; here it is read for /metrics.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from aaad.pools.supply import StockFacts
from aaad.words import printable

STOCKS_MAX = 1_000  # of a node
_SUFFIX = ".pools.json"


def stocks_path(counters: Path, slot: str) -> Path:
    """Return the file that a slot's radius process writes."""
    return counters / f"{slot}{_SUFFIX}"


def read_stocks(counters: Path) -> list[StockFacts]:
    """Return what all slots tell, at most STOCKS_MAX rows, the least first."""
    return sorted(_read_all(counters), key=lambda stock: stock.units)[:STOCKS_MAX]


def _read_all(counters: Path) -> Iterator[StockFacts]:
    for path in sorted(counters.glob(f"*{_SUFFIX}")):
        try:
            found = msgspec.json.decode(path.read_bytes(), type=list[StockFacts])
        except (OSError, msgspec.MsgspecError):
            continue  # just being replaced, or of another version
        for stock in found:
            yield msgspec.structs.replace(stock, slot=path.name.removesuffix(_SUFFIX), pool=printable(stock.pool))
