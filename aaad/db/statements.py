"""Named SQL statements: each store keeps its own in a `queries.sql` beside it.

    -- name: find_contract
    -- What the block screen shows of one contract.
    SELECT ... ;

A statement begins with its name line; comments after that say what it is for. Loading checks the form only, a test
prepares every statement against the migrated schema.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_NAME_LINE = re.compile(r"-- name: (\S*)\s*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Statements(Mapping[str, str]):
    """The statements of one file, by name: `statements["find_x"]` or `statements.find_x`."""

    def __init__(self, texts: Mapping[str, str], origin: str) -> None:
        self._texts = dict(texts)
        self._origin = origin

    def __getitem__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise KeyError(f"{self._origin} has no statement {name}") from None

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"{self._origin} has no statement {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def load_statements(path: Path) -> Statements:
    """Read a file of named statements; ValueError if a name is missing, wrong or there twice, or a body is empty."""
    return parse_statements(path.read_text(encoding="utf-8"), path.name)


def parse_statements(text: str, origin: str) -> Statements:
    """Split a text of named statements; `origin` names it in errors."""
    bodies: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if matched := _NAME_LINE.fullmatch(line):
            name = matched[1]
            if not _NAME.fullmatch(name):
                raise ValueError(f"{origin}:{number}: {name!r} is no name of a statement")
            if name in bodies:
                raise ValueError(f"{origin}:{number}: {name} is there twice")
            current = bodies[name] = []
        elif current is not None:
            current.append(line)
        elif line.strip() and not line.startswith("--"):
            raise ValueError(f"{origin}:{number}: SQL before the first name")
    return Statements({name: _body(lines, name, origin) for name, lines in bodies.items()}, origin)


def _body(lines: list[str], name: str, origin: str) -> str:
    if all(not line.strip() or line.lstrip().startswith("--") for line in lines):
        raise ValueError(f"{origin}: {name} has no SQL")
    return "\n".join(lines).strip().removesuffix(";")
