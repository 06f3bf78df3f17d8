"""Applies the records that the drain deferred, in small transactions of their own that wait for nobody long.

A record whose rows another program holds, or whose session this program cannot read, is passed over and tried again
in the next round; so is one over which this program stumbles. One that PostgreSQL refuses is dropped, counted and
told with its octets. The spool's cursor has nothing to do with it: it is far ahead.
"""

from aaad.clock import monotonic_s
from aaad.errors import SpoolError, StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.addresses import note_told
from aaad.sessions.entries import read_entry
from aaad.sessions.folding import UnreadableSessions
from aaad.sessions.store import CursorLost, Deferred, DrainStore, is_refused

BATCH_RECORDS_MAX = 500
ROUND_S = 0.5  # the drain waits meanwhile
_TOLD_MAX = 1_000
_SHRINK = 10  # a batch that fails is tried again in tenths, until the one record that fails stands alone

_log = get_logger("drain")


class Settler:
    """One node's deferred records, from the oldest on, round after round."""

    def __init__(self, store: DrainStore, counters: CounterFile) -> None:
        self._store = store
        self._counters = counters
        self._after = 0
        self._records_max = BATCH_RECORDS_MAX
        self._told: set[int] = set()  # records over which this program stumbled

    async def settle(self) -> None:
        """Go on for a short while, or until each record has had its turn; StoreError if PostgreSQL is away."""
        deadline_s = monotonic_s() + ROUND_S
        while await self._advance() and monotonic_s() < deadline_s:
            pass

    async def _advance(self) -> bool:
        """Try the next few; False once all have been tried."""
        batch = await self._store.load_deferred(self._after, self._records_max)
        if not batch:
            self._after = 0
            return False
        try:
            await self._apply(batch)
        except CursorLost:
            return True  # what somebody else settled does not come again
        except (StoreError, SpoolError) as error:
            if isinstance(error, StoreError) and error.sqlstate is None:
                raise
            if len(batch) > 1:
                self._records_max = max(1, len(batch) // _SHRINK)
                return True
            is_unreadable = isinstance(error, SpoolError) and not isinstance(error, UnreadableSessions)
            if is_unreadable or (isinstance(error, StoreError) and is_refused(error)):
                await self._drop(batch[0], error)
        except Exception:  # noqa: BLE001  our bug in one record must not stop all others
            if len(batch) > 1:
                self._records_max = max(1, len(batch) // _SHRINK)
                return True
            if batch[0].id not in self._told:
                self._told = {*self._told, batch[0].id} if len(self._told) < _TOLD_MAX else {batch[0].id}
                self._counters.add("aaad_bugs_total")
                _log.exception("drain.bug", records=1)
        else:
            self._records_max = min(BATCH_RECORDS_MAX, 2 * self._records_max)
        self._after = batch[-1].id
        return True

    async def _apply(self, batch: list[Deferred]) -> None:
        skipped = await self._store.settle([item.id for item in batch], [read_entry(item.record) for item in batch])
        self._counters.add("aaad_drain_skipped_total|kind=router_seen", skipped.routers)
        self._counters.add("aaad_drain_skipped_total|kind=name_refused", skipped.refused_names)
        note_told(self._counters, skipped.addresses)

    async def _drop(self, deferred: Deferred, error: Exception) -> None:
        await self._store.drop_deferred(deferred)
        self._counters.add("aaad_drain_set_aside_total|cause=refused")
        _log.error("drain.set_aside", records=1, octets=deferred.record.hex(), error=str(error))
