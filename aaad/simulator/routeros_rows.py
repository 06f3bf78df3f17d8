"""One table of a simulated router: its rows, how they are added, set, removed and chosen, and what fails.

Pure. Texts are those of RouterOS; values are texts, as they go over the wire.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

Row = dict[str, str]

COMMANDS = frozenset({"print", "add", "set", "remove", "enable", "disable"})
READING = frozenset({"print"})
LEAVING = frozenset({"print", "remove"})  # of what nobody can add
SETTING = frozenset({"print", "set"})
UNTIL = ".until"  # when a row goes by itself; shown to nobody
_TRUTHS = {"yes": "true", "no": "false"}
_PERIOD = re.compile(r"(\d+)([wdhms])")
_PERIODS_S = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Trap(Exception):  # noqa: N818  the protocol's own word
    """A command failed. Category 0 is a missing item or command, 1 an argument's value, 2 an interruption."""

    def __init__(self, message: str, category: int | None = None) -> None:
        """Carry what the router says."""
        super().__init__(message)
        self.message = message
        self.category = category


@dataclass(slots=True, kw_only=True)
class Table:
    """One path. `source` gives the rows of a table that somebody else keeps."""

    columns: frozenset[str] | None = None  # None: any
    commands: frozenset[str] = COMMANDS
    required: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    truths: frozenset[str] = frozenset({"disabled"})  # columns that are shown as true or false, however they are set
    is_single: bool = False  # one row without an .id
    source: Callable[[], Iterable[Row]] | None = None
    removed: Callable[[Row], None] | None = None
    written: Callable[[Row], Row] | None = None  # what is made of a row that is added
    changed: Callable[[Row], None] | None = None  # told of each row that was set
    monitor: Callable[[Row], Row] | None = None  # what `monitor` says of a row
    now: Callable[[], float] = float  # by which rows with a timeout go
    rows: dict[str, Row] = field(default_factory=dict)  # by .id
    last_id: int = 0

    def all_rows(self) -> list[Row]:
        """Return the rows, each with its .id."""
        for row_id in [row_id for row_id, row in self.rows.items() if _is_over(row, self.now)]:
            del self.rows[row_id]
        kept = list(self.rows.values())
        if self.source is None:
            return kept
        return [{".id": f"*F{number:06X}", **row} for number, row in enumerate(self.source(), 1)] + kept

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


def period_s(text: str) -> float:
    """Return a period such as `1d2h` or `90s` or `90` in seconds."""
    return int(text) if text.isdigit() else sum(int(n) * _PERIODS_S[unit] for n, unit in _PERIOD.findall(text))


def _is_over(row: Row, now: Callable[[], float]) -> bool:
    return UNTIL in row and float(row[UNTIL]) <= now()


def spans(ranges: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last address of each range of a pool."""
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        if dash:
            yield int(ip_address(first)), int(ip_address(last))
        else:
            network = ip_network(first)
            yield int(network.network_address), int(network.broadcast_address)


def add_row(table: Table, arguments: Mapping[str, str]) -> str:
    """Carry out `add`; return the new row's .id."""
    row = {**table.defaults, **_known(table, arguments)}
    if row.get("timeout") and "list" in row:
        row[UNTIL] = repr(table.now() + period_s(row["timeout"]))
    for name in table.required:
        if name not in row:
            raise Trap(f"failure: missing value of {name}", 1)
    if table.written is not None:
        row = table.written(row)
    _check(table, row, None)
    return table.put(row)


def set_rows(table: Table, arguments: Mapping[str, str]) -> None:
    """Carry out `set`."""
    changed = _known(table, {name: value for name, value in arguments.items() if name not in {".id", "numbers"}})
    for row in chosen(table, arguments):
        if not table.is_single and row[".id"] not in table.rows:
            raise Trap("failure: can not change dynamic")
        _check(table, {**row, **changed}, row)
        row.update(changed)
        if table.changed is not None:
            table.changed(row)


def remove_rows(table: Table, arguments: Mapping[str, str]) -> None:
    """Carry out `remove`."""
    for row in chosen(table, arguments):
        if row[".id"] not in table.rows and table.removed is None:
            raise Trap("failure: can not remove dynamic")
        if table.removed is not None:
            table.removed(row)
        table.rows.pop(row[".id"], None)


def _known(table: Table, arguments: Mapping[str, str]) -> Row:
    if table.columns is not None and not table.columns >= arguments.keys():
        raise Trap("unknown parameter", 1)
    return {name: _TRUTHS.get(value, value) if name in table.truths else value for name, value in arguments.items()}


def _check(table: Table, row: Row, own: Row | None) -> None:
    key = [row.get(name) for name in table.unique]
    if table.unique and any(
        other is not own and [other.get(name) for name in table.unique] == key for other in table.all_rows()
    ):
        raise Trap("failure: already have such entry")
    try:
        for _ in spans(row["ranges"]) if "ranges" in row else ():
            pass
    except ValueError:
        raise Trap("input does not match any value of ranges", 1) from None


def chosen(table: Table, arguments: Mapping[str, str]) -> list[Row]:
    """Return the rows that a command means, by .id or name."""
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
