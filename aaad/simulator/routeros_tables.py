"""The tables of a simulated router: what `print`, `add`, `set` and `remove` do with rows, and its errors' texts.

Pure. Names and texts are those of RouterOS; values are texts, as they go over the wire. What is dynamic in a router
(who is connected, which addresses of a pool are in use) can be a function that gives the rows.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NamedTuple

Row = dict[str, str]
Version = tuple[int, int]

HAS_EMPTY = (7, 18)
PLAIN_LOGIN = (6, 43)
_POOL_FIGURES = (7, 18)
_IPV4 = 4
_COMMANDS = frozenset({"print", "add", "set", "remove", "enable", "disable"})
_READING = frozenset({"print"})
_LEAVING = frozenset({"print", "remove"})  # of what nobody can add


class Trap(Exception):  # noqa: N818  the protocol's own word
    """A command failed. Category 0 is a missing item or command, 1 an argument's value, 2 an interruption."""

    def __init__(self, message: str, category: int | None = None) -> None:
        """Carry what the router says."""
        super().__init__(message)
        self.message = message
        self.category = category


class Done(NamedTuple):
    """What a command gives: rows, or what its end carries."""

    rows: list[Row]
    ret: str | None = None
    is_print: bool = False


@dataclass(slots=True, kw_only=True)
class Table:
    """One path. `source` gives the rows of a table that somebody else keeps."""

    columns: frozenset[str] | None = None  # None: any
    commands: frozenset[str] = _COMMANDS
    required: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    is_single: bool = False  # one row without an .id
    source: Callable[[], Iterable[Row]] | None = None
    removed: Callable[[Row], None] | None = None
    written: Callable[[Row], Row] | None = None  # what is made of a row that is added
    rows: dict[str, Row] = field(default_factory=dict)  # by .id
    last_id: int = 0

    def all_rows(self) -> list[Row]:
        """Return the rows, each with its .id."""
        if self.source is not None:
            return [{".id": f"*{number:X}", **row} for number, row in enumerate(self.source(), 1)]
        return list(self.rows.values())

    def put(self, row: Row) -> str:
        """Add a row as the router itself does, without a check; returns its .id."""
        self.last_id += 1
        row_id = f"*{self.last_id:X}"
        self.rows[row_id] = row if self.is_single else {".id": row_id, **row}
        return row_id

    def renumber(self) -> None:
        """Give new .ids to all rows, as a reboot does to what is dynamic."""
        rows = [{name: value for name, value in row.items() if name != ".id"} for row in self.rows.values()]
        self.rows.clear()
        self.last_id += 0x100
        for row in rows:
            self.put(row)


class Router:
    """A router's tables and its version, the accounts of its API, and what was done with them."""

    def __init__(self, version: Version = (7, 20), *, identity: str = "MikroTik", **passwords: str) -> None:
        """Begin with what a router has that nobody has set up. Accounts: `admin="secret"`."""
        self.version = version
        self.passwords = passwords
        self.tables = _factory_tables()
        self.changes: list[str] = []  # every command that was none of reading
        self.table("/system/identity").put({"name": identity})
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
        if table is None or verb not in table.commands:
            raise Trap("no such command", 0)
        if verb == "print":
            return self._print(path, table, arguments, queries)
        self.changes.append(command)
        if verb == "add":
            return Done([], _add(table, arguments))
        if verb in {"enable", "disable"}:
            arguments = {**arguments, "disabled": "yes" if verb == "disable" else "no"}
            verb = "set"
        if verb == "set":
            _set(table, arguments)
        else:
            _remove(table, arguments)
        return Done([])

    def _print(self, path: str, table: Table, arguments: Mapping[str, str], queries: Sequence[str]) -> Done:
        rows = [row for row in table.all_rows() if fits(row, queries)]
        if path == "/ip/pool" and self.version >= _POOL_FIGURES:
            rows = [{**row, **self._figures(row)} for row in rows]
        if "count-only" in arguments:
            return Done([], str(len(rows)))
        if ".proplist" in arguments:
            names = arguments[".proplist"].split(",")
            rows = [{name: row[name] for name in names if name in row} for row in rows]
        elif "stats" not in arguments:
            rows = [{name: value for name, value in row.items() if name not in _STATISTICS} for row in rows]
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


_STATISTICS = frozenset({"bytes-in", "bytes-out", "packets-in", "packets-out"})


def spans(ranges: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last address of each range of a pool."""
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        if dash:
            yield int(ip_address(first)), int(ip_address(last))
        else:
            network = ip_network(first)
            yield int(network.network_address), int(network.broadcast_address)


def _add(table: Table, arguments: Mapping[str, str]) -> str:
    row = {**table.defaults, **_known(table, arguments)}
    for name in table.required:
        if name not in row:
            raise Trap(f"failure: missing value of {name}", 1)
    if table.written is not None:
        row = table.written(row)
    _check(table, row, None)
    return table.put(row)


def _set(table: Table, arguments: Mapping[str, str]) -> None:
    changed = _known(table, {name: value for name, value in arguments.items() if name not in {".id", "numbers"}})
    for row in _chosen(table, arguments):
        _check(table, {**row, **changed}, row)
        row.update(changed)


def _remove(table: Table, arguments: Mapping[str, str]) -> None:
    for row in _chosen(table, arguments):
        if table.removed is not None:
            table.removed(row)
        table.rows.pop(row[".id"], None)


def _known(table: Table, arguments: Mapping[str, str]) -> Row:
    if table.columns is not None and not table.columns >= arguments.keys():
        raise Trap("unknown parameter", 1)
    return dict(arguments)


def _check(table: Table, row: Row, own: Row | None) -> None:
    key = [row.get(name) for name in table.unique]
    if table.unique and any(
        other is not own and [other.get(name) for name in table.unique] == key for other in table.rows.values()
    ):
        raise Trap("failure: already have such entry")
    try:
        for _ in spans(row["ranges"]) if "ranges" in row else ():
            pass
    except ValueError:
        raise Trap("input does not match any value of ranges", 1) from None


def _chosen(table: Table, arguments: Mapping[str, str]) -> list[Row]:
    if table.is_single:
        return list(table.rows.values())
    by_id = {row[".id"]: row for row in table.all_rows()}
    words = arguments.get(".id", arguments.get("numbers", "")).split(",")
    by_name = {row["name"]: row for row in by_id.values() if "name" in row}
    found = [by_id.get(word) or by_name.get(word) for word in words]
    if not all(found):
        raise Trap("no such item (4)", 0)
    return [row for row in found if row is not None]


# --- queries --------------------------------------------------------------------------------------------------------


def fits(row: Row, queries: Sequence[str]) -> bool:
    """Tell whether a row fits the query words, in their order: a stack of truths, at the end all of them."""
    stack: list[bool] = []
    for query in queries:
        if query.startswith("?#"):
            for operation in re.findall(r"\d+\.?|.", query[2:]):
                _operate(stack, operation)
        else:
            stack.append(_holds(row, query[1:]))
    return all(stack)


def _holds(row: Row, query: str) -> bool:
    matched = re.fullmatch(r"([-=<>]?)([^=]*)(?:=(.*))?", query, re.DOTALL)
    assert matched is not None
    sign, name, value = matched.groups()
    if value is None:
        return (name in row) != (sign == "-")
    if name not in row:
        return False
    if sign in {"<", ">"}:
        less = _sortable(row[name]) < _sortable(value)
        return less if sign == "<" else not less and row[name] != value
    return row[name] == value


def _sortable(value: str) -> tuple[int, int, str]:
    try:
        return (0, int(ip_address(value)), "")
    except ValueError:
        return (0, int(value), "") if value.isdigit() else (1, 0, value)


def _operate(stack: list[bool], operation: str) -> None:
    try:
        if operation == "!":
            stack.append(not stack.pop())
        elif operation in "&|":
            one, other = stack.pop(), stack.pop()
            stack.append((one and other) if operation == "&" else (one or other))
        elif operation == ".":
            stack.append(stack[-1])
        else:
            copied = stack[-1 - int(operation.removesuffix("."))]
            if operation.endswith("."):
                stack.pop()
            stack.append(copied)
    except (IndexError, ValueError):
        raise Trap("invalid query", 1) from None


# --- what there is --------------------------------------------------------------------------------------------------


def _factory_tables() -> dict[str, Table]:
    def of(*columns: str, **more: object) -> Table:
        return Table(columns=frozenset(columns) or None, **more)  # type: ignore[arg-type]

    return {
        "/ip/pool": of("name", "ranges", "next-pool", "comment", required=("name", "ranges"), unique=("name",)),
        "/ip/pool/used": Table(commands=_READING),
        "/ipv6/pool": of("name", "prefix", "prefix-length", required=("name", "prefix"), unique=("name",)),
        "/ipv6/pool/used": Table(commands=_READING),
        "/ipv6/dhcp-server/binding": of(
            *("address", "comment", "disabled", "duid", "iaid", "life-time", "prefix-pool", "rate-limit", "server"),
            required=("address",),
            unique=("address",),
            defaults={"server": "all", "disabled": "false"},
        ),
        "/ip/dhcp-server/lease": of(
            *("address", "mac-address", "client-id", "server", "comment", "disabled", "block-access", "rate-limit"),
            required=("address",),
            defaults={"disabled": "false", "dynamic": "false", "status": "waiting"},
        ),
        "/ppp/active": Table(commands=_LEAVING),
        "/ppp/secret": of(
            *("name", "password", "service", "profile", "remote-address", "disabled", "comment"),
            required=("name",),
            unique=("name",),
            defaults={"disabled": "false", "service": "any"},
        ),
        "/ip/hotspot/active": Table(commands=_LEAVING),
        "/ip/hotspot/cookie": Table(commands=_LEAVING),
        "/ip/firewall/address-list": _address_list(),
        "/ipv6/firewall/address-list": _address_list(),
        "/queue/simple": of(
            *("name", "target", "max-limit", "limit-at", "burst-limit", "parent", "comment", "disabled"),
            required=("name",),
            unique=("name",),
            defaults={"disabled": "false", "dynamic": "false", "max-limit": "0/0"},
        ),
        "/interface": of("name", "comment", "disabled", commands=frozenset({"print", "set"})),
        "/system/identity": of("name", commands=frozenset({"print", "set"}), is_single=True),
        "/system/resource": Table(commands=_READING, is_single=True),
    }


def _address_list() -> Table:
    return Table(
        columns=frozenset({"list", "address", "timeout", "comment", "disabled"}),
        required=("list", "address"),
        unique=("list", "address"),
        defaults={"disabled": "false", "dynamic": "false"},
        written=_written_entry,
    )


def _written_entry(row: Row) -> Row:
    """Return an entry as the router shows it: IPv6 with a prefix length always; with a timeout it is dynamic."""
    try:
        network = ip_network(row["address"], strict=False)
    except ValueError:
        return row  # a range, or a name
    is_one = network.version == _IPV4 and network.prefixlen == network.max_prefixlen
    address = str(network.network_address) if is_one else str(network)
    return {**row, "address": address, "dynamic": "true" if row.get("timeout") else row.get("dynamic", "false")}
