"""Rows for people, for programs and for spreadsheets: a table, a JSON document, or CSV (RFC 4180).

JSON and CSV have the same names and values, in every language: instants in ISO 8601 with their offset, seconds,
octets. What comes from outside cannot become a formula: such a cell of CSV begins with an apostrophe.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aaad.cli.terminal import Terminal, WrongInputError
from aaad.words import printable

Document = Mapping[str, Any]
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


class Column(NamedTuple):
    """One column of a table for people."""

    title: str
    shown: Callable[[Document], object]


def refuse_both_forms(terminal: Terminal, *, is_csv: bool) -> None:
    """End with exit code 2 if both --json and --csv were said."""
    _ = terminal.speak
    if is_csv and terminal.options.is_json:
        terminal.complain(_("Either --json or --csv."))
        raise WrongInputError


def show_table(
    terminal: Terminal, columns: Sequence[Column], rows: Iterable[Document], style_of: Callable[[Document], str]
) -> None:
    """Write a table for people, each row in its style."""
    table = terminal.table(*(column.title for column in columns))
    for row in rows:
        table.add(*(column.shown(row) for column in columns), style=style_of(row))
    table.print()


def plain(row: Document) -> str:
    """Return the style of a row that has none of its own."""
    return ""


def write_csv(names: Sequence[str], rows: Iterable[Document]) -> None:
    """Write rows to standard output, the names first; what a row does not have stays empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])


def _cell(value: object) -> object:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            text = printable(value)
            return f"'{text}" if text.startswith(_FORMULA_BEGINS) else text
        case _:
            return value
