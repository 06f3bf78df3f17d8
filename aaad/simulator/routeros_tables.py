"""The tables of a simulated router: what `print`, `add`, `set`, `remove` and `monitor` do, and its errors' texts.

Pure. Names and texts are those of RouterOS. What is dynamic in a router (who is connected, which addresses of a pool
are in use) can be a function that gives the rows. What tables there are stands in `routeros_factory`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aaad.simulator.routeros_factory import Version, factory_tables
from aaad.simulator.routeros_rows import (
    UNTIL,
    Row,
    Table,
    Trap,
    add_row,
    chosen,
    fits,
    remove_rows,
    set_rows,
    spans,
)

__all__ = ["HAS_EMPTY", "PLAIN_LOGIN", "Done", "Router", "Row", "Table", "Trap", "Version", "fits", "spans"]

HAS_EMPTY = (7, 18)
PLAIN_LOGIN = (6, 43)
_POOL_FIGURES = (7, 18)
_STATISTICS = frozenset({"bytes-in", "bytes-out", "packets-in", "packets-out"})


class Done(NamedTuple):
    """What a command gives: rows, or what its end carries."""

    rows: list[Row]
    ret: str | None = None
    is_print: bool = False


class Router:
    """A router's tables and its version, the accounts of its API, and what was done with them."""

    def __init__(self, version: Version = (7, 20), *, identity: str = "MikroTik", **passwords: str) -> None:
        """Begin with what a router has that nobody has set up. Accounts: `admin="secret"`."""
        self.version = version
        self.passwords = passwords
        self.tables = factory_tables(version)
        self.changes: list[str] = []  # every command that was none of reading
        self.table("/system/identity").put({"name": identity})
        for name in passwords:
            self.table("/user").put({**self.table("/user").defaults, "name": name, "group": "full"})
        number = ".".join(str(part) for part in version)
        self.table("/system/resource").put(
            {"uptime": "3d4h5m6s", "version": f"{number} (stable)", "board-name": "CHR", "cpu-count": "4"}
        )

    def table(self, path: str) -> Table:
        """Return a table; KeyError if the router has none of this path."""
        return self.tables[path]

    def run(self, command: str, arguments: Mapping[str, str], queries: Sequence[str]) -> Done:
        """Carry out a command; Trap if it cannot be."""
        path, _, verb = command.rpartition("/")
        table = self.tables.get(path)
        verb = "print" if verb == "getall" else verb
        if table is None or verb not in table.commands | ({"monitor"} if table.monitor is not None else set()):
            raise Trap("no such command", 0)
        if verb == "print":
            return self._print(path, table, arguments, queries)
        if verb == "monitor":
            assert table.monitor is not None
            return Done([table.monitor(row) for row in chosen(table, arguments)])
        self.changes.append(command)
        if verb == "add":
            return Done([], add_row(table, arguments))
        if verb in {"enable", "disable"}:
            arguments = {**arguments, "disabled": "yes" if verb == "disable" else "no"}
            verb = "set"
        if verb == "set":
            set_rows(table, arguments)
        else:
            remove_rows(table, arguments)
        return Done([])

    def _print(self, path: str, table: Table, arguments: Mapping[str, str], queries: Sequence[str]) -> Done:
        rows = [row for row in table.all_rows() if fits(row, queries)]
        if path == "/ip/pool" and self.version >= _POOL_FIGURES:
            rows = [{**row, **self._figures(row)} for row in rows]
        if "count-only" in arguments:
            return Done([], str(len(rows)))
        if ".proplist" in arguments:
            names = arguments[".proplist"].split(",")
            return Done([{name: row[name] for name in names if name in row} for row in rows], is_print=True)
        hidden = {UNTIL} if "stats" in arguments else _STATISTICS | {UNTIL}
        rows = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
        return Done(rows, is_print=True)

    def _figures(self, pool: Row) -> Row:
        total = sum(1 + int(last) - int(first) for first, last in spans(pool["ranges"]))
        used = sum(row.get("pool") == pool["name"] for row in self.table("/ip/pool/used").all_rows())
        return {"total": str(total), "used": str(used), "available": str(total - used)}

    def connect(self, name: str, address: str, *, caller: str, session: str, pool: str = "", **more: str) -> None:
        """Let a PPPoE customer be connected, with an address of a pool of the router's or one that RADIUS gave."""
        row = {"name": name, "service": "pppoe", "caller-id": caller, "address": address}
        row |= {"uptime": "1h2m3s", "encoding": "", "session-id": session}
        row |= {"limit-bytes-in": "0", "limit-bytes-out": "0", "radius": "true"}
        self.table("/ppp/active").put(row | more)
        if pool:
            self.table("/ip/pool/used").put({"pool": pool, "address": address, "owner": "PPP", "info": name})
