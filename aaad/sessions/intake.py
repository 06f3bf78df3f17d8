"""A batch's records, sorted by what is done with each: every record is looked at once, while it is at hand.

Pure. A batch is far larger than what a processor keeps near, so nothing walks over it once more to sort it.
"""

from collections import Counter
from collections.abc import Iterable

from aaad.sessions.batch import NOTHING_FORESEEN
from aaad.sessions.entries import Content, Entry
from aaad.sessions.heard import HeardRouters
from aaad.sessions.record import AccountingRecord
from aaad.spool.records import AddressBound, BindingLearned, Granted


class Gathered:
    """What makes sessions: accounting by family, restarts of routers, what Accepts granted."""

    __slots__ = ("families", "foreseen", "grants", "restarts")

    def __init__(self, contents: Iterable[Content] = ()) -> None:
        """All else among `contents` is passed over."""
        self.families: dict[bytes, list[AccountingRecord]] = {}
        self.restarts: list[AccountingRecord] = []
        self.grants: list[Granted] = []
        self.foreseen = NOTHING_FORESEEN  # what some of the families come to, found before the batch's turn
        for content in contents:
            if isinstance(content, AccountingRecord):
                self.add(content)
            elif isinstance(content, Granted):
                self.grants.append(content)

    def add(self, record: AccountingRecord) -> None:
        """Put a record to its family's."""
        family = record.family
        if not family:
            self.restarts.append(record)
        elif (records := self.families.get(family)) is not None:
            records.append(record)
        else:
            self.families[family] = [record]


class Intake:
    """A batch on its way into PostgreSQL."""

    __slots__ = ("gathered", "heard", "now", "of_erp", "of_ledger", "of_sessions")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Sort these; more may be added."""
        self.now: list[Entry] = []  # the network's records
        self.of_erp: list[Entry] = []  # those that change rows of the ERP's
        self.of_ledger: list[Entry] = []  # addresses
        self.of_sessions: list[Entry] = []  # those that make sessions; the same once more in `gathered`
        self.gathered = Gathered()
        self.heard = HeardRouters()  # counts once the batch is committed
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take one more record."""
        content = entry.content
        if isinstance(content, AccountingRecord):
            self.of_sessions.append(entry)
            self.gathered.add(content)
            self.heard.note(content)
        elif isinstance(content, Granted):
            self.of_sessions.append(entry)
            self.gathered.grants.append(content)
        elif isinstance(content, BindingLearned):
            self.of_erp.append(entry)
        elif isinstance(content, AddressBound):
            self.of_ledger.append(entry)
        else:
            self.now.append(entry)

    def counts(self) -> Counter[type[Content]]:
        """Return how many records of each kind there are."""
        counts: Counter[type[Content]] = Counter()
        counts.update(type(entry.content) for entry in (*self.now, *self.of_erp, *self.of_ledger))
        counts[Granted] = len(self.gathered.grants)
        counts[AccountingRecord] = len(self.of_sessions) - len(self.gathered.grants)
        return counts
